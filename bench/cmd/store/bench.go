package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

// A row is one line of the table of figures.
type row = rounds.Row[*bench]

// rows are all there are, in the order of their measurement.
var rows = []row{coldRow, flowRow, failingRow, failingFlowRow, killedRow, putsRow, getsRow, restartRow}

// A bench is one run of the command.
type bench struct {
	scale
	rounds int
	dir    string
	alone  bool              // without rivals
	fleets map[string]*fleet // that are open, by contender
	keys   int               // keys so far: no two measurements have one in common
	dirs   int               // directories of stores so far
}

// A scale is how much of everything a run has.
type scale struct {
	quick    bool
	load     time.Duration // of the value of a key
	crowd    int           // callers of a cold key at one instant
	flow     int           // callers spread over the time of a load
	deadline time.Duration // of callers whose load fails
	waiting  int           // callers, at each living process, of a load whose holder is killed
	lease    time.Duration // of Corral's holder
	lock     time.Duration // of the rivals' holders
	per      time.Duration // of one measurement of a disk
	writers  int           // callers who put at once
	read     int           // values that are read warm
	stored   int           // values that a restart finds
	served   int           // of those, asked for after it
}

var full = scale{
	load: 120 * time.Millisecond, crowd: 1000, flow: 800, deadline: 3 * time.Second,
	waiting: 25, lease: 5 * time.Second, lock: 10 * time.Second,
	per: time.Second, writers: 64, read: 100_000, stored: 1_000_000, served: 10_000,
}

// smoke is enough to see that what is asserted holds.
var smoke = scale{
	quick: true,
	load:  120 * time.Millisecond, crowd: 60, flow: 60, deadline: time.Second,
	waiting: 5, lease: 3 * time.Second, lock: time.Second,
	per: 50 * time.Millisecond, writers: 8, read: 200, stored: 2000, served: 500,
}

// fleet is the four processes of a contender and their Redis, which rows share.
func (b *bench) fleet(ctx context.Context, contender string) (*fleet, error) {
	if f := b.fleets[contender]; f != nil {
		return f, nil
	}
	f, err := open(ctx, filepath.Join(b.dir, "fleet-of-"+contender), Start{Contender: contender, Load: b.load, Lease: b.lease, Lock: b.lock})
	if err != nil {
		return nil, fmt.Errorf("start the processes: %w", err)
	}
	b.fleets[contender] = f
	return f, nil
}

// close ends all fleets.
func (b *bench) close() {
	for _, f := range b.fleets {
		f.close()
	}
	clear(b.fleets)
}

// key is one that nobody has asked for. How it begins says what its load does.
func (b *bench) key(kind string) string {
	b.keys++
	return fmt.Sprintf("%s/%d", kind, b.keys)
}

// alternate measures contenders in turn, those that this run has.
func (b *bench) alternate(ctx context.Context, s *rounds.Section, contenders []string, measure func(contender string) (rounds.Sample, error)) error {
	contenders = slices.DeleteFunc(slices.Clone(contenders), func(name string) bool {
		return b.alone && !strings.HasPrefix(name, corralName) || b.quick && name == pollingName // which is the other tutorial's code
	})
	return s.Alternate(ctx, b.rounds, contenders, measure)
}
