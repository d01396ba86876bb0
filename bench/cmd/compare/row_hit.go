package main

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
)

// A hitter is a contender that holds every key.
type hitter struct {
	cache
	loads *atomic.Int64
}

// hitSample is one contender's part of a round.
type hitSample struct {
	usage
	gets  int
	loads int64
}

func (s hitSample) perGet() float64 { return nanos(s.wall) / float64(s.gets) }

const hitKeys = 100_000

// openHitters opens caches that have room for twice the keys, so that no
// policy has to choose, and fills them until every key stays.
func openHitters(ctx context.Context, cs []contender) (hitters []hitter, closeAll func(), err error) {
	value := make([]byte, 64)
	loads := make(map[string]*atomic.Int64)
	caches, closeAll, err := openAll(cs, func(c contender) setup {
		n := new(atomic.Int64)
		loads[c.name] = n
		return setup{entries: 2 * hitKeys, keyLen: keyLen, valueLen: len(value),
			load: func(context.Context, string) ([]byte, error) { n.Add(1); return value, nil }}
	})
	if err != nil {
		return nil, nil, err
	}
	for i, c := range cs {
		h := hitter{caches[i], loads[c.name]}
		if err := h.fill(ctx); err != nil {
			closeAll()
			return nil, nil, fmt.Errorf("%s: %w", c.name, err)
		}
		hitters = append(hitters, h)
	}
	return hitters, closeAll, nil
}

// fill asks for every key until none is loaded any more: Ristretto drops
// writes under load.
func (h hitter) fill(ctx context.Context) error {
	keys := keysUpTo(hitKeys)
	for pass := 0; pass < 20; pass++ {
		before := h.loads.Load()
		for _, key := range keys {
			if _, err := h.Get(ctx, key); err != nil {
				return err
			}
		}
		h.Settle()
		if h.loads.Load() == before {
			return nil
		}
	}
	return nil
}

const (
	// drawn is how many keys are drawn in advance: a power of two, because the
	// loop around a hit must not divide.
	drawn = 1 << 20
	// ahead is how many calls before its own a key is touched. A caller's key
	// has just been made, so it is in the processor's cache; one out of a large
	// array would not be, and waiting for it would make all contenders alike.
	ahead = 8
)

// hit asks for keys in the order of the sequence, from somewhere on.
func hit(ctx context.Context, c cache, keys []string, sequence []uint32, from, gets int) error {
	var touched byte
	for i := from; i < from+gets; i++ {
		touched += keys[sequence[(i+ahead)%drawn]][0]
		if _, err := c.Get(ctx, keys[sequence[i%drawn]]); err != nil {
			return err
		}
	}
	runtime.KeepAlive(touched)
	return nil
}

func measureHits(ctx context.Context, quick bool) (section, error) {
	rounds, gets := 15, 1_000_000
	if quick {
		rounds, gets = 2, 50_000
	}
	s := section{
		title: "Hit",
		how: []string{
			fmt.Sprintf("%d callers, each on its own processor, ask for %d keys by a Zipf law of exponent 1.01, through each library's loading Get, with expiry on and room for all. The caller's copy of a key is in its processor's cache, the cache's own copy need not be.", procs, hitKeys),
			"ns is wall time by calls of both callers together, as `go test -bench` prints it. Medians of rounds in which the contenders take turns.",
		},
		columns: []string{"", "ns", "allocs", "B", "misses", "corral takes"},
	}
	cs := with(collapses|cannotExpire, idiom)
	hitters, closeAll, err := openHitters(ctx, cs)
	if err != nil {
		return s, err
	}
	defer closeAll()
	keys := fresh(keysUpTo(hitKeys))
	var sequences [procs][]uint32
	for i := range sequences {
		sequences[i] = zipf(uint64(i), 1.01, hitKeys, drawn)
	}
	from := 0
	samples, err := alternate(ctx, rounds, len(cs), func(i int) (hitSample, error) {
		h := hitters[i]
		ask := func(gets int) error {
			return inParallel(procs, func(p int) error { return hit(ctx, h, keys, sequences[p], from, gets) })
		}
		if err := ask(gets / 10); err != nil { // the processors' caches
			return hitSample{}, err
		}
		loads := h.loads.Load()
		u, err := meter(func() error { return ask(gets) }, h.Settle)
		from += gets
		return hitSample{u, procs * gets, h.loads.Load() - loads}, err
	})
	if err != nil {
		return s, err
	}
	var broken error
	for i, c := range cs {
		allocs := median(samples[i], func(s hitSample) float64 { return float64(s.allocs) / float64(s.gets) })
		bytes := median(samples[i], func(s hitSample) float64 { return float64(s.bytes) / float64(s.gets) })
		misses := median(samples[i], func(s hitSample) float64 { return float64(s.loads) / float64(s.gets) })
		takes := relative(samples[0], samples[i], hitSample.perGet)
		s.line(c.name, fmt.Sprintf("%.1f", median(samples[i], hitSample.perGet)), fmt.Sprintf("%.2f", allocs), fmt.Sprintf("%.0f", bytes),
			fmt.Sprintf("%.2f %%", 100*misses), ratio(takes))
		switch c.name {
		case corralName:
			if misses > 0 || allocs > 0.01 {
				broken = fmt.Errorf("corral missed %.4f and allocated %.4f times a hit, want 0 and 0", misses, allocs)
			}
		case otterName:
			s.bar(takes <= 0.5, "at most 0.50 × otter at 0 allocations; 1.00 × is accepted if the strict bound and the hit ratio cost it", ratio(takes))
		}
	}
	return s, broken
}
