package corral

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/table"
)

// What an entry costs beyond its key and value, in bytes: the share of the
// index, the entry, the record and the allocator's rounding. bench/ measures it.
const (
	entryBytes = 208
	moreBytes  = 144
	markBytes  = 96
	bodyBytes  = 320
	tagBytes   = 18 // a string header and its slot
)

// storeStripes bounds how many keys are written to the store at once.
const storeStripes = 64

// closeGrace is how long Close waits for loaders to heed their context.
const closeGrace = time.Second

// A Cache holds values of type V under string keys and makes sure that each is
// computed by one load at a time. Its methods may be called from any goroutine.
type Cache[V any] struct {
	o        Options[V]
	loader   Loader[V]
	table    *table.Table[entry[V]]
	rules    *revisions
	roster   roster
	bulkhead bulkhead
	rate     rate
	budget   budget
	events   subscribers
	standard windows
	exact    func() int64 // nil: the coarse clock
	draw     func() float64

	n          counters
	parked     atomic.Int64 // callers that wait
	lastFlight atomic.Uint64
	closing    atomic.Bool // no load begins any more
	closed     atomic.Bool // nothing is kept any more
	ctx        context.Context
	cancel     context.CancelFunc
	chores     chores // goroutines that no caller waits for
	// known is the revision from which on this process has heard of every
	// invalidation. It matters with a Coordinator, whose past one may have missed.
	known      atomic.Uint64
	storeSeats chan struct{}
	storeTurns [storeStripes]chan struct{}

	removed struct {
		sync.Mutex
		list []removal[V]
		some atomic.Bool
	}
}

// removal is a value that has left, until OnRemove is told.
type removal[V any] struct {
	key    string
	record *record[V]
	cause  RemovalCause
}

// New makes a cache. The loader may be nil: then Get answers ErrNoLoader and
// GetWith is the way. An error names every option that is wrong.
//
// The cache runs until Close.
func New[V any](loader Loader[V], options Options[V]) (*Cache[V], error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	o := options.withDefaults()
	c := &Cache[V]{
		o:        o,
		loader:   loader,
		roster:   roster{timeout: o.LoadTimeout},
		bulkhead: bulkhead{free: o.MaxLoads},
		rate:     newRate(o.LoadsPerSecond, o.Burst),
		budget:   newBudget(o.RetryBudget),
		standard: windows{staleFor: o.StaleFor, staleOnError: o.StaleOnError, beta: o.EarlyRefresh},
		draw:     randomDraw,
	}
	c.table = table.New(table.Config[entry[V]]{
		MaxBytes: o.MaxBytes,
		Node:     func(e *entry[V]) *table.Node[entry[V]] { return &e.node },
		Evict:    func(e *entry[V]) { e.evicted(c) },
	})
	c.ctx, c.cancel = context.WithCancel(context.Background())
	revision, err := firstRevision(c.ctx, o)
	if err != nil {
		c.cancel()
		return nil, fmt.Errorf("corral: open %s: the store does not say its revision: %w", o.Name, err)
	}
	c.rules = newRevisions(revision)
	if o.Coordinator != nil {
		c.known.Store(forever)
	}
	c.storeSeats = make(chan struct{}, o.MaxStoreCalls)
	for i := range c.storeTurns {
		c.storeTurns[i] = make(chan struct{}, 1)
	}
	if o.Now != nil {
		c.exact = exactClock(o.Now)
	} else {
		coarse.retain()
	}
	if o.Coordinator != nil {
		c.chores.Go(c.watch)
	}
	return c, nil
}

// firstRevision is where the local counter starts: above all that the store
// has seen. A coordinator's numbers have nothing to do with it.
func firstRevision[V any](ctx context.Context, o Options[V]) (uint64, error) {
	known, ok := o.Store.(Revisioned)
	if !ok || o.Coordinator != nil {
		return 0, nil
	}
	return known.Revision(ctx)
}

func (c *Cache[V]) now() int64 {
	if c.exact != nil {
		return c.exact()
	}
	return coarse.nanos.Load()
}

