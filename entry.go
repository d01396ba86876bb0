package corral

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/invariant"
	"github.com/corralcache/corral/internal/table"
)

// An entry is all that the cache knows about one key: at most one value and at
// most one flight.
//
//	value  flight  the entry is                       a Get
//	–      –       absent, or marked by a failure     starts a flight; while marked: is answered by the mark
//	–      yes     loading                            parks
//	yes    –       fresh, stale or spent              returns it; stale: also starts a refresh; spent: starts a flight
//	yes    yes     refreshing                         returns it while usable, else parks
//
// A value whose body still arrives has no flight any more, but its body says
// that the entry grows.
//
// Invariants. This file, mark.go and shelf.go alone write an entry.
//
//	I1.  At most one flight belongs to a key: at most one entry of a key is in
//	     the table, and its flight is one pointer. Guarded by mu.
//	I2.  A flight settles exactly once, on every way out: outcome, error, panic,
//	     Goexit, deadline, abandonment, Close. Guarded by mu.
//	I3.  What a flight came to is written before done closes and never after;
//	     whoever has received from done reads it without a lock.
//	I4.  A flight writes the entry only while it is the entry's flight: a load
//	     that was detached, timed out or abandoned cannot write any more.
//	I5.  An entry is pinned in the table exactly while it has a flight or a
//	     growing value: it may lose its value meanwhile, never its flight.
//	I6.  value and mark are written under the table's lock, together with their
//	     weight: what can be read is counted.
//	I7.  A value is kept only while no invalidation that concerns it is newer
//	     than its revision (R2), and answers only callers for whom R1 holds.
//	I8.  A waiter that leaves takes only itself. The last one cancels the load
//	     and detaches it from its key in one step, unless it is a refresh or
//	     FinishAbandoned is set. Where the load holds a lease it is the
//	     coordinator that has this done, once nobody waits anywhere.
//	I9.  Set wins over a flight that began before it: the flight's waiters get
//	     the flight's value, and nobody keeps that.
//	I10. A value that does not fit into MaxBytes is delivered and not kept, nor
//	     is the value that it would have replaced.
//	I11. Nothing waits for a load while it holds a lock.
//	I12. What Validate keeps stands in the mark and never in value, and beside
//	     it there is no value: loads are given it as prev, callers never.
//	I13. A load apart writes the entry only while the mark still has the bond
//	     that the load began under. Set, Expire, invalidation, eviction and a
//	     later flight that lands end it.
type entry[V any] struct {
	node  table.Node[entry[V]]
	value atomic.Pointer[record[V]] // I6
	mark  atomic.Pointer[mark[V]]   // I6

	mu     sync.Mutex // before the table's lock and a body's
	flight *flight[V]
}

// A record is a value with its times. Once it can be read it is immutable.
type record[V any] struct {
	value    V
	born     int64  // on the cache's clock
	expiry   int64  // until when it is fresh
	revision uint64 // v: what was applied when its load began
	stamp    stamp
	more     *more // nil for a value with the cache's own windows and nothing else
}

// A stamp is the number of a value's flight, or of its Set, with what else there
// is to be known of every value: in one word, so that values which come from
// elsewhere, as most of an owner's do, take no more memory than those computed
// here.
type stamp uint64

const (
	elsewhere stamp = 1 << (63 - iota) // computed by another process: R1 must look at keys too
	unasked                            // the shelf took it in: no load here began for it
	mirrored                           // this process does not own its key
	stamps    = elsewhere | unasked | mirrored
)

func (r *record[V]) version() uint64 { return uint64(r.stamp &^ stamps) }

func (r *record[V]) is(s stamp) bool { return r.stamp&s != 0 }

// more is what most values do not have.
type more struct {
	windows
	tags      []string
	slots     []uint16
	validator string
	body      *growing
	outcome   Outcome
}

func (r *record[V]) slots() []uint16 {
	if r.more == nil {
		return nil
	}
	return r.more.slots
}

