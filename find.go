package corral

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// get is what Get does when the value is not just there. It has a function of
// its own so that a hit's frame stays small.
func (c *Cache[V]) get(ctx context.Context, key string) (value V, err error) {
	q := c.query(ctx, key, c.loader, demand{})
	if err := c.find(&q); err != nil {
		return value, err
	}
	q.found.letBodyGo()
	return c.clone(key, q.found.record.value)
}

// found is an answer before it is dressed as an Item.
type found[V any] struct {
	record  *record[V]
	source  Source
	err     error // that a stale value covers
	kept    bool
	counted bool // this caller was counted among those who read the body
	waiters int
	took    time.Duration
}

func (f *found[V]) letBodyGo() {
	if body := f.record.body(); body != nil && f.counted {
		body.forfeit()
	}
}

// query is a call, at the moment of its arrival.
func (c *Cache[V]) query(ctx context.Context, key string, loader Loader[V], d demand) query[V] {
	lapsed := !c.mayAnswer(ctx) // C2: before s is read
	return query[V]{
		ctx: ctx, key: key, loader: loader, demand: d, parent: runOf(ctx), lapsed: lapsed,
		since: c.rules.applied.Load(), arrived: c.lastFlight.Load(),
	}
}

// find is every Get: one hit, or as many turns as invalidations and evictions
// force upon it. What it finds is in q.
func (c *Cache[V]) find(q *query[V]) error {
	if err := c.checkKey(q.key); err != nil {
		return err
	}
	if q.lapsed {
		return c.fromElsewhere(q)
	}
	for {
		c.consult(q)
		if f := q.answer.flight; f != nil && q.answer.verdict != park && q.answer.verdict != ride {
			c.launch(f)
		}
		if done, err := c.follow(q); done || err != nil {
			c.afterwards()
			return err
		}
		if q.ctx.Err() != nil {
			c.afterwards()
			return ended(q.ctx)
		}
	}
}

// follow does what an entry has said.
func (c *Cache[V]) follow(q *query[V]) (done bool, err error) {
	switch q.answer.verdict {
	case give:
		c.given(q)
		return true, nil
	case deny:
		return false, c.denied(q, q.answer.err)
	case apart:
		return true, c.loadApart(q)
	case park, ride, lead:
		return c.wait(q)
	}
	return false, nil
}

// consult asks the entry of a key, or makes one with a flight in it. The
// answer is in q.
func (c *Cache[V]) consult(q *query[V]) {
	e := c.table.Get(q.key)
	if e == nil {
		if e = c.enter(q); e == nil {
			return
		}
	}
	q.entry = e
	q.answer = e.ask(c, q)
}

// enter makes an entry with a flight that q leads. If somebody was faster it
// gives that one's entry, and nil when q has its answer.
func (c *Cache[V]) enter(q *query[V]) *entry[V] {
	if err := c.admit(q); err != nil {
		q.answer = reply[V]{verdict: deny, err: err}
		return nil
	}
	newborn := new(entry[V])
	f, err := c.newFlight(q, newborn, nil)
	if err != nil {
		q.answer = reply[V]{verdict: deny, err: err}
		return nil
	}
	newborn.flight = f // I1: before anybody can see the entry
	e, added := c.table.GetOrAdd(q.key, func() *entry[V] { return newborn })
	if !added {
		c.unpark(q, f)
		f.base.cancel(nil)
		return e
	}
	q.entry, q.answer = e, reply[V]{verdict: lead, flight: f}
	return nil
}

// admit checks what must hold before a load begins.
func (c *Cache[V]) admit(q *query[V]) error {
	switch {
	case q.loader == nil:
		return ErrNoLoader
	case c.closing.Load():
		return ErrClosed
	case c.roster.zombies.Load() >= int64(c.o.MaxZombies):
		return c.refuse(q.key, "MaxZombies", c.o.MaxZombies)
	case c.roster.size() >= c.o.MaxFlights:
		return c.refuse(q.key, "MaxFlights", c.o.MaxFlights)
	case q.parent != nil && q.parent.inside(&c.roster, q.key):
		return c.cycle(q.key)
	}
	return nil
}

// given takes the value that the entry gave.
func (c *Cache[V]) given(q *query[V]) {
	q.entry.node.Touch()
	r := q.answer.record
	if q.answer.early {
		c.n.earlyDraws.inc()
	}
	if q.answer.err == nil && c.now() < r.expiry {
		c.n.hits.inc()
		q.found = found[V]{record: r, source: Hit, kept: true}
		return
	}
	c.staleGiven(q, r, q.answer.err)
}

func (c *Cache[V]) staleGiven(q *query[V], r *record[V], err error) {
	c.n.staleHits.inc()
	c.tell(EventStaleServed, nil, q.key, err)
	q.found = found[V]{record: r, source: Stale, kept: true, err: err}
}

