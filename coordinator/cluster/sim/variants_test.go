//go:build sim

package sim

import (
	"testing"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// within is how many seeds may pass before a broken rule is noticed.
const within = 2000

func TestEveryBrokenRuleIsCaught(t *testing.T) {
	for _, v := range core.Variants() {
		t.Run(v.String(), func(t *testing.T) {
			after, f := Caught(v, within)
			if after == 0 {
				t.Fatalf("not caught within %d seeds", within)
			}
			t.Logf("caught after %d seeds (%s): %v", after, f.Theme, f.Violation)
		})
	}
}

func TestAPlanThatFailsIsShrunkToOneThatBreaksTheSameRule(t *testing.T) {
	after, f := Caught(core.AcknowledgedAtCommit, within)
	if after == 0 {
		t.Fatal("nothing to shrink")
	}
	Break(core.AcknowledgedAtCommit)
	defer Break(core.Whole)
	plan := NewPlan(f.Seed)
	small := Shrink(plan)
	v := Run(small, nil).Violation
	if v == nil || v.Rule != f.Violation.Rule || len(small.Acts) > len(plan.Acts)/4 {
		t.Errorf("seed %d breaks %s with %d acts, and is shrunk to %d that break %v", f.Seed, f.Violation.Rule, len(plan.Acts), len(small.Acts), v)
	}
}
