package core

import (
	"slices"
	"time"
)

// A part is a partition at this node.
//
//	state        it is      a Join
//	NONE         another's  is told so, by WrongOwner; one that knows of a newer table than this node waits
//	RECOVERING   ours       waits
//	ACTIVE       ours       is served
//	CLOSED       ours       waits: a write that gives it away is under way
//	SUSPENDED    ours       waits: the node's lease is out
type part struct {
	gen        uint64 // at which it is ours; 0: it is not
	recovering *recovery
	closed     bool
	waiting    []*waiter
}

// A flight is a lease that this node, as the owner of its key, has granted or
// adopted.
//
//	it is      when                                     a Join of its key
//	current    keys names it                            parks on it
//	reserved   current, and known by name only          parks on it
//	detached   an invalidation came, or a younger one   does not see it
//	settled    its outcome is here                      is given it if it names it
type flight struct {
	id        Flight
	key       string
	holder    Node
	since     uint64 // its v is not below
	until     Time   // void then, unless it is extended; settled: forgotten then
	life      Time   // void then, whatever happens (C6)
	parked    []*waiter
	live      int  // of parked, those that have not left
	idle      bool // nobody waits at its holder
	reserved  bool
	adopted   bool // granted by an earlier owner
	set       bool // its holder has the value: it comes with a newer v than since
	unclaimed bool // its holder has opened a new session and not presented it yet
	timed     bool // a flightTimer is set

	outcome  *Outcome
	awaiting map[waiterID]bool // who has yet to acknowledge the outcome
	offered  bool              // its outcome came while its partition was not certain
}

// A waiterID names a Join at its owner.
type waiterID struct {
	node Node
	ask  uint64
}

// A waiter is a Join that has not been answered.
type waiter struct {
	waiterID
	Join
	part    uint32
	ends    Time    // its Wait is over then
	arrived uint64  // leases granted before it came: what began later is Fresh to it
	flight  *flight // parked on; nil: in its part's waiting
	adrift  bool    // its session has ended
	gone    bool    // answered, left or dead: whoever meets it drops it
}

// A lagging Join knows of a revision or a table that this node has yet to apply.
type lagging struct {
	from Node
	join Join
	ends Time
}

// join answers a Join, or parks it.
func (c *Core) join(from Node, m Join) {
	c.take(from, m, c.now.Add(m.Wait))
}

// take is join, for one that has waited until it can be understood too.
func (c *Core) take(from Node, m Join, ends Time) {
	if old := c.waiters[waiterID{from, m.Ask}]; old != nil {
		c.strike(old) // it is the same one, on a new stream
	}
	p := c.part(m.Key)
	r := c.routes[p]
	switch {
	case m.Since > c.applied || m.Gen > r.gen:
		if len(c.lagging) >= c.Limits.Parked {
			c.send(from, Reply{Ask: m.Ask, Kind: KindOverloaded, Gen: r.gen})
			return
		}
		c.lagging = append(c.lagging, lagging{from, m, ends})
	case r.owner != c.Self:
		c.send(from, Reply{Ask: m.Ask, Kind: KindWrongOwner, Gen: r.gen})
	default:
		c.admit(&waiter{waiterID: waiterID{from, m.Ask}, Join: m, part: p, ends: ends, arrived: c.granted})
	}
}

// catchUp looks again at what lagged.
func (c *Core) catchUp() {
	c.awaiting = slices.DeleteFunc(c.awaiting, func(a awaited) bool {
		if a.revision > c.applied {
			return false
		}
		c.send(a.from, HasApplied{a.revision})
		return true
	})
	late := c.lagging
	c.lagging = nil
	last := map[waiterID]int{} // of one that came twice the last counts
	for i, l := range late {
		last[waiterID{l.from, l.join.Ask}] = i
	}
	for i, l := range late {
		if last[waiterID{l.from, l.join.Ask}] == i {
			c.take(l.from, l.join, l.ends)
		}
	}
}

// admit serves a waiter of a partition of ours, or makes it wait until that is
// ACTIVE.
func (c *Core) admit(w *waiter) {
	p := &c.parts[w.part]
	recovering := p.recovering != nil && !broken(GrantWhileRecovering)
	closed := p.closed && !broken(GrantAfterGivingAway)
	switch {
	case !recovering && !closed && c.mayGrant():
		c.serve(w)
	case w.Lapsed && !c.standing():
		c.reply(w, Reply{Kind: KindUnavailable})
	case c.tooMany():
		c.reply(w, Reply{Kind: KindOverloaded})
	default:
		p.waiting = append(p.waiting, w)
		c.enrol(w, nil)
	}
}

// readmit serves what waits for partitions that are ACTIVE.
func (c *Core) readmit() {
	for p := range c.parts {
		if len(c.parts[p].waiting) > 0 {
			c.readmitPart(uint32(p))
		}
	}
}

