package main

import (
	"context"
	"fmt"
	"sync/atomic"
)

const (
	missKeys     = 1_000_000
	missCapacity = missKeys / 10
)

// A misser is a contender that is asked for keys which it does not have.
type misser struct {
	cache
	loads *atomic.Int64
	next  *atomic.Int64 // the key to ask for, modulo missKeys
}

// missSample is one contender's part of a round.
type missSample struct {
	usage
	loads, gets float64
}

func (s missSample) perMiss() float64 { return nanos(s.wall) / s.loads }

func openMissers(ctx context.Context, cs []contender, keys []string) (missers []misser, closeAll func(), err error) {
	value := make([]byte, 64)
	loads := make(map[string]*atomic.Int64)
	caches, closeAll, err := openAll(cs, func(c contender) setup {
		n := new(atomic.Int64)
		loads[c.name] = n
		return setup{entries: missCapacity, keyLen: keyLen, valueLen: len(value),
			load: func(context.Context, string) ([]byte, error) { n.Add(1); return value, nil }}
	})
	if err != nil {
		return nil, nil, err
	}
	for i, c := range cs {
		m := misser{caches[i], loads[c.name], new(atomic.Int64)}
		if err := m.miss(ctx, keys, 2*missCapacity); err != nil {
			closeAll()
			return nil, nil, err
		}
		missers = append(missers, m)
	}
	return missers, closeAll, nil
}

// chunk is how many keys a caller takes at once.
const chunk = 1000

// miss asks for the next keys. Callers take them by chunks from one sequence,
// so that however many there are, a key returns only after all others.
func (m misser) miss(ctx context.Context, keys []string, gets int) error {
	for range gets / chunk {
		first := int(m.next.Add(chunk)-chunk) % len(keys)
		for _, key := range keys[first : first+chunk] {
			if _, err := m.Get(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func measureMisses(ctx context.Context, quick bool) (section, error) {
	rounds, gets := 15, 200_000
	if quick {
		rounds, gets = 2, 20_000
	}
	s := section{
		title: "Cold miss",
		how: []string{
			fmt.Sprintf("%d keys in turn, capacity %d of them, a loader that returns at once a value of 64 bytes: what a miss costs beside its load. Wall time by loads; the few hits that a scan leaves are in it.", missKeys, missCapacity),
			"Otter and theine evict behind the caller's back, on the other processor if that is idle: CPU is the processor time of the process by loads, collections included.",
		},
		columns: []string{"", "1 caller", "2 callers", "CPU, 2 callers", "allocs", "B", "loads/gets", "corral takes (1)", "corral takes (2)"},
	}
	cs := with(collapses, idiom|coarseClock)
	keys := keysUpTo(missKeys)
	missers, closeAll, err := openMissers(ctx, cs, keys)
	if err != nil {
		return s, err
	}
	defer closeAll()
	var samples [procs + 1][][]missSample
	for _, callers := range []int{1, procs} {
		samples[callers], err = alternate(ctx, rounds, len(cs), func(i int) (missSample, error) {
			m := missers[i]
			loads := m.loads.Load()
			u, err := meter(func() error {
				return inParallel(callers, func(int) error { return m.miss(ctx, keys, gets/callers) })
			}, m.Settle)
			return missSample{u, float64(m.loads.Load() - loads), float64(gets)}, err
		})
		if err != nil {
			return s, err
		}
	}
	var broken error
	alone, together := samples[1], samples[procs]
	for i, c := range cs {
		per := func(of func(missSample) float64) float64 {
			return median(together[i], func(s missSample) float64 { return of(s) / s.loads })
		}
		loaded := median(together[i], func(s missSample) float64 { return s.loads / s.gets })
		takesAlone := relative(alone[0], alone[i], missSample.perMiss)
		takesTogether := relative(together[0], together[i], missSample.perMiss)
		s.line(c.name,
			fmt.Sprintf("%.0f ns", median(alone[i], missSample.perMiss)), fmt.Sprintf("%.0f ns", median(together[i], missSample.perMiss)),
			fmt.Sprintf("%.0f ns", per(func(s missSample) float64 { return nanos(s.cpu) })),
			fmt.Sprintf("%.1f", per(func(s missSample) float64 { return float64(s.allocs) })),
			fmt.Sprintf("%.0f", per(func(s missSample) float64 { return float64(s.bytes) })),
			fmt.Sprintf("%.3f", loaded), ratio(takesAlone), ratio(takesTogether))
		switch c.name {
		case corralName:
			if loaded > 1 {
				broken = fmt.Errorf("corral loaded %.3f times a Get, want at most once", loaded)
			}
			if got := missers[i].Len(); got > missCapacity {
				broken = fmt.Errorf("corral holds %d entries in the bytes of %d", got, missCapacity)
			}
		case theineName:
			s.bar(takesTogether <= 1+noise && takesAlone <= 1+noise, "at most theine's", fmt.Sprintf("%s with one caller, %s with two", ratio(takesAlone), ratio(takesTogether)))
		}
	}
	return s, broken
}
