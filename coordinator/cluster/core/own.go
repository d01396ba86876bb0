package core

import (
	"cmp"
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
	for i := 0; i < len(c.awaiting); {
		if a := c.awaiting[i]; a.revision <= c.applied {
			c.send(a.from, HasApplied{a.revision})
			c.awaiting = append(c.awaiting[:i], c.awaiting[i+1:]...)
			continue
		}
		i++
	}
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

func deleteFrom(late []lagging, from Node) []lagging {
	kept := late[:0]
	for _, l := range late {
		if l.from != from {
			kept = append(kept, l)
		}
	}
	clear(late[len(kept):])
	return kept
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
	if f != nil && !f.reserved && !c.Shelf.Untouched(w.Key, nil, f.since, w.Since) {
		c.detach(f)
		f = nil
	}
	if named := c.reserve(w); named != nil {
		f = named
	}
	switch {
	case f != nil:
		c.park(f, w)
	case w.Lapsed || w.ends <= c.now:
		c.reply(w, Reply{Kind: KindUnavailable})
	case w.adrift: // nobody there to be granted anything
		c.parts[w.part].waiting = append(c.parts[w.part].waiting, w)
		c.enrol(w, nil)
	case len(c.flights) >= c.Limits.Flights:
		c.reply(w, Reply{Kind: KindOverloaded})
	default:
		c.grant(w, previous)
	}
}

// grant gives a waiter the lease of its key.
func (c *Core) grant(w *waiter, previous Value) {
	c.granted++
	f := &flight{
		id:  Flight{w.part, c.parts[w.part].gen, c.granted},
		key: w.Key, holder: w.node, since: w.Since,
		until: c.now.Add(c.Times.Limit), life: w.ends,
	}
	c.enter(f)
	c.reply(w, Reply{Kind: KindLease, Flight: f.id, Life: w.ends.Sub(c.now), Value: previous})
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

// park lets a waiter wait for a flight.
func (c *Core) park(f *flight, w *waiter) {
	if f.live >= c.Limits.ParkedOnKey || c.tooMany() {
		c.reply(w, Reply{Kind: KindOverloaded})
		return
	}
	f.parked = append(f.parked, w)
	f.live++
	c.enrol(w, f)
	c.send(w.node, Parked{w.Ask, f.id, f.holder})
}

func (c *Core) tooMany() bool { return c.parked >= c.Limits.Parked }

func (c *Core) enrol(w *waiter, f *flight) {
	w.flight = f
	c.waiters[w.waiterID] = w
	c.parked++
}

// strike takes a waiter off the list of those who wait.
func (c *Core) strike(w *waiter) {
	if c.waiters[w.waiterID] != w {
		return
	}
	delete(c.waiters, w.waiterID)
	c.parked--
	w.gone = true
	if f := w.flight; f != nil {
		f.live--
		f.compact()
	}
}

// compact drops those who have left once they are the most.
func (f *flight) compact() {
	if len(f.parked) < 32 || f.live > len(f.parked)/2 {
		return
	}
	left := f.parked[:0]
	for _, w := range f.parked {
		if !w.gone {
			left = append(left, w)
		}
	}
	clear(f.parked[len(left):])
	f.parked = left
}

// release is who was parked; what they come to is the caller's business.
func (f *flight) release() []*waiter {
	parked := f.parked
	f.parked = nil
	return parked
}

// reply answers a waiter, which ends it.
func (c *Core) reply(w *waiter, r Reply) {
	c.strike(w)
	r.Ask, r.Gen = w.Ask, c.routes[w.part].gen
	c.send(w.node, r)
}

// leave takes a Join back.
func (c *Core) leave(from Node, ask uint64) { c.dropWaiter(waiterID{from, ask}) }

func (c *Core) dropWaiter(id waiterID) {
	w := c.waiters[id]
	if w == nil {
		c.lagging = deleteLagging(c.lagging, id)
		return
	}
	c.strike(w)
	c.mayBeUnwanted(w.flight)
}

func deleteLagging(late []lagging, id waiterID) []lagging {
	for i, l := range late {
		if l.from == id.node && l.join.Ask == id.ask {
			return append(late[:i], late[i+1:]...)
		}
	}
	return late
}

// mayBeUnwanted tells a holder of whom nobody wants anything any more. Where the
// partition may be another's by now, nobody can tell.
func (c *Core) mayBeUnwanted(f *flight) {
	if f == nil || !f.idle || f.live > 0 || f.outcome != nil {
		return
	}
	if p := &c.parts[f.id.Part]; p.closed || p.recovering != nil || !c.standing() {
		return
	}
	c.send(f.holder, Unwanted{f.id})
}

// idle notes that nobody waits at a flight's holder.
func (c *Core) idle(from Node, id Flight) {
	if f := c.flights[id]; f != nil && f.holder == from {
		f.idle = true
		c.mayBeUnwanted(f)
	}
}

// extend is the heartbeat of a holder.
func (c *Core) extend(from Node, m Extend) {
	answer := Extended{Round: m.Round}
	for _, id := range m.Flights {
		if int(id.Part) >= len(c.parts) || c.routes[id.Part].owner != c.Self || c.parts[id.Part].recovering != nil {
			continue
		}
		f := c.flights[id]
		if f == nil && c.awaits(id.Part, from) {
			continue // it has overtaken what presents it
		}
		if f == nil || f.holder != from {
			answer.Void = append(answer.Void, id)
			continue
		}
		if f.outcome == nil {
			f.until = c.now.Add(c.Times.Limit)
		}
		f.unclaimed = false
		answer.Kept = append(answer.Kept, id)
	}
	if len(answer.Kept)+len(answer.Void) > 0 {
		c.send(from, answer)
	}
}

// flightDue voids a lease that was not extended or has lived its time, and
// forgets an outcome that was not acknowledged.
func (c *Core) flightDue(id Flight) {
	f := c.flights[id]
	if f == nil {
		return
	}
	f.timed = false
	switch due := min(f.until, f.life); {
	case f.outcome != nil && c.now >= f.until:
		c.finish(f)
	case f.outcome == nil && c.now >= due:
		c.void(f)
	default:
		f.timed = true
		if f.outcome != nil {
			due = f.until
		}
		c.timers.set(due, timer{kind: flightTimer, flight: id})
	}
}

// void ends a lease whose holder is gone, silent or late. It goes on to one of
// those who are parked: one that was reserved is not reserved for them again.
func (c *Core) void(f *flight) {
	for _, w := range f.parked {
		if f.reserved && w.On == f.id {
			w.On, w.Holder = Flight{}, Node{}
		}
	}
	c.note(Note{What: NoteHolderLost, Node: f.holder, Part: f.id.Part, Key: f.key})
	if c.alive(f.holder) != nil {
		c.send(f.holder, Extended{Void: []Flight{f.id}})
	}
	c.passOn(f)
}

// passOn ends a lease without an outcome: the first who is parked is granted the
// next one, and the others are parked on that.
func (c *Core) passOn(f *flight) {
	c.detach(f)
	delete(c.flights, f.id)
	c.requeue(f.release())
}

// requeue serves waiters anew. Those who have seen most come first: the others
// can park on the flight that one of them is granted, but not the other way round.
// Those who may not be granted anything come last.
func (c *Core) requeue(waiters []*waiter) {
	slices.SortStableFunc(waiters, func(a, b *waiter) int {
		if a.Lapsed != b.Lapsed {
			if a.Lapsed {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.Since, a.Since)
	})
	for _, w := range waiters {
		if !w.gone {
			c.readmitOne(w)
		}
	}
}

// voidHolder voids the leases of an incarnation that is dead: the only
// computation which a crash must cost.
func (c *Core) voidHolder(who Node) {
	for _, id := range flightsInOrder(c.flights) {
		f := c.flights[id]
		if f != nil && f.holder == who && f.outcome == nil {
			c.void(f)
		}
	}
}

// forgetWaiters drops the Joins of an incarnation that is dead.
func (c *Core) forgetWaiters(who Node) {
	c.lagging = deleteFrom(c.lagging, who)
	c.awaiting = deleteAwaited(c.awaiting, who)
	for _, w := range c.waitersOf(who, false) {
		c.strike(w)
		c.mayBeUnwanted(w.flight)
	}
	for _, id := range flightsInOrder(c.flights) {
		f := c.flights[id]
		for w := range f.awaiting {
			if w.node == who {
				delete(f.awaiting, w)
			}
		}
		c.mayFinish(f)
	}
}

// waitersOf is who waits of a node, in the order of their Asks.
func (c *Core) waitersOf(who Node, adrift bool) []*waiter {
	asks := map[uint64]*waiter{}
	for id, w := range c.waiters {
		if id.node == who && (w.adrift || !adrift) {
			asks[id.ask] = w
		}
	}
	list := make([]*waiter, 0, len(asks))
	for _, ask := range inOrder(asks) {
		list = append(list, asks[ask])
	}
	return list
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
