package core

import "slices"

// A held is a lease of this node.
//
//	it is       until
//	computing   Done
//	offered     Taken: its outcome is kept, and offered again on every new stream and to every new owner
//	void        at once forgotten: Lost, and Settled if its outcome was known
type held struct {
	id        Flight
	key       string
	since     uint64
	until     Time // void then, by this node's own count, unless it is extended
	life      Time
	presented Time // when it was last presented to an owner
	idle      bool
	set       bool
	timed     bool
	outcome   *Outcome
}

// maxExtended is how many leases one message extends: it has to fit into what a
// peer takes.
const maxExtended = 1 << 14

// beat rounds that are remembered: those whose answers may still come.
const maxBeats = 16

// hold takes a lease. The owner counts from when it granted it, which is not
// known here: until the first heartbeat is answered it counts from now, less what
// the grant can have been under way on a stream that lives.
func (c *Core) hold(a *ask, m Reply) {
	h := &held{id: m.Flight, key: a.Key, since: a.Since, set: a.Set, until: c.now.Add(c.Times.Limit - c.Times.Guard - c.Times.Silence), life: c.now.Add(m.Life), presented: c.now}
	c.held[h.id] = h
	c.timeHeld(h)
	if owner := c.routes[h.id.Part].owner; c.alive(owner) != nil {
		c.send(owner, Extend{Flights: []Flight{h.id}})
	}
}

func (c *Core) timeHeld(h *held) {
	if !h.timed {
		h.timed = true
		c.timers.set(h.ends(), timer{kind: heldTimer, flight: h.id})
	}
}

// ends is when the lease is void. The right to compute ends with its lifetime
// (C6); an outcome that is there is offered for as long as it is extended.
func (h *held) ends() Time {
	if h.outcome != nil {
		return h.until
	}
	return min(h.until, h.life)
}

func (c *Core) heldDue(id Flight) {
	h := c.held[id]
	if h == nil {
		return
	}
	h.timed = false
	if c.now >= h.ends() {
		c.lose(h)
		return
	}
	c.timeHeld(h)
}

// lose ends a lease that is void.
func (c *Core) lose(h *held) {
	delete(c.held, h.id)
	if h.outcome != nil {
		c.act(Settled{Flight: h.id, Void: true})
		return
	}
	c.act(Lost{h.id})
}

// beat extends all leases.
func (c *Core) beat() {
	c.timers.set(c.now.Add(c.Times.Heartbeat), timer{kind: beatTimer})
	c.extendAll(flightsInOrder(c.held))
	c.followAll()
}

// extendAll tells each owner of the leases that it granted or adopted.
func (c *Core) extendAll(ids []Flight) {
	if len(ids) == 0 {
		return
	}
	byOwner := map[string][]Flight{}
	for _, id := range ids {
		if owner := c.routes[id.Part].owner; c.alive(owner) != nil {
			byOwner[owner.Name] = append(byOwner[owner.Name], id)
		}
	}
	c.beats++
	c.beatSent[c.beats] = c.now
	delete(c.beatSent, c.beats-maxBeats)
	for _, name := range inOrder(byOwner) {
		for some := range slices.Chunk(byOwner[name], maxExtended) {
			c.send(c.nodes[name].Node, Extend{c.beats, some})
		}
	}
}

// extended takes in what an owner says to heartbeats and to leases presented.
// The holder counts from when it sent them, minus g.
func (c *Core) extended(from Node, m Extended) {
	sent, known := c.beatSent[m.Round]
	for _, id := range m.Kept {
		if h := c.held[id]; h != nil && c.owned(id, from) {
			if m.Round == 0 {
				sent, known = h.presented, true
			}
			if known {
				h.until = max(h.until, sent.Add(c.Times.Limit-c.Times.Guard))
			}
		}
	}
	for _, id := range m.Void {
		if h := c.held[id]; h != nil && c.owned(id, from) {
			c.lose(h)
		}
	}
}

// done is the end of a load under a lease.
func (c *Core) done(e Done) {
	h := c.held[e.Flight]
	if h == nil || h.outcome != nil {
		c.act(Settled{Flight: e.Flight, Void: true})
		return
	}
	h.until = max(h.until, c.now.Add(c.Times.Limit-c.Times.Guard))
	h.outcome = &Outcome{Flight: h.id, Key: h.key, Kind: e.Kind, Value: e.Value, Failure: e.Failure}
	if owner := c.routes[h.id.Part].owner; c.alive(owner) != nil {
		c.send(owner, *h.outcome)
	}
	if broken(FillForgotten) {
		delete(c.held, h.id)
		c.act(Settled{Flight: h.id})
	}
}

// taken ends a lease: whoever waited has its outcome.
func (c *Core) taken(from Node, m Taken) {
	h := c.held[m.Flight]
	if h == nil || h.outcome == nil || !c.owned(m.Flight, from) {
		return
	}
	delete(c.held, h.id)
	c.act(Settled{Flight: h.id, Void: m.Void})
}

// present shows a lease to an owner that may not know it, or not any more.
func (c *Core) present(to Node, h *held) {
	h.presented = c.now
	c.send(to, Rejoin{Flight: h.id, Key: h.key, Since: h.since, Life: max(h.life.Sub(c.now), 0), Idle: h.idle, Set: h.set, Outcome: h.outcome})
}

// nobodyHere tells the owner that nobody of this node waits for a load any more.
func (c *Core) nobodyHere(id Flight) {
	h := c.held[id]
	if h == nil || h.outcome != nil {
		return
	}
	h.idle = true
	if owner := c.routes[id.Part].owner; c.alive(owner) != nil {
		c.send(owner, Idle{id})
	}
}

// unwanted passes on that nobody waits anywhere.
func (c *Core) unwanted(from Node, id Flight) {
	if h := c.held[id]; h != nil && h.outcome == nil && c.owned(id, from) {
		h.idle = false
		c.act(NobodyAnywhere{id})
	}
}

// Holds reports whether this node has a lease, computing or offered.
func (c *Core) Holds(id Flight) bool { return !c.fenced && c.held[id] != nil }

// owned reports whether a node has a say about a flight: the newest owner of its
// partition that this node has heard of.
func (c *Core) owned(id Flight, by Node) bool { return c.routes[id.Part].owner == by }
