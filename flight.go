package corral

import (
	"context"
	"sync/atomic"
	"time"
)

// A flight is one load of one key, and the place where those who wait for it
// meet. It belongs to an entry until it settles, or is detached.
type flight[V any] struct {
	run
	c           *Cache[V]
	e           *entry[V] // one of its own, outside the table, when it loads for one caller only
	loader      Loader[V]
	bulk        *bulk[V]   // set when GetMany loads it together with others
	previous    *record[V] // the value at its start
	refresh     bool       // began behind a value: nobody had to wait
	fresh       bool       // its caller wants no value of a store's or an owner's
	noStale     bool       // nor one that is stale
	alone       bool       // loads for one caller, after a pass, or because lapsed
	lapsed      bool       // asks the coordinator for a caller whom this process may not answer itself
	home        *entry[V]  // that such a load, or what Validate keeps, may write (I13)
	bond        uint64     // to home's mark
	reserved    bool       // header has reserved the weight of its value
	seated      bool       // has its turn already
	borrowed    int64      // bytes reserved for the body of previous, until the flight has ended
	notInStore  bool       // the store was asked, and has nothing under the key
	arrived     bool       // at its bulk load, or ended without it; guarded by bulk.mu
	joined      bool       // waits for its bulk load; guarded by bulk.mu
	passTTL     time.Duration
	phase       atomic.Uint32
	origin      atomic.Uint32             // Source of what it brings, counted from Loaded
	notModified atomic.Bool               // its loader said so
	lease       atomic.Pointer[heldLease] // until it is ended

	ctx  context.Context // base, or what Options.Trace made of it
	done chan struct{}   // I3

	// Guarded by e.mu until the flight has settled.
	revision uint64 // v
	waiters  int
	leader   bool // the caller that began it still waits
	lasting  bool // goes on although nobody waits
	earned   bool // the key was asked for often enough for a mirror
	settled  bool
	asking   context.CancelCauseFunc // ends its Join; nil while it is not in one
	body     *arrivingBody[V]        // what it is to read, when the shelf has settled it
	// departures is how often the last caller of this process has left it.
	departures uint64
	// softened is the first soft invalidation of the key, or of a prefix of it,
	// that came after revision; forever for Expire.
	softened uint64

	out result[V] // I3
}

// phases of a flight's goroutine.
const (
	inQueue uint32 = iota // in Corral's own hands: it ends when its context does
	inUser                // in the loader, the store or the coordinator: it may not
)

// source is where a flight's value comes from.
func (f *flight[V]) source() Source { return Loaded + Source(f.origin.Load()) }

// from says that a flight's value comes from a store or from another process.
func (f *flight[V]) from(s Source) { f.origin.Store(uint32(s - Loaded)) }

// result is what a flight came to.
type result[V any] struct {
	record *record[V] // nil on error, and for a pass that nobody has computed
	err    error
	kept   bool
	// unmirrored: it may be kept, and is not here, for another process owns its key.
	unmirrored bool
	pass       bool
	source     Source
	waiters    int
	took       time.Duration
}

// query is one call of Get and its relatives.
type query[V any] struct {
	ctx     context.Context
	key     string
	loader  Loader[V]
	demand  demand
	parent  *run   // the load that asks, if one does
	since   uint64 // s
	arrived uint64 // the number of the newest flight at that moment
	bulk    *bulk[V]
	refused int  // answers from elsewhere that would not do
	lapsed  bool // this process may not answer (C2)
	noted   bool // among the asks, and they have
	earned  bool // a mirror for what comes

	entry  *entry[V] // that was asked
	answer reply[V]  // what it said
	found  found[V]  // what the call came to
}

// maxRefused is how many answers from elsewhere a call refuses, because they
// are older than an invalidation or stale, before it gives up.
const maxRefused = 3

// holding is the lease that a flight has not ended yet.
func (f *flight[V]) holding() Lease {
	if lease := f.lease.Load(); lease != nil {
		return lease.Lease
	}
	return nil
}

// takes reports whether a value is an answer.
func (q *query[V]) takes(r *record[V], state freshness, now int64) bool {
	if q.demand.fresh {
		return r.version() > q.arrived && !r.is(unasked)
	}
	switch state {
	case fresh, early:
		return true
	case stale:
		return !q.demand.noStale
	}
	return now < later(r.expiry, q.demand.maxStale)
}

// covers reports whether a value may stand in for a load that came to err; nil
// is for one that is slow.
func (q *query[V]) covers(c *Cache[V], r *record[V], err error, now int64) bool {
	if q.demand.noStale || q.demand.fresh {
		return false
	}
	state := judge(now, r.expiry, c.windowsOf(r).facing(err), c.draw)
	return state.usableOnError() || now < later(r.expiry, q.demand.maxStale)
}

