package sim

import (
	"testing"
)

func TestQuick(t *testing.T) {
	for seed := range uint64(200) {
		r := Run(NewPlan(seed), nil)
		if r.Violation != nil {
			t.Errorf("seed %d (%s): %v", seed, NewPlan(seed).Theme, r.Violation)
		}
	}
}
