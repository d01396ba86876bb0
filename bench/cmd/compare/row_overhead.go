package main

import (
	"context"
	"fmt"
	"runtime"
)

// live is what is reachable on the heap, in bytes.
func live() float64 {
	runtime.GC()
	runtime.GC() // what the first one finalized, and what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// overheadOf fills a cache and weighs it.
func overheadOf(ctx context.Context, j job) (numbers, error) {
	before := live()
	c, err := named(j.Contender).open(setup{entries: j.Entries, keyLen: keyLen, valueLen: j.ValueLen,
		load: func(context.Context, string) ([]byte, error) { return make([]byte, j.ValueLen), nil }})
	if err != nil {
		return nil, err
	}
	for i := range j.Entries {
		if _, err := c.Get(ctx, keyOf(i)); err != nil {
			return nil, err
		}
	}
	c.Settle()
	after := live()
	entries := float64(c.Len())
	n := numbers{"entries": entries, "overhead": (after-before)/entries - keyLen - float64(j.ValueLen)}
	if ours, ok := c.(corralCache); ok {
		n["accounted"] = float64(ours.Stats().Bytes)/entries - keyLen - float64(j.ValueLen)
	}
	runtime.KeepAlive(c)
	return n, nil
}

func measureOverhead(ctx context.Context, quick bool) (section, error) {
	entries := 1_000_000
	if quick {
		entries = 50_000
	}
	sizes := []int{16, 64, 256, 1024}
	s := section{
		title: "Overhead of an entry",
		how: []string{fmt.Sprintf("Live heap with %d entries, by entries, less the bytes of key (%d) and value: index, policy, headers of key and value, times. A process for each figure. Key and values have sizes that the allocator does not round.",
			entries, keyLen)},
		columns: []string{"bytes; values of"},
	}
	for _, size := range sizes {
		s.columns = append(s.columns, fmt.Sprint(size, " B"))
	}
	s.columns = append(s.columns, "entries kept")
	var worst, accounted float64
	for _, c := range with(boundsCount|cannotExpire, coarseClock) {
		cells := []string{c.name}
		var kept float64
		for _, size := range sizes {
			n, err := inOwnProcess(ctx, job{Measure: "overhead", Contender: c.name, Entries: entries, ValueLen: size})
			if err != nil {
				return s, err
			}
			cells = append(cells, fmt.Sprintf("%.0f", n["overhead"]))
			kept = n["entries"]
			if c.name == corralName {
				worst, accounted = max(worst, n["overhead"]), n["accounted"]
			}
		}
		s.line(append(cells, fmt.Sprintf("%.0f", kept))...)
	}
	s.bar(worst <= 200, "at most 200 B for everything", fmt.Sprintf("%.0f B; it counts %.0f B against MaxBytes", worst, accounted))
	return s, nil
}
