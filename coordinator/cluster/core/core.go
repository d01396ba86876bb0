package core

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/corralcache/corral/internal/placement"
)

// A Shelf is what the core sees of the caches of its node. Its methods are
// called from within Step, do not block and do not call the core.
type Shelf interface {
	// Peek is what may be given to a caller with these demands by the rule of
	// revisions, against the greater of since and what the node has applied.
	Peek(key string, since uint64, fresh, noStale bool) (Value, bool)
	// Untouched is the rule: no invalidation of the key, of one of the tags or of
	// all lies in (v, s].
	Untouched(key string, tags []string, v, s uint64) bool
}

// Times are the protocol's durations. See DefaultTimes.
type Times struct {
	Lease       time.Duration // L: of a node's lease, from before its renewal is sent
	Renew       time.Duration // H: from one renewal to the next
	Retry       time.Duration // after a renewal or a write that failed
	Guard       time.Duration // g: what clocks may differ by within L
	Limit       time.Duration // of a flight's lease without a heartbeat
	Heartbeat   time.Duration // of flights' leases
	Recovery    time.Duration // for which a new owner waits for the slowest node
	Silence     time.Duration // for which a stream may live of which nothing is heard
	Handover    time.Duration // for which a write that gives partitions away waits for what is kept of them to be handed over
	Unreachable time.Duration // after which an Ask whose owner cannot be reached is given up
}

// DefaultTimes are for an etcd whose elections take at most 0.8 s: the embedded
// one. L is at least the longest election and 2 H; g is 5 % of L.
func DefaultTimes() Times { return timesFor(2 * time.Second) }

// ExternalTimes are for an etcd at its own defaults, whose elections take up to
// 1.3 s and more.
func ExternalTimes() Times { return timesFor(2500 * time.Millisecond) }

func timesFor(lease time.Duration) Times {
	guard := 100 * time.Millisecond
	return Times{
		Lease: lease, Renew: 400 * time.Millisecond, Retry: 100 * time.Millisecond, Guard: guard,
		Limit: max(5*time.Second, 2*(lease+guard)+500*time.Millisecond), Heartbeat: time.Second,
		Recovery: 500 * time.Millisecond, Silence: 1500 * time.Millisecond, Handover: 5 * time.Second, Unreachable: 5 * time.Second,
	}
}

// Limits bound what a core remembers. Zero fields stand for DefaultLimits.
type Limits struct {
	ParkedOnKey int // Joins that wait for one key at its owner
	Parked      int // and for all keys
	Flights     int // leases granted and not ended
	Asks        int // of this node, not answered
	Marks       int // keys that rest after a failure, or pass
}

// DefaultLimits are those of a node with room for 100,000 waiting callers.
func DefaultLimits() Limits {
	return Limits{ParkedOnKey: 10_000, Parked: 100_000, Flights: 100_000, Asks: 200_000, Marks: 1 << 16}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	return Limits{
		ParkedOnKey: cmp.Or(l.ParkedOnKey, d.ParkedOnKey), Parked: cmp.Or(l.Parked, d.Parked),
		Flights: cmp.Or(l.Flights, d.Flights), Asks: cmp.Or(l.Asks, d.Asks), Marks: cmp.Or(l.Marks, d.Marks),
	}
}

// Config is what a core is born with.
type Config struct {
	Self       Node
	HashKey    [16]byte // of the cluster: key → partition
	Partitions int      // of the cluster
	Times      Times
	Limits     Limits
	Shelf      Shelf
}

// A Snapshot is what the nodes had agreed on at one revision.
type Snapshot struct {
	Revision      uint64
	Nodes         []NodeChange
	Table         *Table
	TableRevision uint64
}

