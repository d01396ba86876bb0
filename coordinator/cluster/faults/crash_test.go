package faults_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// F1. Two loads run at another node than their owner when that is killed: one
// ends while its key has no owner, the other once it has one again.
func TestAFlightSurvivesTheDeathOfItsOwner(t *testing.T) {
	c := start(t, 3, onLoopback)
	r := newReport(t, "F1")
	c.trials(r, rounds(3, 21), func(t testing.TB, _ int) {
		owner := c.follower() // the leader of etcd is another row
		others := c.others(owner)
		keys := c.keysOf(owner, 4)
		early, late := keys[0], keys[1]
		releaseEarly, releaseLate := c.origin.hold(early), c.origin.hold(late)
		var asked []*pending
		for _, key := range keys[:2] {
			asked = append(asked, others[0].get(key, 50))
			c.origin.awaitCalls(t, key, 1)
			asked = append(asked, others[1].get(key, 50))
		}
		owner.get(early, 1)
		settled()
		anyPhase()

		owner.kill()
		killed := time.Now()
		cold := []*pending{others[0].get(keys[2], 1), others[1].get(keys[3], 1)}
		time.Sleep(300 * time.Millisecond) // the load's end, long before the owner counts as dead
		releaseEarly()
		for i, p := range cold {
			a := p.must(t)
			r.answered(keys[2+i], 1, a)
			r.took("owned again", a.Done.Sub(killed))
		}
		releaseLate()
		for _, p := range asked {
			r.answered(p.command.Key, 1, p.must(t))
		}
		for _, key := range keys {
			r.charge(c.origin.calls(key), 1)
		}
		restart(c, r, owner)
	})
	r.wantNoErrors()
	r.wantWithin("owned again", 5*time.Second)
}

// settled lets callers park who have no other way to show it.
func settled() { time.Sleep(200 * time.Millisecond) }

// anyPhase waits for some part of the time between two renewals, since a fault
// may come at any of them.
func anyPhase() { time.Sleep(rand.N(400 * time.Millisecond)) }

// restart begins a node again and waits until the cluster is whole.
func restart(c *cluster, r *report, n *node) {
	c.t.Helper()
	began := time.Now()
	n.begin()
	n.awaitServing()
	took := time.Since(began)
	r.took("serves again after its restart", took)
	if took > lease {
		c.t.Logf("node %s took %v to serve again; the end of its log:\n%s", n.name, took, n.logTail(25))
	}
	c.awaitWhole()
	r.took("whole again after its restart", time.Since(began))
}

// F1, restarted at once: its directory's lock proves that the earlier life is
// over, so that nobody waits for its lease.
func TestAnOwnerThatIsRestartedAtOnceOwnsAtOnce(t *testing.T) {
	c := start(t, 3, onLoopback)
	r := newReport(t, "F1, restarted at once")
	c.trials(r, rounds(3, 21), func(t testing.TB, _ int) {
		owner := c.follower()
		others := c.others(owner)
		keys := c.keysOf(owner, 2)
		flying, cold := keys[0], keys[1]
		release := c.origin.hold(flying)
		asked := []*pending{others[0].get(flying, 50)}
		c.origin.awaitCalls(t, flying, 1)
		asked = append(asked, others[1].get(flying, 50))
		settled()
		anyPhase()

		owner.kill()
		began := time.Now()
		owner.begin()
		p := others[0].get(cold, 1)
		r.answered(cold, 1, p.must(t))
		r.took("owned again", time.Since(began))
		release()
		for _, p := range asked {
			r.answered(flying, 1, p.must(t))
		}
		for _, key := range keys {
			r.charge(c.origin.calls(key), 1)
		}
		owner.awaitServing()
		r.took("serves again", time.Since(began))
		c.awaitWhole()
	})
	r.wantNoErrors()
	r.wantWithin("owned again", 5*time.Second)
}

// F2. The load is lost with the process that ran it, and nothing else.
func TestTheDeathOfAComputingNodeCostsOneCallAKey(t *testing.T) {
	c := start(t, 3, onLoopback)
	r := newReport(t, "F2")
	c.trials(r, rounds(2, 15), func(t testing.TB, round int) {
		holder := c.follower()
		others := c.others(holder)
		keys := c.keysOf(others[round%2], 5)
		var releases []func()
		var asked []*pending
		for _, key := range keys {
			releases = append(releases, c.origin.hold(key))
			holder.get(key, 10)
			c.origin.awaitCalls(t, key, 1)
			for _, n := range others {
				asked = append(asked, n.get(key, 20))
			}
		}
		settled()
		anyPhase()
		holder.kill()
		killed := time.Now()
		for _, key := range keys {
			c.origin.awaitCalls(t, key, 2)
			r.took("computed anew", time.Since(killed))
		}
		for _, release := range releases {
			release()
		}
		for _, p := range asked {
			r.answered(p.command.Key, 1, p.must(t))
		}
		for _, key := range keys {
			r.charge(c.origin.calls(key), 2)
		}
		restart(c, r, holder)
	})
	r.wantNoErrors()
	r.wantWithin("computed anew", 8*time.Second)
}

// look is what a node says of itself.
func (n *node) look() *faults.Status {
	a, ok := n.send(faults.Command{Do: faults.Look}).wait()
	if !ok || a.Status == nil {
		return &faults.Status{}
	}
	return a.Status
}
