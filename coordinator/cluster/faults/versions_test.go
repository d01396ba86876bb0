package faults_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// previousCommit is of the version before this one, whose nodes are to live in a
// cluster with this one's. It moves on with each release.
const previousCommit = "d612fab771cd41a317f7de09228e6daa58e3e881"

// previous is the node's program of that version, built from the history.
var previous = sync.OnceValues(func() (path string, err error) {
	dir, err := built()
	if err != nil {
		return "", err
	}
	source := filepath.Join(dir, "previous")
	if err := os.Mkdir(source, 0o700); err != nil {
		return "", err
	}
	out, err := exec.Command("sh", "-ec", fmt.Sprintf(
		`cd "$(git rev-parse --show-toplevel)"; git archive --output="%s.tar" %s; tar -xf "%[1]s.tar" -C "%[1]s"`, source, previousCommit)).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("the history has no commit %s, of the previous version: fetch it (git fetch --unshallow): %w: %s", previousCommit, err, out)
	}
	path = filepath.Join(dir, "node-previous")
	command := exec.Command("go", "build", "-o", path, "./coordinator/cluster/faults/node")
	command.Dir = source
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the node of the previous version: %w: %s", err, out)
	}
	return path, nil
})

// F18. A cluster of the previous version is updated, node by node, and set back,
// as F8; what is invalidated at nodes of one version is heard at those of the
// other.
func TestAnUpdateNodeByNodeCostsNothing(t *testing.T) {
	if !soak {
		t.Skip("of the full form")
	}
	path, err := previous()
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, 3, onLoopback, func(c *cluster) { c.program = path })
	r := newReport(t, "F18")
	c.trials(r, rounds(1, 4), func(testing.TB, int) {
		for _, program := range []string{"", path} {
			for _, n := range c.nodes {
				n.program = program
				c.roll(r, n)
				c.heardEverywhere(r)
			}
		}
	})
	r.wantNoErrors()
	r.wantWithin("a cold key", 3*time.Second)
}

// heardEverywhere invalidates a key at each node, and asks all.
func (c *cluster) heardEverywhere(r *report) {
	for i, by := range c.nodes {
		key := c.keyOf(c.nodes[(i+1)%len(c.nodes)])
		for _, n := range c.nodes {
			r.answered(key, 1, n.get(key, 1).must(c.t))
		}
		version := c.origin.change(key)
		c.invalidate(r, []*node{by}, []string{key})
		for _, n := range c.nodes {
			r.answered(key, version, n.get(key, 1).must(c.t))
		}
	}
}
