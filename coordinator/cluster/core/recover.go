package core

import "slices"

// A recovery is one batch of partitions that became ours: for each, every node
// is asked what it holds and waits for. They are ACTIVE once all have answered,
// or Times.Recovery has passed; who is silent then may still present what it has.
type recovery struct {
	round  uint64
	parts  []PartGen
	silent map[Node]bool
	began  Time
	active bool
}

// takeOver begins the recovery of partitions that the table has given this node.
// One that nobody ever owned has nothing to recover.
func (c *Core) takeOver(gained []PartGen) {
	var parts []PartGen
	for _, g := range gained {
		c.parts[g.Part] = part{gen: g.Gen}
		if g.Gen > 1 {
			parts = append(parts, g)
		}
	}
	if len(parts) == 0 {
		return
	}
	c.rounds++
	r := &recovery{round: c.rounds, parts: parts, silent: map[Node]bool{}, began: c.now}
	c.recoveries[r.round] = r
	for _, g := range parts {
		c.parts[g.Part].recovering = r
	}
	c.note(Note{What: NoteTookOver, Part: parts[0].Part})
	for _, name := range inOrder(c.nodes) {
		if n := c.nodes[name]; !n.dead() {
			r.silent[n.Node] = true
			c.send(n.Node, Recover{r.round, r.parts})
		}
	}
	c.timers.set(c.now.Add(c.Times.Recovery), timer{kind: recoveryTimer, id: r.round})
	if len(r.silent) == 0 {
		c.heardFrom(r, Node{})
	}
}

// onRecover answers a new owner: what this node waits for, what it holds, End.
func (c *Core) onRecover(from Node, m Recover) {
	moved := map[uint32]bool{}
	for _, g := range m.Parts {
		if int(g.Part) < len(c.routes) && g.Gen > c.routes[g.Part].gen {
			c.routes[g.Part] = route{from, g.Gen}
			c.layout++
			moved[g.Part] = true
		}
	}
	c.moved(moved)
	asked := map[uint32]bool{}
	for _, g := range m.Parts {
		if int(g.Part) < len(c.routes) && c.routes[g.Part] == (route{from, g.Gen}) {
			asked[g.Part] = true
		}
	}
	omit := broken(RejoinOmitsALease)
	for _, id := range flightsInOrder(c.held) {
		if !asked[id.Part] {
			continue
		}
		if omit {
			omit = false
			continue
		}
		c.present(from, c.held[id])
	}
	c.send(from, End{m.Round})
}

// ended notes that a node has answered a Recover, or with round 0 that it has
// said what it wants and holds at the beginning of a session.
func (c *Core) ended(from Node, round uint64) {
	if round == 0 {
		c.claimed(from)
		if broken(StaleEndCounted) {
			for _, id := range inOrder(c.recoveries) {
				c.heardFrom(c.recoveries[id], from)
			}
		}
		return
	}
	if r := c.recoveries[round]; r != nil {
		c.heardFrom(r, from)
	}
}

// claimed forgets what a peer has not come back to in its new session: Joins
// that it took back meanwhile, leases whose grant was lost.
func (c *Core) claimed(from Node) {
	for _, w := range c.waitersOf(from, true) {
		c.strike(w)
		c.mayBeUnwanted(w.flight)
	}
	for _, id := range flightsInOrder(c.flights) {
		if f := c.flights[id]; f != nil && f.unclaimed && f.holder == from && f.outcome == nil {
			c.void(f)
		}
	}
}

// heardFrom notes that a node has nothing more to say to a recovery, or is dead.
func (c *Core) heardFrom(r *recovery, who Node) {
	delete(r.silent, who)
	mine := map[uint32]bool{}
	for _, g := range r.parts {
		if c.parts[g.Part].gen == g.Gen {
			mine[g.Part] = true
		}
	}
	for _, id := range flightsInOrder(c.flights) {
		if f := c.flights[id]; f != nil && f.reserved && f.holder == who && mine[id.Part] {
			c.void(f) // it was named, and its holder does not know it
		}
	}
	if len(r.silent) > 0 {
		return
	}
	delete(c.recoveries, r.round)
	c.activate(r)
	c.confirm() // nobody can name them any more
}

// recoveryDue stops waiting for silent nodes.
func (c *Core) recoveryDue(round uint64) {
	if r := c.recoveries[round]; r != nil {
		c.activate(r)
	}
}

// activate begins to serve the partitions of a recovery that are still ours.
func (c *Core) activate(r *recovery) {
	if r.active {
		return
	}
	r.active = true
	c.note(Note{What: NoteActive, Part: r.parts[0].Part, Took: c.now.Sub(r.began)})
	served := map[uint32]bool{}
	for _, g := range r.parts {
		if p := &c.parts[g.Part]; p.gen == g.Gen && p.recovering == r {
			p.recovering = nil
			served[g.Part] = true
		}
	}
	for _, g := range r.parts {
		if served[g.Part] {
			c.readmitPart(g.Part)
		}
	}
}

// confirm acknowledges the outcomes that came while it was not certain that their
// partitions are ours, or who waits for them.
func (c *Core) confirm() {
	for _, id := range flightsInOrder(c.flights) {
		if f := c.flights[id]; f != nil && f.offered && c.certain(id.Part) {
			f.offered = false
			c.mayFinish(f)
		}
	}
}

// certain reports whether a partition is ACTIVE, and everybody has said what they
// wait for there.
func (c *Core) certain(p uint32) bool {
	at := &c.parts[p]
	if at.gen == 0 || at.closed || at.recovering != nil || !c.standing() {
		return false
	}
	for _, r := range c.recoveries {
		if slices.Contains(r.parts, PartGen{p, at.gen}) {
			return false
		}
	}
	return true
}

