package main

import (
	"bytes"
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if inChild() {
		os.Exit(serveChild(os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestASmokeRunOfEveryRowHoldsCorralsAssertions(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for half a minute")
	}
	var out bytes.Buffer
	if err := run(context.Background(), []string{"--quick", "--markdown", t.TempDir() + "/benchmarks.md"}, &out); err != nil {
		t.Errorf("compare --quick: %v, want nil. It printed:\n%s", err, &out)
	}
}

func TestARowThatDoesNotExistIsRefusedWithTheNamesOfThoseThatDo(t *testing.T) {
	err := run(context.Background(), []string{"--row", "hit,mis"}, new(bytes.Buffer))
	if err == nil || !strings.Contains(err.Error(), `--row "mis"`) || !strings.Contains(err.Error(), "stampede") {
		t.Errorf(`run --row hit,mis = %v, want an error that names "mis" and the rows`, err)
	}
}

// BenchmarkHit and BenchmarkMiss are the rows of the same names for benchstat
// and for profiles, one contender at a time: go test -bench Hit/corral -cpuprofile …
// On a machine that others use, too, cpu-ns/op says more than ns/op.
func BenchmarkHit(b *testing.B) {
	for _, c := range with(collapses|cannotExpire, idiom) {
		b.Run(c.name, func(b *testing.B) {
			hitters, closeAll, err := openHitters(b.Context(), []contender{c})
			if err != nil {
				b.Fatal(err)
			}
			defer closeAll()
			keys, sequence := fresh(keysUpTo(hitKeys)), zipf(1, 1.01, hitKeys, drawn)
			b.ReportAllocs()
			defer reportProcessorTime(b)()
			b.ResetTimer()
			err = inParallel(runtime.GOMAXPROCS(0), func(p int) error {
				return hit(b.Context(), hitters[0], keys, sequence, p*drawn/2, b.N/runtime.GOMAXPROCS(0))
			})
			if err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkMiss(b *testing.B) {
	for _, c := range with(collapses, idiom|coarseClock) {
		b.Run(c.name, func(b *testing.B) {
			keys := keysUpTo(missKeys)
			missers, closeAll, err := openMissers(b.Context(), []contender{c}, keys)
			if err != nil {
				b.Fatal(err)
			}
			defer closeAll()
			b.ReportAllocs()
			defer reportProcessorTime(b)()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					key := keys[int(missers[0].next.Add(1))%len(keys)]
					if _, err := missers[0].Get(b.Context(), key); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func reportProcessorTime(b *testing.B) (report func()) {
	before := processorTime()
	return func() { b.ReportMetric(nanos(processorTime()-before)/float64(b.N), "cpu-ns/op") }
}
