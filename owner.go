package corral

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// heartbeat is how often a lease is extended while its holder computes.
const heartbeat = time.Second

// leaseGrace is how long a lease may take to be ended once the cache closes.
const leaseGrace = closeGrace / 2

// fromOwner asks the coordinator for the value or for the right to compute it.
func (c *Cache[V]) fromOwner(f *flight[V]) {
	ctx, stop := context.WithCancelCause(f.ctx)
	defer stop(nil)
	f.e.asks(c, f, stop)
	answer, err := c.o.Coordinator.Join(ctx, c.request(f))
	if body, settled := f.e.answered(f); settled {
		c.decline(f, answer)
		if body != nil {
			c.tail(f, &body.item, body.record, body.weight)
		}
		return
	}
	if err != nil {
		c.failed(f, fmt.Errorf("%w: %w", ErrUnavailable, err))
		return
	}
	switch answer.Kind {
	case AnswerValue, AnswerStale:
		r, weight, err := c.decode(f.key, f.id, answer.Record)
		if err != nil {
			closeBody(answer.Record)
			c.failed(f, err)
			return
		}
		f.from(Remote)
		c.n.remoteHits.inc()
		c.takeIn(f, r, answer.Record, weight)
	case AnswerLease:
		c.computeLeased(f, answer)
	case AnswerPass:
		if f.lapsed { // it may not be granted the right to compute
			c.failed(f, ErrUnavailable)
			return
		}
		c.finish(f, EventPassed, f.e.pass(c, f, nil, 0), 0)
	case AnswerError:
		c.failed(f, RetryAfter(cmp.Or(answer.Err, ErrUnavailable), answer.RetryAfter))
	case AnswerOverloaded:
		c.failed(f, fmt.Errorf("%w: the owner of the key refuses", ErrOverloaded))
	default:
		c.failed(f, ErrUnavailable)
	}
}

// request is what a flight asks the coordinator for.
func (c *Cache[V]) request(f *flight[V]) Request {
	request := Request{
		Key: f.key, Revision: f.revision, Fresh: f.fresh, NoStale: f.noStale, Refresh: f.refresh, Wait: c.o.LoadTimeout,
		Lapsed: f.lapsed, Behind: func() []Lease { return waiting.behind(&f.run) },
	}
	if f.previous != nil {
		request.Previous = c.describeRecord(f.previous)
	}
	return request
}

// decline gives back what an answer that nobody needs any more holds.
func (c *Cache[V]) decline(f *flight[V], answer Answer) {
	closeBody(answer.Record)
	if answer.Lease == nil {
		return
	}
	c.tellOwner(f.key, c.o.LoadTimeout, answer.Lease.Abandon)
}

// computeLeased computes under a lease that the coordinator has granted.
func (c *Cache[V]) computeLeased(f *flight[V], answer Answer) {
	switch {
	case f.lapsed:
		c.decline(f, answer)
		c.failed(f, ErrUnavailable)
	case !c.hold(f, answer.Lease):
		c.decline(f, answer)
	default:
		c.lend(f, answer.Record)
		c.compute(f)
	}
}

// lend gives a load what the owner has to be validated, unless it has something.
func (c *Cache[V]) lend(f *flight[V], record *Record) {
	if record == nil {
		return
	}
	if record.Body != nil || f.previous != nil {
		closeBody(record)
		return
	}
	r, weight, err := c.decode(f.key, f.id, record)
	if err != nil {
		c.warn("what the owner has to be validated cannot be read", f.key, err)
		return
	}
	if !c.keepable(f.key, r) {
		return
	}
	f.e.adopt(c, f, r, weight, 0) // for when the load fails
	f.previous = r
}

// takeIn settles a flight with a value from elsewhere.
func (c *Cache[V]) takeIn(f *flight[V], r *record[V], record *Record, weight int64) {
	if record.Body == nil {
		settled := f.e.land(c, f, r, weight, record.Outcome == Keep && !f.lapsed)
		c.finish(f, c.landing(f), settled, weight)
		return
	}
	item := arrivingItem[V](record)
	if !f.e.header(c, f, r, weight, item.Outcome, item.TailSize) {
		record.Body.Close()
		return
	}
	c.finish(f, EventHeader, true, weight)
	c.tail(f, &item, r, weight)
}

// arrivingItem is an item whose tail reads a record's body.
func arrivingItem[V any](record *Record) Item[V] {
	return Item[V]{Outcome: record.Outcome, TailSize: max(record.BodySize, 0), Tail: func(_ context.Context, w io.Writer) error {
		defer record.Body.Close()
		_, err := io.Copy(w, record.Body)
		return err
	}}
}

// heldLease is a lease until it is ended, which is done once.
type heldLease struct {
	Lease
	stop context.CancelFunc // ends the heartbeat
}

