package faults_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// F5. An owner stands still, its keys go to others and are changed there, and it
// wakes with requests in its mailbox: nothing of what it remembers is an answer.
func TestAnOwnerThatWakesGivesNobodyWhatItRemembers(t *testing.T) {
	pauses := []time.Duration{3 * time.Second}
	if soak {
		pauses = []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second}
	}
	for _, pause := range pauses {
		t.Run(fmt.Sprint(pause), func(t *testing.T) {
			c := start(t, 3, onLoopback)
			r := newReport(t, "F5, "+pause.String())
			c.trials(r, rounds(2, 7), func(_ testing.TB, round int) {
				c.standStill(r, c.nodes[round%3], pause)
			})
			r.wantNoErrors()
		})
	}
}

// standStill stops an owner for a while.
func (c *cluster) standStill(r *report, owner *node, pause time.Duration) {
	t := c.t
	others := c.others(owner)
	keys := c.keysOf(owner, 12)
	flying, kept := keys[0], keys[2:]
	for _, key := range kept {
		for _, n := range c.nodes {
			r.answered(key, 1, n.get(key, 1).must(t))
		}
	}
	release := c.origin.hold(flying)
	calls := 1
	if pause > patience/2 { // else the load, and those who wait for it, would end by their deadlines
		time.AfterFunc(patience/2, release)
		calls = 2 // what lands at the owner in between need not reach the one that comes back
	}
	asked := []*pending{others[0].get(flying, 20)}
	c.origin.awaitCalls(t, flying, 1)
	asked = append(asked, others[1].get(flying, 20))
	own := owner.get(flying, 20)
	settled()
	anyPhase()

	owner.signal(syscall.SIGSTOP)
	stopped := time.Now()
	cold := others[0].get(keys[1], 1)
	// Each key is changed and invalidated by another node; whoever asks after the
	// acknowledgement, of whomever, wants the new version.
	versions, allowed := map[string]int{}, map[string]int{}
	for _, key := range kept {
		versions[key] = c.origin.change(key)
	}
	var mailed []*pending
	mail := func() {
		for _, key := range kept {
			mailed = append(mailed, owner.get(key, 5))
		}
	}
	woken := make(chan struct{})
	time.AfterFunc(time.Until(stopped.Add(pause)), func() {
		owner.signal(syscall.SIGCONT)
		close(woken)
	})
	for key, repeats := range c.invalidate(r, others, kept) {
		// One call a version, one when the key goes back to an owner who has
		// nothing of it, and one for each invalidation that had to be repeated.
		allowed[key] = 3 + repeats
	}
	mail()
	for _, key := range kept[:len(kept)/2] { // some find the value computed again, others do not
		r.answered(key, versions[key], others[0].get(key, 5).must(t))
	}
	<-woken
	for range 20 { // while it finds out where it is
		mail()
		time.Sleep(5 * time.Millisecond)
	}
	for _, p := range mailed { // it may have no lease yet, and says so
		r.refusable(t, p.command.Key, versions[p.command.Key], p.must(t))
	}
	a := cold.must(t)
	r.answered(keys[1], 1, a)
	r.took("a cold key of the owner", a.Done.Sub(stopped))
	c.awaitWhole()
	r.took("whole again, from its waking", time.Since(stopped.Add(pause)))
	// Not before, for a value that lands at the owner in between is not handed
	// over to one that comes back.
	release()
	for _, p := range asked {
		r.answered(flying, 1, p.must(t))
	}
	a = own.must(t)
	if pause > patience { // their own deadlines have passed meanwhile, one or the other
		for _, count := range a.Errors {
			r.refused += count
		}
		a.Errors = nil
	}
	r.refusable(t, flying, 1, a)
	r.charge(c.origin.calls(flying), calls)
	r.charge(c.origin.calls(keys[1]), 1)
	for _, key := range kept {
		r.charge(c.origin.calls(key), allowed[key])
	}
}

// invalidate lets nodes invalidate keys until all are acknowledged, and returns
// how often each had to be repeated: where etcd does not answer in time, as in
// an election, the outcome is unknown.
func (c *cluster) invalidate(r *report, by []*node, keys []string) (repeats map[string]int) {
	c.t.Helper()
	began := time.Now()
	repeats = map[string]int{}
	sent := map[string]*pending{}
	for i, key := range keys {
		sent[key] = by[i%len(by)].send(faults.Command{Do: faults.Invalidate, Key: key})
	}
	for i, key := range keys {
		for {
			a, ok := sent[key].wait()
			if ok && a.Error == "" {
				r.took("an invalidation is acknowledged", a.Done.Sub(began))
				repeats[key] += 0
				break
			}
			if !ok || !strings.Contains(a.Error, "not acknowledged") || time.Since(began) > soon {
				c.t.Fatalf("node %s: invalidate %q: %q", by[i%len(by)].name, key, a.Error)
			}
			repeats[key]++
			sent[key] = by[i%len(by)].send(faults.Command{Do: faults.Invalidate, Key: key})
		}
	}
	return repeats
}
