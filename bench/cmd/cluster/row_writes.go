package main

import (
	"context"
	"fmt"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

// Names of the parts of writesRow.
const (
	restName = "at rest"
	busyName = "under gets"
)

var writesRow = row{
	Name: "writes", Title: "Writes to etcd",
	Columns: []rounds.Column{rounds.Figure("writes", "writes/s a node", "%.2f"), rounds.Figure("gets", "gets/s", "%.0f")},
	How: func(b *bench) string {
		return fmt.Sprintf("What each of three nodes writes while nobody asks, and while %d callers of node a ask for what node b has, for %v each.", b.crowd, b.rest)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		f, err := b.fleet(ctx)
		if err != nil {
			return err
		}
		keys, err := f.owned(1, b.prefix("hot"), b.scale.keys)
		if err != nil {
			return err
		}
		if err := f.nodes[1].Ask("Fill", keys, &Nothing{}); err != nil {
			return err
		}
		return b.alternate(ctx, s, []string{restName, busyName}, func(part string) (rounds.Sample, error) {
			gets := 0.0
			writes, err := f.writes(func() error {
				if part == restName {
					time.Sleep(b.rest)
					return nil
				}
				seen, err := f.hammer(Hammer{Contender: corralName, Callers: b.crowd, For: b.rest, Keys: keys})
				gets = seen["rate"]
				return err
			})
			return rounds.Sample{"writes": writes, "gets": gets}, err
		})
	},
	Judge: func(b *bench, s *rounds.Section) {
		s.Most(restName, "writes", 3)
		s.Most(busyName, "writes", 3) // none for a request
	},
}

// writes is how often a node has written to etcd in a second, in the mean, while
// something was done.
func (f *fleet) writes(do func() error) (float64, error) {
	count := func() (sum uint64, err error) {
		all, err := f.status()
		for _, s := range all {
			sum += s.EtcdWrites
		}
		return sum, err
	}
	before, err := count()
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	after, err := count()
	return float64(after-before) / time.Since(began).Seconds() / float64(len(f.nodes)), err
}
