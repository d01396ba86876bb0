package corral

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/corralcache/corral/internal/pace"
)

// launch starts a flight's goroutine.
func (c *Cache[V]) launch(f *flight[V]) {
	c.n.flights.inc()
	if f.refresh {
		c.n.refreshes.inc()
	}
	c.tell(EventLoadStarted, &f.run, f.key, nil)
	if !c.roster.enter(&f.run) {
		f.e.fail(c, f, ErrClosed)
		f.base.cancel(ErrClosed)
		return
	}
	go c.fly(f)
}

// fly carries a flight to its end. Whatever the loader does, the flight
// settles (I2) and the goroutine leaves nothing behind.
func (c *Cache[V]) fly(f *flight[V]) {
	returned := false
	defer func() {
		if !returned {
			c.failed(f, caught(recover()))
		}
		if f.bulk != nil {
			f.bulk.arrive(f, false)
		}
		c.bulkhead.leave(&f.seat)
		f.base.cancel(nil)
		c.table.Release(f.borrowed)
		if c.roster.leave(&f.run) {
			c.n.zombieResults.inc()
			c.tell(EventZombieDropped, &f.run, f.key, nil)
		}
	}()
	if c.o.Trace != nil && f.body == nil {
		f.ctx = c.o.Trace(f.ctx, f.base.from.caller)
	}
	c.carry(f)
	returned = true
}

// caught is the error of a loader that did not return: what recover gave, nil
// for runtime.Goexit.
func caught(value any) error {
	return &PanicError{Value: value, Goexit: value == nil, Stack: debug.Stack()}
}

// carry asks in the designed order: store, coordinator, loader.
func (c *Cache[V]) carry(f *flight[V]) {
	f.phase.Store(inUser)
	if f.body != nil {
		c.tail(f, &f.body.item, f.body.record, f.body.weight)
		return
	}
	if c.o.Store != nil && !f.fresh && !f.alone && c.fromStore(f) {
		return
	}
	if c.o.Coordinator != nil && (!f.alone || f.lapsed) {
		c.fromOwner(f)
		return
	}
	c.compute(f)
}

// compute calls the loader, in its turn, and settles the flight.
func (c *Cache[V]) compute(f *flight[V]) {
	item, err := c.load(f)
	if err == nil {
		// What follows is for the body, the store and the owner. Streams
		// that last would lock others out.
		c.bulkhead.leave(&f.seat)
		err = c.settle(f, item)
	}
	if err != nil {
		c.failed(f, err)
	}
}

// load waits for its turn and calls the loader, again if it fails and retries
// are left.
func (c *Cache[V]) load(f *flight[V]) (Item[V], error) {
	if f.bulk != nil {
		if item, err, done := f.bulk.join(f); done {
			return item, err
		}
	}
	if err := c.turn(f.ctx, &f.run, f); err != nil {
		return Item[V]{}, err
	}
	if c.o.Retries > 0 {
		c.budget.load()
	}
	for attempt := 1; ; attempt++ {
		if f.revision != c.rules.applied.Load() { // only this goroutine writes it
			f.e.begin(c, f)
		}
		c.n.loads.inc()
		f.phase.Store(inUser)
		item, err := f.call()
		if err == nil || attempt > c.o.Retries || !c.mayRetry(f, err) {
			return item, err
		}
		c.n.retries.inc()
		c.tell(EventRetried, &f.run, f.key, err)
		delay := pauseAfter(attempt, c.o.RetryDelay, c.o.LoadTimeout, 0.5, c.draw())
		f.phase.Store(inQueue)
		if sleep(f.ctx, delay) != nil {
			return item, err
		}
	}
}

func (f *flight[V]) call() (Item[V], error) {
	if f.previous == nil {
		return f.loader.Load(f.ctx, f.key, nil)
	}
	prev := f.c.item(f.previous)
	if body := f.previous.body(); body != nil {
		if prev.Body = body.join(f.ctx, false); prev.Body == nil {
			return f.loader.Load(f.ctx, f.key, nil)
		}
		defer prev.Body.Close()
	}
	return f.loader.Load(f.ctx, f.key, &prev)
}

// mayRetry reports whether a failure may be tried again within this flight.
func (c *Cache[V]) mayRetry(f *flight[V], err error) bool {
	var never *noRetry
	var later *retryAfter
	switch {
	case f.ctx.Err() != nil, errors.As(err, &never), errors.As(err, &later),
		errors.Is(err, ErrNotFound), errors.Is(err, ErrCycle), errors.Is(err, ErrOverloaded):
		return false
	}
	return c.budget.retry()
}

