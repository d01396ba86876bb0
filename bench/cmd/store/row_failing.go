package main

import (
	"context"
	"fmt"
	"sort"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

// grace is by how much the error of a load may come after the load.
const grace = 10 * time.Millisecond

var failed = []rounds.Column{
	rounds.Figure("calls", "loads", "%.0f"), rounds.Figure("told", "have the error in time", "%.0f"), rounds.Figure("late", "at their deadline", "%.0f"),
	rounds.Figure("p50", "p50 ms", "%.1f"), rounds.Figure("worst", "slowest ms", "%.1f"), rounds.Figure("commands", "commands", "%.0f"),
}

var failingRow = row{
	Name: "failing", Title: "Callers at one cold key whose load fails", Columns: failed,
	How: func(b *bench) string {
		return fmt.Sprintf("%d callers in %d processes, all at one instant, with %v each; the load fails after %v. In time is within the load and %v.", b.crowd, shops, b.deadline, b.load, grace)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		return b.fail(ctx, s, func() Burst { return Burst{Key: b.key("failing"), Callers: b.crowd, Deadline: b.deadline} })
	},
	Judge: func(b *bench, s *rounds.Section) { judgeFailing(b, s, b.crowd) },
}

var failingFlowRow = row{
	Name: "failing-flow", Title: "Callers spread over the time of a load that fails", Columns: failed,
	How: func(b *bench) string {
		return fmt.Sprintf("%d callers in %d processes, evenly over %v, with %v each; the load fails after as long.", b.flow, shops, b.load, b.deadline)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		return b.fail(ctx, s, func() Burst {
			return Burst{Key: b.key("failing"), Callers: b.flow, Over: b.load, Deadline: b.deadline}
		})
	},
	Judge: func(b *bench, s *rounds.Section) { judgeFailing(b, s, b.flow) },
}

func judgeFailing(b *bench, s *rounds.Section, callers int) {
	s.Exactly(corralName, "calls", 1)
	s.Exactly(corralName, "errors", float64(callers))
	s.Most(corralName, "worst", rounds.Milliseconds(b.load+grace))
}

// fail measures bursts at keys whose loads fail.
func (b *bench) fail(ctx context.Context, s *rounds.Section, burst func() Burst) error {
	return b.bursts(ctx, s, burst, func(seen ran) (rounds.Sample, error) {
		sample := rounds.Sample{
			"calls": float64(len(seen.Begun)), "errors": float64(len(seen.Errors)), "late": float64(seen.Late), "commands": float64(total(seen.commands)),
			"told": float64(sort.Search(len(seen.Errors), func(i int) bool { return seen.Errors[i] > b.load+grace })),
		}
		if len(seen.Errors) > 0 {
			sample["p50"], sample["worst"] = ms(seen.Errors, 0.5), ms(seen.Errors, 1)
		}
		return sample, nil
	})
}
