package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/corralcache/corral/bench/internal/child"
	"github.com/corralcache/corral/bench/internal/rounds"
)

// inBatches ends the name of a contender whose callers put 64 values at once.
const inBatches = ", 64 a batch"

var putsRow = row{
	Name: "puts", Title: "Values of 1 KiB put on a disk",
	Columns: []rounds.Column{rounds.Compared("rate", "puts/s", "%.0f"), rounds.Compared("used", "µs CPU a put", "%.1f")},
	How: func(b *bench) string {
		return fmt.Sprintf("%d callers for %v, under new keys, in an empty directory; a caller puts one value after the other, or 64 at once. Nobody synchronises; values do not compress.", b.writers, 3*b.per)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		return b.alternate(ctx, s, []string{corralName, redisName, pebbleName, pebbleName + inBatches, boltName + inBatches}, func(contender string) (rounds.Sample, error) {
			p := Putting{Callers: b.writers, Batch: 1, For: 3 * b.per}
			contender, batches := strings.CutSuffix(contender, inBatches)
			if batches {
				p.Batch = 64
			}
			d, k, err := b.disk(contender, 0)
			if err != nil {
				return nil, err
			}
			defer os.RemoveAll(k.Dir)
			defer d.Kill()
			var seen Written
			err = d.Ask("Puts", p, &seen)
			return rounds.Sample{"rate": seen.Rate, "used": rounds.Microseconds(seen.Used)}, err
		})
	},
	Judge: func(_ *bench, s *rounds.Section) { s.Least(corralName, "rate", 100_000) },
}

var getsRow = row{
	Name: "gets", Title: "Values of 1 KiB read from a disk, warm",
	Columns: []rounds.Column{rounds.Compared("p50", "p50 µs", "%.2f"), rounds.Compared("p99", "p99 µs", "%.2f"), rounds.Figure("gets", "gets", "%.0f")},
	How: func(b *bench) string {
		return fmt.Sprintf("%d values, all read once; then one caller, by chance, for %v. %d MiB of memory for each but bbolt, which maps its file. store/redis asks a Redis on loopback.", b.read, b.per, memory>>20)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		open := make(map[string]*child.Process)
		defer func() {
			for _, d := range open {
				d.Kill()
			}
		}()
		return b.alternate(ctx, s, []string{corralName, redisName, pebbleName, boltName}, func(contender string) (rounds.Sample, error) {
			if open[contender] == nil {
				d, _, err := b.disk(contender, b.read)
				if err != nil {
					return nil, err
				}
				open[contender] = d
			}
			var seen Reading
			err := open[contender].Ask("Gets", Getting{b.read, b.per}, &seen)
			return rounds.Sample{"p50": rounds.Microseconds(seen.P50), "p99": rounds.Microseconds(seen.P99), "gets": float64(seen.Gets)}, err
		})
	},
	Judge: func(_ *bench, s *rounds.Section) { s.Most(corralName, "p50", 10) },
}

// tenthName is Corral with a tenth of the values.
const tenthName = "corral, a tenth"

var restartRow = row{
	Name: "restart", Title: "A process starts with what an earlier one has left on the disk",
	Columns: []rounds.Column{
		rounds.Compared("first", "first value, ms", "%.0f"), rounds.Figure("p50", "then p50 µs", "%.1f"), rounds.Compared("memory", "RSS MiB", "%.0f"),
		rounds.Figure("calls", "origin calls", "%.0f"),
	},
	How: func(b *bench) string {
		return fmt.Sprintf("%d values of 1 KiB, which the first process put and closed; those of later rounds were ended by SIGKILL. The first value is there so long after the start of the process, "+
			"of which %d values are asked for, by chance; then its memory is read. Corral with a cache before its store; the others as they are, and a call is a value that is not there.", b.stored, b.served)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		kept := make(map[string]Kept)
		defer func() {
			for _, k := range kept {
				os.RemoveAll(k.Dir)
			}
		}()
		return b.alternate(ctx, s, []string{corralName, tenthName, pebbleName, boltName}, func(contender string) (rounds.Sample, error) {
			if _, is := kept[contender]; !is {
				k, err := b.keep(contender)
				if err != nil {
					return nil, err
				}
				kept[contender] = k
			}
			return b.restart(kept[contender])
		})
	},
	Judge: func(b *bench, s *rounds.Section) {
		for _, name := range []string{corralName, tenthName} {
			s.Exactly(name, "calls", 0)
			s.Exactly(name, "wrong", 0)
		}
		s.Worst(corralName, "first", 1000)
		s.Times("memory", corralName, tenthName, "≤ 2", func(ratio float64) bool { return ratio <= 2 })
	},
}

// disk starts a process with a contender in a directory of its own, and puts
// values there.
func (b *bench) disk(contender string, values int) (*child.Process, Kept, error) {
	b.dirs++
	name := fmt.Sprintf("disk-%d", b.dirs)
	k := Kept{Contender: contender, Dir: filepath.Join(b.dir, name), Values: values}
	d, err := child.Start(b.dir, "disk", name)
	if err != nil {
		return nil, k, err
	}
	if err = d.Ask("Open", k, &Nothing{}); err == nil && values > 0 {
		err = d.Ask("Fill", values, &Nothing{})
	}
	if err != nil {
		d.Kill()
	}
	return d, k, err
}

// keep lets a process put what restarts find, and end in order.
func (b *bench) keep(contender string) (Kept, error) {
	values := b.stored
	if contender == tenthName {
		contender, values = corralName, values/10
	}
	d, k, err := b.disk(contender, values)
	if err != nil {
		return k, err
	}
	d.End()
	select {
	case <-d.Ended():
		return k, nil
	case <-time.After(patience):
		d.Kill()
		return k, fmt.Errorf("%s has not ended within %v", d.Name, patience)
	}
}

// restart starts a process that serves what there is, and kills it.
func (b *bench) restart(k Kept) (rounds.Sample, error) {
	began := time.Now()
	d, err := child.Start(b.dir, "disk", filepath.Base(k.Dir)+"-again")
	if err != nil {
		return nil, err
	}
	defer d.Kill()
	var seen Served
	if err := d.Ask("Serve", Serving{k, b.served}, &seen); err != nil {
		return nil, err
	}
	return rounds.Sample{
		"first": rounds.Milliseconds(seen.First.Sub(began)), "p50": rounds.Microseconds(seen.P50), "memory": float64(seen.Memory) / (1 << 20),
		"calls": float64(seen.Calls), "wrong": float64(seen.Wrong),
	}, nil
}
