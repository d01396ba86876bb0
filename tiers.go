package corral

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// fromStore answers a flight with a value that an earlier run left. A record
// that is too old to be an answer is kept in the entry for validation and for
// failures, and the flight goes on: then it reports false.
func (c *Cache[V]) fromStore(f *flight[V]) bool {
	record, err := c.o.Store.Get(f.ctx, f.key)
	if err != nil {
		c.storeFailed(f.key, err)
		return false
	}
	if record == nil {
		return false
	}
	r, weight, err := c.decode(f, record)
	if err != nil {
		closeBody(record)
		c.storeFailed(f.key, err)
		return false
	}
	if !c.keepable(f.key, r) {
		closeBody(record)
		return false
	}
	now := c.now()
	if state := judge(now, r.expiry, r.more.windows, c.draw); state != fresh && state != early && state != stale {
		closeBody(record)
		if record.Body == nil {
			f.e.adopt(c, f, r, weight)
		}
		return false
	}
	f.source = Stored
	c.n.storeHits.inc()
	c.takeIn(f, r, record, weight)
	return true
}

// takeIn settles a flight with a value from elsewhere.
func (c *Cache[V]) takeIn(f *flight[V], r *record[V], record *Record, weight int64) {
	keep := record.Outcome == Keep
	if record.Body == nil {
		settled := f.e.land(c, f, r, weight, keep)
		c.finish(f, c.landing(f, record.Outcome), settled, weight)
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

// fromOwner asks the coordinator for the value or for the right to compute it.
func (c *Cache[V]) fromOwner(f *flight[V]) {
	f.e.begin(c, f)
	request := Request{Key: f.key, Revision: f.revision, Fresh: f.fresh, Refresh: f.refresh, Wait: c.o.LoadTimeout}
	if f.previous != nil {
		request.Previous = c.describeRecord(f.previous)
	}
	answer, err := c.o.Coordinator.Join(f.ctx, request)
	if err != nil {
		c.failed(f, fmt.Errorf("%w: %w", ErrUnavailable, err), nil)
		return
	}
	switch answer.Kind {
	case AnswerValue, AnswerStale:
		r, weight, err := c.decode(f, answer.Record)
		if err != nil {
			c.failed(f, err, nil)
			return
		}
		f.source = Remote
		c.n.remoteHits.inc()
		c.takeIn(f, r, answer.Record, weight)
	case AnswerLease:
		c.leased(f, answer.Lease)
	case AnswerPass:
		c.finish(f, EventPassed, f.e.pass(c, f, nil), 0)
	case AnswerError:
		c.failed(f, RetryAfter(answer.Err, answer.RetryAfter), nil)
	case AnswerOverloaded:
		c.failed(f, fmt.Errorf("%w: the owner of the key refuses", ErrOverloaded), nil)
	default:
		c.failed(f, ErrUnavailable, nil)
	}
}

// leased computes under a lease, which is answered whatever the loader does.
func (c *Cache[V]) leased(f *flight[V], lease Lease) {
	returned := false
	defer func() {
		if !returned {
			c.failed(f, caught(recover()), lease)
		}
	}()
	c.compute(f, lease)
	returned = true
}

// decode makes a record of this process out of one from elsewhere.
func (c *Cache[V]) decode(f *flight[V], from *Record) (r *record[V], weight int64, err error) {
	if from == nil {
		return nil, 0, errors.New("corral: a coordinator or store answered without a record")
	}
	value, err := c.decodeValue(from.Value)
	if err != nil {
		return nil, 0, err
	}
	size, err := c.sizeOf(value)
	if err != nil {
		return nil, 0, err
	}
	now := c.now()
	r = &record[V]{
		value: value, born: now - int64(from.Age), expiry: later(now, from.TTL),
		revision: from.Revision, version: f.id,
		more: &more{
			windows: windows{staleFor: from.StaleFor, staleOnError: from.StaleOnError, beta: from.EarlyRefresh, cost: from.Cost},
			outcome: from.Outcome, tags: from.Tags, slots: c.rules.slots(from.Tags), validator: from.Validator, elsewhere: true,
		},
	}
	weight = c.overhead(f.key) + size + moreBytes + int64(len(from.Validator))
	for _, tag := range from.Tags {
		weight += tagBytes + int64(len(tag))
	}
	return r, weight, nil
}

func (c *Cache[V]) decodeValue(data []byte) (value V, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("corral: Options.Codec panicked in Decode: %v", p)
		}
	}()
	if value, err = c.o.Codec.Decode(data); err != nil {
		return value, fmt.Errorf("corral: decode: %w", err)
	}
	return value, nil
}

// encode makes a record for elsewhere.
func (c *Cache[V]) encode(r *record[V]) (to *Record, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("corral: Options.Codec panicked in Encode: %v", p)
		}
	}()
	to = c.describeRecord(r)
	if to.Value, err = c.o.Codec.Encode(r.value); err != nil {
		return nil, fmt.Errorf("corral: encode: %w", err)
	}
	return to, nil
}

// describeRecord is a record for elsewhere without its value.
func (c *Cache[V]) describeRecord(r *record[V]) *Record {
	now := c.now()
	w := c.windowsOf(r)
	to := &Record{
		BodySize: -1, Revision: r.revision,
		Age: time.Duration(now - r.born), TTL: remaining(r.expiry, now),
		StaleFor: w.staleFor, StaleOnError: w.staleOnError, EarlyRefresh: w.beta, Cost: w.cost,
	}
	if r.more != nil {
		to.Tags, to.Validator, to.Outcome = r.more.tags, r.more.validator, r.more.outcome
	}
	return to
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
	if e := c.table.Get(key); e != nil {
		if now := e.value.Load(); now != nil && now.version > r.version {
			return nil
		}
	}
	if !c.keepable(key, r) {
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
	if err := c.o.Store.Put(ctx, key, record); err != nil {
		return c.storeFailed(key, err)
	}
	if !c.keepable(key, r) {
		gone := Invalidation{Revision: c.rules.applied.Load(), Target: Target{Keys: []string{key}}}
		if err := c.o.Store.Delete(ctx, gone); err != nil {
			return c.storeFailed(key, err)
		}
	}
	return nil
}

// keepable is R2.
func (c *Cache[V]) keepable(key string, r *record[V]) bool {
	return c.answers(key, r, forever)
}

// answers is R1: no invalidation that concerns the value lies in (v, s].
func (c *Cache[V]) answers(key string, r *record[V], s uint64) bool {
	if r.more != nil && r.more.elsewhere {
		return c.rules.untouchedElsewhere(key, r.slots(), r.revision, s)
	}
	return c.rules.untouched(r.slots(), r.revision, s)
}

func (c *Cache[V]) storeFailed(key string, err error) error {
	c.n.storeErrors.inc()
	c.tell(EventStoreFailed, nil, key, err)
	c.warn("the store failed", key, err)
	return err
}

func closeBody(record *Record) {
	if record.Body != nil {
		record.Body.Close()
	}
}

// remaining is the time from now to an instant, Forever for one without end.
func remaining(instant, now int64) time.Duration {
	if instant >= later(0, Forever) {
		return Forever
	}
	return time.Duration(instant - now)
}
