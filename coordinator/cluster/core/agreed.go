package core

// A node is what this one knows of another, or of itself.
type node struct {
	NodeRecord
	revision uint64 // of the record
	seen     Time   // when that revision was first seen here
	session  uint64 // of the stream to it; 0: none
	timed    bool   // a takerTimer is set
}

// dead reports whether this incarnation can never renew again.
func (n *node) dead() bool { return n.State == Tombstone }

// A route is who owns a partition, as far as this node has heard: from the
// table, or from the owner itself. gen never falls (C4).
type route struct {
	owner Node
	gen   uint64
}

// alive is the present record of a node, nil if that incarnation is dead.
func (c *Core) alive(who Node) *node {
	if n := c.nodes[who.Name]; n != nil && n.Node == who && !n.dead() {
		return n
	}
	return nil
}

// changed applies one revision of the watch.
func (c *Core) changed(e Changed) {
	if e.Revision <= c.applied {
		return // C4
	}
	members := false
	for _, change := range e.Nodes {
		members = c.learnNode(change) || members
		if c.fenced {
			return
		}
	}
	table := e.Table != nil
	if table {
		c.learnTable(e.Table, e.Revision)
	}
	c.applied = e.Revision
	c.extendLease()
	c.catchUp()
	c.writeLanded()
	if members || table {
		c.proposeSoon()
	}
}

// learnNode takes in a node's record, and reports whether it matters to who
// owns what.
func (c *Core) learnNode(change NodeChange) (matters bool) {
	known := c.nodes[change.Name]
	var record NodeRecord
	switch {
	case change.Record != nil:
		record = *change.Record
	case known != nil:
		record = known.NodeRecord
		record.State = Tombstone
	default:
		return false
	}
	if known != nil && (change.Revision < known.revision || record.Incarnation < known.Incarnation) {
		return false
	}
	if record.Name == c.Self.Name && record.Incarnation < c.Self.Incarnation {
		return false // the end of an earlier life, which a watch that lags tells this one
	}
	if record.Name == c.Self.Name && (record.Incarnation != c.Self.Incarnation || record.State == Tombstone) {
		c.fence()
		return true
	}
	matters = known == nil || known.Node != record.Node || known.State != record.State || known.Weight != record.Weight
	if known != nil && !known.dead() && (record.Incarnation != known.Incarnation || record.State == Tombstone) {
		c.buried(known)
	}
	if matters {
		c.layout++
	}
	newcomer := known == nil || known.Node != record.Node
	if newcomer {
		known = &node{}
		c.nodes[change.Name] = known
	}
	known.NodeRecord, known.revision, known.seen = record, max(change.Revision, known.revision), c.now
	if newcomer && !known.dead() {
		c.askNewcomer(known)
	}
	c.watchOver(known)
	return matters
}

// buried ends all that hangs on an incarnation which is dead.
func (c *Core) buried(n *node) {
	who := n.Node
	n.State, n.session = Tombstone, 0
	c.forgetWaiters(who)
	c.voidHolder(who)
	for _, id := range inOrder(c.recoveries) {
		c.heardFrom(c.recoveries[id], who)
	}
	for _, id := range inOrder(c.invalidations) {
		c.seenBy(id, who)
	}
	c.unsend(who)
}

// learnTable takes in a newer table.
func (c *Core) learnTable(t *Table, revision uint64) {
	if revision <= c.tableRev || len(t.Owner) != c.Partitions {
		c.note(Note{What: NoteOldTable})
		return
	}
	if c.table != nil && t.Epoch <= c.table.Epoch { // C4: put back, or written by hand
		c.note(Note{What: NoteOldTable})
		c.tableRev, c.overwritten = revision, true // and it is written over
		return
	}
	c.table, c.tableRev, c.overwritten = t, revision, false
	moved := map[uint32]bool{}
	var gained []PartGen
	for p := range c.routes {
		owner, gen := t.OwnerOf(p), t.Gen[p]
		if gen <= c.routes[p].gen {
			continue // also where the owner was quicker to say so
		}
		c.routes[p] = route{owner, gen}
		c.layout++
		moved[uint32(p)] = true
		if owner == c.Self {
			gained = append(gained, PartGen{uint32(p), gen})
		}
	}
	c.moved(moved)
	c.takeOver(gained)
}

// moved follows partitions to their new owners: what this node owned it lets
// go, what it asks for it asks there.
func (c *Core) moved(parts map[uint32]bool) {
	if len(parts) == 0 {
		return
	}
	c.stepDown(parts)
	for _, id := range inOrder(c.asks) {
		if a := c.asks[id]; a != nil && parts[a.part] {
			c.place(a)
		}
	}
}

// opened begins a session: each side says at once what it wants of the other
// and what it holds of it, in this order, and End with round 0.
func (c *Core) opened(e Opened) {
	n := c.alive(e.Peer)
	if n == nil {
		return
	}
	if n.session != 0 {
		c.closed(Closed{e.Peer, n.session})
	}
	n.session = e.Session
	c.handOverSoon()
	for _, f := range c.flights {
		if f.holder == n.Node && f.outcome == nil && !f.reserved {
			f.unclaimed = true
		}
	}
	for _, id := range inOrder(c.asks) {
		if a := c.asks[id]; a != nil && c.routes[a.part].owner == n.Node {
			c.place(a)
		}
	}
	for _, id := range flightsInOrder(c.held) {
		if c.routes[id.Part].owner == n.Node {
			c.present(n.Node, c.held[id])
		}
	}
	c.send(n.Node, End{})
	for _, id := range inOrder(c.recoveries) {
		if r := c.recoveries[id]; r.silent[n.Node] {
			c.send(n.Node, Recover{r.round, r.parts})
		}
	}
	for _, id := range inOrder(c.invalidations) {
		if inv := c.invalidations[id]; inv.silent[n.Node] {
			c.send(n.Node, Applied{inv.revision})
		}
	}
}

// closed ends a session. Those of the peer who wait here are adrift: they come
// back with the next session, or are forgotten at its End.
func (c *Core) closed(e Closed) {
	n := c.nodes[e.Peer.Name]
	if n == nil || n.Node != e.Peer || n.session != e.Session {
		return
	}
	n.session = 0
	for _, w := range c.waiters {
		if w.node == n.Node {
			w.adrift = true
		}
	}
	c.forgetUnanswered(n.Node)
	c.unsend(n.Node)
}
