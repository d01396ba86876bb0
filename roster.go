package corral

import (
	"sync"
	"sync/atomic"
	"time"
)

// A run is the part of a flight that does not depend on the type of its value.
type run struct {
	id      uint64
	key     string
	roster  *roster // of its cache
	parent  *run
	started time.Time
	flight  running

	base     loadContext
	waitsFor map[*run]int // guarded by waiting.mu
	waitedBy map[*run]int // its other side, guarded likewise
	seat     seat         // guarded by its bulkhead

	// Guarded by roster.mu.
	due        bool // its deadline still counts
	gone       bool // its goroutine has returned
	zombie     bool // its deadline has passed and its loader has not returned
	prev, next *run
}

// A running is a flight, or a bulk load, whatever the type of its values.
type running interface {
	expire()                      // its deadline has come
	end(err error)                // the cache closes
	describe() (FlightInfo, bool) // false: nothing to show
	holding() Lease               // nil: none
}

// A roster knows every load whose goroutine has not returned, in the order in
// which they began, and ends each at its deadline. All loads of a cache have
// the same time, so the order of their deadlines is the order of the list and
// one timer serves them all. The timer is not stopped when its load lands: at
// worst it fires once for nothing, which is cheaper than a timer a load.
type roster struct {
	timeout time.Duration
	zombies atomic.Int64
	count   atomic.Int64 // written under mu

	mu     sync.Mutex // guards what is below and the list fields of runs
	first  *run
	last   *run
	timer  *time.Timer   // nil while nothing is due
	quiet  chan struct{} // closed when count falls to zero, if somebody waits
	closed bool          // no load begins any more
}

// enter adds a load, unless the roster is closed.
func (t *roster) enter(r *run) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	r.due = true
	r.prev = t.last
	if t.last == nil {
		t.first = r
	} else {
		t.last.next = r
	}
	t.last = r
	t.count.Add(1)
	if t.timer == nil {
		t.timer = time.AfterFunc(time.Until(r.started.Add(t.timeout)), t.strike)
	}
	return true
}

// bury counts a load as a zombie unless its goroutine has returned.
func (t *roster) bury(r *run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !r.gone && !r.zombie {
		r.zombie = true
		t.zombies.Add(1)
	}
}

// leave says that a load's goroutine returns, and tells whether it was a zombie.
func (t *roster) leave(r *run) (zombie bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.due, r.gone = false, true
	if r.zombie {
		t.zombies.Add(-1)
	}
	if r.prev == nil {
		t.first = r.next
	} else {
		r.prev.next = r.next
	}
	if r.next == nil {
		t.last = r.prev
	} else {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
	if t.count.Add(-1) == 0 && t.quiet != nil {
		close(t.quiet)
		t.quiet = nil
	}
	return r.zombie
}

// settled says that a load's deadline no longer counts.
func (t *roster) settled(r *run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.due = false
}

// strike ends the loads whose deadline has come and sets the timer for the next.
func (t *roster) strike() {
	t.mu.Lock()
	now := time.Now()
	var struck []*run
	t.timer = nil
	for r := t.first; r != nil; r = r.next {
		if !r.due {
			continue
		}
		if left := r.started.Add(t.timeout).Sub(now); left > 0 {
			t.timer = time.AfterFunc(left, t.strike)
			break
		}
		r.due = false
		struck = append(struck, r)
	}
	t.mu.Unlock()
	for _, r := range struck {
		r.flight.expire()
	}
}

// running lists the loads whose goroutine has not returned.
func (t *roster) running() []*run {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]*run, 0, t.count.Load())
	for r := t.first; r != nil; r = r.next {
		all = append(all, r)
	}
	return all
}

// empty gives a channel that is closed once no load runs.
func (t *roster) empty() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quiet == nil {
		quiet := make(chan struct{})
		if t.count.Load() == 0 {
			close(quiet)
			return quiet
		}
		t.quiet = quiet
	}
	return t.quiet
}

// close lets no further load begin.
func (t *roster) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// stop ends the timer, when no load is due any more.
func (t *roster) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// size is how many loads run.
func (t *roster) size() int { return int(t.count.Load()) }

func (t *roster) isZombie(r *run) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return r.zombie
}
