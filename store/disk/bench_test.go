package disk

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// large are options of a store for measurements.
func large(dir string) Options {
	return Options{Dir: dir, MaxBytes: 8 << 30, Logger: quiet}
}

func BenchmarkPut(b *testing.B) {
	s := opened(b, large(b.TempDir()))
	value := randomText(1 << 10)
	var n atomic.Int64
	b.SetBytes(1 << 10)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			put(b, s, fmt.Sprint("key", n.Add(1)), record(value, 0))
		}
	})
}

func BenchmarkGetWarm(b *testing.B) {
	s := opened(b, large(b.TempDir()))
	const keys = 10_000
	value := randomText(1 << 10)
	for i := range keys {
		put(b, s, fmt.Sprint("key", i), record(value, 0))
	}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := s.Get(b.Context(), fmt.Sprint("key", rand.IntN(keys))); r == nil || err != nil {
			b.Fatal(r, err)
		}
	}
}

// BenchmarkOpen opens a store with a million values.
func BenchmarkOpen(b *testing.B) {
	if testing.Short() {
		b.Skip("writes a gigabyte")
	}
	const keys = 1_000_000
	s := opened(b, large(b.TempDir()))
	value := randomText(1 << 10)
	for i := range keys {
		put(b, s, fmt.Sprint("key", i), record(value, 0))
	}
	var slowest time.Duration
	var memory uint64
	for b.Loop() {
		s.Close()
		began := time.Now()
		s = opened(b, s.o)
		want(b, s, fmt.Sprint("key", rand.IntN(keys)), value)
		slowest = max(slowest, time.Since(began))
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		memory = max(memory, m.HeapInuse)
	}
	b.ReportMetric(float64(slowest.Milliseconds()), "ms/start")
	b.ReportMetric(float64(memory>>20), "MiB")
}

func randomText(size int) string {
	var text strings.Builder
	for text.Len() < size {
		text.WriteByte(byte(rand.IntN(256)))
	}
	return text.String()
}