// forValidation says that the value is given to loads only (I12).
func (r *record[V]) forValidation() bool { return r.more != nil && r.more.outcome == Validate }

func (r *record[V]) body() *growing {
	if r.more == nil {
		return nil
	}
	return r.more.body
}

// forever is the revision beyond all others: "has anything touched it since".
const forever = math.MaxUint64

// A verdict is what an entry tells a caller to do.
type verdict uint8

const (
	give  verdict = iota // take record; launch flight, a refresh, if there is one
	park                 // wait for flight
	ride                 // wait for flight, which is too old for Fresh, and ask again
	lead                 // launch flight and wait for it
	apart                // the key is marked: load for yourself
	deny                 // err
	again                // the entry has left the table: look the key up again
)

type reply[V any] struct {
	verdict verdict
	record  *record[V]
	flight  *flight[V]
	err     error // also with give: the failure that record covers
	early   bool  // with give: XFetch drew the refresh
}

// ask decides what a caller gets. It is the table above.
func (e *entry[V]) ask(c *Cache[V], q *query[V]) reply[V] {
	now := c.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.currentLocked(c)
	f := e.flight
	if r != nil {
		state := judge(now, r.expiry, c.windowsOf(r), c.draw)
		if q.takes(r, state, now) {
			answer := reply[V]{verdict: give, record: r, early: state == early}
			if state != fresh && f == nil {
				answer.flight = e.refreshLocked(c, q, r, now)
			}
			e.wantedLocked(c, q, state)
			return answer
		}
	}
	if f != nil {
		return e.parkLocked(c, q, f)
	}
	err := e.markedLocked(now)
	if m := e.mark.Load(); err == nil && m != nil && now < m.until {
		return reply[V]{verdict: apart}
	}
	if err != nil {
		c.n.paused.inc()
	} else if err = c.admit(q); err == nil {
		return e.leadLocked(c, q, r)
	}
	if r != nil && q.covers(c, r, err, now) {
		return reply[V]{verdict: give, record: r, err: err}
	}
	return reply[V]{verdict: deny, err: err}
}

// currentLocked is the value, unless the rule of revisions has ended it or its
// body broke off.
func (e *entry[V]) currentLocked(c *Cache[V]) *record[V] {
	r := e.value.Load()
	if r == nil {
		return nil
	}
	if !c.rules.untouched(r.slots(), r.revision, forever) { // I7
		e.dropLocked(c, Invalidated)
		return nil
	}
	if body := r.body(); body != nil && !body.joinable() {
		return nil
	}
	softened := c.softened(r) // R4
	if softened != r && e.changeLocked(c, r, softened) {
		c.tell(EventExpired, nil, e.node.Key(), nil)
	}
	return softened
}

// changeLocked puts a record in the place of the same one with other times.
func (e *entry[V]) changeLocked(c *Cache[V], from, to *record[V]) (changed bool) {
	c.table.Update(e, func() { changed = e.value.CompareAndSwap(from, to) })
	return changed
}

// wantedLocked notes an ask that the entry answers where it may earn the value
// that is coming a mirror.
func (e *entry[V]) wantedLocked(c *Cache[V], q *query[V], state freshness) {
	if f := e.flight; f != nil && state >= stale && c.earns(q) {
		f.earned = true
	}
	if body := e.growingLocked(); body != nil && body.unearned && c.earns(q) {
		body.unearned = false
	}
}

// parkLocked counts the caller among a flight's waiters.
func (e *entry[V]) parkLocked(c *Cache[V], q *query[V], f *flight[V]) reply[V] {
	if err := c.mayWait(q, f); err != nil {
		return reply[V]{verdict: deny, err: err}
	}
	f.waiters++
	if c.earns(q) {
		f.earned = true
	}
	c.n.joins.inc()
	if q.demand.fresh && f.id <= q.arrived {
		return reply[V]{verdict: ride, flight: f}
	}
	return reply[V]{verdict: park, flight: f}
}

