package sim

import (
	"cmp"
	"runtime"
	"slices"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// Caught switches a rule off and runs seeds until one of them breaks a promise
// that it keeps with the rule in force. It returns how many seeds that took, and
// the failure; 0 if limit seeds did not show it.
func Caught(v core.Variant, limit uint64) (uint64, Failure) {
	defer Break(core.Whole)
	const batch = 50
	for first := uint64(0); first < limit; first += batch {
		var failures []Failure
		Break(v)
		Search(first, min(batch, limit-first), runtime.GOMAXPROCS(0), func(f Failure) bool {
			failures = append(failures, f)
			return true
		})
		Break(core.Whole)
		slices.SortFunc(failures, func(a, b Failure) int { return cmp.Compare(a.Seed, b.Seed) })
		for _, f := range failures {
			if Run(NewPlan(f.Seed), nil).Violation == nil {
				return f.Seed + 1, f
			}
		}
	}
	return 0, Failure{}
}
