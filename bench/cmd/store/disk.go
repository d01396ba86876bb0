package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

// A Disk is a process with a contender that keeps values on a disk. Its exported
// methods are called by the parent.
type Disk struct{ shelf shelf }

// Kept says what a process has on its disk.
type Kept struct {
	Contender, Dir string
	Values         int
}

// Open opens the contender, as the first of all calls.
func (d *Disk) Open(k Kept, _ *Nothing) (err error) {
	open, ok := shelves[k.Contender]
	if !ok {
		return fmt.Errorf("contender %q: there is none of that name", k.Contender)
	}
	if err := os.MkdirAll(k.Dir, 0o755); err != nil {
		return err
	}
	d.shelf, err = open(k.Dir)
	return err
}

// Close closes it.
func (d *Disk) Close() error {
	if d.shelf == nil {
		return nil
	}
	return d.shelf.Close()
}

// Putting says how values are put.
type Putting struct {
	Callers int
	Batch   int // values that a caller puts at once; 1: each alone
	For     time.Duration
}

// Written is what callers have put.
type Written struct {
	Rate float64       // values a second
	Used time.Duration // processor time of the whole process for one
}

// Puts lets callers put values under new keys.
func (d *Disk) Puts(p Putting, seen *Written) error {
	var next atomic.Int64
	errs := make([]error, p.Callers)
	used := rounds.ProcessorTime()
	began := time.Now()
	var all sync.WaitGroup
	for caller := range p.Callers {
		all.Go(func() {
			for errs[caller] == nil && time.Since(began) < p.For {
				errs[caller] = d.put(int(next.Add(int64(p.Batch)))-p.Batch, p.Batch)
			}
		})
	}
	all.Wait()
	seen.Rate = float64(next.Load()) / time.Since(began).Seconds()
	seen.Used = (rounds.ProcessorTime() - used) / time.Duration(next.Load())
	return errors.Join(errs...)
}

// A batcher puts several values at once.
type batcher interface {
	PutAll(keys []string, values [][]byte) error
}

// put puts values from the first on.
func (d *Disk) put(first, count int) error {
	if count == 1 {
		return d.shelf.Put(keyOf(first), valueOf(first))
	}
	keys, values := make([]string, count), make([][]byte, count)
	for i := range keys {
		keys[i], values[i] = keyOf(first+i), valueOf(first+i)
	}
	return d.shelf.(batcher).PutAll(keys, values)
}

// Fill puts values, in the way that is the contender's fastest.
func (d *Disk) Fill(values int, _ *Nothing) error {
	const callers = 64
	batch := 1
	if _, is := d.shelf.(batcher); is {
		batch = 256
	}
	var next atomic.Int64
	errs := make([]error, callers)
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for errs[caller] == nil {
				first := int(next.Add(int64(batch))) - batch
				if first >= values {
					return
				}
				errs[caller] = d.put(first, min(batch, values-first))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Getting says how values are read.
type Getting struct {
	Values int // that are there
	For    time.Duration
}

// A Reading is how long gets took.
type Reading struct {
	Gets     int
	P50, P99 time.Duration
}

// Gets reads all values once, and then some by chance, one after the other.
func (d *Disk) Gets(g Getting, seen *Reading) error {
	for i := range g.Values {
		if err := d.check(i); err != nil {
			return err
		}
	}
	times := make([]time.Duration, 0, 1<<20)
	began := time.Now()
	for now := began; now.Sub(began) < g.For; {
		i := rand.IntN(g.Values)
		before := time.Now()
		value, err := d.shelf.Get(keyOf(i))
		now = time.Now()
		if err != nil || len(value) != valueBytes {
			return fmt.Errorf("key %q: %d bytes, %w", keyOf(i), len(value), err)
		}
		times = append(times, now.Sub(before))
	}
	slices.Sort(times)
	*seen = Reading{len(times), rounds.Quantile(times, 0.5), rounds.Quantile(times, 0.99)}
	return nil
}

// check reads one value and compares it.
func (d *Disk) check(i int) error {
	value, err := d.shelf.Get(keyOf(i))
	if err == nil && !bytes.Equal(value, valueOf(i)) {
		err = fmt.Errorf("a value of %d bytes that is not the one that was put", len(value))
	}
	if err != nil {
		return fmt.Errorf("key %q: %w", keyOf(i), err)
	}
	return nil
}

// Serving says what is asked of a process that has just started.
type Serving struct {
	Kept
	Asked int // keys, by chance
}

// Served is what a process did that has just started.
type Served struct {
	First  time.Time     // the first value was there
	P50    time.Duration // of the others
	Calls  int           // of the origin; a value that is not there, where there is no origin
	Wrong  int           // values that are not those that were put
	Memory int64         // that the process has at the end, resident, in bytes
}

// Serve opens what an earlier process has left, and asks for values.
func (d *Disk) Serve(s Serving, seen *Served) error {
	get, err := d.server(s.Kept, &seen.Calls)
	if err != nil {
		return err
	}
	times := make([]time.Duration, 0, s.Asked)
	for n := range s.Asked {
		i := rand.IntN(s.Values)
		before := time.Now()
		value, err := get(keyOf(i))
		if err != nil {
			return err
		}
		if n == 0 {
			seen.First = time.Now()
		}
		times = append(times, time.Since(before))
		if !bytes.Equal(value, valueOf(i)) {
			seen.Wrong++
		}
	}
	slices.Sort(times)
	seen.P50 = rounds.Quantile(times, 0.5)
	seen.Memory, err = resident()
	return err
}

// server is a cache of Corral before its store, or a contender as it is. It is
// closed by nobody: the process is killed.
func (d *Disk) server(k Kept, calls *int) (func(key string) ([]byte, error), error) {
	if k.Contender == corralName {
		c, err := openCached(k.Dir, calls)
		if err != nil {
			return nil, err
		}
		return func(key string) ([]byte, error) { return c.Get(context.Background(), key) }, nil
	}
	if err := d.Open(k, nil); err != nil {
		return nil, err
	}
	return func(key string) ([]byte, error) {
		value, err := d.shelf.Get(key)
		if value == nil {
			*calls++
		}
		return value, err
	}, nil
}

// resident is what the process has in memory.
func resident() (int64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, is := strings.CutPrefix(line, "VmRSS:"); is {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, errors.New("/proc/self/status: no VmRSS")
}
