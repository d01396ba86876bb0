package corral

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// bulkLinger is how long a bulk load waits for keys that the store or the
// coordinator has not answered yet; a key that comes later is loaded singly.
const bulkLinger = 5 * time.Millisecond

// GetMany returns the values of keys. Each key is answered as by Get, and
// meets single Gets in one load; what is missing is loaded in at most one call
// of a BulkLoader, and what is stale is refreshed in at most one more behind
// it. Keys that fail are left out and named by a *ManyError; the others are
// there nevertheless.
func (c *Cache[V]) GetMany(ctx context.Context, keys []string, options ...GetOption) (map[string]V, error) {
	var d demand
	for _, option := range options {
		option(&d)
	}
	m := many[V]{c: c, values: make(map[string]V, len(keys))}
	for _, q := range m.ask(ctx, keys, d) {
		done, err := c.wait(q)
		if err == nil && !done { // an invalidation came between: as a single Get from here
			q.bulk = nil
			err = c.find(q)
		}
		m.take(q, err)
	}
	if m.failures != nil {
		return m.values, &ManyError{m.failures}
	}
	return m.values, nil
}

// many is one call of GetMany.
type many[V any] struct {
	c        *Cache[V]
	values   map[string]V
	failures map[string]error
}

// take files what one key came to.
func (m *many[V]) take(q *query[V], err error) {
	if err == nil {
		q.found.letBodyGo()
		var value V
		if value, err = m.c.clone(q.key, q.found.record.value); err == nil {
			m.values[q.key] = value
			return
		}
	}
	if m.failures == nil {
		m.failures = map[string]error{}
	}
	m.failures[q.key] = err
}

// ask asks every entry before it waits for any, so that all loads begin
// together. It gives the keys that wait for a flight.
func (m *many[V]) ask(ctx context.Context, keys []string, d demand) []*query[V] {
	c := m.c
	defer c.afterwards()
	var missing, behind *bulk[V]
	if loader, ok := c.loader.(BulkLoader[V]); ok && len(keys) > 1 {
		missing = newBulk(c, loader, runOf(ctx))
		behind = newBulk(c, loader, nil)
	}
	var waits []*query[V]
	asked := make(map[string]bool, len(keys))
	for _, key := range keys {
		if asked[key] {
			continue
		}
		asked[key] = true
		q := c.query(ctx, key, c.loader, d)
		q.bulk = missing
		if done, err := c.askOne(&q, missing, behind); done || err != nil {
			m.take(&q, err)
		} else {
			waits = append(waits, &q)
		}
	}
	missing.start()
	behind.start()
	return waits
}

// askOne asks one entry and puts a flight that it begins into a bulk load. done
// says that the key has its answer; else it waits for a flight.
func (c *Cache[V]) askOne(q *query[V], missing, behind *bulk[V]) (done bool, err error) {
	if err := c.checkKey(q.key); err != nil {
		return false, err
	}
	if q.lapsed {
		return false, c.beginElsewhere(q)
	}
	for {
		c.consult(q)
		if f := q.answer.flight; f != nil && q.answer.verdict == lead {
			c.together(f, missing)
		} else if f != nil && q.answer.verdict == give {
			c.together(f, behind)
		}
		switch q.answer.verdict {
		case give:
			c.given(q)
			return true, nil
		case deny:
			return false, c.denied(q, q.answer.err)
		case apart:
			f, err := c.beginApart(q)
			q.answer = reply[V]{verdict: lead, flight: f}
			return false, err
		case park, ride, lead:
			return false, nil
		}
	}
}

// together puts a flight into a bulk load, or launches it alone.
func (c *Cache[V]) together(f *flight[V], b *bulk[V]) {
	if f.bulk = b; b == nil {
		c.launch(f)
		return
	}
	b.flights = append(b.flights, f)
}

// A bulk is one call of a BulkLoader for the flights of several keys. Each
// flight keeps its own waiters, deadline and outcome; the call has a goroutine
// and a seat of its own, and is cancelled when none of its flights waits any more.
type bulk[V any] struct {
	run
	c      *Cache[V]
	loader BulkLoader[V]
	phase  atomic.Uint32
	landed chan struct{}      // closed when items and err are there
	items  map[string]Item[V] // of the flights that wait for the call
	err    error

	flights []*flight[V] // not changed after start

	mu      sync.Mutex    // guards what is below, and its flights' arrived and joined
	open    int           // flights that have neither joined nor ended
	joined  int           // flights that wait for the call, or did
	waiting int           // of these, those that still do
	late    bool          // the call has its keys
	full    chan struct{} // closed when open falls to zero
}

func newBulk[V any](c *Cache[V], loader BulkLoader[V], parent *run) *bulk[V] {
	return &bulk[V]{
		run: run{roster: &c.roster, parent: parent}, c: c, loader: loader,
		landed: make(chan struct{}), full: make(chan struct{}),
	}
}

