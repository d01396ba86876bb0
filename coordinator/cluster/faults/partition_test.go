package faults_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// A partition is one way of cutting nodes off.
type partition struct {
	name string
	// cut drops packets, and returns the nodes on the side that loses its leases.
	cut func(c *cluster) (side []*node)
	// blind: no lease is lost, but keys of the others are out of reach.
	blind bool
}

func partitions() []partition {
	one := func(c *cluster) *node { return c.nodes[3] } // etcd does not run in it
	return []partition{
		{name: "from etcd only", cut: func(c *cluster) []*node {
			one(c).drop(etcdCut()...)
			return []*node{one(c)}
		}},
		{name: "from etcd only, with a member of it", cut: func(c *cluster) []*node {
			n := c.follower()
			n.drop(etcdCut()...)
			return []*node{n}
		}},
		{name: "from its peers only", blind: true, cut: func(c *cluster) []*node {
			one(c).drop(peersCut()...)
			return []*node{one(c)}
		}},
		{name: "one way: it hears nothing", cut: func(c *cluster) []*node {
			one(c).drop(from(c.others(one(c)), true, false)...)
			return []*node{one(c)}
		}},
		{name: "one way: nothing is heard of it", cut: func(c *cluster) []*node {
			one(c).drop(from(c.others(one(c)), false, true)...)
			return []*node{one(c)}
		}},
		{name: "halves, 2 with the leader of etcd and 3", cut: func(c *cluster) []*node {
			side := []*node{c.leader(), c.nodes[4]}
			for _, n := range side {
				n.drop(from(c.others(side...), true, true)...)
			}
			return side
		}},
	}
}

// F6.
func TestAPartitionLeavesNoTwoOwners(t *testing.T) {
	c := start(t, 5, bridged(t).host)
	c.origin.slow = 30 * time.Millisecond
	for _, p := range partitions() {
		t.Run(p.name, func(t *testing.T) {
			c.t = t
			r := newReport(t, "F6, cut "+p.name)
			c.trials(r, rounds(1, 5), func(t testing.TB, _ int) {
				c.part(t, r, p)
			})
			r.wantNoErrors()
		})
	}
}

// cutFor is how long a partition lasts: takeover, and time behind it.
const cutFor = 5 * time.Second

// part cuts nodes off and joins them again.
func (c *cluster) part(t testing.TB, r *report, p partition) {
	var kept, cold []string
	for _, n := range c.nodes {
		kept = append(kept, c.keysOf(n, 2)...)
		cold = append(cold, c.keysOf(n, 60)...)
	}
	cold = shuffled(cold)
	for _, key := range kept {
		for _, n := range c.nodes {
			r.answered(key, 1, n.get(key, 1).must(t))
		}
	}
	anyPhase()
	side := p.cut(c)
	rest := c.others(side...)
	began := time.Now()

	// Every cold key is asked for on both sides.
	here := c.drive(side, cold, 15*time.Millisecond, patience)
	there := c.drive(rest, cold, 15*time.Millisecond, patience)
	versions := map[string]int{}
	time.Sleep(time.Until(began.Add(lease / 2)))
	for _, key := range kept {
		versions[key] = c.origin.change(key)
	}
	c.invalidate(r, rest, kept)
	for range 3 {
		c.askAll(r, p, side, versions)
	}
	time.Sleep(time.Until(began.Add(cutFor)))
	for _, n := range side {
		n.drop()
	}
	healed := time.Now()
	for _, one := range here.end() {
		r.refusable(t, one.key, 1, one.answer)
	}
	for _, one := range there.end() {
		if p.blind {
			r.refusable(t, one.key, 1, one.answer)
			continue
		}
		r.answered(one.key, 1, one.answer)
		r.took("a cold key on the side with etcd", one.answer.Slowest)
	}
	c.awaitWhole()
	r.took("whole again", time.Since(healed))
	for _, key := range kept {
		for _, n := range c.nodes {
			r.answered(key, versions[key], n.get(key, 1).must(t))
		}
	}
	for _, key := range cold {
		c.judgeParted(t, r, p, key, side, began, healed)
	}
}

// askAll asks all nodes for keys at once: those that are cut off may refuse.
func (c *cluster) askAll(r *report, p partition, side []*node, versions map[string]int) {
	asked := map[*node][]*pending{}
	for _, n := range c.nodes {
		for key := range versions {
			asked[n] = append(asked[n], n.send(faults.Command{Do: faults.Get, Key: key, Patience: time.Second}))
		}
	}
	for n, all := range asked {
		for _, sent := range all {
			if p.blind || slices.Contains(side, n) {
				r.refusable(c.t, sent.command.Key, versions[sent.command.Key], sent.must(c.t))
			} else {
				r.answered(sent.command.Key, versions[sent.command.Key], sent.must(c.t))
			}
		}
	}
}

// refusable is answered, where nodes may say that they cannot.
func (r *report) refusable(t testing.TB, key string, version int, a faults.Answer) {
	for text, count := range a.Errors {
		if !strings.HasSuffix(text, "coordinator unavailable") && !strings.Contains(text, "the caller has left") {
			t.Errorf("%d callers of %q were told: %s", count, key, text)
		}
		r.refused += count
	}
	a.Errors = nil
	r.answered(key, version, a)
}

// judgeParted looks at what a cold key has cost that was asked for on both
// sides: no call by a side that had no lease, no two calls at one time, and no
// more than one a side.
func (c *cluster) judgeParted(t testing.TB, r *report, p partition, key string, side []*node, began, healed time.Time) {
	calls := c.origin.calls(key)
	for i, one := range calls {
		for _, n := range side {
			if !p.blind && n.name == one.node && one.began.After(began.Add(lease+r.machine.late())) && one.began.Before(healed) {
				r.extra++
				t.Errorf("a call without a lease, %v after the cut: %v", one.began.Sub(began), &one)
			}
		}
		if i > 0 && one.began.Before(calls[i-1].ended) {
			r.extra++
			t.Errorf("two calls at one time:\n%s", transcript(calls))
		}
	}
	allowed := 2 // the value that an owner without a lease had is not handed over
	if p.blind || len(calls) > 0 && calls[0].began.After(began.Add(lease+2*guard)) && calls[len(calls)-1].began.Before(healed) {
		allowed = 1
	}
	r.charge(calls, allowed)
}
