package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

var getters = append([]string{corralName}, rivals...)

var oneRow = row{
	Name: "one", Title: "Gets of 1 KiB at a remote owner, one caller",
	Columns: []rounds.Column{rounds.Compared("p50", "p50 µs", "%.1f"), rounds.Compared("p99", "p99 µs", "%.0f"), rounds.Figure("rate", "gets/s", "%.0f")},
	How: func(b *bench) string {
		return "One caller of node a, what node b has. " + getsHow
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error { return b.gets(ctx, s, 1) },
	Judge: func(_ *bench, s *rounds.Section) {
		s.Most(corralName, "p50", 45)
		s.Most(corralName, "p99", 300)
	},
}

var crowdRow = row{
	Name: "crowd", Title: "Gets of 1 KiB at a remote owner, many callers",
	Columns: []rounds.Column{rounds.Compared("rate", "gets/s", "%.0f"), rounds.Figure("p50", "p50 µs", "%.0f"), rounds.Figure("p99", "p99 µs", "%.0f"), rounds.Compared("cpu", "µs CPU a get", "%.1f")},
	How: func(b *bench) string {
		return fmt.Sprintf("%d callers of node a, what node b has. %s", b.crowd, getsHow)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error { return b.gets(ctx, s, b.crowd) },
	Judge: func(_ *bench, s *rounds.Section) {
		s.Least(corralName, "rate", 110_000)
		s.Times("rate", corralName, groupcacheName, "≥ 3", func(ratio float64) bool { return ratio >= 3 })
	},
}

const getsHow = "Corral is asked at the Coordinator (Join), for its cache would keep what it has been given; groupcache's asking node keeps nothing. " +
	"The bare stream and Corral send what comes together in one batch. Processor time is that of the three nodes; NATS has a process of its own besides."

// gets lets callers of the first node get what the second one has.
func (b *bench) gets(ctx context.Context, s *rounds.Section, callers int) error {
	f, err := b.fleet(ctx)
	if err != nil {
		return err
	}
	keys, err := f.owned(1, b.prefix("hot"), b.scale.keys)
	if err != nil {
		return err
	}
	var grouped []string
	if err := f.nodes[0].Ask("GroupOwned", Owned{Owner: "b", Prefix: b.prefix("hot"), Count: b.scale.keys}, &grouped); err != nil {
		return err
	}
	if err := f.nodes[1].Ask("Fill", keys, &Nothing{}); err != nil {
		return err
	}
	// One pass, so that groupcache's owner has its values and connections are open.
	err = f.nodes[0].Ask("Hammer", Hammer{Contender: groupcacheName, Callers: callers, Warm: b.warm, For: b.warm, Keys: grouped}, &Reading{})
	if err != nil {
		return err
	}
	return b.profiled(f, s.Name, func() error {
		return b.alternate(ctx, s, getters, func(contender string) (rounds.Sample, error) {
			asked := keys
			if contender == groupcacheName {
				asked = grouped
			}
			return f.hammer(Hammer{Contender: contender, Callers: callers, Warm: b.warm, For: b.per, Keys: asked})
		})
	})
}

// hammer lets the first node ask, and adds up the processor time of all.
func (f *fleet) hammer(h Hammer) (rounds.Sample, error) {
	before, err := f.used()
	if err != nil {
		return nil, err
	}
	var r Reading
	if err := f.nodes[0].Ask("Hammer", h, &r); err != nil {
		return nil, err
	}
	after, err := f.used()
	if err != nil {
		return nil, err
	}
	// The others' time has the warming-up in it: it is taken in proportion.
	share := float64(h.For) / float64(h.For+h.Warm)
	cpu := float64(r.Used) + float64(after-before)*share
	return rounds.Sample{
		"rate": r.Rate, "p50": rounds.Microseconds(r.P50), "p99": rounds.Microseconds(r.P99), "cpu": cpu / float64(r.Calls) / 1000, "calls": float64(r.Calls),
	}, nil
}

// used is the processor time of all nodes but the first.
func (f *fleet) used() (sum time.Duration, err error) {
	for _, p := range f.nodes[1:] {
		var one time.Duration
		if err := p.Ask("Used", Nothing{}, &one); err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

// profiled writes profiles of the asking node and of the owner while something
// is done, if that is wished.
func (b *bench) profiled(f *fleet, row string, do func() error) error {
	if b.profiles == "" {
		return do()
	}
	asked := f.nodes[:2]
	for _, p := range asked {
		if err := p.Ask("Profile", filepath.Join(b.profiles, row+"-"+p.Name+".pprof"), &Nothing{}); err != nil {
			return err
		}
	}
	err := do()
	for _, p := range asked {
		err = errors.Join(err, p.Ask("Profile", "", &Nothing{}))
	}
	return err
}
