package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// goroutineOnly stands for goroutines that wait on a channel and for nothing else.
const goroutineOnly = "a goroutine that waits"

// waitersOf parks callers on one key and weighs them.
func waitersOf(ctx context.Context, j job) (numbers, error) {
	letGo := make(chan struct{})
	var loads, answered atomic.Int64
	load := func(context.Context, string) ([]byte, error) {
		loads.Add(1)
		<-letGo
		return make([]byte, 64), nil
	}
	ask := func() error { <-letGo; return nil }
	if j.Contender != goroutineOnly {
		c, err := named(j.Contender).open(setup{entries: 1000, keyLen: keyLen, valueLen: 64, load: load, waiters: j.Entries + 1})
		if err != nil {
			return nil, err
		}
		defer c.Close()
		ask = func() error { _, err := c.Get(ctx, keyOf(0)); return err }
	}
	before := held()
	var callers sync.WaitGroup
	var failed atomic.Int64
	for range j.Entries {
		callers.Go(func() {
			if ask() != nil {
				failed.Add(1)
			}
			answered.Add(1)
		})
	}
	time.Sleep(500 * time.Millisecond) // until all are parked
	after := held()
	if n := answered.Load(); n > 0 {
		return nil, fmt.Errorf("%d callers were answered before the load ended", n)
	}
	began := time.Now()
	close(letGo)
	callers.Wait()
	return numbers{
		"each": (after - before) / float64(j.Entries), "took": nanos(time.Since(began)),
		"loads": float64(loads.Load()), "failed": float64(failed.Load()),
	}, nil
}

// held is the live heap and the stacks, in bytes.
func held() float64 {
	bytes := live()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return bytes + float64(m.StackInuse)
}

func measureWaiters(ctx context.Context, quick bool) (section, error) {
	n, rounds := 100_000, 5
	if quick {
		n, rounds = 10_000, 1
	}
	s := section{
		title:   "Waiters on one key",
		how:     []string{fmt.Sprintf("%d goroutines ask for one key while it is being loaded. Heap and stacks by waiters, the goroutine's own included; and the time from the end of the load until all are answered. A process for each figure, medians.", n)},
		columns: []string{"", "bytes each", "all answered after", "loads", "errors"},
	}
	names := []string{goroutineOnly}
	for _, c := range with(collapses, coarseClock) {
		names = append(names, c.name)
	}
	samples, err := alternate(ctx, rounds, len(names), func(i int) (numbers, error) {
		return inOwnProcess(ctx, job{Measure: "waiters", Contender: names[i], Entries: n})
	})
	if err != nil {
		return s, err
	}
	var broken error
	for i, name := range names {
		value := func(of string) float64 { return median(samples[i], func(n numbers) float64 { return n[of] }) }
		s.line(name, fmt.Sprintf("%.0f", value("each")), millis(time.Duration(value("took"))), fmt.Sprint(value("loads")), fmt.Sprint(value("failed")))
		if name != corralName {
			continue
		}
		for _, sample := range samples[i] {
			if sample["loads"] != 1 || sample["failed"] != 0 {
				broken = errors.Join(broken, fmt.Errorf("corral loaded %v times and failed %v waiters, want 1 and 0", sample["loads"], sample["failed"]))
			}
		}
		s.bar(broken == nil, "bounded, all answered", fmt.Sprintf("%.0f B each, all answered", value("each")))
	}
	return s, broken
}