// denied is the error of a caller who is not let wait. A failure that still
// answers for the key says how much of its pause is left.
func (c *Cache[V]) denied(q *query[V], err error) error {
	var failure *LoadError
	if !errors.As(err, &failure) || failure.RetryAfter == 0 {
		return err
	}
	left := *failure
	if e := c.table.Get(q.key); e != nil {
		if m := e.mark.Load(); m != nil && m.err == error(failure) {
			left.RetryAfter = max(0, time.Duration(m.until-c.now()))
		}
	}
	return &left
}

// wait is the life of a caller that parks. done is false when it has to ask again.
func (c *Cache[V]) wait(q *query[V]) (done bool, err error) {
	f, leader := q.answer.flight, q.answer.verdict == lead
	if leader {
		c.n.misses.inc()
	} else {
		c.tell(EventJoined, &f.run, q.key, nil)
	}
	settled, err := c.await(q, f, leader)
	switch {
	case err != nil:
		return false, err
	case !settled: // the soft deadline
		return c.cover(q, nil), nil
	case q.answer.verdict == ride:
		f.forfeit(false)
		return false, nil
	}
	return c.outcome(q, f, leader)
}

// outcome is what a settled flight means to one of those who waited for it.
func (c *Cache[V]) outcome(q *query[V], f *flight[V], leader bool) (done bool, err error) {
	out := &f.out
	switch {
	case out.err != nil:
		if c.cover(q, out.err) {
			return true, nil
		}
		return false, out.err
	case out.pass && (!leader || out.record == nil):
		return true, c.loadApart(q)
	case !c.answers(q.key, out.record, q.since) || c.outdated(q, f) || c.tooStale(q, out): // R1, R5
		f.forfeit(leader)
		if q.refused++; q.refused > maxRefused {
			return false, fmt.Errorf("%w: what is had elsewhere is too old, %d times", ErrUnavailable, q.refused)
		}
		return false, nil
	}
	source := out.source
	if !leader {
		source = Joined
	}
	q.found = found[V]{record: out.record, source: source, kept: out.kept, counted: true, waiters: out.waiters, took: out.took}
	return true, nil
}

// tooStale reports whether a value from elsewhere was stale already and its
// caller takes no such value. What a load of this process brings is given to
// all who waited for it.
func (c *Cache[V]) tooStale(q *query[V], out *result[V]) bool {
	return q.demand.noStale && out.source >= Remote && out.record.expiry <= c.now()
}

// cover answers with a value that may stand in for a load that failed with
// err, or is slow, if there is one.
func (c *Cache[V]) cover(q *query[V], err error) bool {
	r, ok := c.coverable(q, err)
	if ok {
		c.staleGiven(q, r, err)
	}
	return ok
}

func (c *Cache[V]) coverable(q *query[V], err error) (*record[V], bool) {
	e := c.table.Get(q.key)
	if e == nil || q.lapsed { // C2
		return nil, false
	}
	r := e.value.Load()
	if r == nil || !c.rules.untouched(r.slots(), r.revision, forever) {
		return nil, false
	}
	return r, q.covers(c, c.softened(r), err, c.now())
}

// loadApart loads for one caller only, beside the key's entry.
func (c *Cache[V]) loadApart(q *query[V]) error {
	if q.demand.orPassed && !c.validates(q.key) {
		return ErrPassed
	}
	f, err := c.beginApart(q)
	if err != nil {
		return err
	}
	q.answer = reply[V]{verdict: lead, flight: f}
	done, err := c.wait(q)
	if err == nil && !done {
		err = ErrLoadTimeout
	}
	return err
}

// validates reports whether something is kept under a key for validation.
func (c *Cache[V]) validates(key string) bool {
	e := c.table.Get(key)
	if e == nil {
		return false
	}
	m := e.mark.Load()
	return m != nil && m.kept != nil
}

func (c *Cache[V]) beginApart(q *query[V]) (*flight[V], error) {
	if err := c.admit(q); err != nil {
		return nil, err
	}
	f, err := c.newFlight(q, new(entry[V]), nil)
	if err != nil {
		return nil, err
	}
	f.alone, f.bulk = true, nil
	q.entry.bind(c, f)
	c.launch(f)
	return f, nil
}

// unmark ends a key's pass mark, because a load apart was for everybody again.
// It does so before the load settles: who has the answer finds no mark. What a
// flight brings from elsewhere because this process lapsed says nothing of it.
func (c *Cache[V]) unmark(f *flight[V]) {
	if f.lapsed {
		return
	}
	if e := c.table.Get(f.key); e != nil {
		e.unmark(c, f)
	}
}

// ended is the error of a caller whose context has ended, with its cause.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if cause == nil || errors.Is(cause, err) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}
