package main

import (
	"context"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/bench/internal/rounds"
)

// Names of the parts of mirrorRow.
const (
	mirroredName = "mirrored"
	aloneName    = "local hit and a clock"
)

var mirrorRow = row{
	Name: "mirror", Title: "Gets of a hot key at a node that does not own it",
	Columns: []rounds.Column{rounds.Compared("cpu", "ns CPU a get", "%.1f"), rounds.Figure("asks", "messages to the owner per 1,000 gets", "%.3f")},
	How: func(b *bench) string {
		return fmt.Sprintf("One caller of node a at one key of 1 KiB that node b owns, for %v; beside it, in the same process, a hit in a cache without a Coordinator and one more reading of the clock. "+
			"Processor time is that of the caller's thread.", b.per)
	},
	Measure: func(ctx context.Context, b *bench, s *rounds.Section) error {
		f, err := b.fleet(ctx)
		if err != nil {
			return err
		}
		keys, err := f.owned(1, b.prefix("hot"), 1)
		if err != nil {
			return err
		}
		return b.alternate(ctx, s, []string{mirroredName, aloneName}, func(part string) (rounds.Sample, error) {
			var seen Mirrored
			err := f.nodes[0].Ask("Mirror", Mirror{Key: keys[0], Alone: part == aloneName, For: b.per}, &seen)
			return rounds.Sample{"cpu": float64(seen.Used) / float64(seen.Gets), "asks": 1000 * float64(seen.Asks) / float64(seen.Gets)}, err
		})
	},
	Judge: func(_ *bench, s *rounds.Section) {
		s.Times("cpu", mirroredName, aloneName, "≤ 1.1", func(ratio float64) bool { return ratio <= 1.1 })
		s.Most(mirroredName, "asks", 1)
	},
}

// Mirror says how a node asks for one key.
type Mirror struct {
	Key   string
	Alone bool // of a cache without a Coordinator, and the clock
	For   time.Duration
}

// Mirrored is what came of it.
type Mirrored struct {
	Gets, Asks int64
	Used       time.Duration // of processor time
}

// between is how many gets are made between two looks at the clock.
const between = 1000

// Mirror asks for a key again and again.
func (m *Member) Mirror(ask Mirror, seen *Mirrored) error {
	ctx := context.Background()
	get := func() error { return m.askCache(ctx, ask.Key) }
	if ask.Alone {
		alone, err := corral.New(corral.LoaderFunc[[]byte](m.loads.load), corral.Options[[]byte]{Name: "alone", MaxBytes: 1 << 20, TTL: corral.Forever})
		if err != nil {
			return err
		}
		defer alone.Close()
		get = func() error {
			value, err := alone.Get(ctx, ask.Key)
			clockRead = time.Now()
			if err != nil {
				return err
			}
			return sized(ask.Key, len(value))
		}
	}
	for range between { // it earns its place
		if err := get(); err != nil {
			return err
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	asks, used, began := m.port.asks.Load(), threadTime(), time.Now()
	for time.Since(began) < ask.For {
		for range between {
			if err := get(); err != nil {
				return err
			}
		}
		seen.Gets += between
	}
	seen.Used, seen.Asks = threadTime()-used, m.port.asks.Load()-asks
	return nil
}

// clockRead keeps the compiler from leaving out a reading of the clock.
var clockRead time.Time

// threadTime is what this thread has used, user and system.
func threadTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD of getrusage(2)
	var usage syscall.Rusage
	if err := syscall.Getrusage(thread, &usage); err != nil {
		panic(err) // the arguments are right
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