// leadLocked starts the entry's flight on behalf of a caller that will wait for it.
func (e *entry[V]) leadLocked(c *Cache[V], q *query[V], r *record[V]) reply[V] {
	if e.growingLocked() == nil && !c.table.Pin(e) { // I5
		return reply[V]{verdict: again}
	}
	if r == nil {
		r = e.keptLocked(c)
	}
	f, err := c.newFlight(q, e, r)
	if err != nil {
		e.unpinLocked(c)
		return reply[V]{verdict: deny, err: err}
	}
	e.flight = f
	return reply[V]{verdict: lead, flight: f}
}

// refreshLocked starts a flight behind a value, if nothing speaks against it.
func (e *entry[V]) refreshLocked(c *Cache[V], q *query[V], r *record[V], now int64) *flight[V] {
	if m := e.mark.Load(); q.loader == nil || m != nil && now < m.until {
		return nil
	}
	if c.admit(q) != nil || e.growingLocked() == nil && !c.table.Pin(e) {
		return nil
	}
	f := c.newRefresh(q, e, r)
	if f == nil {
		e.unpinLocked(c)
		return nil
	}
	e.flight = f
	return f
}

// unpinLocked lets the entry go from the table if it has neither flight nor
// value (I5).
func (e *entry[V]) unpinLocked(c *Cache[V]) {
	if e.flight == nil && e.growingLocked() == nil {
		c.table.Unpin(e)
	}
}

// detachLocked parts the flight from its key: it goes on for those who wait,
// and what it comes to is kept by nobody (I4).
func (e *entry[V]) detachLocked(c *Cache[V]) {
	f := e.flight
	e.flight = nil
	e.unpinLocked(c)
	c.n.detached.inc()
	c.tell(EventInvalidated, &f.run, f.key, nil)
}

// dropLocked takes the value away, and the mark.
func (e *entry[V]) dropLocked(c *Cache[V], cause RemovalCause) {
	grew := e.ungrowLocked()
	var left *record[V]
	c.table.Drop(e, func() { left = e.swap(c, nil, nil) })
	if grew {
		e.unpinLocked(c)
	}
	c.removeLater(e.node.Key(), left, cause)
}

// swap puts a record and a mark in the place of those there are, and gives the
// value that has left. Called under the table's lock (I6).
func (e *entry[V]) swap(c *Cache[V], r *record[V], m *mark[V]) (left *record[V]) {
	left = e.value.Swap(r)
	if left != nil && left.is(mirrored) {
		c.mirrors.leave(e) // M3
	}
	old := e.mark.Swap(m)
	if old != nil && old.kept != nil && (m == nil || m.kept != old.kept) {
		left = old.kept // and there was no value (I12)
	}
	return left
}

// ungrowLocked lets a growing body go: those who read it go on. It leaves the
// pin to the caller.
func (e *entry[V]) ungrowLocked() bool {
	body := e.growingLocked()
	if body == nil {
		return false
	}
	body.entered = false
	body.window()
	return true
}

// growingLocked is the body of the entry's value while it arrives, else nil.
func (e *entry[V]) growingLocked() *growing {
	if r := e.value.Load(); r != nil {
		if body := r.body(); body != nil && body.entered {
			return body
		}
	}
	return nil
}

// putLocked makes a record, or a mark, what the entry has. The pin of the flight
// that brought it ends. It reports whether it is kept.
func (e *entry[V]) putLocked(c *Cache[V], r *record[V], m *mark[V], weight int64) bool {
	return e.replaceLocked(c, r, m, weight, 0)
}

// replaceLocked is putLocked for what takes reserved bytes with it.
func (e *entry[V]) replaceLocked(c *Cache[V], r *record[V], m *mark[V], weight, release int64) bool {
	e.ungrowLocked()
	if r != nil && r.is(mirrored) {
		return e.mirrorLocked(c, r, m, weight, release)
	}
	var left *record[V]
	kept := c.table.Put(e, table.Put{Weight: weight, Release: release, Unpin: e.flight == nil, Publish: func() { left = e.swap(c, r, m) }})
	if !kept { // I10
		c.table.Drop(e, func() { left = e.swap(c, nil, nil) })
	}
	c.removeLater(e.node.Key(), left, Replaced)
	return kept
}

