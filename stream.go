package corral

import (
	"context"
	"fmt"
	"time"
)

// stream gives out a value at header time and then runs its tail.
func (c *Cache[V]) stream(f *flight[V], item *Item[V], r *record[V], weight int64) {
	outcome := item.Outcome
	if outcome == NotModified || outcome == Keep && (f.lost() || f.alone) {
		outcome = Share
	}
	if !f.e.header(c, f, r, weight, outcome, item.TailSize) {
		item.refuse(f.ctx)
		return
	}
	c.finish(f, EventHeader, true, weight)
	passing := outcome == Pass || outcome == Validate
	if passing {
		c.endLease(f, c.o.LoadTimeout, func(ctx context.Context, lease Lease) error { return lease.Pass(ctx) })
	}
	if !f.out.kept {
		c.forgetStored(f)
	}
	if f.lease.Load() != nil {
		filled := c.fillBehind(f, r)
		defer func() { <-filled }()
	}
	c.tail(f, item, r, weight)
}

// newArrival is that of a body beside a value of a weight, by the cache's bounds.
func (c *Cache[V]) newArrival(weight, want int64) *arrival {
	return &arrival{
		ledger: c.table, limit: c.o.MaxBytes, largest: c.o.MaxValueBytes - weight, stall: c.o.TailTimeout,
		want: want, readers: map[*Body]struct{}{},
	}
}

// tail runs an item's Tail and ends the body with what it came to. A tail that
// panics breaks its body and nothing else.
func (c *Cache[V]) tail(f *flight[V], item *Item[V], r *record[V], weight int64) {
	var err error
	returned := false
	idle := time.AfterFunc(c.o.TailTimeout, func() { f.base.cancel(fmt.Errorf("%w: nothing arrived for %v", ErrLoadTimeout, c.o.TailTimeout)) })
	defer func() {
		if !returned {
			err = caught(recover())
		}
		idle.Stop()
		f.e.grown(c, f, weight, err)
		switch {
		case err != nil:
			c.warn("a body broke off", f.key, err)
			c.tell(EventFailed, &f.run, f.key, err)
		case f.out.kept:
			c.tell(EventLanded, &f.run, f.key, nil)
			if f.source() == Loaded { // who has computed it writes it
				c.keepInStore(f.key, f.out.record)
			}
		}
	}()
	err = item.Tail(f.ctx, &tailWriter{bodyWriter{r.body(), f.ctx}, idle, c.o.TailTimeout, c.afterwards})
	if cause := context.Cause(f.ctx); err != nil && cause != nil {
		err = cause
	}
	returned = true
}

// tailWriter is a body's writer with a watch on the source.
type tailWriter struct {
	bodyWriter
	idle    *time.Timer
	timeout time.Duration
	after   func()
}

func (w *tailWriter) Write(p []byte) (int, error) {
	w.idle.Stop()
	defer w.idle.Reset(w.timeout)
	defer w.after()
	return w.bodyWriter.Write(p)
}

// refuse calls a tail whose body nobody is going to read, so that it can close
// what it has open.
func (it *Item[V]) refuse(ctx context.Context) {
	if it.Tail != nil {
		it.Tail(ctx, refusingWriter{context.Cause(ctx)})
	}
}

// refusingWriter is what the tail of a load gets that nobody wants any more.
type refusingWriter struct{ err error }

func (w refusingWriter) Write([]byte) (int, error) {
	if w.err == nil {
		return 0, errAbandoned
	}
	return 0, w.err
}
