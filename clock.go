package corral

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// tick is how often the coarse clock is set. A fresh/stale decision is at most
// a tick and the scheduler's delay late: 5 ms on a machine that is not
// overcommitted.
const tick = 2 * time.Millisecond

// coarse is the one clock of the process by which freshness is judged, so that
// a hit pays for a load from memory and not for reading the real clock. It
// decides freshness and nothing else.
var coarse coarseClock

// coarseClock holds nanoseconds since an arbitrary start. It ticks while at
// least one cache is open. It never goes back and does not follow the wall
// clock; on Linux it goes on while the machine is suspended.
type coarseClock struct {
	nanos atomic.Int64

	mu      sync.Mutex // guards the fields below
	users   int
	stop    chan struct{}
	stopped chan struct{}
}

func (c *coarseClock) retain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users++; c.users == 1 { // else the goroutine sets it, and two could set it back
		c.nanos.Store(boottime())
		c.stop, c.stopped = make(chan struct{}), make(chan struct{})
		go c.run(c.stop, c.stopped)
	}
}

func (c *coarseClock) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users == 0 {
		close(c.stop)
		<-c.stopped
	}
}

func (c *coarseClock) run(stop, stopped chan struct{}) {
	defer close(stopped)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			c.nanos.Store(boottime())
		}
	}
}

// exactClock counts nanoseconds on a clock of the caller's: by its monotonic
// reading where it has one, else by the wall clock, wherever that goes.
func exactClock(now func() time.Time) func() int64 {
	start := now()
	return func() int64 { return int64(now().Sub(start)) }
}

// later adds a duration to an instant and stops at either end of time.
func later(instant int64, d time.Duration) int64 {
	switch {
	case d > 0 && instant > math.MaxInt64-int64(d):
		return math.MaxInt64
	case d < 0 && instant < math.MinInt64-int64(d):
		return math.MinInt64
	}
	return instant + int64(d)
}

var processStart = time.Now()

// monotonic is Go's monotonic reading, in nanoseconds.
func monotonic() int64 { return int64(time.Since(processStart)) }