// start launches the flights, and the call that loads them.
func (b *bulk[V]) start() {
	if b == nil || len(b.flights) == 0 {
		return
	}
	b.run.id = b.c.lastFlight.Add(1)
	b.run.key = b.flights[0].key
	b.run.started = time.Now()
	b.run.flight = b
	if b.c.sharesSeat(b.run.parent) {
		b.run.seat.state = lent
	}
	b.base.run = &b.run
	b.open = len(b.flights)
	for _, f := range b.flights {
		b.c.launch(f)
	}
	if !b.c.roster.enter(&b.run) {
		b.err = ErrClosed
		close(b.landed)
		return
	}
	go b.fly()
}

// join waits for the call on behalf of a flight. done is false for one that
// comes too late and has to load its key alone.
func (b *bulk[V]) join(f *flight[V]) (item Item[V], err error, done bool) {
	f.phase.Store(inQueue)
	waiting.add(&f.run, &b.run)
	defer waiting.remove(&f.run, &b.run)
	if !b.arrive(f, true) {
		return item, nil, false
	}
	select {
	case <-b.landed:
	case <-f.ctx.Done():
		if item, ok := b.forsake(f); ok {
			item.refuse(f.ctx)
		}
		return item, context.Cause(f.ctx), true
	}
	if b.err != nil {
		return item, b.err, true
	}
	item, ok := b.items[f.key]
	if !ok {
		return item, ErrNotFound, true
	}
	return item, nil, true
}

// arrive counts a flight that joins, or that ended without the call.
func (b *bulk[V]) arrive(f *flight[V], joins bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.arrived {
		return false
	}
	f.arrived = true
	if b.open--; b.open == 0 {
		close(b.full)
	}
	if b.late || !joins {
		return false
	}
	f.joined = true
	b.joined++
	b.waiting++
	return true
}

// forsake says that a joined flight has ended before the call. It gives the
// flight's item if the call has landed in this moment.
func (b *bulk[V]) forsake(f *flight[V]) (item Item[V], landed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f.joined = false
	if b.waiting--; b.waiting == 0 && b.late {
		b.base.cancel(errAbandoned)
	}
	item, landed = b.items[f.key]
	return item, landed
}

func (b *bulk[V]) fly() {
	var items map[string]Item[V]
	var err error
	returned := false
	defer func() {
		if !returned {
			err = caught(recover())
		}
		unwanted := b.land(items, err)
		b.c.bulkhead.leave(&b.run.seat)
		b.base.cancel(nil)
		for key, item := range unwanted {
			b.refuse(key, item)
		}
		if b.c.roster.leave(&b.run) {
			b.c.n.zombieResults.inc()
			b.c.tell(EventZombieDropped, &b.run, b.run.key, nil)
		}
	}()
	items, err = b.call()
	returned = true
}

// land hands out what the call came to, and gives the items that no flight
// waits for.
func (b *bulk[V]) land(items map[string]Item[V], err error) (unwanted map[string]Item[V]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err, b.items = err, make(map[string]Item[V], len(items))
	unwanted = maps.Clone(items)
	for _, f := range b.flights {
		if item, ok := items[f.key]; ok && f.joined && err == nil {
			b.items[f.key] = item
			delete(unwanted, f.key)
		}
	}
	close(b.landed)
	return unwanted
}

// refuse lets an item's tail close what it has open. One that panics harms
// nobody else.
func (b *bulk[V]) refuse(key string, item Item[V]) {
	defer func() {
		if p := recover(); p != nil {
			b.c.warn("a tail that nobody wanted panicked", key, caught(p))
		}
	}()
	item.refuse(&b.base)
}

// call loads what has joined.
func (b *bulk[V]) call() (map[string]Item[V], error) {
	timer := time.NewTimer(bulkLinger)
	defer timer.Stop()
	select {
	case <-b.full:
	case <-timer.C:
	}
	flights := b.take()
	if len(flights) == 0 {
		return nil, errAbandoned
	}
	if err := b.c.turn(&b.base, &b.run, nil); err != nil {
		return nil, err
	}
	b.c.budget.load()
	b.c.n.loads.inc()
	keys := make([]string, len(flights))
	for i, f := range flights {
		keys[i] = f.key
		f.e.begin(b.c, f)
	}
	b.phase.Store(inUser)
	return b.loader.LoadMany(&b.base, keys)
}

// take is what has joined, in the order in which it was asked for; none when
// nobody waits any more. Who comes later is late.
func (b *bulk[V]) take() []*flight[V] {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late = true
	if b.waiting == 0 {
		return nil
	}
	joined := make([]*flight[V], 0, b.joined)
	for _, f := range b.flights {
		if f.joined {
			joined = append(joined, f)
		}
	}
	return joined
}

// expire is the call's deadline. Its flights have the same and are settled on
// their own.
func (b *bulk[V]) expire() {
	b.base.cancel(ErrLoadTimeout)
	if b.phase.Load() == inUser {
		b.c.roster.bury(&b.run)
	}
}

func (b *bulk[V]) end(err error) { b.base.cancel(err) }

func (b *bulk[V]) describe() (FlightInfo, bool) { return FlightInfo{}, false }

func (b *bulk[V]) holding() Lease { return nil } // each of its flights has its own
