package faults_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// F12b. A node is down while keys of its own are changed and invalidated, by key,
// by tag or all, and comes back with the old values on its disk: nobody is given
// them. What was not invalidated it gives from there, without a call.
func TestANodeThatWasDownGivesNothingOldFromItsDisk(t *testing.T) {
	c := start(t, 3, onLoopback, withStores)
	r := newReport(t, "F12b")
	c.trials(r, rounds(3, 21), func(t testing.TB, round int) {
		n := c.nodes[round%3]
		others := c.others(n)
		group := func(name string) []string { return c.keysBelow(fmt.Sprintf("%s%d/", name, round), n, 5) }
		changed, kept := group("changed"), group("kept")
		files := n.stored()
		for _, key := range append(changed, kept...) {
			r.answered(key, 1, n.get(key, 1).must(t))
		}
		await(t, "all values on disk", func() bool { return n.stored() >= files+len(changed)+len(kept) })
		anyPhase()
		if n.process.kill(); round%2 == 0 {
			time.Sleep(lease + 2*guard) // so long that others own its keys
		}
		versions := c.origin.changeAll(changed)
		by := []string{faults.Invalidate, faults.InvalidateTag, faults.InvalidateAll}[round%3]
		c.invalidateBy(others[0], by, changed)
		began := time.Now()
		n.begin()
		n.awaitServing()
		r.took("serves again", time.Since(began))
		for i, key := range changed {
			r.answered(key, versions[i], n.get(key, 3).must(t))
			r.answered(key, versions[i], others[i%2].get(key, 3).must(t))
		}
		c.awaitWhole()
		for _, key := range kept {
			a := n.get(key, 3).must(t)
			r.answered(key, 1, a)
			r.took("a value from the disk", a.Slowest)
			if by != faults.InvalidateAll {
				r.charge(c.origin.calls(key), 1)
			}
		}
	})
	r.wantNoErrors()
}

// stored is how many values a node has on its disk.
func (n *node) stored() int {
	files, _ := filepath.Glob(filepath.Join(n.dir, "values", "*.record"))
	return len(files)
}

// invalidateBy lets a node invalidate keys, until that is acknowledged.
func (c *cluster) invalidateBy(n *node, by string, keys []string) {
	c.t.Helper()
	commands := []faults.Command{{Do: by}}
	switch by {
	case faults.Invalidate:
		commands = nil
		for _, key := range keys {
			commands = append(commands, faults.Command{Do: by, Key: key})
		}
	case faults.InvalidateTag:
		commands[0].Key, _, _ = strings.Cut(keys[0], "/")
	}
	for _, command := range commands {
		await(c.t, by+" acknowledged", func() bool {
			a, ok := n.send(command).wait()
			return ok && a.Error == ""
		})
	}
}
