package corral

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
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
//	T5. While the store has not taken one of these, it is neither read nor written.
//	T6. A refresh looks into the store, too: another process may have refreshed
//	    the value. It takes what is fresh, and younger than what is here.

// fromStore answers a flight with a value that an earlier run left. A record
// whose times have passed is kept in the entry for validation and for failures,
// and the flight goes on: then it reports false.
func (c *Cache[V]) fromStore(f *flight[V]) bool {
	if c.deletions.pending() { // T5
		return false
	}
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
		c.validateStored(f, r, record, weight)
		return false
	}
	state := judge(c.now(), r.expiry, c.windowsOf(r), c.draw)
	if f.previous != nil && (state > early || !younger(r, f.previous)) { // T6
		closeBody(record)
		return false
	}
	if state > stale || state == stale && f.noStale {
		c.adoptStored(f, r, record, weight)
		return false
	}
	f.from(Stored)
	c.n.storeHits.inc()
	c.takeIn(f, r, record, weight)
	if state == stale {
		c.refreshStored(f)
	}
	return true
}

// validateStored gives a flight a record that its source may confirm. What its
// body takes is counted until the flight has ended.
func (c *Cache[V]) validateStored(f *flight[V], r *record[V], record *Record, weight int64) {
	if f.previous != nil {
		closeBody(record)
		return
	}
	if reserved, ok := c.readIn(f, r, record, weight); ok {
		f.previous, f.borrowed = r, reserved
	}
}

// adoptStored gives the entry, and its flight, a record that is too old to be an
// answer.
func (c *Cache[V]) adoptStored(f *flight[V], r *record[V], record *Record, weight int64) {
	if reserved, ok := c.readIn(f, r, record, weight); ok {
		f.e.adopt(c, f, r, weight, reserved)
	}
}

// readIn reads the body of a record that is not an answer into memory, in
// StoreTimeout, so that it is of use as one that was always there. It gives the
// bytes that are reserved for it.
func (c *Cache[V]) readIn(f *flight[V], r *record[V], record *Record, weight int64) (reserved int64, ok bool) {
	if record.Body == nil {
		return 0, true
	}
	defer record.Body.Close()
	ctx, cancel := context.WithTimeout(f.ctx, c.o.StoreTimeout)
	defer cancel()
	body := &growing{kept: true, arrival: c.newArrival(weight, max(record.BodySize, 0))}
	body.finish = true
	_, err := io.Copy(bodyWriter{body, ctx}, record.Body)
	reserved, whole := body.end(err)
	if !whole {
		if !errors.Is(err, ErrOverloaded) && !errors.Is(err, errAbandoned) { // there is room for it
			c.storeFailed(f.key, fmt.Errorf("read the body of %q: %w", f.key, cmp.Or(err, io.ErrUnexpectedEOF)))
		}
		return 0, false
	}
	body.settled()
	r.more.body = body
	return reserved, true
}

// refreshStored begins a refresh behind a stale value that the store gave, as a
// hit of it would.
func (c *Cache[V]) refreshStored(f *flight[V]) {
	q := query[V]{ctx: context.Background(), key: f.key, loader: f.loader, entry: f.e}
	if from := f.base.from; from != nil {
		q.ctx = from.caller
	}
	if refresh := f.e.refresh(c, &q); refresh != nil {
		c.launch(refresh)
	}
}

// storeResolution is how much younger a record must be to be another than the
// one that is here: its age has passed through a clock of the store's.
const storeResolution = 100 * time.Millisecond

func younger[V any](a, b *record[V]) bool { return a.born-b.born > int64(storeResolution) }

// keepInStore writes a kept value to the store. The rule of revisions is
// checked before and after the write, and what became invalid between is
// deleted. Writers of one key take turns, and one whose value has been
// replaced leaves the newer one alone.
func (c *Cache[V]) keepInStore(key string, r *record[V]) error {
	if c.o.Store == nil {
		return nil
	}
	if c.deletions.pending() { // T5
		return errStoreBehind
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
	err = c.callStore(ctx, &c.n.storePuts, func(ctx context.Context) error {
		err := c.o.Store.Put(ctx, key, record)
		// Also of one that comes after its time, or says that it failed.
		if !c.rules.untouchedElsewhere(key, r.slots(), r.revision, forever) {
			c.deleteBehind(c.goneNow(key))
		}
		return err
	})
	if err != nil {
		return c.storeFailed(key, err)
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

// goneNow takes what the store has of a key out. Its revision is above that of
// every record there is, for a store that goes by it: a number of the local
// counter's, which then is nobody else's.
func (c *Cache[V]) goneNow(key string) Invalidation {
	gone := Invalidation{Target: Target{Keys: []string{key}}, Forget: true}
	if c.o.Coordinator != nil {
		gone.Revision = c.rules.applied.Load() + 1
	} else {
		gone.Revision = c.rules.apply(Invalidation{}).Revision
	}
	return gone
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
	err := c.callStore(ctx, &c.n.storeGets, func(ctx context.Context) error {
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
		if err == nil {
		}
		return record, err
	default:
		return nil, err
	}
}

// callStore calls the store on a goroutine of its own, so that one that does
// not heed its context holds up nobody.
func (c *Cache[V]) callStore(ctx context.Context, n *storeCalls, call func(context.Context) error) error {
	select {
	case c.storeSeats <- struct{}{}:
	default:
		return overloaded("MaxStoreCalls", c.o.MaxStoreCalls)
	}
	began := time.Now()
	defer func() { n.took(time.Since(began)) }()
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

// storeNewsPause is how often a store that fails is logged.
const storeNewsPause = time.Minute

// storeNews is what was said of the store last, so that an outage is a line in
// the log, not one for each load. Guarded by mu.
type storeNews struct {
	mu       sync.Mutex
	failures int       // since the last line
	said     time.Time // when that was
}

// storeFailed counts and tells a failure, and logs the first and one a minute.
func (c *Cache[V]) storeFailed(key string, err error) error {
	c.n.storeErrors.inc()
	c.tell(EventStoreFailed, nil, key, err)
	n := &c.storeNews
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failures++
	if now := time.Now(); n.said.IsZero() || now.Sub(n.said) >= storeNewsPause {
		c.warn("the store failed: it is done without", key, fmt.Errorf("%w (%d failures since the last line)", err, n.failures))
		n.failures, n.said = 0, now
	}
	return err
}