// mirrorLocked is replaceLocked for a mirror: I10 holds for Options.MirrorBytes too.
func (e *entry[V]) mirrorLocked(c *Cache[V], r *record[V], m *mark[V], weight, release int64) bool {
	weight += mirrorBytes
	var left *record[V]
	admitted := c.admitMirror(e, weight)
	kept := admitted && c.table.Put(e, table.Put{Weight: weight, Release: release, Unpin: e.flight == nil, Publish: func() {
		left = e.swap(c, r, m)
		c.mirrors.enter(e, weight)
	}})
	switch {
	case kept:
	case admitted:
		c.mirrors.refuse(weight)
	default:
		c.table.Release(release)
	}
	if !kept {
		e.dropLocked(c, Replaced)
		e.unpinLocked(c)
		return false
	}
	c.removeLater(e.node.Key(), left, Replaced)
	return true
}

// land settles a flight with a value for all, and keeps the value if it may.
func (e *entry[V]) land(c *Cache[V], f *flight[V], r *record[V], weight int64, keep bool) bool {
	defer c.afterwards()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.landLocked(c, f, r, weight, keep)
}

func (e *entry[V]) landLocked(c *Cache[V], f *flight[V], r *record[V], weight int64, keep bool) bool {
	if f.settled {
		return false
	}
	r = f.landing(r)
	unmirrored := false
	switch {
	case f.alone:
		if keep = keep && f.home.retain(c, f, r, weight, 0); !keep {
			c.unmark(f)
		}
	case e.flight != f:
		keep = false
	case keep && e.overtakenLocked(c, r): // by what the owner has, which has gone on to it and the stores
		keep = false
		e.flight = nil
		e.unpinLocked(c)
	case keep && weight <= c.o.MaxValueBytes && e.holdsLocked(c, f, r):
		e.flight = nil
		keep, unmirrored = e.houseLocked(c, f, r, weight)
	default:
		keep = false
		e.flight = nil
		e.dropLocked(c, Replaced)
		e.unpinLocked(c)
	}
	f.settleLocked(result[V]{record: r, kept: keep, unmirrored: unmirrored})
	return true
}

// overtakenLocked reports whether the shelf took in, while a flight was under way,
// a fresh value that began after it, by an invalidation that this process had not
// applied when the flight began (S2).
func (e *entry[V]) overtakenLocked(c *Cache[V], r *record[V]) bool {
	kept := e.value.Load()
	return kept != nil && kept.is(unasked) && kept.revision > r.revision && c.now() < kept.expiry
}

// houseLocked keeps a flight's value, or lets it go with what the entry has
// because it is another process's and has earned no mirror, or does not fit
// among them (M1).
func (e *entry[V]) houseLocked(c *Cache[V], f *flight[V], r *record[V], weight int64) (kept, unmirrored bool) {
	mirror := c.stampMirror(f.key, r)
	if mirror && !f.earned {
		e.dropLocked(c, Replaced)
		e.unpinLocked(c)
	} else {
		kept = e.putLocked(c, r, nil, weight)
	}
	return kept, c.mirrors.passBy(mirror && !kept)
}

// holdsLocked reports whether a flight may write its value into the entry.
func (e *entry[V]) holdsLocked(c *Cache[V], f *flight[V], r *record[V]) bool {
	return e.flight == f && !c.closed.Load() && c.keepable(f.key, r) // I4, I7
}

// header settles a flight with a value whose body is still to come, and says
// whether that is kept.
func (e *entry[V]) header(c *Cache[V], f *flight[V], r *record[V], weight int64, outcome Outcome, tailSize int64) bool {
	defer c.afterwards()
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.headerLocked(c, f, r, weight, outcome, tailSize)
}

