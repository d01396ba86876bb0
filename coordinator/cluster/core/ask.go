package core

// An ask is a Join of this node's own, until it is answered or left. It is sent
// to the owner of its key, again whenever that changes or a new session opens.
type ask struct {
	Ask
	part    uint32
	ends    Time   // Wait counts until here
	sent    Node   // to whom; nobody: there is no owner, or no stream to it
	unsent  Time   // since when
	on      Flight // what it is parked on, as far as is known
	holder  Node
	refused int // values that were too old
}

// maxRefused is how many values that are too old an Ask is offered before it is
// given up: each means that an invalidation came in between.
const maxRefused = 8

func (c *Core) ask(e Ask) {
	a := &ask{Ask: e, part: c.part(e.Key), ends: c.now.Add(e.Wait), unsent: c.now}
	if c.asks[e.ID] != nil {
		panic("core: the ID of an Ask was used twice")
	}
	if len(c.asks) >= c.Limits.Asks {
		c.act(Answered{Ask: e.ID, Kind: KindOverloaded})
		return
	}
	a.Lapsed = a.Lapsed || !c.standing()
	c.asks[e.ID] = a
	c.place(a)
}

// place sends an ask to whom it belongs, if that node can be reached.
func (c *Core) place(a *ask) {
	to := c.routes[a.part].owner
	reachable := to == c.Self || c.alive(to) != nil && c.nodes[to.Name].session != 0
	switch {
	case reachable:
		a.sent = to
		c.send(to, Join{
			Ask: a.ID, Key: a.Key, Gen: c.routes[a.part].gen, Since: a.Since, Wait: max(a.ends.Sub(c.now), 0),
			On: a.on, Holder: a.holder, Fresh: a.Fresh, NoStale: a.NoStale, Refresh: a.Refresh, Lapsed: a.Lapsed, Set: a.Set,
		})
	case a.Lapsed:
		c.answer(a, Answered{Kind: KindUnavailable})
	default:
		c.unsendOne(a)
	}
}

// unsendOne waits for an owner, or for a stream to it.
func (c *Core) unsendOne(a *ask) {
	if a.sent != (Node{}) {
		a.unsent = c.now
	}
	a.sent = Node{}
	c.timers.set(a.unsent.Add(c.Times.Unreachable), timer{kind: askTimer, id: a.ID})
}

// unsend is unsendOne for all that a node was asked, once it cannot be reached.
func (c *Core) unsend(who Node) {
	for _, id := range inOrder(c.asks) {
		a := c.asks[id]
		switch {
		case a.sent != who:
		case a.Lapsed:
			c.answer(a, Answered{Kind: KindUnavailable})
		default:
			c.unsendOne(a)
		}
	}
}

// askDue gives up an ask whose owner has been out of reach for too long.
func (c *Core) askDue(id uint64) {
	a := c.asks[id]
	if a == nil || a.sent != (Node{}) {
		return
	}
	if c.now.Sub(a.unsent) < c.Times.Unreachable {
		c.place(a)
		return
	}
	c.note(Note{What: NoteUnreachable, Node: c.routes[a.part].owner, Part: a.part, Key: a.Key})
	c.answer(a, Answered{Kind: KindUnavailable})
}

func (c *Core) answer(a *ask, answer Answered) {
	delete(c.asks, a.ID)
	answer.Ask = a.ID
	c.act(answer)
}

func (c *Core) leaveAsk(id uint64) {
	a := c.asks[id]
	if a == nil {
		return
	}
	delete(c.asks, id)
	if a.sent != (Node{}) {
		c.send(a.sent, Leave{id})
	}
}

// replied takes in what an owner says to an ask.
func (c *Core) replied(from Node, m Reply) {
	a := c.asks[m.Ask]
	if m.Kind == KindLease && (a == nil || a.sent != from && !broken(OlderGenAccepted)) {
		c.decline(from, m.Flight)
		return
	}
	former := a != nil && a.sent != from
	if former && !c.useful(a, m) {
		return // and not acknowledged: its holder offers it to the new owner
	}
	if m.Flight != (Flight{}) && m.Kind != KindLease {
		c.send(from, Took{m.Ask, m.Flight})
	}
	if a == nil {
		return
	}
	if former && a.sent != (Node{}) {
		c.send(a.sent, Leave{a.ID})
	}
	switch m.Kind {
	case KindLease:
		c.leased(from, a, m)
	case KindValue:
		if !c.acceptable(a, m.Value) {
			c.again(a)
			return
		}
		c.answer(a, Answered{Kind: KindValue, Value: m.Value})
	case KindWrongOwner:
		c.misplaced(a, m.Gen)
	default:
		c.answer(a, Answered{Kind: m.Kind, Failure: m.Failure})
	}
}

// useful reports whether what a former owner says is as good as from the present
// one: a value by the rule of revisions, or the outcome of the flight that the
// ask waits for.
func (c *Core) useful(a *ask, m Reply) bool {
	switch m.Kind {
	case KindLease:
		return true // only where that rule is broken
	case KindValue:
		return c.acceptable(a, m.Value) && !a.Lapsed
	case KindPass, KindError:
		return m.Flight != (Flight{}) && m.Flight == a.on
	}
	return false
}

// acceptable is the rule of revisions at the asking node.
func (c *Core) acceptable(a *ask, v Value) bool {
	return a.Lapsed || broken(FillUnchecked) || c.Shelf.Untouched(a.Key, v.Tags, v.Revision, a.Since)
}

// again asks once more, for what was given is too old.
func (c *Core) again(a *ask) {
	if a.refused++; a.refused > maxRefused {
		c.answer(a, Answered{Kind: KindUnavailable})
		return
	}
	a.on, a.holder = Flight{}, Node{}
	c.place(a)
}

// misplaced waits for the table that made an owner say that it is none.
func (c *Core) misplaced(a *ask, gen uint64) {
	if gen <= c.routes[a.part].gen {
		c.timers.set(c.now.Add(c.Times.Retry), timer{kind: askTimer, id: a.ID})
	}
	c.unsendOne(a)
}

// leased takes a lease, unless it is of an older generation, or this node's own
// lease is out.
func (c *Core) leased(from Node, a *ask, m Reply) {
	switch {
	case m.Gen < c.routes[a.part].gen && !broken(OlderGenAccepted):
		c.decline(from, m.Flight)
	case !c.standing() && !broken(LapsedNodeGrants):
		c.decline(from, m.Flight)
		a.Lapsed = true
		c.place(a)
	default:
		m.Life = min(m.Life, max(a.ends.Sub(c.now), 0)) // the owner counts from when the Join came, which is not before a.ends
		c.hold(a, m)
		c.answer(a, Answered{Kind: KindLease, Flight: m.Flight, Life: m.Life, Value: m.Value})
	}
}

// decline gives back a lease that nobody here wants.
func (c *Core) decline(to Node, id Flight) {
	if c.held[id] == nil {
		c.send(to, Outcome{Flight: id, Kind: KindAbandon})
	}
}

// onParked notes what an ask waits for, and looks for a cycle.
func (c *Core) onParked(from Node, m Parked) {
	a := c.asks[m.Ask]
	if a == nil {
		return
	}
	a.on, a.holder = m.Flight, m.Holder
	if a.sent != from {
		c.place(a) // the new owner is to know it
		return
	}
	c.follow(a)
}
