package corraltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// dayKeys are the ordinary keys of a day.
var dayKeys = []string{"a", "b1", "b2", "c/1", "c/2", "d"}

// A day is what one or two caches do while a call of a port goes wrong, and what
// they must not do.
type day struct {
	t       *testing.T
	s       suite
	source  *source
	allowed []error       // that a Get may come to
	limit   time.Duration // of a Get
	least   sync.Map      // floorKey → the version that a Get must not be below

	recovery context.Context // bounds all that is to recover; nil before
}

// floorKey is a key as one cache sees it.
type floorKey struct {
	c   *corral.Cache[string]
	key string
}

func (d *day) cache(o corral.Options[string]) *corral.Cache[string] {
	d.t.Helper()
	if o.Store != nil {
		o.StoreTimeout = faultStore
	}
	c, err := corral.New(corral.LoaderFunc[string](d.source.load), o)
	if err != nil {
		d.t.Fatalf("New: %v", err)
	}
	d.t.Cleanup(func() { d.close(c) })
	return c
}

func (d *day) close(c *corral.Cache[string]) {
	if err := c.Close(); err != nil {
		d.t.Errorf("Close: %v", err)
	}
}

// get fails unless it comes, in time, to a value that is new enough or an error
// that may be. It reports whether there was a value.
func (d *day) get(c *corral.Cache[string], key string) bool {
	ctx, cancel := context.WithTimeout(d.t.Context(), d.limit+patience)
	defer cancel()
	least := d.floor(c, key)
	began := time.Now()
	value, err := c.Get(ctx, key)
	took := time.Since(began)
	limit := d.limit
	if !d.s.virtual {
		limit += patience / 2 // a slow machine
	}
	if took > limit {
		d.t.Errorf("Get %q took %v, want at most %v", key, took, limit)
	}
	if key == badKey && err == nil {
		d.t.Errorf("Get %q gave %q; its load fails", key, value)
	}
	if err != nil {
		may := key == badKey || slices.ContainsFunc(d.allowed, func(target error) bool { return errors.Is(err, target) })
		if !may && (d.s.virtual || !errors.Is(err, corral.ErrLoadTimeout)) {
			d.t.Errorf("Get %q: %v", key, err)
		}
		return false
	}
	for version := d.source.version(key); version >= least; version-- {
		if value == valueOf(key, version) {
			return true
		}
	}
	d.t.Errorf("Get %q gave %q; version %d was acknowledged, %d is the newest", key, value, least, d.source.version(key))
	return true
}

// floor is the version that a cache may not give less than: any will do where what
// is filled late is kept.
func (d *day) floor(c *corral.Cache[string], key string) int {
	if d.s.is(KeepsLateFills) {
		return 0
	}
	least, _ := d.least.LoadOrStore(floorKey{c, key}, 0)
	return least.(int)
}

// changes makes keys newer and tells the caches through the first. What is
// acknowledged holds from then on: here, and in the others unless the
// coordinator does not tell them.
func (d *day) changes(caches []*corral.Cache[string], keys []string, tell func(ctx context.Context, c *corral.Cache[string]) error) {
	d.source.change(keys...)
	ctx, cancel := context.WithTimeout(d.t.Context(), faultWait)
	defer cancel()
	if err := tell(ctx, caches[0]); err != nil {
		if !errors.Is(err, corral.ErrStorePending) {
			return // it may or may not be in force
		}
		caches = caches[:1]
	}
	if d.s.is(Unheard) {
		caches = caches[:1]
	}
	for _, c := range caches {
		for _, key := range keys {
			d.least.Store(floorKey{c, key}, d.source.version(key))
		}
	}
}

// invalidations of all kinds, with the keys that they concern.
var invalidations = []struct {
	byKey  bool
	keys   []string
	target corral.Target
}{
	{true, []string{"a"}, corral.Target{Keys: []string{"a"}}},
	{true, []string{"a", "d"}, corral.Target{Keys: []string{"a", "d"}, Soft: true}},
	{false, []string{"b1", "b2"}, corral.Target{Tags: []string{"tag of b"}}},
	{false, []string{"c/1", "c/2"}, corral.Target{Prefixes: []string{"c/"}}},
	{false, dayKeys, corral.Target{All: true}},
}

