package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const failingCallers = 100

func measureFailing(ctx context.Context, quick bool) (section, error) {
	load, rounds := time.Second, 3
	if quick {
		load, rounds = 50*time.Millisecond, 1
	}
	// Whoever locks and looks again finds nothing and tries in turn: a tenth of
	// the time shows it.
	tenth := load / 10
	s := section{
		title: "A failing load",
		how: []string{
			fmt.Sprintf("%d goroutines ask for one key; its load takes %v and fails.", failingCallers, load),
			fmt.Sprintf("For the last line, where one after another tries, the load takes %v.", tenth),
		},
		columns: []string{"", "loads", "time", "times the load"},
	}
	cs := with(collapses, coarseClock)
	errLoad := errors.New("origin is down")
	loads := make(map[string]*atomic.Int64)
	takes := func(c contender) time.Duration {
		if c.is(idiom) {
			return tenth
		}
		return load
	}
	caches, closeAll, err := openAll(cs, func(c contender) setup {
		n := new(atomic.Int64)
		loads[c.name] = n
		return setup{entries: 10_000, keyLen: keyLen, valueLen: 64,
			load: func(context.Context, string) ([]byte, error) {
				n.Add(1)
				time.Sleep(takes(c))
				return nil, errLoad
			}}
	})
	if err != nil {
		return s, err
	}
	defer closeAll()
	round := 0
	samples, err := alternate(ctx, rounds, len(cs), func(i int) (crowd, error) {
		n := loads[cs[i].name]
		n.Store(0)
		c := crowd{callers: failingCallers, key: keyOf(round)}
		round++
		c.rush(ctx, caches[i])
		c.loads = n.Load()
		return c, nil
	})
	if err != nil {
		return s, err
	}
	var broken error
	for i, c := range cs {
		wall := time.Duration(median(samples[i], func(c crowd) float64 { return nanos(c.wall) }))
		most := int64(0)
		for _, sample := range samples[i] {
			most = max(most, sample.loads)
			if c.name == corralName && (sample.loads != 1 || sample.failed != failingCallers) {
				broken = fmt.Errorf("corral loaded %d times and gave %d errors, want 1 and %d", sample.loads, sample.failed, failingCallers)
			}
		}
		times := float64(wall) / float64(takes(c))
		s.line(c.name, fmt.Sprint(most), millis(wall), fmt.Sprintf("%.2f", times))
		if c.name == corralName {
			s.bar(most == 1 && times < 1+noise, "1 load, the time of one", fmt.Sprintf("%d load, %.2f times its time", most, times))
		}
	}
	return s, broken
}
