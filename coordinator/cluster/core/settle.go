package core

// outcome takes in what a lease came to.
func (c *Core) outcome(from Node, m Outcome) {
	if int(m.Flight.Part) >= len(c.parts) || c.routes[m.Flight.Part].owner != c.Self {
		return // its holder offers it to whoever is the owner
	}
	f := c.flights[m.Flight]
	switch {
	case f != nil && f.reserved && c.awaits(m.Flight.Part, from): // presented in its turn, with its since
	case f != nil && f.holder == from && f.outcome != nil: // offered again; Taken follows
	case f != nil && f.holder == from:
		c.settle(f, m)
	case c.awaits(m.Flight.Part, from): // it is presented, in its turn
	default:
		c.note(Note{What: NoteVoidOutcome, Node: from, Part: m.Flight.Part, Key: m.Key})
		c.send(from, Taken{Flight: m.Flight, Void: true})
	}
}

// settle hands the outcome of a flight to all who are parked on it.
func (c *Core) settle(f *flight, m Outcome) {
	if m.Kind == KindAbandon {
		c.passOn(f)
		c.send(f.holder, Taken{Flight: f.id})
		return
	}
	current := c.keys[f.key] == f
	c.detach(f)
	f.outcome, f.awaiting = &m, map[waiterID]bool{}
	f.until = c.now.Add(c.Times.Limit)
	f.reserved = false
	f.offered = !c.certain(f.id.Part)
	c.timeFlight(f)
	if current {
		c.retain(f)
		c.nameIn(f)
	}
	var refused []*waiter
	for _, w := range f.release() {
		if !w.gone && (w.Fresh && (f.adopted || f.id.Seq <= w.arrived) || !c.deliver(f, w)) {
			refused = append(refused, w)
		}
	}
	c.requeue(refused)
	c.mayFinish(f)
}

// nameIn has those name a flight who wait for its key until its partition is
// certain: they would have been parked on it, and are then given its outcome.
func (c *Core) nameIn(f *flight) {
	for _, w := range c.parts[f.id.Part].waiting {
		if w.Key == f.key && w.On == (Flight{}) && !w.gone {
			w.On, w.Holder = f.id, f.holder
		}
	}
}

// retain keeps what the current flight of a key came to: the value on the shelf,
// a pause or a pass as a mark. A holder that owned the key has put it there
// itself; one that did not may not have.
func (c *Core) retain(f *flight) {
	m := f.outcome
	switch {
	case m.Kind == KindPass:
		c.marks.put(c, f.key, mark{since: f.since, kind: KindPass}, passMark)
	case m.Kind == KindError:
		c.marks.put(c, f.key, mark{since: f.since, kind: KindError, failure: m.Failure}, m.Failure.RetryAfter)
	case m.Value.Keep && (f.holder != c.Self || f.adopted) && c.Shelf.Untouched(f.key, m.Value.Tags, m.Value.Revision, c.applied):
		c.act(Keep{f.key, m.Value})
	}
}

// deliver gives a waiter the outcome of a flight, and reports false if the rule
// of revisions forbids it.
func (c *Core) deliver(f *flight, w *waiter) bool {
	m := f.outcome
	r := Reply{Kind: m.Kind, Flight: f.id, Value: m.Value, Failure: m.Failure}
	switch {
	case m.Kind == KindValue && !c.Shelf.Untouched(f.key, m.Value.Tags, m.Value.Revision, w.Since):
		return false
	case m.Kind != KindValue && !c.Shelf.Untouched(f.key, nil, f.since, w.Since):
		return false
	case m.Kind == KindPass && w.Lapsed:
		r = Reply{Kind: KindUnavailable}
	}
	if r.Flight != (Flight{}) {
		f.awaiting[w.waiterID] = true
	}
	c.reply(w, r)
	return true
}

// took notes that a waiter's node has an outcome.
func (c *Core) took(from Node, m Took) {
	if f := c.flights[m.Flight]; f != nil && f.outcome != nil {
		delete(f.awaiting, waiterID{from, m.Ask})
		c.mayFinish(f)
	}
}

// mayFinish acknowledges an outcome once all who were parked have it. One that
// came while that was not certain waits: others may name it yet, here or at
// whoever owns the partition next.
func (c *Core) mayFinish(f *flight) {
	if f.outcome != nil && len(f.awaiting) == 0 && !f.offered && c.flights[f.id] == f {
		c.finish(f)
	}
}

func (c *Core) finish(f *flight) {
	delete(c.flights, f.id)
	c.finished.add(f.id)
	c.send(f.holder, Taken{Flight: f.id})
}

// maxFinished is how many flights are remembered whose outcome was taken, the
// latest: a holder that has not heard so offers it again.
const maxFinished = 1 << 12

// finished are flights whose outcome was taken.
type finished struct {
	of    map[Flight]bool
	order []Flight // a ring
	next  int
}

func (l *finished) add(f Flight) {
	if l.of == nil {
		l.of = map[Flight]bool{}
	}
	if len(l.order) < maxFinished {
		l.order = append(l.order, f)
	} else {
		delete(l.of, l.order[l.next])
		l.order[l.next] = f
		l.next = (l.next + 1) % maxFinished
	}
	l.of[f] = true
}