// Get returns the value of key: from the cache, from the load that is
// computing it, or from a load that this call begins. It ends by ctx at the
// latest, and by Options.LoadTimeout.
func (c *Cache[V]) Get(ctx context.Context, key string) (V, error) {
	if c.o.Clone == nil {
		if e := c.table.Get(key); e != nil {
			if r := e.value.Load(); r != nil && r.more == nil && c.now() < r.expiry && c.rules.all.Load() <= r.revision {
				e.node.Touch()
				c.n.hits.inc()
				return r.value, nil
			}
		}
	}
	return c.get(ctx, key)
}

// get is what Get does when the value is not just there. It has a function of
// its own because a caller that parks keeps the stack of all it is in: with
// small frames a thousand waiters fit into the stacks they were born with.
func (c *Cache[V]) get(ctx context.Context, key string) (value V, err error) {
	q := c.query(ctx, key, c.loader, demand{})
	if err := c.find(&q); err != nil {
		return value, err
	}
	q.found.letBodyGo()
	return c.clone(key, q.found.record.value)
}

// GetItem is Get with options, and with what the cache knows about the value
// and about why it is the answer. If the item has a Body, the caller closes it.
func (c *Cache[V]) GetItem(ctx context.Context, key string, options ...GetOption) (Item[V], Info, error) {
	return c.GetWith(ctx, key, c.loader, options...)
}

// GetWith is GetItem with a loader of the call's own. Of callers who meet on
// one key, the loader of the one who began the load runs; a refresh runs the
// loader of the caller whom it was begun behind. What the loader captures
// besides the key must therefore not matter to the value.
func (c *Cache[V]) GetWith(ctx context.Context, key string, loader Loader[V], options ...GetOption) (Item[V], Info, error) {
	var d demand
	for _, option := range options {
		option(&d)
	}
	for {
		q := c.query(ctx, key, loader, d)
		if err := c.find(&q); err != nil {
			return Item[V]{}, Info{}, err
		}
		if item, ok, err := c.dress(ctx, key, &q.found); ok || err != nil {
			return item, c.info(&q.found), err
		}
	}
}

// dress makes an Item of an answer. It reports false when the body broke off,
// or was let go, just now.
func (c *Cache[V]) dress(ctx context.Context, key string, found *found[V]) (item Item[V], ok bool, err error) {
	item = c.item(found.record)
	if item.Value, err = c.clone(key, item.Value); err != nil {
		found.letBodyGo()
		return Item[V]{}, false, err
	}
	if body := found.record.body(); body != nil {
		item.Body = body.join(ctx, found.counted)
		return item, item.Body != nil, nil
	}
	return item, true, nil
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
	return query[V]{
		ctx: ctx, key: key, loader: loader, demand: d, parent: runOf(ctx),
		since: c.rules.applied.Load(), arrived: c.lastFlight.Load(),
	}
}

