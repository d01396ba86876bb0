package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// noise is the relative difference below which two times are called equal.
const noise = 0.15

// alternate measures each of n contenders once a round. A round begins with
// another contender each time.
func alternate[S any](ctx context.Context, rounds, n int, measure func(i int) (S, error)) (samples [][]S, err error) {
	samples = make([][]S, n)
	for round := range rounds {
		for k := range n {
			if ctx.Err() != nil {
				return samples, ctx.Err()
			}
			i := (round + k) % n
			s, err := measure(i)
			if err != nil {
				return samples, err
			}
			samples[i] = append(samples[i], s)
		}
	}
	return samples, nil
}

func median[S any](samples []S, of func(S) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// relative is the median over the rounds of ours divided by theirs.
func relative[S any](ours, theirs []S, of func(S) float64) float64 {
	rounds := make([]int, len(ours))
	for i := range rounds {
		rounds[i] = i
	}
	return median(rounds, func(i int) float64 { return of(ours[i]) / of(theirs[i]) })
}

// A usage is what a stretch of work took.
type usage struct {
	wall, cpu     time.Duration
	allocs, bytes uint64
}

// meter measures work, after a collection so that each starts alike. What
// settle does counts as processor time and not as wall time.
func meter(work func() error, settle func()) (u usage, err error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := processorTime(), time.Now()
	err = work()
	u.wall = time.Since(start)
	settle()
	u.cpu = processorTime() - cpu
	runtime.ReadMemStats(&after)
	u.allocs, u.bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	return u, err
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// inParallel runs n callers and returns their first error.
func inParallel(n int, call func(i int) error) error {
	errs := make([]error, n)
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() { errs[i] = call(i) })
	}
	callers.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// keyLen is the length of every key: a size that the allocator does not round.
const keyLen = 16

func keyOf(i int) string { return string(appendKey(make([]byte, 0, keyLen), i)) }

func appendKey(b []byte, i int) []byte {
	digits := strconv.AppendInt(nil, int64(i), 10)
	b = append(b, "key:000000000000"[:keyLen-len(digits)]...)
	return append(b, digits...)
}

func keysUpTo(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = keyOf(i)
	}
	return keys
}

// zipf draws n of the numbers below keys, the popular ones spread over all.
func zipf(seed uint64, exponent float64, keys, n int) []uint32 {
	spread := rand.New(rand.NewPCG(1, 1)).Perm(keys)
	draw := rand.NewZipf(rand.New(rand.NewPCG(seed, 2)), exponent, 1, uint64(keys-1))
	sequence := make([]uint32, n)
	for i := range sequence {
		sequence[i] = uint32(spread[draw.Uint64()])
	}
	return sequence
}

// resident is the process's memory in bytes, as the system counts it.
func resident() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, err := strconv.ParseInt(string(bytes.Fields(statm)[1]), 10, 64)
	if err != nil {
		panic(err)
	}
	return pages * int64(os.Getpagesize())
}

func nanos(d time.Duration) float64 { return float64(d) }

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

// ratio prints a relation of times.
func ratio(r float64) string {
	s := fmt.Sprintf("%.2f ×", r)
	if r > 1-noise && r < 1+noise {
		s += " (noise)"
	}
	return s
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
