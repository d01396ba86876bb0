package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

// A bench is one run of the command.
type bench struct {
	scale
	rounds   int
	dir      string
	alone    bool // without rivals
	profiles string
	three    *fleet // that most rows share; nil: not open
	opened   int    // fleets so far: numbers their directories
	keys     int    // prefixes so far: no two rows have a key in common
}

// A scale is how much of everything a run has.
type scale struct {
	quick     bool
	warm, per time.Duration // of one measurement
	crowd     int           // callers at once
	keys      int           // that are asked for
	stampede  int           // callers of a cold key
	stampedes int           // cold keys in a round
	writers   int           // callers who invalidate at once
	body      int64         // bytes that stall
	rest      time.Duration // for which a cluster is left alone
	watched   int           // keys of an owner that is killed
	sizes     []int         // of clusters, in nodes
	owned     int           // keys that an owner has
}

var full = scale{
	warm: 200 * time.Millisecond, per: time.Second, crowd: 512, keys: 4096, stampede: 1000, stampedes: 5, writers: 256,
	body: 1 << 30, rest: 5 * time.Second, watched: 16, sizes: []int{1, 2, 3, 5}, owned: 1_000_000,
}

// smoke is enough to see that what is asserted holds.
var smoke = scale{
	quick: true,
	warm:  10 * time.Millisecond, per: 50 * time.Millisecond, crowd: 32, keys: 64, stampede: 60, stampedes: 1, writers: 16,
	body: 64 << 20, rest: 300 * time.Millisecond, watched: 4, sizes: []int{1, 2}, owned: 2000,
}

// fleet is the cluster of three nodes that rows share.
func (b *bench) fleet(ctx context.Context) (*fleet, error) {
	var err error
	if b.three == nil {
		b.three, err = b.open(ctx, 3, false)
	}
	return b.three, err
}

// open starts a cluster of its own, with etcd in the first three nodes or apart.
func (b *bench) open(ctx context.Context, nodes int, apart bool) (*fleet, error) {
	b.opened++
	f, err := open(ctx, filepath.Join(b.dir, fmt.Sprintf("%02d-of-%d", b.opened, nodes)), nodes, apart)
	if err != nil {
		return nil, fmt.Errorf("start a cluster of %d nodes: %w", nodes, err)
	}
	return f, nil
}

// close ends the shared cluster.
func (b *bench) close() {
	if b.three != nil {
		b.three.close()
		b.three = nil
	}
}

// prefix begins keys that nobody has asked for. How it begins says how long
// their loads take.
func (b *bench) prefix(kind string) string {
	b.keys++
	return fmt.Sprintf("%s/%d", kind, b.keys)
}

// alternate measures contenders in turn, those that this run has.
func (b *bench) alternate(ctx context.Context, s *rounds.Section, contenders []string, measure func(contender string) (rounds.Sample, error)) error {
	if b.alone {
		contenders = slices.DeleteFunc(slices.Clone(contenders), func(name string) bool { return slices.Contains(rivals, name) })
	}
	return s.Alternate(ctx, b.rounds, contenders, measure)
}