func (e *entry[V]) headerLocked(c *Cache[V], f *flight[V], r *record[V], weight int64, outcome Outcome, tailSize int64) bool {
	if f.settled {
		return false
	}
	r = f.landing(r)
	passing := outcome == Pass || outcome == Validate
	keep := outcome == Keep || outcome == Validate
	if f.alone {
		keep = outcome == Validate && f.bond != 0
	} else {
		keep = keep && e.holdsLocked(c, f, r)
	}
	keep = keep && tailSize <= c.o.MaxValueBytes-weight
	unearned := keep && !passing && c.stampMirror(f.key, r) && !f.earned
	unmirrored := c.mirrors.passBy(unearned && f.source() != Loaded) // M1
	keep = keep && !unmirrored && c.table.Reserve(weight)
	expected := f.waiters
	if passing {
		expected = 0
		if f.leader {
			expected = 1
		}
	}
	arrival := c.newArrival(weight, tailSize)
	arrival.finish, arrival.expected = f.refresh || c.o.FinishAbandoned, expected
	arrival.idle = func() { f.base.cancel(errAbandoned) }
	r.more.body = &growing{kept: keep, unearned: unearned, arrival: arrival}
	f.reserved = keep
	if e.flight == f {
		e.dropLocked(c, Replaced)
		e.flight = nil
		switch {
		case passing:
			f.home, f.bond = e, f.id
			e.passedLocked(c, f, nil)
		case keep:
			r.more.body.entered = true
			c.table.Update(e, func() { e.value.Store(r) })
		default:
			e.unpinLocked(c)
		}
	}
	if f.alone && !passing {
		c.unmark(f)
	}
	f.settleLocked(result[V]{record: r, kept: keep && !passing, unmirrored: unmirrored, pass: passing})
	return true
}

// grown ends the body of a value that header gave out.
func (e *entry[V]) grown(c *Cache[V], f *flight[V], weight int64, err error) {
	if f.out.pass {
		f.retained(c, weight, err)
		return
	}
	defer c.afterwards()
	body := f.out.record.body()
	e.mu.Lock()
	defer e.mu.Unlock()
	reserved, whole := body.end(err)
	if !f.out.kept {
		return
	}
	if e.growingLocked() != body {
		c.table.Release(weight)
		return
	}
	if !whole {
		e.dropLocked(c, Released)
		c.table.Release(weight)
		return
	}
	body.entered = false
	body.settled()
	e.wholeLocked(c, f, body, weight+reserved)
}

// wholeLocked counts a value whose body has ended, which is what is reserved for
// it, or lets it go because it may not be a mirror. Then whoever knows of the
// body may still join it (M1).
func (e *entry[V]) wholeLocked(c *Cache[V], f *flight[V], body *growing, reserved int64) {
	weight, publish := reserved, func() {}
	mirror := f.out.record.is(mirrored)
	if mirror {
		weight += mirrorBytes
		publish = func() { c.mirrors.enter(e, weight) }
	}
	if c.mirrors.passBy(mirror && (body.unearned || !c.admitMirror(e, weight))) {
		c.table.Release(reserved)
		e.dropLocked(c, Released)
		e.unpinLocked(c)
		return
	}
	if !c.table.Put(e, table.Put{Weight: weight, Release: reserved, Unpin: e.flight == nil, Publish: publish}) {
		if mirror {
			c.mirrors.refuse(weight)
		}
		e.dropLocked(c, Released)
	}
}

// fail settles a flight with an error and lets the key rest for the pause.
func (e *entry[V]) fail(c *Cache[V], f *flight[V], err error) bool {
	defer c.afterwards()
	now := c.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.settled {
		return false
	}
	m := &mark[V]{failures: 1, weight: c.overhead(f.key) + markBytes}
	if old := e.mark.Load(); old != nil {
		m.failures = old.failures + 1
		m.kept, m.weight, m.bond = old.kept, old.weight, old.bond
	}
	pause := c.pause(err, m.failures)
	m.until = later(now, pause)
	failure := &LoadError{Cache: c.o.Name, Key: f.key, Err: unwrapAdvice(err), RetryAfter: pause}
	m.err = failure
	if e.flight == f {
		e.flight = nil
		switch {
		case pause == 0:
			e.unpinLocked(c)
		case e.value.Load() == nil:
			e.putLocked(c, nil, m, m.weight)
		default:
			c.table.Update(e, func() { e.mark.Store(m) })
			e.unpinLocked(c)
		}
	}
	f.settleLocked(result[V]{err: failure})
	return true
}

