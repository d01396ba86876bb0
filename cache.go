package corral

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/pace"
	"github.com/corralcache/corral/internal/table"
)

// What an entry costs beyond its key and value, in bytes: the share of the
// index, the entry, the record and the allocator's rounding. BenchmarkBytesPerKey measures it.
const (
	entryBytes = 208
	moreBytes  = 128
	markBytes  = 96
	bodyBytes  = 128
	tagBytes   = 18 // a string header and its slot
)

// storeStripes bounds how many keys are written to the store at once.
const storeStripes = 64

// A Cache holds values of type V under string keys and makes sure that each is
// computed by one load at a time. Its methods may be called from any goroutine.
type Cache[V any] struct {
	o        Options[V]
	loader   Loader[V]
	table    *table.Table[entry[V]]
	rules    *revisions
	roster   roster
	bulkhead bulkhead
	rate     *pace.Line
	budget   budget
	events   subscribers
	standard windows
	exact    func() int64 // nil: the coarse clock
	draw     func() float64
	keeper   Keeper // nil: this process may always answer
	detach   func() // from the keeper
	mirrors  mirrors[V]
	plain    bool // values are handed out as they are, and always may be

	n          counters
	parked     atomic.Int64 // callers that wait
	lastFlight atomic.Uint64
	closing    atomic.Bool // no load begins any more
	closed     atomic.Bool // nothing is kept any more
	ctx        context.Context
	cancel     context.CancelFunc
	sweep      sweep
	chores     chores // goroutines that no caller waits for
	// known is the revision from which on this process has heard of every
	// invalidation. It matters with a Coordinator, whose past one may have missed.
	known atomic.Uint64
	// covered is the revision up to which Watch's callback has returned: no
	// value that an invalidation up to it concerns is in an entry any more.
	covered    atomic.Uint64
	storeSeats chan struct{}
	storeMet   atomic.Bool // its revision is known
	storeNews  storeNews
	deletions  deletions
	storeTurns [storeStripes]chan struct{}

	removed struct {
		sync.Mutex
		list []removal[V]
		some atomic.Bool
	}
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
		rate:     pace.NewLine(pace.New(time.Now(), o.LoadsPerSecond, o.Burst, shareOf(o.Coordinator))),
		budget:   newBudget(o.RetryBudget),
		standard: windows{staleFor: o.StaleFor, staleOnError: o.StaleOnError, staleOnOutage: o.StaleOnOutage, beta: o.EarlyRefresh},
		draw:     randomDraw,
	}
	c.table = table.New(table.Config[entry[V]]{
		MaxBytes: o.MaxBytes,
		Node:     func(e *entry[V]) *table.Node[entry[V]] { return &e.node },
		Evict:    func(e *entry[V]) { e.evicted(c) },
	})
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.rules = newRevisions(0, c.now)
	if o.Coordinator != nil {
		c.known.Store(forever)
	}
	c.storeSeats = make(chan struct{}, o.MaxStoreCalls)
	for i := range c.storeTurns {
		c.storeTurns[i] = make(chan struct{}, 1)
	}
	if o.Store != nil {
		if err := c.openStore(); err != nil {
			c.cancel()
			return nil, err
		}
	}
	if o.Now != nil {
		c.exact = exactClock(o.Now)
	} else {
		coarse.retain()
	}
	c.plain = o.Clone == nil
	if keeper, ok := o.Coordinator.(Keeper); ok {
		if err := c.attach(keeper); err != nil {
			return nil, err
		}
	}
	if o.Coordinator != nil {
		c.chores.Go(c.watch)
	}
	return c, nil
}

// shareOf is the part of a rate that is this process's; nil: all of it.
func shareOf(c Coordinator) func() float64 {
	if divider, ok := c.(Divider); ok {
		return divider.Share
	}
	return nil
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
	if c.plain || c.o.Clone == nil && c.stands() { // C2: before the value is read
		if e := c.table.Get(key); e != nil {
			if r := e.value.Load(); r != nil && r.more == nil && c.now() < r.expiry && c.rules.swept.Load() <= r.revision {
				e.node.Touch()
				c.n.hits.inc()
				return r.value, nil
			}
		}
	}
	return c.get(ctx, key)
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

// Peek returns what this process has under key, however old, and nothing if it
// has nothing, or may not answer now (see Keeper). It loads nothing, waits for nothing and counts as no use. If the
// item has a Body, the caller closes it.
func (c *Cache[V]) Peek(key string) (Item[V], Info, bool) {
	if !c.stands() { // C2
		return Item[V]{}, Info{}, false
	}
	e := c.table.Get(key)
	if e == nil {
		return Item[V]{}, Info{}, false
	}
	r := e.value.Load()
	if r == nil || !c.rules.untouched(r.slots(), r.revision, forever) {
		return Item[V]{}, Info{}, false
	}
	r = c.softened(r)
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
		StoreGets: n.storeGets.read(), StorePuts: n.storePuts.read(), StoreDeletes: n.storeDeletes.read(), StorePending: int(c.deletions.waiting()),
		Refused: n.refused.Load(), Paused: n.paused.Load(), Cycles: n.cycles.Load(),
		Evictions: uint64(c.table.Evicted()), Invalidations: n.invalidations.Load(), Detached: n.detached.Load(),
		ZombieResults: n.zombieResults.Load(), DroppedEvents: c.events.dropped.Load(),
		Mirrored: c.mirrors.kept.Load(), Unmirrored: c.mirrors.passedBy.Load(), MirrorsOutgrown: c.mirrors.outgrown.Load(),
		Entries: c.table.Len(), Bytes: c.table.Bytes(), BytesInFlight: c.table.Reserved(), MaxBytes: c.o.MaxBytes,
		Running: c.roster.size(), Waiters: int(c.parked.Load()), Zombies: int(c.roster.zombies.Load()),
		LoadTime: time.Duration(n.loadNanos.Load()),
	}
	s.Mirrors, s.MirrorBytes = c.mirrors.held()
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

func (c *Cache[V]) windowsOf(r *record[V]) windows {
	if r.more == nil {
		return c.standard
	}
	return r.more.windows
}

func (c *Cache[V]) overhead(key string) int64 { return entryBytes + int64(len(key)) }

func (c *Cache[V]) checkKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty: give at least one byte", ErrInvalidKey)
	case len(key) > c.o.MaxKeyLen:
		return fmt.Errorf("%w: %.32q… has %d bytes, MaxKeyLen is %d: hash it, or raise the limit", ErrInvalidKey, key, len(key), c.o.MaxKeyLen)
	}
	return nil
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
