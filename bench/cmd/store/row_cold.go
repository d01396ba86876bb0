package main

import (
	"context"
	"fmt"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

// asked are the columns of rows in which callers ask for one key.
var asked = []rounds.Column{
	rounds.Figure("calls", "loads", "%.0f"), rounds.Compared("p50", "p50 ms", "%.1f"), rounds.Compared("p99", "p99 ms", "%.1f"),
	rounds.Figure("worst", "slowest ms", "%.1f"), rounds.Compared("commands", "commands", "%.0f"),
}

var coldRow = row{
	Name: "cold", Title: "Callers at one cold key", Columns: asked,
	How: func(b *bench) string {
		return fmt.Sprintf("%d callers in %d processes, all at one instant; the load takes %v.", b.crowd, shops, b.load)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		return b.ask(ctx, s, func() Burst { return Burst{Key: b.key("cold"), Callers: b.crowd} })
	},
	Judge: func(b *bench, s *rounds.Section) {
		s.Exactly(corralName, "calls", 1)
		s.Exactly(corralName, "values", float64(b.crowd))
		s.Most(corralName, "p99", 127)
		s.Most(corralName, "commands", 40)
	},
}

var flowRow = row{
	Name: "flow", Title: "Callers spread over the time of the load", Columns: asked,
	How: func(b *bench) string {
		return fmt.Sprintf("%d callers in %d processes, evenly over %v; the load takes as long. Times are each caller's own.", b.flow, shops, b.load)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		return b.ask(ctx, s, func() Burst { return Burst{Key: b.key("cold"), Callers: b.flow, Over: b.load} })
	},
	Judge: func(b *bench, s *rounds.Section) {
		s.Exactly(corralName, "calls", 1)
		s.Exactly(corralName, "values", float64(b.flow))
		s.Most(corralName, "p50", 62)
		s.Most(corralName, "commands", 40)
	},
}

// ask measures bursts at keys whose loads succeed.
func (b *bench) ask(ctx context.Context, s *rounds.Section, burst func() Burst) error {
	return b.bursts(ctx, s, burst, func(seen ran) (rounds.Sample, error) {
		if len(seen.Values) == 0 {
			return nil, fmt.Errorf("nobody has the value: %d have come to their deadline, %d have an error as %s", seen.Late, len(seen.Errors), seen.Error)
		}
		return rounds.Sample{
			"calls": float64(len(seen.Begun)), "values": float64(len(seen.Values)), "commands": float64(total(seen.commands)),
			"p50": ms(seen.Values, 0.5), "p99": ms(seen.Values, 0.99), "worst": ms(seen.Values, 1),
		}, nil
	})
}

// bursts measures one burst a contender and round, at all shops.
func (b *bench) bursts(ctx context.Context, s *rounds.Section, burst func() Burst, told func(ran) (rounds.Sample, error)) error {
	return b.alternate(ctx, s, computers, func(contender string) (rounds.Sample, error) {
		f, err := b.fleet(ctx, contender)
		if err != nil {
			return nil, err
		}
		seen, err := f.burst(ctx, 0, burst())
		if err != nil {
			return nil, err
		}
		s.Note(contender, "commands: "+listed(seen.commands))
		return told(seen)
	})
}

// ms is a quantile of sorted times, in milliseconds.
func ms(sorted []time.Duration, q float64) float64 {
	return rounds.Milliseconds(rounds.Quantile(sorted, q))
}