// leave takes a caller off a flight's waiters. lasting says that the load is
// to go on even if nobody waits.
func (e *entry[V]) leave(c *Cache[V], f *flight[V], leader, lasting bool) {
	if lease, departure := e.depart(c, f, leader, lasting); lease != nil {
		c.leaveLease(f, lease, departure) // without a lock
	}
}

// depart is leave but for telling the coordinator, whom it names the lease to
// leave, and which departure that is.
func (e *entry[V]) depart(c *Cache[V], f *flight[V], leader, lasting bool) (*heldLease, uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.settled { // too late to be left out of those who share it
		f.forfeit(leader)
		return nil, 0
	}
	f.waiters--
	if leader {
		f.leader = false
	}
	f.lasting = f.lasting || lasting
	if f.waiters > 0 || f.refresh || f.lasting || c.o.FinishAbandoned {
		return nil, 0
	}
	f.departures++
	if lease := f.lease.Load(); lease != nil && !f.lost() {
		return lease, f.departures
	}
	e.abandonLocked(c, f)
	return nil, 0
}

// abandon is the word that nobody waits for a flight anywhere. It counts only if
// nobody here has come since the departure that it answers.
func (e *entry[V]) abandon(c *Cache[V], f *flight[V], departure uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.settled || f.waiters > 0 || f.lasting || f.departures != departure {
		return false
	}
	e.abandonLocked(c, f)
	return true
}

// abandonLocked ends a load that nobody waits for and frees its key, in one
// step (I8).
func (e *entry[V]) abandonLocked(c *Cache[V], f *flight[V]) {
	f.base.cancel(errAbandoned)
	if e.flight == f {
		e.flight = nil
		e.unpinLocked(c)
	}
	c.tell(EventAbandoned, &f.run, f.key, nil)
	f.settleLocked(result[V]{err: errAbandoned})
}

// set writes a value that no load brought.
func (e *entry[V]) set(c *Cache[V], r *record[V], weight int64) (kept, ok bool) {
	defer c.afterwards()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight != nil {
		e.flight = nil // I9; its pin stays until the value is put
		c.n.detached.inc()
	} else if e.growingLocked() == nil && !c.table.Pin(e) {
		return false, false
	}
	kept = c.keepable(e.node.Key(), r) && !c.closed.Load() && weight <= c.o.MaxValueBytes
	if !kept {
		if old := e.value.Load(); old == nil || old.revision <= r.revision { // else a later Set, or load, was faster
			e.dropLocked(c, Replaced)
		}
		e.unpinLocked(c)
		return false, true
	}
	return e.putLocked(c, r, nil, weight), true
}

// expire ends the freshness of a value that began before a revision, now, and of
// one that is being loaded when it lands. It reports whether there is a value.
func (e *entry[V]) expire(c *Cache[V], revision uint64) bool {
	now := c.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.flight; f != nil && f.revision < revision && (f.softened <= f.revision || f.softened > revision) {
		f.softened = revision
	}
	e.unbindLocked(c)
	r := e.currentLocked(c)
	if r == nil || r.revision >= revision {
		return false
	}
	if r.expiry > now {
		e.changeLocked(c, r, r.endingAt(now))
	}
	return true
}

// endingAt is the record with its freshness ended.
func (r *record[V]) endingAt(now int64) *record[V] {
	ended := *r
	ended.expiry = min(r.expiry, now)
	return &ended
}

// invalidate drops what began before a revision: the value, the mark and the
// bond of the flight to the key.
func (e *entry[V]) invalidate(c *Cache[V], revision uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.invalidateLocked(c, revision)
}

