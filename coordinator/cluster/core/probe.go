package core

import "slices"

// maxHops ends a probe that goes round a cycle of others.
const maxHops = 64

// CodeCycle is the Failure of an Ask that would wait for itself: a bit that no
// loader's error has.
const CodeCycle = 1 << 31

// follow looks whether what an ask has just been parked on waits, over however
// many flights and nodes, for one of the loads that wait for the ask.
func (c *Core) follow(a *ask) {
	if a.Behind == nil {
		return
	}
	for _, behind := range a.Behind() {
		if behind == a.on {
			c.comesHome(a)
			return
		}
		c.send(a.holder, Probe{For: behind, From: c.Self, Ask: a.ID, At: a.on})
	}
}

// followAll follows every ask that a load waits for, once in a heartbeat: a load
// may have come to wait for it since it was parked.
func (c *Core) followAll() {
	waited := map[uint64]*ask{}
	for id, a := range c.asks {
		if a.on != (Flight{}) && a.Behind != nil && len(a.Behind()) > 0 {
			waited[id] = a
		}
	}
	for _, id := range inOrder(waited) {
		c.follow(waited[id])
	}
}

// probe follows a flight of this node to what its load waits for.
func (c *Core) probe(m Probe) {
	if c.held[m.At] == nil || m.Hops >= maxHops {
		return
	}
	m.Hops++
	for _, id := range inOrder(c.asks) {
		a := c.asks[id]
		if a.on == (Flight{}) || a.Behind == nil || !slices.Contains(a.Behind(), m.At) {
			continue
		}
		if a.on == m.For {
			c.send(m.From, Cycle{Ask: m.Ask})
			return
		}
		next := m
		next.At = a.on
		c.send(a.holder, next)
	}
}

// cycle is a probe of this node that came home.
func (c *Core) cycle(m Cycle) {
	if a := c.asks[m.Ask]; a != nil && a.on != (Flight{}) {
		c.comesHome(a)
	}
}

func (c *Core) comesHome(a *ask) {
	c.send(a.sent, Leave{a.ID})
	c.answer(a, Answered{Kind: KindError, Failure: Failure{Code: CodeCycle}})
}