// A Core is one node's part of the protocol. See the package comment.
type Core struct {
	Config
	now     Time
	actions []Action
	inbox   []Received // to itself
	timers  timers

	// What is agreed (agreed.go).
	applied  uint64
	nodes    map[string]*node
	table    *Table
	tableRev uint64
	// overwritten: what stands at tableRev is an older table than table.
	overwritten bool
	routes      []route
	layout      uint64 // times that routes, or who is alive, have changed

	// The node's own lease (lease.go).
	until     Time // leased before this instant
	restored  Time // since when it is not, 0: it is
	renewal   renewal
	fenced    bool
	stillborn bool // fenced before the first Step
	draining  bool
	staying   bool // draining, and not to leave
	doubted   bool // its clock
	leaving   bool // its tombstone is on its way

	// Changes of the table (assign.go).
	write     *writing
	handover  handover
	wrote     uint64 // IDs given
	notBefore Time   // after a write that was refused

	// As an owner (own.go, settle.go, recover.go).
	parts      []part
	keys       map[string]*flight
	flights    map[Flight]*flight
	waiters    map[waiterID]*waiter
	parked     int
	granted    uint64
	finished   finished
	marks      marks
	recoveries map[uint64]*recovery
	rounds     uint64
	lagging    []lagging // Joins that came before what they know of

	// As an asker (ask.go) and a holder (hold.go).
	asks     map[uint64]*ask
	held     map[Flight]*held
	beats    uint64
	beatSent map[uint64]Time

	invalidations map[uint64]*invalidation // invalidate.go
	awaiting      []awaited
}

// New is the core of a node whose record has been written. It has no lease
// until its first renewal.
func New(config Config, s Snapshot, now Time) *Core {
	config.Limits = config.Limits.withDefaults()
	c := &Core{
		Config: config, now: now, applied: s.Revision, restored: now,
		nodes: map[string]*node{}, keys: map[string]*flight{}, flights: map[Flight]*flight{}, waiters: map[waiterID]*waiter{},
		asks: map[uint64]*ask{}, held: map[Flight]*held{}, recoveries: map[uint64]*recovery{},
		invalidations: map[uint64]*invalidation{}, beatSent: map[uint64]Time{},
		routes: make([]route, config.Partitions), parts: make([]part, config.Partitions),
	}
	c.renewal.nonces = map[uint64]Time{}
	for _, change := range s.Nodes {
		c.learnNode(change)
	}
	if s.Table != nil {
		c.learnTable(s.Table, s.TableRevision)
	}
	c.timers.set(now, timer{kind: renewTimer})
	c.timers.set(now.Add(config.Times.Heartbeat), timer{kind: beatTimer})
	c.drain()
	c.actions = nil
	c.stillborn = c.fenced // the first Step says so
	return c
}

// Step takes one event at one instant and returns what is to be done, in order.
// The slice is valid until the next Step.
func (c *Core) Step(now Time, event Event) []Action {
	clear(c.actions)
	c.actions = c.actions[:0]
	if c.fenced {
		return c.stepFenced(event)
	}
	c.now = max(now, c.now)
	c.lapse()
	c.handle(event)
	c.drain()
	if !c.keeps() {
		c.expire()
		c.drain()
	}
	return c.actions
}

// keeps reports whether the Step gives the node a value, which Peek does not see
// before the Step is over: what is due waits for the next, lest the value's key
// be granted.
func (c *Core) keeps() bool {
	return slices.ContainsFunc(c.actions, func(a Action) bool { _, is := a.(Keep); return is })
}

// stepFenced is what is left to say once the others take the node for dead.
func (c *Core) stepFenced(event Event) []Action {
	if c.stillborn {
		c.stillborn = false
		c.act(Fenced{})
	}
	switch e := event.(type) {
	case Ask:
		c.act(Answered{Ask: e.ID, Kind: KindUnavailable})
	case Done:
		c.act(Settled{Flight: e.Flight, Void: true})
	}
	return c.actions
}

func (c *Core) handle(event Event) {
	switch e := event.(type) {
	case Tick:
	case Renewed:
		c.renewed(e)
	case Changed:
		c.changed(e)
	case Wrote:
		c.onWrote(e)
	case Opened:
		c.opened(e)
	case Closed:
		c.closed(e)
	case Received:
		if n := c.nodes[e.From.Name]; n != nil && n.Node == e.From && n.session == e.Session && e.Session != 0 {
			c.receive(e)
		}
	case Ask:
		c.ask(e)
	case LeaveAsk:
		c.leaveAsk(e.ID)
	case Done:
		c.done(e)
	case NobodyHere:
		c.nobodyHere(e.Flight)
	case Committed:
		c.committed(e)
	case Doubted:
		c.doubted = e.Clock
		c.extendLease()
	case Drain:
		c.draining, c.staying = true, e.Stay // and once all can see that, its partitions are given away
		c.timers.set(c.now, timer{kind: renewTimer})
	case HandedOver:
		c.handedOver(e)
	case Undrain:
		c.draining, c.staying = c.draining && !c.staying, false
		c.timers.set(c.now, timer{kind: renewTimer})
	default:
		panic(fmt.Sprintf("core: unknown event %T", event))
	}
}

