package core

import (
	"slices"
	"time"

	"github.com/corralcache/corral/internal/placement"
)

// A writing is a change of the table under way. It is repeated as it is while
// its outcome is unknown: it can succeed only once, and once one of its repeats
// has failed none can succeed any more.
type writing struct {
	Write
	gives  []uint32 // partitions that it gives away, CLOSED until it is decided (O2)
	landed uint64   // decided: once this revision is applied, what the table says counts
	done   bool
	unsure bool // the last try's outcome is unknown
}

// proposeSoon looks whether the table wants a change. Nodes take turns, so that
// they do not all write the same.
func (c *Core) proposeSoon() {
	rank := 0
	for name, n := range c.nodes {
		if name < c.Self.Name && !n.dead() {
			rank++
		}
	}
	c.timers.set(max(c.now.Add(time.Duration(rank)*c.Times.Retry/2), c.notBefore), timer{kind: proposeTimer})
}

// propose writes the next table if it differs from the present one in what this
// node may change: its own partitions, and those of nobody (O1).
func (c *Core) propose() {
	if c.write != nil {
		if c.write.unsure {
			c.repeatWrite()
		}
		return
	}
	if !c.standing() && !c.leaving || c.now < c.notBefore {
		return
	}
	var bury []Burial
	dead := map[string]bool{}
	for _, name := range inOrder(c.nodes) {
		n := c.nodes[name]
		if !c.silent(n) {
			continue
		}
		if dead[name] = true; !broken(NoTombstone) {
			bury = append(bury, Burial{n.Node, n.revision})
		}
	}
	if self := c.nodes[c.Self.Name]; c.mayLeave() {
		c.giveUpLease()
		bury = append(bury, Burial{c.Self, self.revision})
	}
	next, gives := c.nextTable(dead)
	if next == nil {
		c.handover.end() // nothing is to be given away any more
	}
	if next == nil && len(bury) == 0 && !c.overwritten {
		return
	}
	if next != nil && c.handOver(next, gives, bury) {
		return
	}
	if next == nil { // nobody's partitions change, but the record does
		same := *c.tableOrEmpty()
		same.Epoch++
		next = &same
	}
	for _, b := range bury {
		if b.Node != c.Self {
			c.note(Note{What: NoteBuried, Node: b.Node})
		}
	}
	for _, p := range gives {
		c.parts[p].closed = true // before the write is sent
	}
	c.wrote++
	c.write = &writing{Write: Write{ID: c.wrote, Table: next, TableRevision: c.tableRev, Bury: bury}, gives: gives}
	c.act(c.write.Write)
}

// mayLeave reports whether this node can be buried by itself: it is draining, as
// all can see, owns nothing, and no renewal is under way.
func (c *Core) mayLeave() bool {
	self := c.nodes[c.Self.Name]
	return c.draining && !c.staying && self != nil && self.State == Draining && !c.owns() && !c.renewal.waiting
}

// owns reports whether the table gives this node anything.
func (c *Core) owns() bool {
	for p := range c.routes {
		if c.table.OwnerOf(p) == c.Self {
			return true
		}
	}
	return false
}

func (c *Core) tableOrEmpty() *Table {
	if c.table != nil {
		return c.table
	}
	return &Table{Owner: make([]uint16, c.Partitions), Gen: make([]uint64, c.Partitions)}
}

// nextTable is the table that this node would write, nil if nothing is to be
// changed. The nodes in dead own nothing in it.
func (c *Core) nextTable(dead map[string]bool) (*Table, []uint32) {
	present := c.tableOrEmpty()
	var members []placement.Member
	for _, name := range inOrder(c.nodes) {
		if n := c.nodes[name]; (n.State == Live || n.State == Draining && broken(DrainedOwns)) && !dead[name] {
			members = append(members, placement.Member{ID: name, Weight: n.Weight})
		}
	}
	if self := c.nodes[c.Self.Name]; len(members) == 0 && c.staying && self != nil && self.Weight > 0 {
		// Whoever would have taken them has gone meanwhile: better here than nowhere.
		members = append(members, placement.Member{ID: c.Self.Name, Weight: self.Weight})
	}
	current := make([]string, c.Partitions)
	for p := range current {
		name := present.OwnerOf(p).Name // also of an earlier incarnation: what moves is less
		if n := c.nodes[name]; n != nil && !dead[name] && !n.dead() {
			current[p] = name
		}
	}
	target := placement.Assign(current, members)
	owners := make([]Node, c.Partitions)
	gens := slices.Clone(present.Gen)
	var gives []uint32
	changed := false
	for p := range owners {
		owner, want := present.OwnerOf(p), Node{}
		owners[p] = owner
		if n := c.nodes[target[p]]; target[p] != "" {
			want = n.Node
		}
		free := owner == Node{} || c.alive(owner) == nil || dead[owner.Name]
		if want == owner || !free && owner != c.Self {
			continue
		}
		if owner == c.Self {
			gives = append(gives, uint32(p))
		}
		owners[p] = want
		gens[p]++
		changed = true
	}
	if !changed {
		return nil, nil
	}
	return encodeTable(present.Epoch+1, owners, gens), gives
}

// encodeTable numbers the owners.
func encodeTable(epoch uint64, owners []Node, gens []uint64) *Table {
	t := &Table{Epoch: epoch, Owner: make([]uint16, len(owners)), Gen: gens}
	index := map[Node]uint16{{}: 0}
	for p, owner := range owners {
		at, known := index[owner]
		if !known {
			t.Nodes = append(t.Nodes, owner)
			at = uint16(len(t.Nodes))
			index[owner] = at
		}
		t.Owner[p] = at
	}
	return t
}

// onWrote takes in what a write came to.
func (c *Core) onWrote(e Wrote) {
	w := c.write
	if w == nil || w.ID != e.ID || w.done {
		return
	}
	if w.unsure = e.Unknown; w.unsure {
		c.timers.set(c.now.Add(c.Times.Retry), timer{kind: proposeTimer})
		return
	}
	w.done, w.landed = true, e.Table
	if !e.OK { // something that it was built on has moved, and this node may not have heard of it
		c.notBefore = c.now.Add(c.Times.Retry)
	}
	c.writeLanded()
}

func (c *Core) repeatWrite() {
	c.wrote++
	c.write.ID, c.write.unsure = c.wrote, false
	c.act(c.write.Write)
}

// writeLanded goes on once the outcome of a write has been applied: then what
// was to be given away is given, or is ours again.
func (c *Core) writeLanded() {
	w := c.write
	if w == nil || !w.done || w.landed > c.applied {
		return
	}
	c.write = nil
	for _, p := range w.gives {
		c.parts[p].closed = false
	}
	c.confirm()
	c.readmit()
	c.proposeSoon()
}
