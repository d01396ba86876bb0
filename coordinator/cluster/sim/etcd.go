package sim

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// An etcd is a linearizable store with modification revisions and a watch. A
// transaction takes effect at one instant between its request and its answer.
type etcd struct {
	world    *world
	revision uint64
	nodes    map[string]stored
	table    *core.Table
	tableRev uint64
	genSince []time.Duration // of each partition: when its present generation was agreed
	inv      uint64          // the revision of the newest invalidation
	log      []invalidation
	down     time.Duration // nobody reaches it until then
	outages  []interval
	random   []*rand.Rand // of each machine
	stamps   []stamp
	history  []change
}

type stored struct {
	record   core.NodeRecord
	revision uint64
	at       time.Duration
}

// A target is what an invalidation concerns. The zero target is everything.
type target struct{ key, tag string }

func (t target) String() string {
	switch {
	case t.key != "":
		return "key " + plain(t.key)
	case t.tag != "":
		return "tag " + t.tag
	}
	return "all"
}

func (t target) matches(key string, tags []string) bool {
	return t == (target{}) || t.key != "" && t.key == key || t.tag != "" && slices.Contains(tags, t.tag)
}

// An invalidation stands in the log at its revision.
type invalidation struct {
	target
	revision  uint64
	committed time.Duration
	call      *call
}

// A change is one revision, as the watch tells it.
type change struct {
	event core.Changed
	inv   *invalidation
}

// patience is how long a node waits for etcd's answer.
const patience = 300 * time.Millisecond

// call sends a request. apply happens at etcd, at most once; then answered at
// the process with true if its answer came in time, with false after patience.
func (e *etcd) call(p *process, apply func(), answered func(ok bool)) {
	w, m := e.world, p.machine
	r := e.random[m.index]
	there, back := w.plan.etcdDelay(r), w.plan.etcdDelay(r)
	settled := false
	settle := func(ok bool) {
		if !settled {
			settled = true
			p.do(source{'e', 0}, func() { answered(ok) })
		}
	}
	lost := chance(r, w.plan.EtcdLoss)
	fate := r.IntN(3)
	if unreachable := max(e.down, m.isolated); unreachable > w.now {
		switch fate {
		case 0: // lost on its way
			apply = func() {}
			lost = true
		case 1: // it waits there, and takes effect long after
			there += unreachable - w.now
		case 2: // its answer is lost, if it is there in time at all
			lost = true
			if e.down > w.now {
				there += unreachable - w.now
			}
		}
	} else if lost {
		m.unlucky = append(m.unlucky, interval{w.now, w.now + patience})
		switch fate {
		case 0:
			apply = func() {}
		case 1: // it takes effect when it was given up long ago, and others have been answered
			there += between(r, 0, 3*time.Second)
		}
	}
	w.after(there, func() {
		apply()
		if !lost {
			w.after(back, func() { settle(true) })
		}
	})
	w.after(patience, func() { settle(false) })
}

// A stamp says when a revision was made.
type stamp struct {
	revision uint64
	at       time.Duration
}

// retention is for how long the log of invalidations is kept, if it is compacted
// at all. No load takes that long.
const retention = 15 * time.Second

// compacted is the revision up to which the log is gone.
func (e *etcd) compacted() uint64 {
	if !e.world.plan.Compacted {
		return 0
	}
	floor := uint64(0)
	for _, s := range e.stamps {
		if s.at+retention < e.world.now {
			floor = s.revision
		}
	}
	return floor
}

// commit makes a new revision and tells the watches.
func (e *etcd) commit(nodes []core.NodeChange, table *core.Table, inv *invalidation) {
	e.revision++
	e.world.traffic.Writes++
	e.stamps = append(e.stamps, stamp{e.revision, e.world.now})
	for i := range nodes {
		nodes[i].Revision = e.revision
		e.nodes[nodes[i].Name] = stored{*nodes[i].Record, e.revision, e.world.now}
	}
	if table != nil {
		e.note(table)
		e.table, e.tableRev = table, e.revision
	}
	if inv != nil {
		inv.revision, inv.committed = e.revision, e.world.now
		e.inv = e.revision
		e.log = append(e.log, *inv)
	}
	c := change{core.Changed{Revision: e.revision, Nodes: nodes, Table: table}, inv}
	e.history = append(e.history, c)
	for _, m := range e.world.machines {
		if m.process != nil && m.process.watching {
			e.tell(m.process, c)
		}
	}
}

