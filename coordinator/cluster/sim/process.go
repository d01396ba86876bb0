package sim

import (
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A process is one life of a node: the core, what the shell does around it, and
// a cell, which stands for the caches.
type process struct {
	world    *world
	machine  *machine
	node     core.Node
	core     *core.Core
	cell     *cell
	dead     bool
	joined   bool // the core is there
	lives    bool // it was taken for dead, and goes on with what its caches have
	watching bool
	resuming bool // it misses what is told, and reads it later
	draining bool // to leave
	staying  bool // drained, and not to leave
	fenced   bool
	inbox    []waiting
	early    []change      // came before the core was there
	told     time.Duration // when the watch delivers the newest revision
	record   uint64        // the revision of the node's own record, as known
	peers    map[string]core.Node
	sessions []uint64    // the stream that is open to each machine, 0: none
	table    *core.Table // the newest that it was told of
	wrote    uint64      // the newest table that it has written, or tried to
	genKnown []uint64    // the newest generation of each partition that this process has been told of
	steps    uint64      // of the core
	ticking  uint64      // counts the timers that were set
	pending  []core.Event
	stepping bool
	truth    truth
}

// start begins a process on a machine: it registers its record, reads what is
// agreed, and has a core then.
func (m *machine) start() {
	w := m.world
	if m.process != nil || m.gone {
		return
	}
	m.lives++
	p := &process{world: w, machine: m, node: core.Node{Name: m.name, Incarnation: m.lives}, sessions: make([]uint64, len(w.machines))}
	m.process = p
	w.say(m.name, "starts as %v", p.node)
	if p.cell = newCell(p); m.earlier != nil {
		p.cell, p.lives = p.reborn(m.earlier), true
		m.earlier = nil
	}
	p.register()
}

// register writes the node's record. The lock on its data directory proves that
// its earlier incarnation is dead; without it that one must be silent for L + g.
func (p *process) register() {
	w, e := p.world, p.world.etcd
	var found stored
	e.call(p, func() { found = e.nodes[p.node.Name] }, func(ok bool) {
		if !ok {
			p.register()
			return
		}
		wait := time.Duration(0)
		if found.record.Name != "" && found.record.Node != p.node && found.record.State != core.Tombstone && !w.plan.Locks {
			wait = w.times.Lease + w.times.Guard
		}
		w.after(p.machine.until(p.machine.clock().Add(wait)), func() {
			p.do(source{'e', 0}, func() { p.claim(found.revision) })
		})
	})
}

// claim replaces the record that was found, if it is still that one.
func (p *process) claim(found uint64) {
	e := p.world.etcd
	var s core.Snapshot
	won := false
	clock := p.machine.clock()
	e.call(p, func() {
		if e.nodes[p.node.Name].revision == found {
			record := core.NodeRecord{Node: p.node, Weight: p.machine.weight(), Address: p.node.Name, Clock: clock, Dir: p.node.Name}
			e.commit([]core.NodeChange{{Name: p.node.Name, Record: &record}}, nil, nil)
		}
		if e.living(p.node) {
			won, p.record = true, e.nodes[p.node.Name].revision
			p.watching, p.told = true, 0
			if p.lives {
				s = e.resume(p)
			} else {
				s = e.snapshot()
			}
		}
	}, func(ok bool) {
		if kept := e.nodes[p.node.Name].record; ok && kept.Node == p.node && kept.State == core.Tombstone {
			p.end("was declared dead before it began")
			return
		}
		if !ok || !won {
			p.watching = false
			p.register()
			return
		}
		p.join(s)
	})
}

// join makes the core. The log of invalidations is read as far as it is kept.
func (p *process) join(s core.Snapshot) {
	w := p.world
	p.joined = true
	p.peers = map[string]core.Node{}
	p.genKnown = make([]uint64, w.plan.Partitions)
	for _, n := range s.Nodes {
		p.learn(n)
	}
	p.learnTable(s.Table)
	if !p.lives {
		p.cell.begin(s.Revision)
	}
	p.core = core.New(core.Config{
		Self: p.node, HashKey: w.hashKey, Partitions: w.plan.Partitions, Times: w.times, Shelf: p.cell, Limits: w.limits(),
	}, s, p.machine.clock())
	w.say(p.node.Name, "joins at revision %d", s.Revision)
	p.setTimer()
	if p.lives {
		p.again()
	}
	for _, c := range p.early {
		p.changed(c)
	}
	for _, other := range w.machines {
		if other != p.machine {
			w.network.pairs[p.machine.index][other.index].redial(0)
		}
	}
}

// learn takes in who the others are. The stream to one that is dead is closed.
func (p *process) learn(n core.NodeChange) {
	if was, known := p.peers[n.Name]; known && (n.Record == nil || n.Record.State == core.Tombstone || n.Record.Node != was) {
		p.world.network.hangUp(p, was)
	}
	if n.Record == nil || n.Record.State == core.Tombstone {
		delete(p.peers, n.Name)
		return
	}
	p.peers[n.Name] = n.Record.Node
}

func (p *process) learnTable(t *core.Table) {
	if t == nil {
		return
	}
	p.table = t
	delete(p.world.judge.giving, p)
	for i, gen := range t.Gen {
		p.genKnown[i] = max(p.genKnown[i], gen)
	}
}

// changed applies one revision: the cell first, then the core.
func (p *process) changed(c change) {
	if !p.joined {
		p.early = append(p.early, c)
		return
	}
	if c.event.Revision <= p.cell.applied {
		return
	}
	p.cell.apply(c)
	p.truth.apply(p.cell.applied)
	p.agree(c.event)
}

// agree tells the core what the cell has applied.
func (p *process) agree(e core.Changed) {
	p.world.traffic.Changes++
	for _, n := range e.Nodes {
		p.learn(n)
		if n.Name == p.node.Name && n.Record.Node == p.node {
			p.record = n.Revision
		}
	}
	p.learnTable(e.Table)
	p.step(e)
}

func (p *process) opened(peer core.Node, session uint64) {
	p.sessions[p.world.machine(peer.Name).index] = session
	p.step(core.Opened{Peer: peer, Session: session})
}

func (p *process) closed(peer core.Node, session uint64) {
	if m := p.world.machine(peer.Name); p.sessions[m.index] == session {
		p.sessions[m.index] = 0
	}
	p.step(core.Closed{Peer: peer, Session: session})
}

func (p *process) received(from core.Node, session uint64, m core.Message) {
	if recover, is := m.(core.Recover); is && p.sessions[p.world.machine(from.Name).index] == session {
		for _, part := range recover.Parts {
			p.genKnown[part.Part] = max(p.genKnown[part.Part], part.Gen)
		}
	}
	if parked, is := m.(core.Parked); is && p.sessions[p.world.machine(from.Name).index] == session {
		if f := p.cell.byAsk[parked.Ask]; f != nil {
			f.parked, f.parkedAt = parked.Flight, p.world.now
		}
	}
	p.step(core.Received{From: from, Session: session, Message: m})
}

// step hands the core an event, and those that follow from what it wants done.
func (p *process) step(e core.Event) {
	p.pending = append(p.pending, e)
	if p.stepping {
		return
	}
	p.stepping = true
	for len(p.pending) > 0 && !p.dead && p.world.judge.verdict == nil {
		next := p.pending[0]
		p.pending = p.pending[1:]
		if p.world.out != nil {
			p.world.say(p.node.Name, "< %s", describe(next))
		}
		p.steps++
		applied := p.core.Applied()
		actions := slices.Clone(p.core.Step(p.machine.clock(), next))
		p.world.judge.stepped(p, applied)
		for _, a := range actions {
			if p.world.out != nil {
				p.world.say(p.node.Name, "    > %s", describe(a))
			}
			if !p.dead {
				p.carryOut(a)
			}
		}
		if left, is := next.(core.LeaveAsk); is {
			delete(p.cell.leaving, left.ID)
		}
	}
	p.stepping = false
	if !p.dead {
		p.setTimer()
	}
}

// setTimer wakes the core when it wants to be, or a little later.
func (p *process) setTimer() {
	p.ticking++
	number := p.ticking
	next := p.core.Next()
	if next > p.machine.clock().Add(time.Hour) {
		return
	}
	late := between(p.machine.random, 10*time.Microsecond, 2*time.Millisecond)
	p.world.after(p.machine.until(next)+late, func() {
		if p.ticking == number {
			p.do(source{'t', 0}, func() { p.step(core.Tick{}) })
		}
	})
}

// carryOut does what the core wants done.
func (p *process) carryOut(a core.Action) {
	w := p.world
	switch a := a.(type) {
	case core.Renew:
		t0 := p.machine.clock()
		p.truth.sent(a.Nonce, p.machine.boottime())
		var r core.Renewed
		known := p.record
		w.etcd.call(p, func() { r = w.etcd.renew(p, a, t0, known) }, func(ok bool) {
			if !ok {
				p.step(core.Renewed{})
				return
			}
			p.record = max(p.record, r.Record)
			p.truth.renewed(r, w.times.Lease-w.times.Guard, p.cell.applied)
			p.step(r)
		})
	case core.HandOver:
		p.cell.handOver(a)
	case core.Write:
		w.judge.writes(p, a)
		table := cloneTable(a.Table)
		a.Table = table
		a.Bury = slices.Clone(a.Bury)
		var r core.Wrote
		w.etcd.call(p, func() { r = w.etcd.write(p, a) }, func(ok bool) {
			if !ok {
				r = core.Wrote{ID: a.ID, Unknown: true}
			}
			w.judge.wrote(p, r)
			p.step(r)
		})
	case core.Send:
		w.judge.sends(p, a)
		w.network.send(p, a)
	case core.Answered:
		p.cell.answered(a)
	case core.Settled:
		p.cell.settled(a)
	case core.Lost:
		p.cell.lost(a.Flight)
	case core.NobodyAnywhere:
		p.cell.nobodyAnywhere(a.Flight)
	case core.Keep:
		p.cell.keep(a.Key, a.Value)
	case core.Acknowledged:
		p.cell.acknowledged(a.ID)
	case core.Fenced:
		p.fenced = true
		w.after(0, func() { p.end("fenced") })
	case core.Drained:
		p.machine.gone = true
		w.after(0, func() { p.end("drained") })
	case core.Note:
		w.judge.noted(p, a)
	}
}

// end ends a process that was declared dead, and starts it again unless it has
// left for good.
func (p *process) end(why string) {
	if p.dead {
		return
	}
	p.machine.crash(why)
	if why == "fenced" && p.world.plan.Reborn {
		p.machine.earlier = p.cell
	}
	if !p.machine.gone {
		p.world.after(between(p.machine.random, 50*time.Millisecond, time.Second), p.machine.start)
	}
}

func cloneTable(t *core.Table) *core.Table {
	if t == nil {
		return nil
	}
	return &core.Table{Epoch: t.Epoch, Nodes: slices.Clone(t.Nodes), Owner: slices.Clone(t.Owner), Gen: slices.Clone(t.Gen)}
}

// machine finds a machine by its name.
func (w *world) machine(name string) *machine {
	i := slices.IndexFunc(w.machines, func(m *machine) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	return w.machines[i]
}
