package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/server"
)

// A stream is values that go through a cache, each under a key of its own.
type stream struct {
	name      string
	low, high int // sizes are log-uniform between these, in bytes
}

var streams = []stream{
	{"values of 1 KiB", 1 << 10, 1 << 10},
	{"values of 512 B to 64 KiB", 512, 64 << 10},
}

func (s stream) size() int {
	return int(float64(s.low) * math.Pow(float64(s.high)/float64(s.low), rand.Float64()))
}

func (s stream) mean() float64 {
	if s.low == s.high {
		return float64(s.low)
	}
	return float64(s.high-s.low) / math.Log(float64(s.high)/float64(s.low))
}

// flowOf sends values through a cache until j.Total bytes have gone through.
// The stream is named by its place, in j.Entries.
func flowOf(ctx context.Context, j job) (numbers, error) {
	s := streams[j.Entries]
	server.BoundMemory(server.Config{MaxBytes: server.Bytes(j.Bytes)})
	noise := make([]byte, s.high)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	c, err := named(j.Contender).open(setup{bytes: int64(server.CacheBytes(server.Bytes(j.Bytes))), keyLen: keyLen, valueLen: int(s.mean()),
		load: func(context.Context, string) ([]byte, error) {
			return bytes.Clone(noise[:s.size()]), nil
		}})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	live()
	idle := resident()

	var watched []float64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				watched = append(watched, float64(resident()-idle))
			}
		}
	}()
	before := collectorTime()
	began := time.Now()
	var through, keys atomic.Int64
	err = inParallel(procs, func(int) error {
		for through.Load() < j.Total {
			value, err := c.Get(ctx, keyOf(int(keys.Add(1))))
			if err != nil {
				return err
			}
			through.Add(int64(len(value)))
		}
		return nil
	})
	took := time.Since(began)
	close(done)
	<-ended
	if err != nil {
		return nil, err
	}
	after := collectorTime()
	settled := watched[len(watched)/2:]
	return numbers{
		"settled": median(settled, func(n float64) float64 { return n }),
		"peak":    slices.Max(watched),
		"gc":      (after.collector - before.collector) / (after.busy - before.busy),
		"rate":    float64(through.Load()) / took.Seconds(),
		"keys":    float64(keys.Load()),
		"kept":    float64(c.Len()),
	}, nil
}

type collectorSeconds struct{ collector, busy float64 }

// collectorTime is the processor time of the collector and of all that was
// not idle. The runtime brings both up to date at the end of a collection.
func collectorTime() collectorSeconds {
	runtime.GC()
	samples := []metrics.Sample{
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
		{Name: "/cpu/classes/total:cpu-seconds"},
		{Name: "/cpu/classes/idle:cpu-seconds"},
	}
	metrics.Read(samples)
	return collectorSeconds{samples[0].Value.Float64(), samples[1].Value.Float64() - samples[2].Value.Float64()}
}

func measureFlow(ctx context.Context, quick bool) (section, error) {
	limit, total, rounds := int64(256<<20), int64(10<<30), 3
	if quick {
		limit, total, rounds = 16<<20, 256<<20, 1
	}
	s := section{
		title: "Memory, with far more going through than fits",
		how: []string{
			fmt.Sprintf("%s of values, each under a key of its own, through a limit of %s, as fast as %d callers can. The collector is set as `corral serve` sets it. A process for each figure, medians.", gibibytes(total), mebibytes(limit), procs),
			"RSS is by /proc/self/statm, less that of the idle process: settled is the median over the second half of the run. GC is the collector's part of the processor time that was not idle. Otter is given a weigher of key and value, the others count the value only.",
		},
		columns: []string{"", "RSS settled", "of the limit", "RSS peak", "GC", "through", "keys", "kept"},
	}
	var worstSize, worstGC float64
	for k, stream := range streams {
		cs := with(boundsBytes, coarseClock)
		samples, err := alternate(ctx, rounds, len(cs), func(i int) (numbers, error) {
			return inOwnProcess(ctx, job{Measure: "flow", Contender: cs[i].name, Entries: k, Bytes: limit, Total: total})
		})
		if err != nil {
			return s, err
		}
		for i, c := range cs {
			value := func(of string) float64 { return median(samples[i], func(n numbers) float64 { return n[of] }) }
			part := value("settled") / float64(limit)
			s.line(c.name+", "+stream.name, mebibytes(int64(value("settled"))), fmt.Sprintf("%.0f %%", 100*part), mebibytes(int64(value("peak"))),
				fmt.Sprintf("%.1f %%", 100*value("gc")), mebibytes(int64(value("rate")))+"/s", fmt.Sprintf("%.0f", value("keys")), fmt.Sprintf("%.0f", value("kept")))
			if c.name == corralName {
				worstSize, worstGC = max(worstSize, part), max(worstGC, value("gc"))
			}
		}
	}
	s.bar(worstSize <= 1.15 && worstGC <= 0.15, "RSS at most the limit + 15 %, collector at most 15 % of CPU",
		fmt.Sprintf("RSS %.0f %% of the limit, collector %.1f %%", 100*worstSize, 100*worstGC))
	return s, nil
}

func gibibytes(n int64) string { return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30)) }
