package core

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