// hold takes a lease on behalf of a flight and extends it until it is ended. It
// reports false for a flight that has settled meanwhile. While the lease is held
// the flight is not cancelled for want of waiters here, but when the coordinator
// says that nobody waits elsewhere either (I8).
func (c *Cache[V]) hold(f *flight[V], lease Lease) bool {
	beating, stop := context.WithCancel(c.ctx)
	if !f.e.holds(f, &heldLease{lease, stop}) {
		stop()
		return false
	}
	c.chores.Go(func() { beat(beating, lease) })
	return true
}

// leaveLease tells the coordinator that the last caller of this process has
// left a flight that holds a lease.
func (c *Cache[V]) leaveLease(f *flight[V], lease *heldLease, departure uint64) {
	err := guard("Coordinator", func() error {
		lease.Leave(func() { c.unwanted(f, departure) })
		return nil
	})
	if err != nil {
		c.warn("the coordinator was not told that nobody waits", f.key, err)
	}
}

// unwanted ends a flight that nobody waits for anywhere, unless somebody here
// has come since the departure. It may be called under the coordinator's locks.
func (c *Cache[V]) unwanted(f *flight[V], departure uint64) {
	if f.e.abandon(c, f, departure) {
		c.chores.Go(func() { c.failLease(f, errAbandoned) })
	}
}

// beat extends a lease until ctx ends or the lease is lost.
func beat(ctx context.Context, lease Lease) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-lease.Lost():
			return
		case <-ticker.C:
			guard("Coordinator", func() error { return lease.Extend(ctx) }) // an error shows as Lost
		}
	}
}

// lost reports whether a flight's lease is void.
func (f *flight[V]) lost() bool {
	lease := f.lease.Load()
	if lease == nil {
		return false
	}
	select {
	case <-lease.Lost():
		return true
	default:
		return false
	}
}

// endLease ends a flight's lease, if it has one that has not been ended. A
// timeout of zero is none.
func (c *Cache[V]) endLease(f *flight[V], timeout time.Duration, end func(context.Context, Lease) error) {
	lease := f.lease.Swap(nil)
	if lease == nil {
		return
	}
	defer lease.stop()
	c.tellOwner(f.key, timeout, func(ctx context.Context) error { return end(ctx, lease.Lease) })
}

// tellOwner ends a lease. Its context is its own: the lease is ended also when
// the load is cancelled or the cache closes.
func (c *Cache[V]) tellOwner(key string, timeout time.Duration, end func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	defer context.AfterFunc(c.ctx, func() { time.AfterFunc(leaseGrace, cancel) })()
	if err := guard("Coordinator", func() error { return end(ctx) }); err != nil {
		c.warn("the coordinator did not take the outcome of a load", key, err)
	}
}

// failLease ends a flight's lease after a failure. What is this process's own
// business leaves the key to another.
func (c *Cache[V]) failLease(f *flight[V], err error) {
	c.endLease(f, c.o.LoadTimeout, func(ctx context.Context, lease Lease) error {
		if errors.Is(err, ErrClosed) || errors.Is(err, ErrOverloaded) || errors.Is(err, errAbandoned) {
			return lease.Abandon(ctx)
		}
		var failure *LoadError
		if errors.As(f.out.err, &failure) {
			return lease.Fail(ctx, failure.Err, failure.RetryAfter)
		}
		return lease.Fail(ctx, err, 0)
	})
}

// guard turns a panic of a port into an error.
func guard(port string, call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("corral: Options.%s panicked: %w", port, caught(p))
		}
	}()
	return call()
}

// fill gives the owner what was computed under its lease.
func (c *Cache[V]) fill(ctx context.Context, f *flight[V], r *record[V], lease Lease) error {
	record, err := c.encode(r)
	if err != nil {
		return errors.Join(err, lease.Fail(ctx, err, 0))
	}
	if f.out.record == nil || !f.out.kept && !f.out.unmirrored {
		record.Outcome = Share
	}
	return lease.Fill(ctx, record)
}

// fillBody is fill for a value with a body, which may still arrive.
func (c *Cache[V]) fillBody(ctx context.Context, f *flight[V], r *record[V], body *Body, lease Lease) error {
	if body == nil { // it is not kept, and its readers here are all there are: each process has its own
		return lease.Abandon(ctx)
	}
	record, err := c.encode(r)
	if err != nil {
		return errors.Join(err, body.Close(), lease.Fail(ctx, err, 0))
	}
	if !f.out.kept && !f.out.unmirrored {
		record.Outcome = Share
	}
	record.Body, record.BodySize = body, body.of.length()
	return lease.Fill(ctx, record)
}

// fillBehind gives the owner a value whose body still arrives, while it does.
// The channel is closed when the owner has taken it.
func (c *Cache[V]) fillBehind(f *flight[V], r *record[V]) <-chan struct{} {
	body := r.body().join(f.ctx, false)
	filled := make(chan struct{})
	c.chores.Go(func() {
		defer close(filled)
		// No timeout: it takes as long as the body does, which TailTimeout ends.
		c.endLease(f, 0, func(ctx context.Context, lease Lease) error { return c.fillBody(ctx, f, r, body, lease) })
	})
	return filled
}
