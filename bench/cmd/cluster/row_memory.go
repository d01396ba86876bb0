package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

var memoryRow = row{
	Name: "memory", Title: "What a key costs its owner beyond its value",
	Columns: []rounds.Column{rounds.Figure("each", "B a key", "%.0f"), rounds.Figure("rate", "keys/s filled", "%.0f")},
	How: func(b *bench) string {
		return fmt.Sprintf("%d keys of node b, with values of %d bytes that node a computes; what node b's heap has grown by after two collections, keys included.", b.scale.owned, smallBytes)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		b.close()
		f, err := b.open(ctx, 2, false)
		if err != nil {
			return err
		}
		defer f.close()
		var before, after uint64
		if err := f.nodes[1].Ask("Heap", Nothing{}, &before); err != nil {
			return err
		}
		keys, err := f.owned(1, b.prefix("small"), b.scale.owned)
		if err != nil {
			return err
		}
		var took Swept
		if err := f.nodes[0].Ask("Compute", keys, &took); err != nil {
			return err
		}
		if err := f.nodes[1].Ask("Heap", Nothing{}, &after); err != nil {
			return err
		}
		s.Add(corralName, rounds.Sample{"each": float64(after-before)/float64(b.scale.owned) - smallBytes, "rate": took.Rate})
		return nil
	},
	Judge: func(b *bench, s *rounds.Section) {
		if !b.quick { // a few keys show what does not grow with them
			s.Most(corralName, "each", 250)
		}
	},
}

// computing is the number of callers who let values be computed.
const computing = 256

// Compute has this node compute values, each once.
func (m *Member) Compute(keys []string, seen *Swept) error {
	errs := make([]error, computing)
	began := time.Now()
	var callers sync.WaitGroup
	for caller := range computing {
		callers.Go(func() {
			for i := caller; i < len(keys) && errs[caller] == nil; i += computing {
				_, errs[caller] = m.cache.Get(context.Background(), keys[i])
			}
		})
	}
	callers.Wait()
	seen.Rate = float64(len(keys)) / time.Since(began).Seconds()
	return errors.Join(errs...)
}

// Heap is what the process's heap has that is in use.
func (m *Member) Heap(_ Nothing, bytes *uint64) error {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	*bytes = stats.HeapAlloc
	return nil
}
