package core

import "slices"

// An invalidation waits until no node can answer from what it concerns: each has
// applied it, is dead, or has lost its lease.
type invalidation struct {
	revision uint64
	silent   map[Node]bool
}

// An awaited is a node that wants to hear when this one has applied a revision.
type awaited struct {
	from     Node
	revision uint64
}

// committed asks every node whether it has applied an invalidation. After L + g
// one that has not has no lease any more: a renewal since would have read the
// invalidation's revision.
func (c *Core) committed(e Committed) {
	inv := &invalidation{revision: e.Revision, silent: map[Node]bool{}}
	c.invalidations[e.ID] = inv
	if broken(AcknowledgedAtCommit) {
		c.acknowledge(e.ID)
		return
	}
	for _, name := range inOrder(c.nodes) {
		if n := c.nodes[name]; !n.dead() {
			inv.silent[n.Node] = true
			c.send(n.Node, Applied{e.Revision})
		}
	}
	if !inv.silent[c.Self] && !broken(SelfNotWaitedFor) { // its new record is one that its own watch has yet to show
		inv.silent[c.Self] = true
		c.send(c.Self, Applied{e.Revision})
	}
	c.timers.set(c.now.Add(c.Times.Lease+c.Times.Guard), timer{kind: ackTimer, id: e.ID})
}

// askNewcomer asks a node that was not known when an invalidation was committed,
// because this node's watch lagged.
func (c *Core) askNewcomer(n *node) {
	for _, id := range inOrder(c.invalidations) {
		if inv := c.invalidations[id]; n.revision < inv.revision {
			inv.silent[n.Node] = true
			c.send(n.Node, Applied{inv.revision})
		}
	}
}

func (c *Core) acknowledge(id uint64) {
	delete(c.invalidations, id)
	c.act(Acknowledged{id})
}

// seenBy notes that a node has applied an invalidation, or is dead.
func (c *Core) seenBy(id uint64, who Node) {
	inv := c.invalidations[id]
	if inv == nil || !inv.silent[who] {
		return
	}
	delete(inv.silent, who)
	if len(inv.silent) == 0 {
		c.acknowledge(id)
	}
}

func (c *Core) hasApplied(from Node, revision uint64) {
	for _, id := range inOrder(c.invalidations) {
		if inv := c.invalidations[id]; inv != nil && inv.revision <= revision {
			c.seenBy(id, from)
		}
	}
}

// ackDue stops waiting: whoever is silent has lost its lease.
func (c *Core) ackDue(id uint64) {
	inv := c.invalidations[id]
	if inv == nil {
		return
	}
	for _, name := range inOrder(c.nodes) {
		if n := c.nodes[name]; inv.silent[n.Node] {
			c.note(Note{What: NoteInvalidation, Node: n.Node})
		}
	}
	c.acknowledge(id)
}

// whenApplied answers once this node has applied a revision.
func (c *Core) whenApplied(from Node, revision uint64) {
	if revision <= c.applied || broken(AppliedUnapplied) {
		c.send(from, HasApplied{revision})
		return
	}
	if len(c.awaiting) < c.Limits.Parked { // else the asker waits for L + g
		c.awaiting = append(c.awaiting, awaited{from, revision})
	}
}

// forgetUnanswered drops what a node has sent that could not be answered yet: it
// lagged here, or asks for a revision that is still to come.
func (c *Core) forgetUnanswered(from Node) {
	c.lagging = slices.DeleteFunc(c.lagging, func(l lagging) bool { return l.from == from })
	c.awaiting = slices.DeleteFunc(c.awaiting, func(a awaited) bool { return a.from == from })
}
