package sim

import "slices"

// Shrink leaves out of a failing plan whatever is not needed for it to break the
// same rule, until nothing more can go: first halves of its acts, then smaller
// parts, at last single ones.
func Shrink(plan Plan) Plan {
	verdict := Run(plan, nil).Violation
	if verdict == nil {
		return plan
	}
	fails := func(p Plan) bool {
		v := Run(p, nil).Violation
		return v != nil && v.Rule == verdict.Rule
	}
	for size := len(plan.Acts) / 2; size > 0; {
		before := len(plan.Acts)
		for at := 0; at+size <= len(plan.Acts); {
			smaller := plan
			smaller.Acts = slices.Delete(slices.Clone(plan.Acts), at, at+size)
			if fails(smaller) {
				plan = smaller
			} else {
				at += size
			}
		}
		if size > 1 || len(plan.Acts) == before {
			size /= 2
		}
	}
	return simplify(plan, fails)
}

// simplify leaves out what makes a plan harder to read.
func simplify(plan Plan, fails func(Plan) bool) Plan {
	for _, simpler := range []func(*Plan){
		func(p *Plan) { p.Store = false },
		func(p *Plan) { p.Nested = 0 },
		func(p *Plan) { p.Gaps = 0 },
		func(p *Plan) { p.EtcdLoss = 0 },
		func(p *Plan) { p.Shares, p.Passes = 0, 0 },
		func(p *Plan) { p.Errors, p.Hangs = 0, 0 },
		func(p *Plan) { p.Rates = make([]float64, p.Nodes) },
		func(p *Plan) { p.Partitions = 1 },
		func(p *Plan) { p.Stale = 0 },
	} {
		next := plan
		next.names = nil
		simpler(&next)
		if fails(next) {
			plan = next
		}
	}
	return plan
}