// find is every Get: one hit, or as many turns as invalidations and evictions
// force upon it. What it finds is in q.
func (c *Cache[V]) find(q *query[V]) error {
	if err := c.checkKey(q.key); err != nil {
		return err
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
	case !c.answers(q.key, out.record, q.since) || c.tooStale(q, out): // R1
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
	r, ok := c.coverable(q)
	if ok {
		c.staleGiven(q, r, err)
	}
	return ok
}

func (c *Cache[V]) coverable(q *query[V]) (*record[V], bool) {
	e := c.table.Get(q.key)
	if e == nil {
		return nil, false
	}
	r := e.value.Load()
	if r == nil || !c.rules.untouched(r.slots(), r.revision, forever) {
		return nil, false
	}
	now := c.now()
	return r, q.covers(r, judge(now, r.expiry, c.windowsOf(r), c.draw), now)
}

// loadApart loads for one caller only, beside the key's entry.
func (c *Cache[V]) loadApart(q *query[V]) error {
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

func (c *Cache[V]) beginApart(q *query[V]) (*flight[V], error) {
	if err := c.admit(q); err != nil {
		return nil, err
	}
	f, err := c.newFlight(q, new(entry[V]), nil)
	if err != nil {
		return nil, err
	}
	f.alone, f.bulk = true, nil
	c.launch(f)
	return f, nil
}

// unmark ends a key's pass mark.
func (c *Cache[V]) unmark(key string) {
	if e := c.table.Get(key); e != nil {
		e.unmark(c)
	}
}

// Peek returns what this process has under key, however old, and nothing if it
// has nothing. It loads nothing, waits for nothing and counts as no use. If the
// item has a Body, the caller closes it.
func (c *Cache[V]) Peek(key string) (Item[V], Info, bool) {
	e := c.table.Get(key)
	if e == nil {
		return Item[V]{}, Info{}, false
	}
	r := e.value.Load()
	if r == nil || !c.keepable(key, r) {
		return Item[V]{}, Info{}, false
	}
	item := c.item(r)
	value, err := c.clone(key, r.value)
	if err != nil {
		return Item[V]{}, Info{}, false
	}
	item.Value = value
	if body := r.body(); body != nil {
		if item.Body = body.join(c.ctx, false); item.Body == nil {
			return Item[V]{}, Info{}, false
		}
	}
	source := Hit
	if c.now() >= r.expiry {
		source = Stale
	}
	return item, c.info(&found[V]{record: r, source: source, kept: true}), true
}

// Set writes a value under key. It wins over a load that is running: those who
// wait for that load get the load's value, which is not kept. The item's
// Outcome, Tail and Body are not looked at.
func (c *Cache[V]) Set(ctx context.Context, key string, item Item[V]) error {
	if err := c.checkKey(key); err != nil {
		return err
	}
	if len(item.Tags) > c.o.MaxTags {
		return fmt.Errorf("corral: set %q: %d tags, MaxTags is %d: give fewer, or raise it", key, len(item.Tags), c.o.MaxTags)
	}
	if c.closing.Load() {
		return ErrClosed
	}
	if c.o.Coordinator != nil {
		if err := c.invalidateEverywhere(ctx, Target{Keys: []string{key}}); err != nil {
			return err
		}
	}
	item.Outcome, item.Tail, item.Body = Keep, nil, nil
	f := &flight[V]{run: run{id: c.lastFlight.Add(1), key: key, started: time.Now()}, revision: c.rules.applied.Load()}
	r, weight, err := c.record(f, &item)
	if err != nil {
		return fmt.Errorf("corral: set %q: %w", key, err)
	}
	for {
		e, _ := c.table.GetOrAdd(key, func() *entry[V] { return new(entry[V]) })
		if kept, ok := e.set(c, r, weight); ok {
			c.tell(EventSet, nil, key, nil)
			if kept {
				return c.keepInStore(key, r)
			}
			return c.dropFromStore(key)
		}
	}
}

// Expire makes the values of keys stale now: StaleFor and StaleOnError count
// from this moment. A value that is being loaded is stale when it lands.
func (c *Cache[V]) Expire(_ context.Context, keys ...string) error {
	for _, key := range keys {
		if e := c.table.Get(key); e != nil && e.expire(c) {
			c.tell(EventExpired, nil, key, nil)
		}
	}
	c.afterwards()
	return nil
}

// Refresh loads key anew and waits for the outcome. Others are given the old
// value meanwhile, as long as it is usable.
func (c *Cache[V]) Refresh(ctx context.Context, key string) error {
	q := c.query(ctx, key, c.loader, demand{fresh: true})
	if err := c.find(&q); err != nil {
		return err
	}
	q.found.letBodyGo()
	return nil
}

// Stats returns the cache's counts and gauges.
func (c *Cache[V]) Stats() Stats {
	n := &c.n
	s := Stats{
		Hits: n.hits.sum(), StaleHits: n.staleHits.Load(), Misses: n.misses.Load(), Joins: n.joins.Load(),
		Loads: n.loads.Load(), Flights: n.flights.Load(), Refreshes: n.refreshes.Load(), EarlyDraws: n.earlyDraws.Load(),
		Failures: n.failures.Load(), Timeouts: n.timeouts.Load(), Panics: n.panics.Load(), Retries: n.retries.Load(),
		Abandoned: n.abandoned.Load(), Shares: n.shares.Load(), Passes: n.passes.Load(), NotModified: n.notModified.Load(),
		RemoteHits: n.remoteHits.Load(), StoreHits: n.storeHits.Load(), StoreErrors: n.storeErrors.Load(),
		Refused: n.refused.Load(), Paused: n.paused.Load(), Cycles: n.cycles.Load(),
		Evictions: uint64(c.table.Evicted()), Invalidations: n.invalidations.Load(), Detached: n.detached.Load(),
		ZombieResults: n.zombieResults.Load(), DroppedEvents: c.events.dropped.Load(),
		Entries: c.table.Len(), Bytes: c.table.Bytes(), BytesInFlight: c.table.Reserved(), MaxBytes: c.o.MaxBytes,
		Running: c.roster.size(), Waiters: int(c.parked.Load()), Zombies: int(c.roster.zombies.Load()),
		LoadTime: time.Duration(n.loadNanos.Load()),
	}
	for i := range s.LoadTimes {
		s.LoadTimes[i] = n.loadTimes[i].Load()
	}
	return s
}

// Name is Options.Name.
func (c *Cache[V]) Name() string { return c.o.Name }

// Subscribe hands out the cache's events from now on, buffered. A subscriber
// that does not keep up misses events, and each event says how many were
// missed before it: the cache never waits. stop ends the subscription and
// closes the channel, as Close does.
func (c *Cache[V]) Subscribe(buffer int) (events <-chan Event, stop func()) {
	return c.events.subscribe(buffer)
}

// Shutdown lets no further load begin and waits for those that run, until ctx
// ends. Values stay readable meanwhile. It then closes the cache; if ctx ends
// first it returns ctx's error and the cache stays as it is, to be closed by Close.
func (c *Cache[V]) Shutdown(ctx context.Context) error {
	c.closing.Store(true)
	select {
	case <-c.roster.empty():
		return c.Close()
	case <-ctx.Done():
		return ended(ctx)
	}
}

// Close ends every load with ErrClosed, forgets every value and ends every
// goroutine of the cache. An error names the loads that did not heed their
// context within a second: those goroutines end when their loaders return.
func (c *Cache[V]) Close() error {
	c.closing.Store(true)
	if c.closed.Swap(true) {
		return nil
	}
	c.roster.close()
	for _, r := range c.roster.running() {
		r.flight.end(ErrClosed)
	}
	c.cancel()
	for e := range c.table.All() {
		e.release(c)
	}
	c.afterwards()
	err := c.awaitQuiet()
	c.roster.stop()
	c.events.stopAll()
	if c.exact == nil {
		coarse.release()
	}
	return err
}

func (c *Cache[V]) awaitQuiet() error {
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	for _, quiet := range []<-chan struct{}{c.roster.empty(), c.chores.empty()} {
		select {
		case <-quiet:
			continue
		case <-timer.C:
		}
		return c.unheeding()
	}
	return nil
}

// unheeding names what has not ended although its context has.
func (c *Cache[V]) unheeding() error {
	var errs []error
	for _, r := range c.roster.running() {
		errs = append(errs, fmt.Errorf("corral: close %s: the load of %q has not heeded the end of its context for %v", c.o.Name, r.key, closeGrace))
	}
	if n := c.chores.count(); n > 0 {
		errs = append(errs, fmt.Errorf("corral: close %s: %d calls of the store or the coordinator have not heeded the end of their context for %v", c.o.Name, n, closeGrace))
	}
	return errors.Join(errs...)
}

// afterwards tells OnRemove of what has left, with no lock held.
func (c *Cache[V]) afterwards() {
	if !c.removed.some.Load() {
		return
	}
	c.removed.Lock()
	list := c.removed.list
	c.removed.list = nil
	c.removed.some.Store(false)
	c.removed.Unlock()
	for _, gone := range list {
		if gone.cause == Evicted {
			c.tell(EventEvicted, nil, gone.key, nil)
		}
		if c.o.OnRemove != nil {
			c.o.OnRemove(gone.key, gone.record.value, gone.cause)
		}
	}
}

// removeLater notes a value that has left, for afterwards.
func (c *Cache[V]) removeLater(key string, r *record[V], cause RemovalCause) {
	if r == nil || c.o.OnRemove == nil && !c.events.listening() {
		return
	}
	c.removed.Lock()
	defer c.removed.Unlock()
	c.removed.list = append(c.removed.list, removal[V]{key, r, cause})
	c.removed.some.Store(true)
}

// item is what a caller or a loader is shown of a record, without its body.
func (c *Cache[V]) item(r *record[V]) Item[V] {
	w := c.windowsOf(r)
	item := Item[V]{
		Value: r.value, TTL: remaining(r.expiry, r.born),
		StaleFor: w.staleFor, StaleOnError: w.staleOnError, EarlyRefresh: w.beta,
	}
	if r.more != nil {
		item.Tags, item.Validator, item.Outcome = r.more.tags, r.more.validator, r.more.outcome
	}
	return item
}

func (c *Cache[V]) info(f *found[V]) Info {
	now := c.now()
	info := Info{
		Source: f.source, Kept: f.kept, Age: time.Duration(now - f.record.born), TTL: remaining(f.record.expiry, now),
		Waiters: f.waiters, Version: f.record.version, Revision: f.record.revision, LoadTime: f.took, Err: f.err,
	}
	if f.record.more != nil {
		info.Outcome = f.record.more.outcome
	}
	return info
}

func (c *Cache[V]) windowsOf(r *record[V]) windows {
	if r.more == nil {
		return c.standard
	}
	return r.more.windows
}

func (c *Cache[V]) overhead(key string) int64 { return entryBytes + int64(len(key)) }

func (c *Cache[V]) clone(key string, value V) (copied V, err error) {
	if c.o.Clone == nil {
		return value, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("corral: get %q: Options.Clone panicked: %v: it must take every value", key, p)
		}
	}()
	if copied, err = c.o.Clone(value); err != nil {
		return copied, fmt.Errorf("corral: get %q: clone: %w", key, err)
	}
	return copied, nil
}

func (c *Cache[V]) checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty: give at least one byte", ErrInvalidKey)
	case len(key) > c.o.MaxKeyLen:
		return fmt.Errorf("%w: %.32q… has %d bytes, MaxKeyLen is %d: hash it, or raise the limit", ErrInvalidKey, key, len(key), c.o.MaxKeyLen)
	}
	return nil
}

