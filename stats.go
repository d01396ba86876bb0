package corral

import (
	"math/bits"
	"sync/atomic"
	"time"
	"unsafe"
)

// Stats are counts since the cache was made, and gauges of now. Counts are
// exact; they are read one after another, not in one instant.
type Stats struct {
	Hits        uint64 // answered by a fresh value
	StaleHits   uint64 // answered by a stale value
	Misses      uint64 // calls that began a load, or were refused one
	Joins       uint64 // calls that parked on another's load
	Loads       uint64 // calls of the loader, retries included
	Flights     uint64 // loads begun, refreshes included, whatever answered them
	Refreshes   uint64 // flights behind a value
	EarlyDraws  uint64 // of these, by XFetch
	Failures    uint64 // flights that ended in an error
	Timeouts    uint64 // of these, at their deadline
	Panics      uint64 // of these, by a panic or Goexit
	Retries     uint64
	Abandoned   uint64 // flights cancelled because nobody waited
	Shares      uint64 // outcomes not kept: Share, invalidated, or without room
	Passes      uint64
	NotModified uint64
	RemoteHits  uint64 // flights answered by another process
	StoreHits   uint64 // flights answered by the store
	StoreErrors uint64 // calls of the store that failed, and records that could not be decoded
	Refused     uint64 // calls and refreshes that met a limit
	Paused      uint64 // calls answered with the last failure
	Cycles      uint64

	Evictions       uint64
	Invalidations   uint64 // calls, or messages of a coordinator, soft ones included
	Detached        uint64 // flights that an invalidation or Set parted from their key
	Mirrored        uint64 // values kept although another process owns their key
	Unmirrored      uint64 // such values that were given to callers and not kept
	MirrorsOutgrown uint64 // mirrors that left to make room for a younger one
	ZombieResults   uint64 // results dropped because their flight had ended
	DroppedEvents   uint64 // by subscribers whose buffer was full

	Entries       int
	Bytes         int64 // kept
	Mirrors       int   // of Entries, those whose value another process owns
	MirrorBytes   int64 // of Bytes, what these take
	BytesInFlight int64
	MaxBytes      int64
	Running       int // loads whose goroutine has not returned
	Waiters       int
	Zombies       int // of Running, those past their deadline
	StorePending  int // invalidations that the store has not taken yet

	// LoadTimes counts flights by how long they took: LoadTimes[i] those below
	// LoadTimeBounds()[i] and not below the bound before; the last one has no
	// bound. LoadTime is their sum.
	LoadTimes [loadTimeBuckets + 1]uint64
	LoadTime  time.Duration

	// Calls of the store. What waited together to be deleted is one call.
	StoreGets, StorePuts, StoreDeletes StoreCalls
}

// StoreCalls counts calls of a store by how long they took, as LoadTimes does:
// by the bounds of StoreTimeBounds. Time is their sum.
type StoreCalls struct {
	Times [storeTimeBuckets + 1]uint64
	Time  time.Duration
}

// Count is how many calls there were.
func (s *StoreCalls) Count() (n uint64) {
	for _, calls := range s.Times {
		n += calls
	}
	return n
}

// storeTimeBuckets bounds double from 16 µs to 2.097152 s.
const storeTimeBuckets = 18

// StoreTimeBounds are the upper bounds of StoreCalls.Times.
func StoreTimeBounds() []time.Duration {
	bounds := make([]time.Duration, storeTimeBuckets)
	for i := range bounds {
		bounds[i] = 16 * time.Microsecond << i
	}
	return bounds
}

// storeCalls are StoreCalls as they are counted.
type storeCalls struct {
	times [storeTimeBuckets + 1]counter
	nanos counter
}

func (s *storeCalls) took(d time.Duration) {
	s.times[min(bits.Len64(uint64(d/(16*time.Microsecond))), storeTimeBuckets)].inc()
	s.nanos.Add(uint64(d))
}

func (s *storeCalls) read() (calls StoreCalls) {
	for i := range s.times {
		calls.Times[i] = s.times[i].Load()
	}
	calls.Time = time.Duration(s.nanos.Load())
	return calls
}

// loadTimeBuckets bounds double from 1 ms to 65.536 s.
const loadTimeBuckets = 17

// LoadTimeBounds are the upper bounds of Stats.LoadTimes.
func LoadTimeBounds() []time.Duration {
	bounds := make([]time.Duration, loadTimeBuckets)
	for i := range bounds {
		bounds[i] = time.Millisecond << i
	}
	return bounds
}

type counter struct{ atomic.Uint64 }

func (c *counter) inc() { c.Add(1) }

type counters struct {
	hits striped

	staleHits, misses, joins, loads, flights, refreshes, earlyDraws counter
	failures, timeouts, panics, retries, abandoned, shares, passes  counter
	notModified, remoteHits, storeHits, storeErrors                 counter
	refused, paused, cycles, invalidations, detached, zombieResults counter
	loadTimes                                                       [loadTimeBuckets + 1]counter
	loadNanos                                                       counter
	storeGets, storePuts, storeDeletes                              storeCalls
}

// took files how long a flight ran.
func (c *counters) took(d time.Duration) {
	c.loadTimes[min(bits.Len64(uint64(d/time.Millisecond)), loadTimeBuckets)].inc()
	c.loadNanos.Add(uint64(d))
}

// stripes is a power of two, large against the processors of one socket.
const stripes = 32

// striped is a counter whose increments rarely meet on one cache line.
type striped [stripes]struct {
	n counter
	_ [56]byte
}

// inc picks a stripe by the address of the caller's stack: goroutines that run
// at the same time have different ones. Go offers no processor number.
func (s *striped) inc() {
	var here byte
	at := uintptr(unsafe.Pointer(&here))
	s[(at>>11^at>>16)%stripes].n.inc()
}

func (s *striped) sum() uint64 {
	var sum uint64
	for i := range s {
		sum += s[i].n.Load()
	}
	return sum
}
