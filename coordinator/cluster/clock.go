package cluster

import (
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A tenure says until when this process may answer from what it has. It is read
// on every hit, and so without a system call: Go reads the monotonic clock,
// which stands still while a machine is suspended, and the wall clock, which
// does not, in one go. Where the two agree that the lease runs, it runs: a
// machine that was suspended shows it on the wall clock. Where they do not, the
// clock that counts is asked.
//
// The accepted risk: a wall clock that is set back by as much as the machine was
// suspended, in the same two seconds.
type tenure struct{ now atomic.Pointer[term] }

// A term is one extension of the lease.
type term struct {
	until core.Time // on the clock that counts
	from  int64     // on the wall, in nanoseconds: set back, it does not count
	wall  int64     // until, on the wall
	mono  time.Time // until, on the monotonic clock
}

// extend makes the tenure end at until. The clock that counts is read last: a
// process that is stopped between the two readings has less of the lease left,
// and not more.
func (t *tenure) extend(until core.Time) {
	old := t.now.Load()
	if old == nil && until == 0 || old != nil && old.until == until {
		return
	}
	now := time.Now()
	left := until.Sub(boottime())
	if left <= 0 {
		t.now.Store(nil)
		return
	}
	t.now.Store(&term{until: until, from: now.UnixNano(), wall: now.UnixNano() + int64(left), mono: now.Add(left)})
}

// standing reports whether the lease runs, at this moment.
func (t *tenure) standing() bool {
	term := t.now.Load()
	if term == nil {
		return false
	}
	now := time.Now()
	if !now.Before(term.mono) {
		return false // the monotonic clock is never ahead of the one that counts
	}
	if wall := now.UnixNano(); wall >= term.from && wall < term.wall {
		return true
	}
	return boottime() < term.until
}
