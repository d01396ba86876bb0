package faults_test

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// F19. Whatever fails, in any order, for as long as there is time: every key stays
// a register, with values on the disks of nodes that die and come back (F12b); the
// cluster becomes whole again each time, and nodes that have lived through all of
// it use no more than in the beginning.
func TestNothingIsLostOrLeftOverTheLongRun(t *testing.T) {
	if !soak {
		t.Skip("of the full form")
	}
	c, cuts := startWherePartitionsAre(t, withStores)
	c.origin.slow, c.origin.uneven = 2*time.Millisecond, 20*time.Millisecond
	r := newReport(t, "F19")
	mortal, living := c.nodes[:3], c.nodes[3:] // with a member of etcd, without
	weights := map[string][]faults.Weight{}
	operations := 0
	for until := time.Now().Add(soakFor / 4); time.Now().Before(until) && !t.Failed(); {
		g := c.newGame(300)
		g.begin()
		for range 4 {
			g.fail(mortal, cuts)
		}
		g.end()
		operations += g.judge(t, r)
		for _, n := range living {
			weights[n.name] = append(weights[n.name], *n.send(faults.Command{Do: faults.Weigh}).must(t).Weight)
		}
	}
	r.note("%d operations", operations)
	for _, n := range living {
		r.level(t, n.name, weights[n.name])
	}
}

// fail is one fault by chance, and its cure. Only the mortal are killed.
func (g *game) fail(mortal []*node, cuts bool) {
	c := g.c
	n := mortal[rand.N(len(mortal))]
	all := []func(){
		func() { g.kill(n, true) },
		func() { g.kill(n, false) },
		func() { g.kill(c.leader(), false) },
		func() { g.pause(c.anyone(), briefly()) },
		func() { g.pause(c.anyone(), long()) },
		func() { g.unquorate() },
		func() { g.restart(n) },
		func() { g.drain(c.anyone()) },
	}
	if cuts {
		for _, p := range partitions() {
			all = append(all, func() { g.part(p) })
		}
	}
	all[rand.N(len(all))]()
}

// unquorate is F4.
func (g *game) unquorate() {
	defer g.c.awaitWhole() // after they go on
	for _, n := range g.c.nodes[1:3] {
		n.signal(syscall.SIGSTOP)
		defer n.signal(syscall.SIGCONT)
	}
	time.Sleep(long())
}

// restart is F8 for one node.
func (g *game) restart(n *node) {
	n.rest()
	n.send(faults.Command{Do: faults.Close}).must(g.c.t)
	<-n.ended
	n.begin()
	g.c.awaitWhole()
	g.play(n)
}

// drain is of F9.
func (g *game) drain(n *node) {
	c := g.c
	c.anyone().send(faults.Command{Do: faults.Drain, Key: n.name}).must(c.t)
	await(c.t, "a drained node owns nothing", func() bool { return n.look().Owned == 0 })
	c.anyone().send(faults.Command{Do: faults.Undrain, Key: n.name}).must(c.t)
	c.awaitWhole()
}

// level fails the test if a process has come to use more and more. What it used
// while it warmed up does not count; of the rest, the medians of the first and the
// second half are compared.
func (r *report) level(t testing.TB, name string, weights []faults.Weight) {
	t.Helper()
	rest := weights[len(weights)/3:]
	if len(rest) < 6 {
		r.note("node %s was weighed %d times, which is too few to tell a slope", name, len(weights))
		return
	}
	earlier, later := rest[:len(rest)/2], rest[len(rest)/2:]
	for _, use := range []struct {
		name  string
		of    func(w faults.Weight) int
		slack int // besides a sixth
	}{
		{"goroutines", func(w faults.Weight) int { return w.Goroutines }, 10},
		{"descriptors", func(w faults.Weight) int { return w.Descriptors }, 10},
		{"KiB of memory", func(w faults.Weight) int { return int(w.Heap >> 10) }, 2048},
	} {
		before, after := median(earlier, use.of), median(later, use.of)
		r.note("node %s: %d %s, then %d", name, before, use.name, after)
		if after > before+before/6+use.slack {
			t.Errorf("node %s used %d %s in the first half, and %d in the second", name, before, use.name, after)
		}
	}
}

func median(weights []faults.Weight, of func(w faults.Weight) int) int {
	var all []int
	for _, w := range weights {
		all = append(all, of(w))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
