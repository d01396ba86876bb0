package faults_test

import (
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// F0.
func TestTenThousandCallersOnAllNodesCostOneCall(t *testing.T) {
	crowd := 3_000
	if soak {
		crowd = 10_000
	}
	c := start(t, 3, onLoopback)
	r := newReport(t, "F0")
	c.trials(r, rounds(5, 50), func(t testing.TB, round int) {
		key := c.keyOf(c.nodes[round%3])
		release := c.origin.hold(key)
		var asked []*pending
		for i, n := range c.nodes {
			asked = append(asked, n.get(key, (crowd+i)/3))
		}
		c.origin.awaitCalls(t, key, 1)
		time.Sleep(150 * time.Millisecond) // the load itself
		release()
		for _, p := range asked {
			a := p.must(t)
			r.answered(key, 1, a)
			r.took("slowest caller, load of 150 ms", a.Slowest)
		}
		r.charge(c.origin.calls(key), 1)
	})
	r.wantNoErrors()
}

// F11.
func TestAFlightGoesOnWhenItsFirstCallerLeaves(t *testing.T) {
	c := start(t, 3, onLoopback)
	r := newReport(t, "F11")
	c.trials(r, rounds(6, 30), func(t testing.TB, round int) {
		// The first caller is at another node than the owner, the others anywhere.
		owner, first := c.nodes[round%3], c.nodes[(round+1)%3]
		key := c.keyOf(owner)
		release := c.origin.hold(key)
		leaves := first.send(faults.Command{Do: faults.Get, Key: key, Callers: 1, Patience: 300 * time.Millisecond})
		c.origin.awaitCalls(t, key, 1)
		stays := c.nodes[(round+round/3)%3].get(key, 100)
		if left := leaves.must(t); len(left.Values) != 0 {
			t.Errorf("the caller who left was given %v", left.Values)
		}
		time.Sleep(100 * time.Millisecond) // in which a cancelled load would end
		release()
		r.answered(key, 1, stays.must(t))
		r.charge(c.origin.calls(key), 1)
	})
	r.wantNoErrors()
}