// through makes a round of invalidations, reading what they concern after each
// everywhere, and a Set.
func (d *day) through(caches ...*corral.Cache[string]) {
	for _, row := range invalidations {
		if !row.byKey && d.s.is(KeysOnly) {
			continue
		}
		d.changes(caches, row.keys, func(ctx context.Context, c *corral.Cache[string]) error { return c.Purge(ctx, row.target) })
		for _, c := range caches {
			for _, key := range row.keys {
				d.get(c, key)
			}
		}
	}
	d.changes(caches[:1], []string{"d"}, func(ctx context.Context, c *corral.Cache[string]) error {
		return c.Set(ctx, "d", corral.Item[string]{Value: d.source.now("d")})
	})
	for _, c := range caches {
		d.get(c, "d")
	}
}

// withStore reads and writes so that the store has what the cache has not.
func (d *day) withStore(c *corral.Cache[string]) {
	for range 2 {
		for _, key := range dayKeys {
			d.get(c, key)
		}
		d.s.settle()
	}
	d.through(c)
}

// leaves invalidates what the store has, and reads none of it again.
func (d *day) leaves(c *corral.Cache[string]) {
	for _, key := range dayKeys {
		d.get(c, key)
	}
	d.s.settle()
	for _, row := range invalidations {
		if !row.target.All {
			d.changes([]*corral.Cache[string]{c}, row.keys, func(ctx context.Context, c *corral.Cache[string]) error { return c.Purge(ctx, row.target) })
		}
	}
	d.acknowledges(c, "nobody's")
}

// inherit makes what was acknowledged by one cache hold for the next one: the
// store has been told of all of it.
func (d *day) inherit(next, from *corral.Cache[string]) {
	for _, key := range dayKeys {
		d.least.Store(floorKey{next, key}, d.floor(from, key))
	}
}

// withCoordinator lets two processes ask, compute, fail and invalidate, together
// and in turn.
func (d *day) withCoordinator(first, second *corral.Cache[string]) {
	var background sync.WaitGroup
	background.Go(func() { d.get(first, slowKey) })
	var together sync.WaitGroup
	for _, key := range append([]string{badKey, passKey}, dayKeys...) {
		together.Go(func() { d.get(first, key) })
		together.Go(func() { d.get(second, key) })
	}
	together.Wait()
	d.through(first, second)
	d.through(second, first)
	background.Wait()
}

// recovers fails unless, some time after the fault, everything can be had and is
// acknowledged again.
func (d *day) recovers(caches ...*corral.Cache[string]) {
	for i, c := range caches {
		d.acknowledges(c, "a")
		d.least.Store(floorKey{c, "a"}, d.source.version("a"))
		for _, key := range append([]string{fmt.Sprint("new to ", i)}, dayKeys...) {
			for !d.get(c, key) {
				if err := pause(d.deadline(), 10*time.Millisecond); err != nil {
					d.t.Fatalf("process %d cannot have %q any more: %v", i, key, err)
				}
			}
		}
	}
}

// acknowledges fails unless an invalidation is acknowledged in time, and with it
// all that the store was to be told before.
func (d *day) acknowledges(c *corral.Cache[string], key string) {
	for {
		d.source.change(key)
		ctx, cancel := context.WithTimeout(d.t.Context(), patience)
		err := c.Invalidate(ctx, key)
		cancel()
		if err == nil {
			return
		}
		if late := pause(d.deadline(), 10*time.Millisecond); late != nil {
			d.t.Fatalf("no invalidation is acknowledged any more: %v", err)
		}
	}
}

// deadline is that of recovery, which begins with the first that does not work.
func (d *day) deadline() context.Context {
	if d.recovery == nil {
		ctx, cancel := context.WithTimeout(d.t.Context(), 3*patience)
		d.t.Cleanup(cancel)
		d.recovery = ctx
	}
	return d.recovery
}
