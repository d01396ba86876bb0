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

// Names of the parts of killedRow.
const (
	takenName   = "taken over"
	restartName = "restarted at once"
)

// inFlight is the number of callers, at each living node, of the load that runs
// while the owner of its key is killed.
const inFlight = 20

// settling is how long a load runs before the owner of its key is killed.
const settling = 200 * time.Millisecond

var killedRow = row{
	Name: "killed", Title: "An owner is killed (SIGKILL): until its keys are answered again",
	Columns: []rounds.Column{
		rounds.Figure("p50", "p50 ms", "%.0f"), rounds.Figure("worst", "slowest ms", "%.0f"), rounds.Figure("back", "node back after ms", "%.0f"),
		rounds.Figure("loads", "loads of the key in flight", "%.2f"),
	},
	How: func(b *bench) string {
		return fmt.Sprintf("%d keys of the killed node, each asked for by one caller of node a from the moment of the kill on. Before, %d callers at each of the other nodes wait for a load of 4 s "+
			"of a key that the killed node owns. etcd runs in all three nodes, so its leader is among the killed.", b.watched, inFlight)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		b.close() // nobody else is to have the processors
		f, err := b.open(ctx, 3, false)
		if err != nil {
			return err
		}
		defer f.close()
		victim := 0
		return b.alternate(ctx, s, []string{takenName, restartName}, func(part string) (rounds.Sample, error) {
			victim = victim%2 + 1
			return b.kill(ctx, f, victim, part == restartName)
		})
	},
	Judge: func(_ *bench, s *rounds.Section) {
		s.Most(takenName, "p50", 2100)
		s.Worst(takenName, "worst", 2500)
		s.Worst(restartName, "worst", 1000)
		s.Exactly(takenName, "loads", 1)
		s.Exactly(restartName, "loads", 1)
	},
}

// kill kills a node and waits until it is back.
func (b *bench) kill(ctx context.Context, f *fleet, victim int, atOnce bool) (rounds.Sample, error) {
	keys, err := f.owned(victim, b.prefix("hot"), b.watched)
	if err != nil {
		return nil, err
	}
	slow, err := f.owned(victim, b.prefix("slow"), 1)
	if err != nil {
		return nil, err
	}
	living := &fleet{nodes: slices.Delete(slices.Clone(f.nodes), victim, victim+1)}
	var loads int
	var failed error
	var flight sync.WaitGroup
	flight.Go(func() {
		_, loads, failed = living.burst(Burst{Contender: corralName, Key: slow[0], Callers: inFlight * len(living.nodes)})
	})
	time.Sleep(burstLead + settling)

	killed := time.Now()
	f.nodes[victim].Kill()
	var back time.Duration
	revive := func() error {
		err := f.again(victim)
		back = time.Since(killed)
		return err
	}
	revived := make(chan error, 1)
	if atOnce {
		go func() { revived <- revive() }()
	}
	var took []time.Duration
	if err := f.nodes[0].Ask("Await", Await{Keys: keys, Since: killed}, &took); err != nil {
		return nil, err
	}
	flight.Wait()
	if !atOnce {
		killed = time.Now()
		revived <- revive()
	}
	if err := errors.Join(failed, <-revived); err != nil {
		return nil, err
	}
	slices.Sort(took)
	return rounds.Sample{
		"p50": rounds.Milliseconds(rounds.Quantile(took, 0.5)), "worst": rounds.Milliseconds(took[len(took)-1]), "back": rounds.Milliseconds(back), "loads": float64(loads),
	}, f.whole(ctx)
}

// Await asks for keys.
type Await struct {
	Keys  []string
	Since time.Time
}

// Await asks for each of some keys and returns when each was answered.
func (m *Member) Await(a Await, took *[]time.Duration) error {
	*took = make([]time.Duration, len(a.Keys))
	errs := make([]error, len(a.Keys))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all sync.WaitGroup
	for i, key := range a.Keys {
		all.Go(func() {
			errs[i] = m.askCache(ctx, key)
			(*took)[i] = time.Since(a.Since)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