// newFlight prepares a flight that a caller waits for. What admit checks has
// been checked.
func (c *Cache[V]) newFlight(q *query[V], e *entry[V], previous *record[V]) (*flight[V], error) {
	if c.parked.Add(1) > int64(c.o.MaxWaiters) {
		c.parked.Add(-1)
		return nil, c.refuse(q.key, "MaxWaiters", c.o.MaxWaiters)
	}
	f := c.makeFlight(q, e, previous)
	f.waiters, f.leader, f.earned = 1, true, c.earns(q)
	if q.parent != nil {
		waiting.add(q.parent, &f.run) // a flight that waits for nobody closes no ring
	}
	return f, nil
}

// newRefresh prepares a flight that nobody waits for: only if it can have its
// turn at once, so that refreshes give way to misses.
func (c *Cache[V]) newRefresh(q *query[V], e *entry[V], previous *record[V]) *flight[V] {
	f := c.makeFlight(q, e, previous)
	f.refresh, f.earned = true, previous.is(mirrored)
	if f.bulk == nil {
		if !c.bulkhead.take(&f.seat) {
			c.refuse(q.key, "MaxLoads", c.o.MaxLoads)
			return nil
		}
		if !c.rate.Try() {
			c.bulkhead.leave(&f.seat)
			c.refuse(q.key, "LoadsPerSecond", c.o.LoadsPerSecond)
			return nil
		}
		f.seated = true
	}
	return f
}

func (c *Cache[V]) makeFlight(q *query[V], e *entry[V], previous *record[V]) *flight[V] {
	f := &flight[V]{
		run:    run{id: c.lastFlight.Add(1), key: q.key, roster: &c.roster, parent: q.parent, started: time.Now()},
		c:      c,
		e:      e,
		loader: q.loader, bulk: q.bulk, previous: previous,
		fresh:    q.demand.fresh,
		noStale:  q.demand.noStale,
		passTTL:  c.o.PassTTL,
		done:     make(chan struct{}),
		revision: c.rules.applied.Load(),
	}
	f.run.flight = f
	if c.sharesSeat(q.parent) {
		f.seat.state = lent
	}
	f.base.run = &f.run
	if len(c.o.ContextValues) > 0 || c.o.Trace != nil {
		f.base.from = &origin{q.ctx, c.o.ContextValues}
	}
	f.ctx = &f.base
	return f
}

// sharesSeat reports whether a load runs inside a load of this cache, whose
// seat it then uses.
func (c *Cache[V]) sharesSeat(parent *run) bool {
	for r := parent; r != nil; r = r.parent {
		if r.roster == &c.roster {
			return true
		}
	}
	return false
}

// mayWait checks the limits on waiters and looks for a cycle, and counts the
// caller where all is well.
func (c *Cache[V]) mayWait(q *query[V], f *flight[V]) error {
	if f.waiters >= c.o.MaxWaitersPerKey {
		return c.refuse(q.key, "MaxWaitersPerKey", c.o.MaxWaitersPerKey)
	}
	if c.parked.Add(1) > int64(c.o.MaxWaiters) {
		c.parked.Add(-1)
		return c.refuse(q.key, "MaxWaiters", c.o.MaxWaiters)
	}
	if q.parent == nil {
		return nil
	}
	if q.parent.inside(&c.roster, q.key) || !waiting.add(q.parent, &f.run) {
		c.parked.Add(-1)
		return c.cycle(q.key)
	}
	if c.sharesSeat(q.parent) {
		c.bulkhead.lend(&f.seat)
	}
	return nil
}

// await waits for a flight, for the caller's end, or for the soft deadline.
// settled says that the flight has.
func (c *Cache[V]) await(q *query[V], f *flight[V], leader bool) (settled bool, err error) {
	defer c.unpark(q, f)
	gone := q.ctx.Done()
	switch {
	case c.o.SoftTimeout > 0 && !q.demand.noStale && !q.demand.fresh:
		return c.awaitSoftly(q, f, leader)
	case gone == nil:
		<-f.done
		return true, nil
	}
	select {
	case <-f.done:
		return true, nil
	case <-gone:
		f.e.leave(c, f, leader, false)
		return false, ended(q.ctx)
	}
}

// awaitSoftly is await where a value may be given before the load has ended.
func (c *Cache[V]) awaitSoftly(q *query[V], f *flight[V], leader bool) (settled bool, err error) {
	timer := time.NewTimer(time.Until(f.started.Add(c.o.SoftTimeout)))
	defer timer.Stop()
	for {
		select {
		case <-f.done:
			return true, nil
		case <-q.ctx.Done():
			f.e.leave(c, f, leader, false)
			return false, ended(q.ctx)
		case <-timer.C:
			if _, ok := c.coverable(q, nil); ok {
				f.e.leave(c, f, leader, true)
				return false, nil
			}
		}
	}
}

func (c *Cache[V]) unpark(q *query[V], f *flight[V]) {
	c.parked.Add(-1)
	if q.parent != nil {
		waiting.remove(q.parent, &f.run)
	}
}