// receive handles a message of the present session, or of this node to itself.
func (c *Core) receive(r Received) {
	from := r.From
	switch m := r.Message.(type) {
	case Join:
		c.join(from, m)
	case Leave:
		c.leave(from, m.Ask)
	case Reply:
		c.replied(from, m)
	case Parked:
		c.onParked(from, m)
	case Took:
		c.took(from, m)
	case Outcome:
		c.outcome(from, m)
	case Taken:
		c.taken(from, m)
	case Extend:
		c.extend(from, m)
	case Extended:
		c.extended(from, m)
	case Idle:
		c.idle(from, m.Flight)
	case Unwanted:
		c.unwanted(from, m.Flight)
	case Recover:
		c.onRecover(from, m)
	case Rejoin:
		c.rejoin(from, m)
	case End:
		c.ended(from, m.Round)
	case Applied:
		c.whenApplied(from, m.Revision)
	case HasApplied:
		c.hasApplied(from, m.Revision)
	case Probe:
		c.probe(m)
	case Cycle:
		c.cycle(m)
	default:
		panic(fmt.Sprintf("core: unknown message %T", m))
	}
}

// send hands a message to a node's stream, or to this node itself. Without a
// stream it is dropped: whoever wants it sent sends it when one opens.
func (c *Core) send(to Node, m Message) {
	if to == c.Self {
		c.inbox = append(c.inbox, Received{From: c.Self, Message: m})
		return
	}
	if n := c.nodes[to.Name]; n != nil && n.Node == to && n.session != 0 {
		c.act(Send{To: to, Session: n.session, Message: m})
	}
}

// drain handles what the node has sent to itself.
func (c *Core) drain() {
	for len(c.inbox) > 0 && !c.fenced {
		r := c.inbox[0]
		c.inbox[0] = Received{}
		c.inbox = c.inbox[1:]
		c.receive(r)
	}
	c.inbox = nil
}

func (c *Core) act(a Action) { c.actions = append(c.actions, a) }

func (c *Core) note(n Note) { c.act(n) }

// part is the partition of a key.
func (c *Core) part(key string) uint32 {
	return uint32(placement.Partition(c.HashKey, key, c.Partitions))
}

// Applied is the revision up to which the node has applied the watch.
func (c *Core) Applied() uint64 { return c.applied }

// Standing reports whether the node's lease runs: only then does it answer from
// what it has, and grant.
func (c *Core) Standing(now Time) bool { return !c.fenced && now < c.until }

// Until is when the node's lease runs out.
func (c *Core) Until() Time {
	if c.fenced {
		return 0
	}
	return c.until
}

func (c *Core) standing() bool { return c.Standing(c.now) }

// mayGrant is standing, for what gives a right away.
func (c *Core) mayGrant() bool { return c.standing() || broken(LapsedNodeGrants) }

// Next is when the core wants a Tick at the latest.
func (c *Core) Next() Time {
	if c.fenced {
		return math.MaxInt64
	}
	return c.timers.next()
}

// Owned reports whether every partition has an owner.
func (c *Core) Owned() bool {
	for _, r := range c.routes {
		if r.owner == (Node{}) {
			return false
		}
	}
	return true
}

// Sizes counts what the core remembers, for tests of leaks and for operators.
type Sizes struct{ Asks, Held, Flights, Parked, Lagging, Marks, Recoveries, Invalidations int }

// Sizes counts what the core remembers.
func (c *Core) Sizes() Sizes {
	return Sizes{len(c.asks), len(c.held), len(c.flights), c.parked, len(c.lagging), len(c.marks.of), len(c.recoveries), len(c.invalidations)}
}

// inOrder is the keys of a map in their order, so that a core does the same
// things in the same order whenever it is given the same events.
func inOrder[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// flightsInOrder is inOrder for flights.
func flightsInOrder[V any](m map[Flight]V) []Flight {
	flights := make([]Flight, 0, len(m))
	for f := range m {
		flights = append(flights, f)
	}
	slices.SortFunc(flights, func(a, b Flight) int {
		return cmp.Or(cmp.Compare(a.Part, b.Part), cmp.Compare(a.Gen, b.Gen), cmp.Compare(a.Seq, b.Seq))
	})
	return flights
}
