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

// Hammer says how a node is to ask.
type Hammer struct {
	Contender string
	Callers   int
	Warm, For time.Duration
	Keys      []string
}

// A Reading is what the callers of one node have seen.
type Reading struct {
	Calls    int
	Rate     float64 // calls per second
	P50, P99 time.Duration
	Used     time.Duration // of the node's processor time
}

// Hammer lets callers ask, each one call after the other.
func (m *Member) Hammer(h Hammer, r *Reading) error {
	ask := m.askers[h.Contender]
	if ask == nil {
		return fmt.Errorf("contender %q: there is none of that name", h.Contender)
	}
	call := func(ctx context.Context, caller, i int) error { return ask(ctx, h.Keys[(caller*31+i)%len(h.Keys)]) }
	var err error
	*r, err = h.repeat(call)
	return err
}

// repeat warms up and measures.
func (h Hammer) repeat(call func(ctx context.Context, caller, i int) error) (Reading, error) {
	if h.Warm > 0 {
		if _, err := repeat(h.Callers, h.Warm, call); err != nil {
			return Reading{}, err
		}
	}
	return repeat(h.Callers, h.For, call)
}

// repeat lets callers repeat a call until a time has passed. The first error ends
// it.
func repeat(callers int, span time.Duration, call func(ctx context.Context, caller, i int) error) (Reading, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	took := make([][]time.Duration, callers)
	before := rounds.ProcessorTime()
	began := time.Now()
	var wait sync.WaitGroup
	for caller := range callers {
		wait.Go(func() {
			times := make([]time.Duration, 0, 1024)
			now := time.Now()
			for i := 0; now.Sub(began) < span; i++ {
				if err := call(ctx, caller, i); err != nil {
					cancel(fmt.Errorf("caller %d, call %d: %w", caller, i, err))
					return
				}
				after := time.Now()
				times = append(times, after.Sub(now))
				now = after
			}
			took[caller] = times
		})
	}
	wait.Wait()
	elapsed := time.Since(began)
	if err := context.Cause(ctx); err != nil {
		return Reading{}, err
	}
	all := slices.Concat(took...)
	if len(all) == 0 {
		return Reading{}, errors.New("nobody has called")
	}
	slices.Sort(all)
	return Reading{
		Calls: len(all), Rate: float64(len(all)) / elapsed.Seconds(),
		P50: rounds.Quantile(all, 0.5), P99: rounds.Quantile(all, 0.99), Used: rounds.ProcessorTime() - before,
	}, nil
}

// Used is the processor time of the node so far.
func (m *Member) Used(_ Nothing, used *time.Duration) error {
	*used = rounds.ProcessorTime()
	return nil
}
