package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const stampedeCallers = 1000

// A crowd asks for one key at one instant.
type crowd struct {
	callers int
	key     string
	wall    time.Duration
	loads   int64
	failed  int64
}

// rush lets the crowd go once all of its goroutines stand at the start.
func (c *crowd) rush(ctx context.Context, of cache) {
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(c.callers)
	var failed atomic.Int64
	for range c.callers {
		done.Go(func() {
			ready.Done()
			<-start
			if _, err := of.Get(ctx, c.key); err != nil {
				failed.Add(1)
			}
		})
	}
	ready.Wait()
	began := time.Now()
	close(start)
	done.Wait()
	c.wall, c.failed = time.Since(began), failed.Load()
}

// stampedeSample is one contender's part of a round.
type stampedeSample struct {
	over  time.Duration // wall time without that of the load
	loads int64
}

func (s stampedeSample) time() float64 { return nanos(s.over) }

func measureStampede(ctx context.Context, quick bool) (section, error) {
	const load = 10 * time.Millisecond
	rounds := 41
	if quick {
		rounds = 3
	}
	s := section{
		title: "Stampede",
		how: []string{fmt.Sprintf("%d goroutines start at one instant and ask for a key that is not there; its load sleeps %v. Time from the start to the last answer, less what the load took by its own watch.",
			stampedeCallers, load)},
		columns: []string{"", "loads", "over the load", "corral takes"},
	}
	cs := with(collapses, coarseClock)
	type watch struct{ loads, took atomic.Int64 }
	watches := make([]watch, len(cs))
	at := make(map[string]int)
	for i, c := range cs {
		at[c.name] = i
	}
	caches, closeAll, err := openAll(cs, func(c contender) setup {
		w := &watches[at[c.name]]
		return setup{entries: 10_000, keyLen: keyLen, valueLen: 64,
			load: func(context.Context, string) ([]byte, error) {
				w.loads.Add(1)
				began := time.Now()
				time.Sleep(load)
				w.took.Store(int64(time.Since(began)))
				return make([]byte, 64), nil
			}}
	})
	if err != nil {
		return s, err
	}
	defer closeAll()
	round := 0
	samples, err := alternate(ctx, rounds, len(cs), func(i int) (stampedeSample, error) {
		w := &watches[i]
		w.loads.Store(0)
		c := crowd{callers: stampedeCallers, key: keyOf(round)}
		round++
		c.rush(ctx, caches[i])
		if c.failed > 0 {
			return stampedeSample{}, fmt.Errorf("%s: %d callers got an error, want none", cs[i].name, c.failed)
		}
		return stampedeSample{c.wall - time.Duration(w.took.Load()), w.loads.Load()}, nil
	})
	if err != nil {
		return s, err
	}
	var broken error
	slowest, best := 0.0, ""
	for i, c := range cs {
		var most int64
		for _, sample := range samples[i] {
			most = max(most, sample.loads)
		}
		takes := relative(samples[0], samples[i], stampedeSample.time)
		s.line(c.name, fmt.Sprint(most), millis(time.Duration(median(samples[i], stampedeSample.time))), ratio(takes))
		if takes > slowest {
			slowest, best = takes, c.name
		}
		if c.name == corralName && most != 1 {
			broken = fmt.Errorf("corral loaded %d times, want once", most)
		}
	}
	s.bar(broken == nil && slowest <= 1+noise, "1 load, no slower than the best", fmt.Sprintf("%s of %s", ratio(slowest), best))
	return s, broken
}
