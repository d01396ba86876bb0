package main

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/maypok86/otter/v2"
	"github.com/puzpuzpuz/xsync/v4"
	"github.com/viccon/sturdyc"
	"golang.org/x/sync/singleflight"

	"github.com/corralcache/corral"
)

type corralCache struct{ *corral.Cache[[]byte] }

func openCorral(s setup) (cache, error) {
	o := corral.Options[[]byte]{
		TTL: ttl, MaxBytes: s.bytes, LoadTimeout: s.loadTimeout, ErrorPause: s.errorPause,
		MaxWaiters: s.waiters, MaxWaitersPerKey: s.waiters,
	}
	if s.entries > 0 {
		each, err := weigh(s.keyLen, s.valueLen)
		if err != nil {
			return nil, err
		}
		o.MaxBytes = int64(s.entries) * each
	}
	c, err := corral.New(corral.Func(s.load), o)
	return corralCache{c}, err
}

// weigh asks Corral what one entry counts for.
func weigh(keyLen, valueLen int) (int64, error) {
	load := func(context.Context, string) ([]byte, error) { return make([]byte, valueLen), nil }
	c, err := corral.New(corral.Func(load), corral.Options[[]byte]{TTL: ttl, MaxBytes: 1 << 40})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Get(context.Background(), strings.Repeat("k", keyLen)); err != nil {
		return 0, err
	}
	return c.Stats().Bytes, nil
}

func (c corralCache) Get(ctx context.Context, key string) ([]byte, error) {
	return c.Cache.Get(ctx, key)
}

func (c corralCache) Len() (n int) {
	for _, info := range c.Entries() {
		if info.Value {
			n++
		}
	}
	return n
}

func (c corralCache) Settle() {}
func (c corralCache) Close()  { c.Cache.Close() }

type otterCache struct {
	*otter.Cache[string, []byte]
	load  otter.Loader[string, []byte]
	clock *otter.CoarseClock
}

func openOtter(s setup) (cache, error) { return newOtter(s, nil) }
func openCoarseOtter(s setup) (cache, error) {
	return newOtter(s, otter.NewCoarseClock(time.Millisecond))
}

func newOtter(s setup, clock *otter.CoarseClock) (cache, error) {
	o := &otter.Options[string, []byte]{
		MaximumSize:      s.entries,
		ExpiryCalculator: otter.ExpiryWriting[string, []byte](ttl),
	}
	if clock != nil {
		o.Clock = clock
	}
	if s.entries == 0 {
		o.MaximumWeight = uint64(s.bytes)
		o.Weigher = func(key string, value []byte) uint32 { return uint32(len(key) + len(value)) }
	}
	c, err := otter.New(o)
	return otterCache{c, otter.LoaderFunc[string, []byte](s.load), clock}, err
}

func (c otterCache) Get(ctx context.Context, key string) ([]byte, error) {
	return c.Cache.Get(ctx, key, c.load)
}

func (c otterCache) Len() (n int) {
	for range c.Keys() {
		n++
	}
	return n
}

func (c otterCache) Settle() { c.CleanUp() }

func (c otterCache) Close() {
	c.StopAllGoroutines()
	if c.clock != nil {
		c.clock.Stop()
	}
}

type theineCache struct {
	*theine.LoadingCache[string, []byte]
}

func openTheine(s setup) (cache, error) {
	size := int64(s.entries)
	cost := func([]byte) int64 { return 1 }
	if s.entries == 0 {
		size, cost = s.bytes, func(value []byte) int64 { return int64(len(value)) }
	}
	c, err := theine.NewBuilder[string, []byte](size).BuildWithLoader(
		func(ctx context.Context, key string) (theine.Loaded[[]byte], error) {
			value, err := s.load(ctx, key)
			return theine.Loaded[[]byte]{Value: value, Cost: cost(value), TTL: ttl}, err
		})
	return theineCache{c}, err
}

func (c theineCache) Get(ctx context.Context, key string) ([]byte, error) {
	return c.LoadingCache.Get(ctx, key)
}

func (c theineCache) Len() (n int) {
	c.Range(func(string, []byte) bool { n++; return true })
	return n
}

func (c theineCache) Settle() { c.Wait() }
func (c theineCache) Close()  { c.LoadingCache.Close() }

type sturdycCache struct {
	*sturdyc.Client[[]byte]
	load func(ctx context.Context, key string) ([]byte, error)
}

