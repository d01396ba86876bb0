package corral

import (
	"context"
	"errors"
	"iter"
	"time"
)

// errSettled ends the Join of a flight that the shelf has settled.
var errSettled = errors.New("corral: the value has come by itself")

// shelf is what a Keeper sees of a cache.
//
//	S1. What Peek gives is true up to the record's Revision: covered is read
//	    before the value, and by then no entry has a value that an invalidation
//	    up to it concerns.
//	S2. Keep puts nothing in the place of what is newer, and settles a flight
//	    only while that is in its Join: then its Join's answer is not looked at.
//	S3. Nothing here calls the Keeper, a Lease or OnRemove, or waits.
type shelf[V any] struct{ c *Cache[V] }

func (s shelf[V]) Applied() uint64 { return s.c.covered.Load() }

func (s shelf[V]) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		for e := range s.c.table.All() {
			if e.value.Load() != nil && !yield(e.node.Key()) {
				return
			}
		}
	}
}

func (s shelf[V]) Untouched(key string, tags []string, v, u uint64) bool {
	return s.c.rules.untouchedElsewhere(key, s.c.rules.slots(tags), v, u)
}

func (s shelf[V]) Peek(ctx context.Context, request Request) *Record {
	c := s.c
	covered := c.covered.Load() // S1
	if request.Fresh || request.Revision > covered {
		return nil
	}
	e := c.table.Get(request.Key)
	if e == nil {
		return nil
	}
	r := e.value.Load()
	if r == nil || !c.rules.untouched(r.slots(), r.revision, forever) {
		return nil
	}
	r = c.softened(r)
	if !c.suits(r, &request) {
		return nil
	}
	record := c.toRecord(ctx, request.Key, r)
	if record != nil {
		record.Revision = max(record.Revision, covered)
		e.node.Touch()
	}
	return record
}

// suits reports whether a value answers a request. Of a refresh only a newer
// one than it has does.
func (c *Cache[V]) suits(r *record[V], request *Request) bool {
	now := c.now()
	if request.Refresh {
		return now < r.expiry && request.Previous != nil && time.Duration(now-r.born) < request.Previous.Age
	}
	return now < r.expiry || !request.NoStale && now < later(r.expiry, c.windowsOf(r).staleFor)
}

// toRecord is a value for elsewhere with its body, nil if that cannot be joined.
func (c *Cache[V]) toRecord(ctx context.Context, key string, r *record[V]) *Record {
	record, err := c.encode(r)
	if err != nil {
		c.warn("a value cannot be given to another process", key, err)
		return nil
	}
	if body := r.body(); body != nil {
		reader := body.join(ctx, false)
		if reader == nil {
			return nil
		}
		record.Body, record.BodySize = reader, body.length()
	}
	return record
}

func (s shelf[V]) Keep(key string, record *Record) error {
	c := s.c
	k, err := c.keepsake(key, record)
	if err != nil {
		closeBody(record)
		return err
	}
	for {
		e, _ := c.table.GetOrAdd(key, func() *entry[V] { return new(entry[V]) })
		if f, begun, ok := e.keep(c, k); ok {
			c.keptIn(f, begun, k)
			return nil
		}
	}
}

// keepsake is a record that the shelf takes in.
type keepsake[V any] struct {
	key    string
	value  *record[V]
	weight int64
	from   *Record
}

// arrivingBody is what a flight is to read that the shelf has settled.
type arrivingBody[V any] struct {
	item   Item[V]
	record *record[V]
	weight int64
}

func (c *Cache[V]) keepsake(key string, record *Record) (*keepsake[V], error) {
	if err := c.checkKey(key); err != nil {
		return nil, err
	}
	if c.closed.Load() {
		return nil, ErrClosed
	}
	r, weight, err := c.decode(key, c.lastFlight.Add(1), record)
	if err != nil {
		return nil, err
	}
	if record.Body != nil {
		weight += bodyBytes
	}
	r.stamp |= unasked
	return &keepsake[V]{key, r, weight, record}, nil
}

