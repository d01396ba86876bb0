package main

import (
	"context"
	"fmt"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/bench/internal/rounds"
)

// Names of the parts of cycleRow.
const (
	oneKeyName      = "lease and fill"
	oneKeyFullName  = "with invalidation"
	manyKeysName    = "lease and fill, many keys"
	allInvalidating = "with invalidation, many keys"
)

var cycleRow = row{
	Name: "cycle", Title: "Cycles of lease, fill and invalidation through one remote owner",
	Columns: []rounds.Column{rounds.Figure("rate", "cycles/s", "%.0f"), rounds.Figure("p50", "p50 µs", "%.0f"), rounds.Figure("p99", "p99 µs", "%.0f")},
	How: func(b *bench) string {
		return fmt.Sprintf("One caller of node a at one key of node b, and %d callers with a key each: Join is granted a lease, Fill is acknowledged by the owner. "+
			"With invalidation, Fill is kept and Invalidate waits until every node has applied it, which is a write to etcd, synchronised to disk on two of three nodes; "+
			"without, what is filled is shared and the key is free again.", b.writers)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		f, err := b.fleet(ctx)
		if err != nil {
			return err
		}
		keys, err := f.owned(1, b.prefix("hot"), b.writers)
		if err != nil {
			return err
		}
		return b.alternate(ctx, s, []string{oneKeyName, oneKeyFullName, manyKeysName, allInvalidating}, func(part string) (rounds.Sample, error) {
			c := Cycle{Hammer: Hammer{Callers: 1, Warm: b.warm, For: b.per, Keys: keys[:1]}, Invalidate: part == oneKeyFullName || part == allInvalidating}
			if part == manyKeysName || part == allInvalidating {
				c.Callers, c.Keys = len(keys), keys
			}
			var r Reading
			err := f.nodes[0].Ask("Cycle", c, &r)
			return rounds.Sample{"rate": r.Rate, "p50": rounds.Microseconds(r.P50), "p99": rounds.Microseconds(r.P99)}, err
		})
	},
	Judge: func(_ *bench, s *rounds.Section) {
		s.Least(oneKeyName, "rate", 5000)
		s.Least(oneKeyFullName, "rate", 5000)
		s.Least(allInvalidating, "rate", 5000)
	},
}

// Cycle says how keys are leased, filled and freed, each caller its own.
type Cycle struct {
	Hammer
	Invalidate bool
}

// Cycle repeats cycles.
func (m *Member) Cycle(c Cycle, r *Reading) error {
	value := make([]byte, valueBytes)
	call := func(ctx context.Context, caller, _ int) error {
		return m.cycle(ctx, c.Keys[caller], value, c.Invalidate)
	}
	var err error
	*r, err = c.repeat(call)
	return err
}

func (m *Member) cycle(ctx context.Context, key string, value []byte, invalidate bool) error {
	record := &corral.Record{Value: value, BodySize: -1, TTL: corral.Forever, Revision: m.port.revision.Load(), Outcome: corral.Share}
	if invalidate {
		record.Outcome = corral.Keep
	}
	answer, err := m.port.ask(ctx, key)
	switch {
	case err != nil:
		return err
	case answer.Kind != corral.AnswerLease:
		return fmt.Errorf("key %q: the owner's answer is of kind %d, want a lease", key, answer.Kind)
	}
	if err := answer.Lease.Fill(ctx, record); err != nil {
		return fmt.Errorf("fill %q: %w", key, err)
	}
	if !invalidate {
		return nil
	}
	return m.port.Invalidate(ctx, corral.Target{Keys: []string{key}})
}
