package faults_test

import (
	"syscall"
	"testing"
	"time"
)

// F3. The node with etcd's leader is killed: the others' leases outlast the
// election, and then what it owned is theirs.
func TestTheOtherNodesKeepTheirLeasesWhenTheLeaderOfEtcdIsKilled(t *testing.T) {
	c := start(t, 3, onLoopback)
	r := newReport(t, "F3")
	c.trials(r, rounds(2, 15), func(t testing.TB, _ int) {
		leads := c.leader()
		others := c.others(leads)
		lapses := others[0].look().Lapses + others[1].look().Lapses
		kept := append(c.keysOf(others[0], 100), c.keysOf(others[1], 100)...)
		lost := c.keysOf(leads, 20)
		flying := lost[0]
		release := c.origin.hold(flying)
		asked := []*pending{others[0].get(flying, 10)}
		c.origin.awaitCalls(t, flying, 1)
		asked = append(asked, others[1].get(flying, 10))
		settled()
		anyPhase()

		leads.kill()
		killed := time.Now()
		theirs := c.drive(others, kept, 15*time.Millisecond, patience)
		orphans := c.drive(others, lost[1:], 15*time.Millisecond, patience)
		await(t, "a leader of etcd", func() bool { return others[0].leads() || others[1].leads() })
		r.took("another member leads", time.Since(killed))
		theirs.stopped.Wait() // 200 keys take three seconds
		var slowest time.Duration
		for _, one := range r.judged(c.origin, orphans.end()) {
			slowest = max(slowest, one.answer.Done.Sub(killed))
			r.took("owned again", one.answer.Done.Sub(killed))
		}
		if slowest > 3*time.Second {
			t.Logf("killed %s at %v, owned again %v later; the ends of the others' logs:\n%s\n%s", leads.name, killed.UTC().Format("05.000"), slowest, others[0].logTail(25), others[1].logTail(25))
		}
		for _, one := range r.judged(c.origin, theirs.end()) {
			r.took("a key of a living node", one.answer.Slowest)
		}
		release()
		for _, p := range asked {
			r.answered(flying, 1, p.must(t))
		}
		r.charge(c.origin.calls(flying), 1)
		if now := others[0].look().Lapses + others[1].look().Lapses; now != lapses {
			t.Errorf("leases of the other nodes ran out %d times", now-lapses)
		}
		restart(c, r, leads)
	})
	r.wantNoErrors()
	r.wantWithin("owned again", 8*time.Second)
}

// F4. Two of three members of etcd stand still. The nodes that live grant
// nothing once their leases are out, and are whole again soon after.
func TestNothingIsGrantedWithoutAQuorumOfEtcd(t *testing.T) {
	c := start(t, 5, onLoopback)
	r := newReport(t, "F4")
	c.trials(r, rounds(1, 7), func(t testing.TB, _ int) {
		stopped, living := c.nodes[1:3], c.others(c.nodes[1:3]...)
		flying := c.keyOf(living[0])
		release := c.origin.hold(flying)
		asked := []*pending{living[1].get(flying, 10)}
		c.origin.awaitCalls(t, flying, 1)
		asked = append(asked, living[2].get(flying, 10))
		var cold []string
		for _, n := range living {
			cold = append(cold, c.keysOf(n, 100)...)
		}
		settled()
		anyPhase()

		for _, n := range stopped {
			n.signal(syscall.SIGSTOP)
		}
		without := time.Now()
		cut := c.drive(living, cold, 20*time.Millisecond, time.Second)
		time.Sleep(time.Until(without.Add(lease + 3*time.Second)))
		trips := cut.end()
		for _, n := range stopped {
			n.signal(syscall.SIGCONT)
		}
		back := time.Now()
		for _, call := range c.origin.calls("k") {
			if call.began.After(without.Add(lease+r.machine.late())) && call.began.Before(back) {
				r.extra++
				t.Errorf("granted without a lease, %v after etcd had lost its quorum: %v", call.began.Sub(without), call)
			}
		}
		for _, trip := range trips {
			if len(c.origin.calls(trip.key)) > 1 {
				r.charge(c.origin.calls(trip.key), 1)
			}
			if trip.sent.After(without.Add(lease+r.machine.late())) && !trip.failed() {
				t.Errorf("node %s answered %q, asked for %v after the quorum was lost: %v", trip.node, trip.key, trip.sent.Sub(without), trip.answer.Values)
			}
		}
		c.awaitWhole()
		r.took("whole again after the quorum", time.Since(back))
		release()
		for _, p := range asked {
			r.answered(flying, 1, p.must(t))
		}
		r.charge(c.origin.calls(flying), 1)
	})
	r.wantNoErrors() // of those who had asked before
	r.wantWithin("whole again after the quorum", 15*time.Second)
}
