package server

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
)

// A collection is how the Go collector is set.
type collection struct {
	limit   int64 // bytes, as of debug.SetMemoryLimit; 0: leave as it is
	percent int   // as of debug.SetGCPercent; 0: leave as it is
	ballast int64 // bytes
}

const (
	// headroom is the part of max-bytes that dead objects and the allocator's
	// fragments may take beyond it. The promise is 15 %; the collector is
	// given 13, for it does not count everything that the system does.
	headroom = 0.13
	// cacheShare is the part of max-bytes that the cache fills. The rest is
	// garbage between two collections: were the cache to fill all of it, a full
	// one would be collected half as often again (docs/benchmarks.md).
	cacheShare = 0.88
	// baseline is what the process needs beside the cache when it is idle:
	// code's data, metrics, buffers, listeners.
	baseline = 16 << 20
	// steadyPercent lets the heap double between collections while it is far
	// from the limit.
	steadyPercent = 100
	// maxBallast is how many bytes the heap is made to look larger by. They are
	// never touched, so that the system gives no memory for them, but as much
	// more garbage may then come together between collections: while the cache
	// is nearly empty a percentage of what lives is so little that there
	// would be a collection every few hundred requests.
	maxBallast = 32 << 20
)

// collectionFor derives the collector's settings from max-bytes, so that the
// resident memory stays below max-bytes + 15 % (what the idle process needs
// apart) when the cache is full.
//
// A percentage alone cannot do it. The default, 100, lets the heap grow to
// twice what lives, so that a full cache takes 2 × max-bytes; 10 keeps to the
// bound, but collects ten times as often also when the cache is nearly empty
// and memory is plenty. A memory limit collects only as often as the bound
// demands: rarely while the cache fills, and each headroom + baseline bytes of
// allocation once it is full. What is cached is mostly bodies, which hold no
// pointers, so that such a collection marks little.
//
// The limit is soft: when what lives outside the cache (connections, requests
// in flight) outgrows headroom and baseline, the process grows past it, and Go
// spends at most half of its processor time on collections.
//
// GOMEMLIMIT and GOGC are the operator's word: what is set in the environment
// stays as it is.
func collectionFor(maxBytes Bytes, getenv func(string) string) collection {
	var c collection
	if getenv("GOGC") == "" {
		c.percent = steadyPercent
		c.ballast = min(maxBallast, int64(maxBytes)/8)
	}
	if getenv("GOMEMLIMIT") == "" {
		c.limit = math.MaxInt64
		if limit := float64(maxBytes)*(1+headroom) + baseline + float64(c.ballast); limit < math.MaxInt64 {
			c.limit = int64(limit)
		}
	}
	return c
}

// ballast stays for as long as the process lives.
var ballast atomic.Pointer[[]byte]

// CacheBytes is how much of max-bytes the cache may hold where it has no store.
func CacheBytes(maxBytes Bytes) Bytes { return Bytes(float64(maxBytes) * cacheShare) }

// The memory that a store in a directory takes out of max-bytes.
const (
	storeMemoryPart       = 16
	minStoreMemory  Bytes = 4 << 20
	maxStoreMemory  Bytes = 64 << 20
)

// storeMemory is how much of max-bytes the store in a directory may use.
func (c *Config) storeMemory() Bytes {
	if c.StoreDir == "" {
		return 0
	}
	return max(minStoreMemory, min(c.MaxBytes/storeMemoryPart, maxStoreMemory))
}

// cacheBytes is how much of max-bytes the cache may hold.
func (c *Config) cacheBytes() Bytes {
	return max(CacheBytes(c.MaxBytes)-c.storeMemory(), c.MaxBytes/2)
}

// BoundMemory sets the Go collector of this process by the configuration. It
// says what it set, for the log.
func BoundMemory(config Config) (memoryLimit, gogc string) {
	c := collectionFor(config.MaxBytes, os.Getenv)
	memoryLimit, gogc = os.Getenv("GOMEMLIMIT"), os.Getenv("GOGC")
	if c.limit > 0 {
		debug.SetMemoryLimit(c.limit)
		memoryLimit = Bytes(c.limit).String()
	}
	bytes := make([]byte, c.ballast)
	ballast.Store(&bytes)
	if c.percent > 0 {
		debug.SetGCPercent(c.percent)
		gogc = strconv.Itoa(c.percent)
	}
	return memoryLimit, gogc
}