func (c *Cache[V]) refuse(key, limit string, value any) error {
	c.n.refused.inc()
	err := overloaded(limit, value)
	c.tell(EventRefused, nil, key, err)
	return err
}

func (c *Cache[V]) cycle(key string) error {
	c.n.cycles.inc()
	return fmt.Errorf("%w: the load of %q waits, in the end, for itself", ErrCycle, key)
}

// tell emits an event, if somebody listens.
func (c *Cache[V]) tell(kind EventKind, r *run, key string, err error) {
	if !c.events.listening() {
		return
	}
	event := Event{Kind: kind, Cache: c.o.Name, Key: key, Time: time.Now(), Err: err}
	if r != nil {
		event.Flight, event.Took = r.id, time.Since(r.started)
	}
	c.events.emit(event)
}

func (c *Cache[V]) warn(message, key string, err error) {
	if c.o.Logger != nil {
		c.o.Logger.LogAttrs(c.ctx, slog.LevelWarn, message,
			slog.String("cache", c.o.Name), slog.String("key", key), slog.Any("error", err))
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

// Flights yields the loads that run or wait for their turn, oldest first:
// detached ones and zombies too.
func (c *Cache[V]) Flights() iter.Seq[FlightInfo] {
	return func(yield func(FlightInfo) bool) {
		for _, r := range c.roster.running() {
			if info, ok := r.flight.describe(); ok && !yield(info) {
				return
			}
		}
	}
}

// Entries yields the keys that the cache has something under, in no order.
// What comes or goes meanwhile may be missed.
func (c *Cache[V]) Entries() iter.Seq2[string, EntryInfo] {
	return func(yield func(string, EntryInfo) bool) {
		for e := range c.table.All() {
			if !yield(e.node.Key(), e.describe(c)) {
				return
			}
		}
	}
}
