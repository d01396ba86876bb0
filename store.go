package corral

import (
	"context"
	"fmt"
	"time"
)

// What a store has is judged by the rule of revisions when it is read, for the
// store may not have been told of an invalidation: it failed, or the process was
// away.
//
//	T1. A record answers only if all that was invalidated since its load began
//	    is known here, and none of it concerns the record.
//	T2. One that began before what is known serves for validation only, and
//	    only if nothing that is known concerns it. It does not cover a load that
//	    fails either: it may be what somebody has invalidated. So does one whose
//	    revision is still to come: a process that is ahead has just written it,
//	    or it has its number from another coordinator.
//	T3. A value is written only while the rule lets it be kept, and is deleted
//	    if that has changed by the time it is written.
//	T4. What an invalidation concerns is deleted behind it, in the order of
//	    revisions; who invalidates waits for that in this process (deletions).

// fromStore answers a flight with a value that an earlier run left. A record
// whose times have passed is kept in the entry for validation and for failures,
// and the flight goes on: then it reports false.
func (c *Cache[V]) fromStore(f *flight[V]) bool {
	record, err := c.getFromStore(f.ctx, f.key)
	if err != nil {
		c.storeFailed(f.key, err)
		return false
	}
	if record == nil {
		f.notInStore = true
		return false
	}
	r, weight, err := c.decode(f.key, f.id, record)
	if err != nil {
		closeBody(record)
		c.storeFailed(f.key, err)
		return false
	}
	known := max(c.known.Load(), c.rules.knownFrom())
	if !c.rules.untouchedElsewhere(f.key, r.slots(), max(r.revision, known), forever) {
		closeBody(record)
		return false
	}
	if r.revision < known || c.o.Coordinator != nil && r.revision > c.rules.applied.Load() { // T2
		closeBody(record)
		if record.Body == nil {
			f.previous = r // its source may confirm it
		}
		return false
	}
	now := c.now()
	state := judge(now, r.expiry, c.windowsOf(r), c.draw)
	if state > stale || state == stale && f.noStale {
		closeBody(record)
		if record.Body == nil {
			f.e.adopt(c, f, r, weight)
		}
		return false
	}
	f.from(Stored)
	c.n.storeHits.inc()
	c.takeIn(f, r, record, weight)
	return true
}

// keepInStore writes a kept value to the store. The rule of revisions is
// checked before and after the write, and what became invalid between is
// deleted. Writers of one key take turns, and one whose value has been
// replaced leaves the newer one alone.
func (c *Cache[V]) keepInStore(key string, r *record[V]) error {
	if c.o.Store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.o.LoadTimeout)
	defer cancel()
	turn := c.storeTurns[c.rules.slot(key)%storeStripes]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return c.storeFailed(key, context.Cause(ctx))
	}
	if !c.newest(key, r) {
		return nil
	}
	record, err := c.encode(r)
	if err != nil {
		return c.storeFailed(key, err)
	}
	if body := r.body(); body != nil {
		reader := body.join(ctx, false)
		if reader == nil {
			return nil
		}
		defer reader.Close()
		record.Body = reader
		record.BodySize, _ = reader.Len()
	}
	if err := c.callStore(ctx, func(ctx context.Context) error { return c.o.Store.Put(ctx, key, record) }); err != nil {
		return c.storeFailed(key, err)
	}
	if !c.rules.untouchedElsewhere(key, r.slots(), r.revision, forever) {
		return c.deleteFromStore(ctx, c.goneNow(key))
	}
	return nil
}

// newest reports whether a value may be written to the store: no invalidation
// concerns it, and no newer value has taken its place.
func (c *Cache[V]) newest(key string, r *record[V]) bool {
	if e := c.table.Get(key); e != nil {
		if now := e.value.Load(); now != nil && now.version() > r.version() {
			return false
		}
	}
	return c.rules.untouchedElsewhere(key, r.slots(), r.revision, forever)
}

// dropFromStore takes an older value of a key out of the store, because a newer
// one is not kept.
func (c *Cache[V]) dropFromStore(key string) error {
	if c.o.Store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.o.LoadTimeout)
	defer cancel()
	return c.deleteFromStore(ctx, c.goneNow(key))
}

// goneNow is an invalidation of one key in the store alone, with a revision
// above that of every record there is: a number of the local counter's, which
// then is nobody else's.
func (c *Cache[V]) goneNow(key string) Invalidation {
	gone := Invalidation{Target: Target{Keys: []string{key}}}
	if c.o.Coordinator != nil {
		gone.Revision = c.rules.applied.Load() + 1
	} else {
		gone.Revision = c.rules.apply(Invalidation{}).Revision
	}
	return gone
}

func (c *Cache[V]) deleteFromStore(ctx context.Context, inv Invalidation) error {
	err := c.callStore(ctx, func(ctx context.Context) error { return c.o.Store.Delete(ctx, inv) })
	if err != nil {
		key := ""
		if len(inv.Keys) > 0 {
			key = inv.Keys[0]
		}
		return c.storeFailed(key, err)
	}
	return nil
}

// getFromStore asks the store, for StoreTimeout. A record that comes later is
// let go.
func (c *Cache[V]) getFromStore(ctx context.Context, key string) (*Record, error) {
	ctx, cancel := context.WithCancelCause(ctx) // lives on with the record's body
	timer := time.AfterFunc(c.o.StoreTimeout, func() {
		cancel(fmt.Errorf("corral: the store has not answered for %v", c.o.StoreTimeout))
	})
	defer timer.Stop()
	var record *Record
	answered := make(chan struct{})
	err := c.callStore(ctx, func(ctx context.Context) error {
		found, err := c.o.Store.Get(ctx, key)
		if ctx.Err() != nil && found != nil {
			closeBody(found)
			return context.Cause(ctx)
		}
		record = found
		close(answered)
		return err
	})
	select {
	case <-answered:
		return record, err
	default:
		return nil, err
	}
}

// callStore calls the store on a goroutine of its own, so that one that does
// not heed its context holds up nobody.
func (c *Cache[V]) callStore(ctx context.Context, call func(context.Context) error) error {
	select {
	case c.storeSeats <- struct{}{}:
	default:
		return overloaded("MaxStoreCalls", c.o.MaxStoreCalls)
	}
	done := make(chan error, 1)
	c.chores.Go(func() {
		defer func() { <-c.storeSeats }()
		done <- guard("Store", func() error { return call(ctx) })
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Cache[V]) storeFailed(key string, err error) error {
	c.n.storeErrors.inc()
	c.tell(EventStoreFailed, nil, key, err)
	c.warn("the store failed", key, err)
	return err
}
