package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

var stampedeRow = row{
	Name: "stampede", Title: "Callers over three nodes at one cold key, load 120 ms",
	Columns: []rounds.Column{rounds.Figure("loads", "loads a key", "%.2f"), rounds.Figure("p50", "p50 ms", "%.1f"), rounds.Compared("p99", "p99 ms", "%.1f"), rounds.Figure("worst", "slowest ms", "%.1f")},
	How: func(b *bench) string {
		return fmt.Sprintf("%d callers in equal parts over the nodes, all due at one instant; %d cold keys a round. Corral by Cache.Get, groupcache by Group.Get.", b.stampede, b.stampedes)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		f, err := b.fleet(ctx)
		if err != nil {
			return err
		}
		return b.alternate(ctx, s, []string{corralName, groupcacheName}, func(contender string) (rounds.Sample, error) {
			var all []time.Duration
			loads := 0
			for range b.stampedes {
				seen, n, err := f.burst(Burst{Contender: contender, Key: b.prefix("cold"), Callers: b.stampede})
				if err != nil {
					return nil, err
				}
				all, loads = append(all, seen...), loads+n
			}
			slices.Sort(all)
			return rounds.Sample{
				"loads": float64(loads) / float64(b.stampedes), "worst": rounds.Milliseconds(all[len(all)-1]),
				"p50": rounds.Milliseconds(rounds.Quantile(all, 0.5)), "p99": rounds.Milliseconds(rounds.Quantile(all, 0.99)),
			}, nil
		})
	},
	Judge: func(_ *bench, s *rounds.Section) {
		s.Exactly(corralName, "loads", 1)
		s.Most(corralName, "p99", 128)
	},
}

// A Burst is callers who ask for one key at one instant.
type Burst struct {
	Contender, Key string
	Callers        int
	At             time.Time
}

// Burned is what came of a burst at one node.
type Burned struct {
	Took  []time.Duration // from the instant at which all were due
	Loads int
}

// burstLead is the time from the order to the instant.
const burstLead = 50 * time.Millisecond

// burst lets the callers of all nodes ask at once.
func (f *fleet) burst(burst Burst) (took []time.Duration, loads int, err error) {
	burst.At = time.Now().Add(burstLead)
	seen := make([]Burned, len(f.nodes))
	errs := make([]error, len(f.nodes))
	var all sync.WaitGroup
	for i, p := range f.nodes {
		part := burst
		part.Callers = burst.Callers * (i + 1) / len(f.nodes)
		part.Callers -= burst.Callers * i / len(f.nodes)
		all.Go(func() { errs[i] = p.Ask("Burst", part, &seen[i]) })
	}
	all.Wait()
	for _, s := range seen {
		took, loads = append(took, s.Took...), loads+s.Loads
	}
	return took, loads, errors.Join(errs...)
}

// Burst is this node's part of a burst.
func (m *Member) Burst(burst Burst, seen *Burned) error {
	ask := m.askCache
	if burst.Contender == groupcacheName {
		ask = askGroup(m.rivals.cold)
	}
	before := m.loads.count.Load()
	begin := make(chan struct{})
	seen.Took = make([]time.Duration, burst.Callers)
	errs := make([]error, burst.Callers)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all sync.WaitGroup
	for i := range burst.Callers {
		all.Go(func() {
			<-begin
			errs[i] = ask(ctx, burst.Key)
			seen.Took[i] = time.Since(burst.At)
		})
	}
	time.Sleep(time.Until(burst.At))
	close(begin)
	all.Wait()
	seen.Loads = int(m.loads.count.Load() - before)
	return errors.Join(errs...)
}