// turn waits for the rate and for a seat.
func (c *Cache[V]) turn(ctx context.Context, r *run, f *flight[V]) error {
	if f != nil && f.seated {
		return nil
	}
	if f != nil {
		f.phase.Store(inQueue)
	}
	if c.o.LoadsPerSecond > 0 {
		err := c.rate.Wait(ctx, time.Until(r.started.Add(c.o.LoadTimeout)))
		if errors.Is(err, pace.ErrTooLong) {
			return c.refuse(r.key, "LoadsPerSecond", c.o.LoadsPerSecond)
		}
		if err != nil {
			return err
		}
	}
	return c.bulkhead.wait(ctx, &r.seat)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle gives out what the loader returned. An error means that the flight
// has not settled yet.
func (c *Cache[V]) settle(f *flight[V], item Item[V]) error {
	r, weight, err := c.record(f, &item)
	if err != nil {
		f.base.cancel(err)
		item.refuse(f.ctx)
		return err
	}
	passing := item.Outcome == Pass || item.Outcome == Validate
	if passing && item.PassTTL != 0 {
		f.passTTL = max(item.PassTTL, 0)
	}
	if item.Tail != nil {
		c.stream(f, &item, r, weight)
		return nil
	}
	if passing {
		c.finish(f, EventPassed, f.e.pass(c, f, r, weight), weight)
		c.endLease(f, c.o.LoadTimeout, func(ctx context.Context, lease Lease) error { return lease.Pass(ctx) })
		c.forgetStored(f)
		return nil
	}
	if !f.e.land(c, f, r, weight, item.Outcome != Share && !f.lost()) {
		return nil
	}
	r = f.out.record // with the times that it landed with
	c.finish(f, c.landing(f), true, weight)
	c.endLease(f, c.o.LoadTimeout, func(ctx context.Context, lease Lease) error {
		if body := r.body(); body != nil { // that of the value which was confirmed
			return c.fillBody(ctx, f, r, body.join(f.ctx, false), lease)
		}
		return c.fill(ctx, f, r, lease)
	})
	if f.out.kept || f.out.unmirrored {
		c.keepInStore(f.key, r)
	} else {
		c.forgetStored(f)
	}
	return nil
}

// forgetStored takes what the store has of a key out, after a load whose
// outcome is not kept: it is older.
func (c *Cache[V]) forgetStored(f *flight[V]) {
	if c.o.Store != nil && !f.alone && !f.notInStore {
		c.deleteBehind(c.goneNow(f.key))
	}
}

// landing names the event for what became of a value.
func (c *Cache[V]) landing(f *flight[V]) EventKind {
	switch {
	case !f.out.kept:
		return EventShared
	case f.previous != nil:
		return EventRefreshed
	}
	return EventLanded
}

// count files how a flight ended, before anybody who waited for it can look.
func (c *Cache[V]) count(f *flight[V], out *result[V]) {
	n := &c.n
	n.took(out.took)
	switch {
	case out.err == errAbandoned:
		n.abandoned.inc()
	case out.err != nil:
		n.failures.inc()
		if errors.Is(out.err, ErrLoadTimeout) {
			n.timeouts.inc()
		}
		if errors.Is(out.err, ErrPanic) {
			n.panics.inc()
		}
	case out.pass:
		n.passes.inc()
	case !out.kept && !out.unmirrored:
		n.shares.inc()
	}
	if f.notModified.Load() && out.err == nil {
		n.notModified.inc()
	}
}

// finish tells how a flight ended, unless it had ended before.
func (c *Cache[V]) finish(f *flight[V], kind EventKind, settled bool, size int64) {
	c.roster.settled(&f.run)
	if !settled {
		return
	}
	if c.events.listening() {
		c.events.emit(Event{Kind: kind, Cache: c.o.Name, Key: f.key, Time: time.Now(), Flight: f.id,
			Source: f.source(), Took: f.out.took, Waiters: f.out.waiters, Size: size, Err: f.out.err})
	}
}

// failed settles a flight with an error, unless it has settled before.
func (c *Cache[V]) failed(f *flight[V], err error) {
	c.restMarked(f, err)
	settled := f.e.fail(c, f, err)
	if settled {
		c.warn("a load failed", f.key, err)
	}
	c.finish(f, EventFailed, settled, 0)
	c.bulkhead.leave(&f.seat)
	c.failLease(f, err)
}

// restMarked lets a key rest of which a load for one caller has learned for how
// long its source wants to be left alone. It does so before the load settles.
func (c *Cache[V]) restMarked(f *flight[V], err error) {
	var advice *retryAfter
	if !f.alone || f.lapsed || !errors.As(err, &advice) {
		return
	}
	if e := c.table.Get(f.key); e != nil {
		e.rest(c, &LoadError{Cache: c.o.Name, Key: f.key, Err: unwrapAdvice(err), RetryAfter: advice.pause}, advice.pause)
	}
}

// expire is the deadline: it frees the key, whatever the loader does.
func (f *flight[V]) expire() {
	c := f.c
	err := ErrLoadTimeout
	user := f.phase.Load() == inUser
	if !user && (f.bulk == nil || f.bulk.phase.Load() == inQueue) {
		err = overloaded("MaxLoads", c.o.MaxLoads)
	}
	if user {
		c.roster.bury(&f.run) // before anybody who waited can begin another
	}
	if f.e.fail(c, f, err) {
		c.finish(f, EventTimedOut, true, 0)
		c.warn("a load timed out", f.key, err)
	}
	f.base.cancel(err)
	if f.lease.Load() != nil {
		c.chores.Go(func() { c.failLease(f, err) }) // the owner may be slow to take it
	}
}

// end settles a flight because the cache closes.
func (f *flight[V]) end(err error) {
	c := f.c
	c.finish(f, EventFailed, f.e.fail(c, f, err), 0)
	f.base.cancel(err)
	if f.lease.Load() != nil {
		c.chores.Go(func() { c.failLease(f, err) })
	}
}

// pause is how long a key rests after a failure. What Corral itself refused
// says nothing about the key.
func (c *Cache[V]) pause(err error, failures int) time.Duration {
	var advice *retryAfter
	switch {
	case errors.As(err, &advice):
		return max(advice.pause, 0)
	case errors.Is(err, ErrOverloaded), errors.Is(err, ErrUnavailable), errors.Is(err, ErrClosed),
		errors.Is(err, ErrCycle), errors.Is(err, errAbandoned):
		return 0
	}
	return pauseAfter(failures, c.o.ErrorPause, c.o.MaxErrorPause, c.o.Jitter, c.draw())
}

// unwrapAdvice takes RetryAfter and NoRetry off an error: they were for us.
func unwrapAdvice(err error) error {
	for {
		switch wrapped := err.(type) {
		case *retryAfter:
			err = wrapped.error
		case *noRetry:
			err = wrapped.error
		default:
			return err
		}
	}
}

// record makes of a loader's item what the cache keeps, and says how much it
// weighs.
func (c *Cache[V]) record(f *flight[V], item *Item[V]) (*record[V], int64, error) {
	if len(item.Tags) > c.o.MaxTags {
		return nil, 0, fmt.Errorf("corral: the loader gave %d tags, MaxTags is %d: give fewer, or raise it", len(item.Tags), c.o.MaxTags)
	}
	if item.Outcome > NotModified {
		return nil, 0, fmt.Errorf("corral: the loader gave outcome %d: use Keep, Share, Pass, Validate or NotModified", item.Outcome)
	}
	if item.Outcome == NotModified {
		f.notModified.Store(true)
		if f.previous == nil {
			return nil, 0, errors.New("corral: the loader answered NotModified, but prev was nil: answer with the value")
		}
		if f.previous.forValidation() {
			item.Outcome = Validate
		}
		item.Value = f.previous.value
		if body := f.previous.body(); body != nil {
			item.Body = &Body{of: body}
		}
	}
	size := item.Size
	if size <= 0 && item.Outcome != Pass {
		var err error
		if size, err = c.sizeOf(item.Value); err != nil {
			return nil, 0, err
		}
	}
	r := c.describe(item, time.Since(f.started))
	r.revision, r.stamp = f.revision, stamp(f.id)
	weight := c.overhead(f.key) + size
	if item.Outcome == Validate {
		weight += markBytes
	}
	if item.Tail != nil || item.Body != nil {
		weight += bodyBytes
	}
	if r.more != nil {
		weight += r.more.bytes()
		if body := r.more.body; body != nil {
			n, whole := body.bytes()
			if !whole {
				return nil, 0, errors.New("corral: the loader returned the Body of prev, which is not whole")
			}
			weight += n
		}
	}
	return r, weight, nil
}

// describe gives an item its times.
func (c *Cache[V]) describe(item *Item[V], cost time.Duration) *record[V] {
	now := c.now()
	ttl := lifetime(item.TTL, c.o.TTL, override(item.Jitter, c.o.Jitter), c.draw())
	r := &record[V]{value: item.Value, born: now, expiry: later(now, ttl)}
	w := windows{
		staleFor:      override(item.StaleFor, c.o.StaleFor),
		staleOnError:  override(item.StaleOnError, c.o.StaleOnError),
		staleOnOutage: override(cmp.Or(item.StaleOnOutage, item.StaleOnError), c.o.StaleOnOutage),
		beta:          override(item.EarlyRefresh, c.o.EarlyRefresh),
	}
	if c.plainly(w, item.Tags, item.Validator) && item.Body == nil && item.Tail == nil && (item.Outcome == Keep || item.Outcome == NotModified) {
		return r
	}
	w.cost = cost
	r.more = &more{windows: w, outcome: item.Outcome, tags: item.Tags, slots: c.rules.slots(item.Tags), validator: item.Validator}
	if item.Outcome == NotModified {
		r.more.outcome = Keep
	}
	if item.Body != nil {
		r.more.body = item.Body.of
	}
	return r
}

func (c *Cache[V]) sizeOf(value V) (size int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("corral: Options.Size panicked: %v: it must take every value", p)
		}
	}()
	if size = c.o.Size(value); size < 0 {
		return 0, fmt.Errorf("corral: Options.Size gave %d: it must be 0 or more", size)
	}
	return size, nil
}

// draw is a number in (0, 1].
func randomDraw() float64 { return 1 - rand.Float64() }
