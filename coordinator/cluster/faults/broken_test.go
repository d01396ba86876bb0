package faults_test

import (
	"os"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// F12, seen to see: nodes that acknowledge an invalidation as soon as it is
// written give what no register gives, when one of them wakes from a short pause,
// and Porcupine says so. docs/faults.md has what was broken by hand besides.
func TestABrokenRuleIsNoRegister(t *testing.T) {
	if !soak {
		t.Skip("of the full form")
	}
	path, err := breakable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CORRAL_BROKEN", "acknowledgement at commit")
	c := start(t, 3, onLoopback, func(c *cluster) { c.program = path })
	c.origin.slow, c.origin.uneven = 2*time.Millisecond, 20*time.Millisecond
	r := newReport(t, "a rule broken")
	g := c.newGame(500)
	g.begin()
	for range 5 {
		g.pause(c.anyone(), briefly())
	}
	g.end()
	found := 0
	for _, h := range g.histories(t, r) {
		stale := h.stale()
		if len(stale) == 0 {
			continue
		}
		found += len(stale)
		dir, result, err := h.show(stale[0])
		if err != nil || result != porcupine.Illegal {
			t.Errorf("Porcupine says %s of %q, where %v; %v", result, h.key, stale[0], err)
		}
		os.RemoveAll(dir)
	}
	r.note("%d stale reads, as there should be", found)
	if found == 0 {
		t.Error("nobody was given anything stale")
	}
}
