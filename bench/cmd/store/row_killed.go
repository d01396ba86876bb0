package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

// waitingFor is how long callers wait for a load before its holder is killed.
const waitingFor = 300 * time.Millisecond

var killedRow = row{
	Name: "killed", Title: "The process that computes is killed (SIGKILL)",
	Columns: []rounds.Column{
		rounds.Figure("calls", "loads after it", "%.0f"), rounds.Figure("kill", "first, s after the kill", "%.2f"), rounds.Figure("lapse", "first, ms after the lease's end", "%.0f"),
		rounds.Figure("worst", "last answer, s after the kill", "%.2f"),
	},
	How: func(b *bench) string {
		return fmt.Sprintf("%d callers at each of %d other processes wait for a load of a fourth one, which is killed after %v. The lease is of %v, the rivals' lock or sign of life of %v; "+
			"its end is what Redis says right after the kill, and a minus means that somebody did not wait for it.", b.waiting, shops-1, waitingFor, b.lease, b.lock)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		return b.alternate(ctx, s, computers, func(contender string) (rounds.Sample, error) {
			f, err := b.fleet(ctx, contender)
			if err != nil {
				return nil, err
			}
			return f.killHolder(ctx, b.key("held"), b.waiting)
		})
	},
	Judge: func(_ *bench, s *rounds.Section) {
		s.Exactly(corralName, "calls", 1)
		s.Exactly(corralName, "unanswered", 0)
		s.Worst(corralName, "lapse", 1000)
	},
}

// killHolder kills the first shop while it computes and others wait, and starts
// it again.
func (f *fleet) killHolder(ctx context.Context, key string, waiting int) (rounds.Sample, error) {
	if err := f.shops[0].Ask("Hold", key, &Nothing{}); err != nil {
		return nil, err
	}
	type outcome struct {
		ran
		err error
	}
	answered := make(chan outcome, 1)
	go func() {
		seen, err := f.burst(ctx, 1, Burst{Key: key, Callers: waiting * (shops - 1)})
		answered <- outcome{seen, err}
	}()
	time.Sleep(settling + burstLead + waitingFor)
	f.shops[0].Kill()
	killed := time.Now()
	lapse, err := contenders[f.start.Contender].lapse(ctx, f.redis, key)
	if err != nil {
		return nil, fmt.Errorf("when the lease ends: %w", err)
	}
	lapsed := time.Now().Add(lapse)
	seen := <-answered
	if seen.err != nil {
		return nil, seen.err
	}
	sample := rounds.Sample{"calls": float64(len(seen.Begun)), "unanswered": float64(seen.Late + len(seen.Errors))}
	if len(seen.Begun) > 0 {
		first := slices.MinFunc(seen.Begun, time.Time.Compare)
		sample["kill"], sample["lapse"] = first.Sub(killed).Seconds(), rounds.Milliseconds(first.Sub(lapsed))
	}
	if last := len(seen.Values) - 1; last >= 0 {
		sample["worst"] = (seen.Values[last] - waitingFor).Seconds()
	}
	return sample, f.again(0)
}