// interrupt is the part of invalidate that the rule of revisions does not see to:
// a value that is too old is given to nobody, and may go later.
func (e *entry[V]) interrupt(c *Cache[V], revision uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight != nil || e.mark.Load() != nil {
		e.invalidateLocked(c, revision)
	}
}

func (e *entry[V]) invalidateLocked(c *Cache[V], revision uint64) {
	if f := e.flight; f != nil && f.revision < revision {
		e.detachLocked(c)
	}
	r := e.value.Load()
	if r != nil && r.revision >= revision {
		return
	}
	if r != nil || e.mark.Load() != nil {
		c.tell(EventInvalidated, nil, e.node.Key(), nil)
		e.dropLocked(c, Invalidated)
	}
}

// release drops everything, because the cache closes.
func (e *entry[V]) release(c *Cache[V]) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.value.Load() != nil || e.mark.Load() != nil {
		e.dropLocked(c, Released)
	}
}

// evicted clears what the table has chosen to let go. Called under the table's
// lock and no entry's, which is why value and mark are written under it too.
func (e *entry[V]) evicted(c *Cache[V]) {
	c.removeLater(e.node.Key(), e.swap(c, nil, nil), Evicted)
}

// begin notes the revision at which a flight's loader is called: what was
// invalidated while it waited for its turn does not concern its value.
func (e *entry[V]) begin(c *Cache[V], f *flight[V]) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f.revision = c.rules.applied.Load()
}

// asks is begin for a flight that asks the coordinator. stop ends its Join.
func (e *entry[V]) asks(c *Cache[V], f *flight[V], stop context.CancelCauseFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f.revision, f.asking = c.rules.applied.Load(), stop
}

// answered says that a flight's Join has returned. settled reports whether the
// shelf was faster; then the flight may have a body to read.
func (e *entry[V]) answered(f *flight[V]) (body *arrivingBody[V], settled bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	settled = f.asking == nil
	f.asking = nil
	return f.body, settled
}

// holds gives a flight its lease, unless it has settled.
func (e *entry[V]) holds(f *flight[V], lease *heldLease) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.settled {
		return false
	}
	f.lease.Store(lease)
	return true
}

// adopt gives a flight in progress a value that a store had, too old to be an
// answer but of use for validation and when the load fails. reserved is what its
// body takes.
func (e *entry[V]) adopt(c *Cache[V], f *flight[V], r *record[V], weight, reserved int64) {
	defer c.afterwards()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight != f || f.settled || e.value.Load() != nil || !c.keepable(f.key, r) {
		c.table.Release(reserved)
		return
	}
	c.stampMirror(f.key, r)
	if e.replaceLocked(c, r, nil, weight+reserved, reserved) {
		f.previous = r
	}
}

// refresh starts a flight behind a value that is stale, if nothing speaks
// against it.
func (e *entry[V]) refresh(c *Cache[V], q *query[V]) *flight[V] {
	defer c.afterwards()
	e.mu.Lock()
	defer e.mu.Unlock()
	r, now := e.value.Load(), c.now()
	if r == nil || e.flight != nil || judge(now, r.expiry, c.windowsOf(r), c.draw) != stale {
		return nil
	}
	return e.refreshLocked(c, q, r, now)
}

// settleLocked ends a flight for all who wait (I2, I3).
func (f *flight[V]) settleLocked(out result[V]) {
	invariant.Check(!f.settled, "I2: a flight settles exactly once")
	f.settled = true
	out.waiters = f.waiters
	out.source = f.source()
	out.took = time.Since(f.started)
	f.out = out
	f.c.count(f, &out)
	close(f.done)
}

// forfeit says that a caller who was counted when the flight settled does not
// take what it came to.
func (f *flight[V]) forfeit(leader bool) {
	if r := f.out.record; r != nil && r.body() != nil && (leader || !f.out.pass) {
		r.body().forfeit()
	}
}