func (c *Core) readmitPart(p uint32) {
	waiting := c.parts[p].waiting
	c.parts[p].waiting = nil
	if c.parts[p].recovering == nil && !c.parts[p].closed && c.mayGrant() {
		for _, w := range waiting { // what one names is not granted to another before its turn
			if !w.gone {
				c.reserve(w)
			}
		}
	}
	c.requeue(waiting)
}

// readmitOne serves a waiter anew.
func (c *Core) readmitOne(w *waiter) {
	c.strike(w)
	again := &waiter{waiterID: w.waiterID, Join: w.Join, part: w.part, ends: w.ends, arrived: w.arrived, adrift: w.adrift}
	c.admit(again)
}

// serve answers a waiter at the ACTIVE owner of its key, or parks it on the
// key's flight.
func (c *Core) serve(w *waiter) {
	if w.Lapsed {
		w.Since = max(w.Since, c.applied) // its own is from before its lease ran out
	}
	if f := c.flights[w.On]; f != nil && f.outcome != nil && f.key == w.Key && !w.Fresh && c.deliver(f, w) {
		return
	}
	if w.Set {
		c.overwrite(w)
		return
	}
	var previous Value
	if !w.Fresh {
		v, ok := c.Shelf.Peek(w.Key, w.Since, false, w.NoStale)
		if ok && !(v.Stale && w.Refresh) {
			c.reply(w, Reply{Kind: KindValue, Value: v})
			return
		}
		previous = v
	}
	if m, ok := c.marks.find(c, w.Key, w.Since); ok {
		c.replyMark(w, m)
		return
	}
	f := c.keys[w.Key]
	if f != nil && !f.reserved && (!f.set || broken(SetDetached)) && !c.Shelf.Untouched(w.Key, nil, f.since, w.Since) {
		c.detach(f)
		f = nil
	}
	if named := c.reserve(w); named != nil {
		f = named
	}
	if f != nil {
		c.park(f, w)
		return
	}
	c.entitle(w, previous)
}

// overwrite grants a lease for a value that its holder has already. The flight
// that is under way goes on for those who wait for it, and is not kept; who asks
// from now on waits for the value, also while the invalidation is written as of
// which it holds.
func (c *Core) overwrite(w *waiter) {
	if f := c.entitle(w, Value{}); f != nil { // and it is the current one
		f.set = true
	}
}

// entitle grants a waiter the lease of its key, if it and this node are such
// that it can be: else it gives nil.
func (c *Core) entitle(w *waiter, previous Value) *flight {
	switch {
	case w.Lapsed || w.ends <= c.now:
		c.reply(w, Reply{Kind: KindUnavailable})
	case w.adrift: // nobody there to be granted anything
		c.parts[w.part].waiting = append(c.parts[w.part].waiting, w)
		c.enrol(w, nil)
	case len(c.flights) >= c.Limits.Flights:
		c.reply(w, Reply{Kind: KindOverloaded})
	default:
		return c.grant(w, previous)
	}
	return nil
}

// grant gives a waiter the lease of its key.
func (c *Core) grant(w *waiter, previous Value) *flight {
	c.granted++
	f := &flight{
		id:  Flight{w.part, c.parts[w.part].gen, c.granted},
		key: w.Key, holder: w.node, since: w.Since,
		until: c.now.Add(c.Times.Limit), life: w.ends,
	}
	c.enter(f)
	c.reply(w, Reply{Kind: KindLease, Flight: f.id, Life: w.ends.Sub(c.now), Value: previous})
	return f
}

// enter makes a flight the current one of its key.
func (c *Core) enter(f *flight) {
	c.flights[f.id] = f
	c.keys[f.key] = f
	c.timeFlight(f)
}

func (c *Core) timeFlight(f *flight) {
	if !f.timed {
		f.timed = true
		c.timers.set(min(f.until, f.life), timer{kind: flightTimer, flight: f.id})
	}
}

// detach parts a flight from its key: it goes on for those who are parked on it.
func (c *Core) detach(f *flight) {
	if c.keys[f.key] == f {
		delete(c.keys, f.key)
	}
}

// stepDown lets partitions go. Who waits here is told, and says to the new owner
// what it waited for.
func (c *Core) stepDown(parts map[uint32]bool) {
	for _, id := range flightsInOrder(c.flights) {
		if f := c.flights[id]; parts[id.Part] {
			c.detach(f)
			delete(c.flights, id)
			c.sendAway(f.release())
		}
	}
	for p := range c.parts {
		if !parts[uint32(p)] {
			continue
		}
		waiting := c.parts[p].waiting
		c.parts[p] = part{}
		c.sendAway(waiting)
	}
	c.marks.drop(c, parts)
}

func (c *Core) sendAway(waiters []*waiter) {
	for _, w := range waiters {
		if !w.gone {
			c.reply(w, Reply{Kind: KindWrongOwner})
		}
	}
}

// passMark is for how long a pass answers those who come after it.
const passMark = time.Second