// sturdycShards and sturdycEvicts, in per cent, are sturdyc's required
// settings; it names no defaults, its documentation uses 10 and 10.
const (
	sturdycShards = 10
	sturdycEvicts = 10
)

func openSturdyc(s setup) (cache, error) {
	return sturdycCache{Client: sturdyc.New[[]byte](s.entries, sturdycShards, ttl, sturdycEvicts), load: s.load}, nil
}

func (c sturdycCache) Get(ctx context.Context, key string) ([]byte, error) {
	return c.GetOrFetch(ctx, key, func(ctx context.Context) ([]byte, error) { return c.load(ctx, key) })
}

func (c sturdycCache) Len() int { return len(c.ScanKeys()) }
func (c sturdycCache) Settle()  {}
func (c sturdycCache) Close()   {}

// ristrettoCache is Ristretto, which does not load, in the usual arrangement
// with a single flight.
type ristrettoCache struct {
	*ristretto.Cache[string, []byte]
	flights *singleflight.Group
	load    func(ctx context.Context, key string) ([]byte, error)
	cost    func([]byte) int64
}

func openRistretto(s setup) (cache, error) {
	cfg := &ristretto.Config[string, []byte]{BufferItems: 64}
	cost := func([]byte) int64 { return 1 }
	if s.entries > 0 {
		cfg.NumCounters, cfg.MaxCost, cfg.IgnoreInternalCost = 10*int64(s.entries), int64(s.entries), true
	} else {
		cfg.NumCounters, cfg.MaxCost = 10*s.bytes/max(int64(s.valueLen), 1), s.bytes
		cost = func(value []byte) int64 { return int64(len(value)) }
	}
	c, err := ristretto.NewCache(cfg)
	return ristrettoCache{c, new(singleflight.Group), s.load, cost}, err
}

func (c ristrettoCache) Get(ctx context.Context, key string) ([]byte, error) {
	if value, ok := c.Cache.Get(key); ok {
		return value, nil
	}
	value, err, _ := c.flights.Do(key, func() (any, error) {
		value, err := c.load(ctx, key)
		if err == nil {
			c.SetWithTTL(key, value, c.cost(value), ttl)
		}
		return value, err
	})
	if err != nil {
		return nil, err
	}
	return value.([]byte), nil
}

func (c ristrettoCache) Len() (n int) {
	c.IterValues(func([]byte) bool { n++; return false })
	return n
}

func (c ristrettoCache) Settle() { c.Wait() }
func (c ristrettoCache) Close()  { c.Cache.Close() }

// lockedCache is the lock that a caller takes to compute a key, who then looks
// again whether another has: what is written by hand, and what caches do that
// lock in Redis. It is measured without bound and expiry.
type lockedCache struct {
	values *xsync.Map[string, []byte]
	locks  *xsync.Map[string, *sync.Mutex]
	load   func(ctx context.Context, key string) ([]byte, error)
}

func openLocked(s setup) (cache, error) {
	return lockedCache{xsync.NewMap[string, []byte](), xsync.NewMap[string, *sync.Mutex](), s.load}, nil
}

func (c lockedCache) Get(ctx context.Context, key string) ([]byte, error) {
	if value, ok := c.values.Load(key); ok {
		return value, nil
	}
	lock, _ := c.locks.LoadOrStore(key, new(sync.Mutex))
	lock.Lock()
	defer lock.Unlock()
	if value, ok := c.values.Load(key); ok {
		return value, nil
	}
	value, err := c.load(ctx, key)
	if err == nil {
		c.values.Store(key, value)
	}
	return value, err
}

func (c lockedCache) Len() int { return c.values.Size() }
func (c lockedCache) Settle()  {}
func (c lockedCache) Close()   {}

// xsyncCache is the index alone: no expiry, no bound, no flights.
type xsyncCache struct {
	*xsync.Map[string, []byte]
	load func(ctx context.Context, key string) ([]byte, error)
}

func openXsync(s setup) (cache, error) {
	return xsyncCache{xsync.NewMap[string, []byte](), s.load}, nil
}

func (c xsyncCache) Get(ctx context.Context, key string) ([]byte, error) {
	if value, ok := c.Load(key); ok {
		return value, nil
	}
	value, err := c.load(ctx, key)
	if err == nil {
		c.Store(key, value)
	}
	return value, err
}

func (c xsyncCache) Len() int { return c.Size() }
func (c xsyncCache) Settle()  {}
func (c xsyncCache) Close()   {}
