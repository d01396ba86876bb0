package core

import (
	"cmp"
	"slices"
)

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
	c.forgetUnanswered(who)
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