// keep takes a record in. f is the flight that it has settled, if it has, and
// begun says that it was begun for that; ok is false when the entry has left the
// table.
func (e *entry[V]) keep(c *Cache[V], k *keepsake[V]) (f *flight[V], begun, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.flight == nil && e.growingLocked() == nil && !c.table.Pin(e) { // I5
		return nil, false, false
	}
	f = e.flight
	switch {
	case f != nil && f.awaits(c, k):
		e.settleWithLocked(c, f, k)
		return f, false, true
	case !e.wantsLocked(c, k):
	case k.from.Body == nil:
		e.putLocked(c, k.value, nil, k.weight)
		return nil, false, true
	case f == nil:
		f = c.makeFlight(&query[V]{ctx: c.ctx, key: k.key}, e, nil)
		f.refresh = true // nobody waits
		e.flight = f
		e.settleWithLocked(c, f, k)
		return f, true, true
	}
	e.unpinLocked(c)
	return nil, false, true
}

// awaits reports whether a record answers a flight that is in its Join (S2).
func (f *flight[V]) awaits(c *Cache[V], k *keepsake[V]) bool {
	r, now := k.value, c.now()
	switch {
	case f.asking == nil, f.fresh, f.noStale && now >= r.expiry, now >= later(r.expiry, c.windowsOf(r).staleFor):
		return false
	case f.refresh && f.previous != nil && r.born <= f.previous.born:
		return false
	}
	return c.answers(k.key, r, f.revision)
}

// wantsLocked reports whether the entry is to have a record that no flight of it
// awaits (S2).
func (e *entry[V]) wantsLocked(c *Cache[V], k *keepsake[V]) bool {
	r := k.value
	switch f := e.flight; {
	case k.from.Outcome != Keep, k.weight > c.o.MaxValueBytes, c.closed.Load(), !c.keepable(k.key, r): // I7
		return false
	case f != nil && f.revision > r.revision:
		return false
	}
	old := e.value.Load()
	if old == nil || !c.rules.untouched(old.slots(), old.revision, forever) {
		return true
	}
	body := old.body()
	return old.born < r.born || body != nil && !body.joinable()
}

// settleWithLocked settles a flight with a record. What reads its body is the
// flight's own goroutine.
func (e *entry[V]) settleWithLocked(c *Cache[V], f *flight[V], k *keepsake[V]) {
	if f.asking != nil {
		f.asking(errSettled)
		f.asking = nil
	}
	f.from(Remote)
	if k.from.Body == nil {
		e.landLocked(c, f, k.value, k.weight, k.from.Outcome == Keep)
		return
	}
	f.body = &arrivingBody[V]{arrivingItem[V](k.from), k.value, k.weight}
	e.headerLocked(c, f, k.value, k.weight, k.from.Outcome, f.body.item.TailSize)
}

// keptIn is what follows keep without the entry's lock. begun says that f came
// into being for the record's body.
func (c *Cache[V]) keptIn(f *flight[V], begun bool, k *keepsake[V]) {
	switch {
	case f == nil:
		closeBody(k.from)
	case begun:
		c.readBody(f, k)
	default:
		c.n.remoteHits.inc()
		kind := EventHeader
		if k.from.Body == nil {
			kind = c.landing(f)
		}
		c.finish(f, kind, true, k.weight)
	}
	if c.removed.some.Load() {
		c.chores.Go(c.afterwards) // S3
	}
}

// readBody reads a record's body behind Keep, if it is kept.
func (c *Cache[V]) readBody(f *flight[V], k *keepsake[V]) {
	if !f.out.kept {
		closeBody(k.from)
		return
	}
	if !c.roster.enter(&f.run) {
		closeBody(k.from)
		c.chores.Go(func() { f.e.grown(c, f, k.weight, ErrClosed) })
		return
	}
	c.finish(f, EventHeader, true, k.weight)
	go c.fly(f)
}
