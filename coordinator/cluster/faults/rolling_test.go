package faults_test

import (
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// F8. Each node leaves in order and comes back, while the others are asked, and
// while they compute for keys that it owns. What it has kept it hands over.
func TestARollingRestartCostsNothing(t *testing.T) {
	c := start(t, 3, onLoopback)
	r := newReport(t, "F8")
	c.trials(r, rounds(3, 30), func(_ testing.TB, round int) {
		warm := c.warm(r)
		c.roll(r, c.nodes[round%3])
		c.stillWarm(r, warm)
	})
	r.wantNoErrors()
	r.wantWithin("a cold key", 3*time.Second)
}

// roll restarts one node, in order.
func (c *cluster) roll(r *report, leaves *node) {
	t := c.t
	others := c.others(leaves)
	var cold []string
	for _, n := range c.nodes {
		cold = append(cold, c.keysOf(n, 60)...)
	}
	flying := c.keysOf(leaves, 10)
	var releases []func()
	var asked []*pending
	for i, key := range flying {
		releases = append(releases, c.origin.hold(key))
		asked = append(asked, others[i%2].get(key, 5))
		c.origin.awaitCalls(t, key, 1)
		asked = append(asked, others[(i+1)%2].get(key, 5))
	}
	settled()
	anyPhase()

	steady := c.drive(others, shuffled(cold), 10*time.Millisecond, patience)
	began := time.Now()
	closed := leaves.send(faults.Command{Do: faults.Close})
	for i, release := range releases { // they end one after the other, while it leaves and comes back
		time.AfterFunc(time.Duration(i)*20*time.Millisecond, release)
	}
	closed.must(t)
	<-leaves.ended
	r.took("leaves", time.Since(began))
	restart(c, r, leaves)
	steady.stopped.Wait()
	for _, one := range r.judged(c.origin, steady.end()) {
		r.took("a cold key", one.answer.Slowest)
	}
	for _, p := range asked {
		r.answered(p.command.Key, 1, p.must(t))
	}
	for _, key := range flying {
		r.charge(c.origin.calls(key), 1)
	}
}

// warm is values that are kept: each asked for at some node.
func (c *cluster) warm(r *report) (keys []string) {
	for i, n := range c.nodes {
		for j, key := range c.keysOf(n, 40) {
			r.answered(key, 1, c.nodes[(i+j)%len(c.nodes)].get(key, 1).must(c.t))
			keys = append(keys, key)
		}
	}
	return keys
}

// stillWarm asks for them everywhere, and nothing may have been computed again.
func (c *cluster) stillWarm(r *report, keys []string) {
	for _, key := range keys {
		for _, n := range c.nodes {
			r.answered(key, 1, n.get(key, 1).must(c.t))
		}
		r.charge(c.origin.calls(key), 1)
	}
}