// reserve keeps a key for a flight that a waiter was parked on at an earlier
// owner, while its holder has yet to say whether it has it. An older one that
// another node has presented stands back, as it would if both were presented.
func (c *Core) reserve(w *waiter) *flight {
	if w.On == (Flight{}) || w.On.Part != w.part || w.On.Gen >= c.parts[w.part].gen || c.flights[w.On] != nil ||
		c.alive(w.Holder) == nil || !c.awaits(w.part, w.Holder) || broken(SuspectedHolderForgotten) {
		return nil
	}
	if cur := c.keys[w.Key]; cur != nil {
		if !cur.adopted || !w.On.after(cur.id) {
			return nil
		}
		c.detach(cur)
	}
	f := &flight{
		id: w.On, key: w.Key, holder: w.Holder, reserved: true, adopted: true,
		until: c.now.Add(c.Times.Limit), life: c.now.Add(max(w.Wait, c.Times.Limit)),
	}
	c.enter(f)
	return f
}

// awaits reports whether a node has yet to answer the recovery of a partition.
func (c *Core) awaits(p uint32, who Node) bool {
	for _, r := range c.recoveries {
		for _, g := range r.parts {
			if g.Part == p && g.Gen == c.parts[p].gen {
				return r.silent[who]
			}
		}
	}
	return false
}

// rejoin takes in a lease that its holder presents: it is claimed, adopted, or
// void (O4, O5).
func (c *Core) rejoin(from Node, m Rejoin) {
	id := m.Flight
	if int(id.Part) >= len(c.parts) || c.routes[id.Part].owner != c.Self || c.parts[id.Part].gen == 0 {
		return // its holder presents it to whoever is the owner
	}
	if f := c.flights[id]; f != nil {
		if f.holder == from {
			c.claim(f, m)
		}
		return
	}
	cur := c.keys[m.Key]
	switch {
	case id.Gen >= c.parts[id.Part].gen:
		c.refuseLease(from, m) // granted here, and void since
	case m.Outcome != nil:
		c.adoptOutcome(from, m)
	case cur != nil && !(cur.adopted && id.after(cur.id)):
		c.note(Note{What: NoteSuperseded, Node: from, Part: id.Part, Key: m.Key})
		c.refuseLease(from, m)
	default:
		c.adopt(from, m, cur)
	}
}

// claim is a lease that this node knows, presented by its holder.
func (c *Core) claim(f *flight, m Rejoin) {
	f.unclaimed = false
	if f.outcome == nil {
		if f.reserved {
			f.reserved, f.since, f.set, f.life = false, m.Since, m.Set, c.now.Add(m.Life)
			c.note(Note{What: NoteAdopted, Node: f.holder, Part: f.id.Part, Key: f.key})
		}
		f.until = c.now.Add(c.Times.Limit)
		f.idle = f.idle || m.Idle
	}
	switch {
	case m.Outcome == nil:
		c.send(f.holder, Extended{Kept: []Flight{f.id}})
	case f.outcome == nil:
		c.settle(f, *m.Outcome)
	}
}

// adopt makes a lease that an earlier owner granted one of ours.
func (c *Core) adopt(from Node, m Rejoin, older *flight) {
	f := &flight{
		id: m.Flight, key: m.Key, holder: from, since: m.Since, idle: m.Idle, set: m.Set, adopted: true,
		until: c.now.Add(c.Times.Limit), life: c.now.Add(m.Life),
	}
	c.note(Note{What: NoteAdopted, Node: from, Part: m.Flight.Part, Key: m.Key})
	if c.parts[m.Flight.Part].recovering == nil {
		c.note(Note{What: NoteLateRejoin, Node: from, Part: m.Flight.Part, Key: m.Key})
	}
	c.enter(f)
	c.send(from, Extended{Kept: []Flight{f.id}})
	if older == nil {
		return
	}
	c.note(Note{What: NoteSuperseded, Node: older.holder, Part: older.id.Part, Key: older.key})
	delete(c.flights, older.id)
	c.send(older.holder, Extended{Void: []Flight{older.id}})
	c.requeue(older.release())
}

// adoptOutcome takes in an outcome that an earlier owner has not acknowledged:
// those who name its flight are given it.
func (c *Core) adoptOutcome(from Node, m Rejoin) {
	f := &flight{id: m.Flight, key: m.Key, holder: from, since: m.Since, adopted: true, offered: c.parts[m.Flight.Part].recovering != nil,
		until: c.now.Add(c.Times.Limit), life: c.now.Add(c.Times.Limit)}
	if m.Outcome.Kind == KindAbandon {
		c.send(from, Taken{Flight: m.Flight})
		return
	}
	if c.keys[m.Key] == nil {
		c.enter(f) // so that it is retained
	} else {
		c.flights[f.id] = f
	}
	c.settle(f, *m.Outcome)
}

func (c *Core) refuseLease(from Node, m Rejoin) {
	if m.Outcome != nil && c.finished.of[m.Flight] {
		c.send(from, Taken{Flight: m.Flight}) // it has not heard so
		return
	}
	if m.Outcome != nil {
		c.note(Note{What: NoteVoidOutcome, Node: from, Part: m.Flight.Part, Key: m.Key})
		c.send(from, Taken{Flight: m.Flight, Void: true})
		return
	}
	c.send(from, Extended{Void: []Flight{m.Flight}})
}