// note remembers since when partitions have their generation.
func (e *etcd) note(table *core.Table) {
	if e.genSince == nil {
		e.genSince = make([]time.Duration, len(table.Gen))
	}
	for i, gen := range table.Gen {
		if e.table == nil || e.table.Gen[i] != gen {
			e.genSince[i] = e.world.now
		}
	}
}

// tell delivers a change to a process, after those before it.
func (e *etcd) tell(p *process, c change) {
	if e.misses(p) {
		return
	}
	w, m := e.world, p.machine
	t := w.now + w.plan.watchLag(e.random[m.index])
	t = max(t, p.told, m.stalled, m.isolated, e.down)
	p.told = t
	w.at(t, func() { p.do(source{'w', 0}, func() { p.changed(c) }) })
}

// renew is a Renew's transaction: it compares the record's revision with the one
// that the node knows.
func (e *etcd) renew(p *process, a core.Renew, clock core.Time, known uint64) core.Renewed {
	kept := e.nodes[p.node.Name]
	if kept.revision == known && kept.record.Node == p.node && kept.record.State != core.Tombstone {
		record := kept.record
		record.Nonce, record.Clock = a.Nonce, clock
		if record.State = core.Live; a.Draining {
			record.State = core.Draining
		}
		e.commit([]core.NodeChange{{Name: p.node.Name, Record: &record}}, nil, nil)
		kept = e.nodes[p.node.Name]
	}
	return core.Renewed{
		OK: true, Nonce: kept.record.Nonce, Table: e.tableRev, Inv: e.inv, Record: kept.revision,
		Gone: kept.record.Node != p.node || kept.record.State == core.Tombstone,
	}
}

// write is a Write's transaction.
func (e *etcd) write(p *process, action core.Write) core.Wrote {
	ok := action.TableRevision == e.tableRev
	for _, b := range action.Bury {
		ok = ok && e.nodes[b.Node.Name].revision == b.Revision
	}
	if !ok {
		return core.Wrote{ID: action.ID, Table: e.tableRev}
	}
	var nodes []core.NodeChange
	for _, b := range action.Bury {
		record := e.nodes[b.Node.Name].record
		e.world.judge.buried(p, b, record)
		record.State = core.Tombstone
		nodes = append(nodes, core.NodeChange{Name: b.Node.Name, Record: &record})
	}
	slices.SortFunc(nodes, func(a, b core.NodeChange) int { return cmp.Compare(a.Name, b.Name) })
	if action.Table != nil {
		e.world.judge.assigned(p, e.table, action.Table, action.Bury)
	}
	e.commit(nodes, action.Table, nil)
	return core.Wrote{ID: action.ID, OK: true, Table: e.tableRev}
}

// snapshot is one linearizable read.
func (e *etcd) snapshot() core.Snapshot {
	s := core.Snapshot{Revision: e.revision, Table: e.table, TableRevision: e.tableRev}
	for _, name := range slices.Sorted(maps.Keys(e.nodes)) {
		kept := e.nodes[name]
		s.Nodes = append(s.Nodes, core.NodeChange{Name: name, Record: &kept.record, Revision: kept.revision})
	}
	return s
}

// living reports whether an incarnation has a record that is no tombstone.
func (e *etcd) living(n core.Node) bool {
	kept, there := e.nodes[n.Name]
	return there && kept.record.Node == n && kept.record.State != core.Tombstone
}

// outage makes etcd unreachable for everybody.
func (e *etcd) outage(d time.Duration) {
	w := e.world
	w.say("etcd", "out of reach for %v", d)
	e.outages = append(e.outages, interval{w.now, w.now + d})
	e.down = max(e.down, w.now+d)
	w.after(d, func() { w.say("etcd", "is back") })
}
