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
	f.e.begin(c, f)
	request := Request{Key: f.key, Revision: f.revision, Fresh: f.fresh, NoStale: f.noStale, Refresh: f.refresh, Wait: c.o.LoadTimeout}
	if f.previous != nil {
		request.Previous = c.describeRecord(f.previous)
	}
	answer, err := c.o.Coordinator.Join(f.ctx, request)
	if err != nil {
		c.failed(f, fmt.Errorf("%w: %w", ErrUnavailable, err))
		return
	}
	switch answer.Kind {
	case AnswerValue, AnswerStale:
		r, weight, err := c.decode(f, answer.Record)
		if err != nil {
			closeBody(answer.Record)
			c.failed(f, err)
			return
		}
		f.from(Remote)
		c.n.remoteHits.inc()
		c.takeIn(f, r, answer.Record, weight)
	case AnswerLease:
		c.hold(f, answer.Lease)
		c.compute(f)
	case AnswerPass:
		c.finish(f, EventPassed, f.e.pass(c, f, nil, 0), 0)
	case AnswerError:
		c.failed(f, RetryAfter(cmp.Or(answer.Err, ErrUnavailable), answer.RetryAfter))
	case AnswerOverloaded:
		c.failed(f, fmt.Errorf("%w: the owner of the key refuses", ErrOverloaded))
	default:
		c.failed(f, ErrUnavailable)
	}
}

// takeIn settles a flight with a value from elsewhere.
func (c *Cache[V]) takeIn(f *flight[V], r *record[V], record *Record, weight int64) {
	keep := record.Outcome == Keep
	if record.Body == nil {
		settled := f.e.land(c, f, r, weight, keep)
		c.finish(f, c.landing(f), settled, weight)
		return
	}
	item := Item[V]{Outcome: record.Outcome, TailSize: max(record.BodySize, 0), Tail: func(_ context.Context, w io.Writer) error {
		defer record.Body.Close()
		_, err := io.Copy(w, record.Body)
		return err
	}}
	if !f.e.header(c, f, r, weight, item.Outcome, item.TailSize) {
		record.Body.Close()
		return
	}
	c.finish(f, EventHeader, true, weight)
	c.tail(f, &item, r, weight)
}

// heldLease is a lease until it is ended, which is done once.
type heldLease struct {
	Lease
	stop context.CancelFunc // ends the heartbeat
}

// hold takes a lease on behalf of a flight and extends it until it is ended.
// While it is held the flight is not cancelled for want of waiters: callers of
// other processes may wait for it.
func (c *Cache[V]) hold(f *flight[V], lease Lease) {
	beating, stop := context.WithCancel(c.ctx)
	f.e.keepGoing(f)
	f.lease.Store(&heldLease{lease, stop})
	c.chores.Go(func() { beat(beating, lease) })
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
	// Its own context: the lease is ended also when the load is cancelled or
	// the cache closes.
	ctx, cancel := context.WithCancel(context.Background())
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, timeout)
	}
	defer cancel()
	defer context.AfterFunc(c.ctx, func() { time.AfterFunc(leaseGrace, cancel) })()
	err := guard("Coordinator", func() error { return end(ctx, lease.Lease) })
	if err != nil {
		c.warn("the coordinator did not take the outcome of a load", f.key, err)
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
	if f.out.record == nil || !f.out.kept {
		record.Outcome = Share
	}
	return lease.Fill(ctx, record)
}

// fillBody is fill for a value whose body still arrives.
func (c *Cache[V]) fillBody(ctx context.Context, f *flight[V], r *record[V], body *Body, lease Lease) error {
	if body == nil {
		return lease.Pass(ctx)
	}
	record, err := c.encode(r)
	if err != nil {
		return errors.Join(err, body.Close(), lease.Fail(ctx, err, 0))
	}
	if !f.out.kept {
		record.Outcome = Share
	}
	record.Body = body
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
