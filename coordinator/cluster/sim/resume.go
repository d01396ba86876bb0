package sim

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A watch that has stood still may have missed what etcd has compacted since: its
// node reads all there is, and the log of invalidations backwards to where it
// stands, and goes on from there.

// misses reports whether a process is not told of a change, because its watch is
// to be resumed.
func (e *etcd) misses(p *process) bool {
	w, m := e.world, p.machine
	still := max(m.stalled, m.isolated, e.down)
	if !w.plan.Resumes || !p.resuming && still <= w.now {
		return false
	}
	if !p.resuming {
		p.resuming = true
		e.resumeAt(p, still)
	}
	return true
}

// resumeAt reads for a process once it can. What is told from then on comes after
// what was read.
func (e *etcd) resumeAt(p *process, at time.Duration) {
	w, m := e.world, p.machine
	w.at(at+between(m.random, 0, 300*time.Millisecond), func() {
		switch still := max(m.stalled, m.isolated, e.down); {
		case p.dead:
		case still > w.now || !p.joined:
			e.resumeAt(p, max(still, w.now))
		default:
			revision := e.revision
			p.resuming, p.told = false, max(p.told, w.now+w.plan.etcdDelay(m.random))
			w.at(p.told, func() { p.do(source{'w', 0}, func() { p.resumed(revision) }) })
		}
	})
}

// resumed applies all that was agreed up to a revision: the cell first. The core
// takes a table's revision for that of its write.
func (p *process) resumed(revision uint64) {
	w, c := p.world, p.cell
	if revision <= c.applied {
		return
	}
	nodes := map[string]core.NodeChange{}
	var table core.Changed
	for _, ch := range w.etcd.history {
		if ch.event.Revision <= c.applied || ch.event.Revision > revision {
			continue
		}
		for _, n := range ch.event.Nodes {
			nodes[n.Name] = n
		}
		if ch.event.Table != nil {
			table = ch.event
		}
	}
	w.say(p.node.Name, "reads what it has missed, up to revision %d", revision)
	c.resume(revision)
	p.truth.apply(c.applied)
	all := slices.SortedFunc(maps.Values(nodes), func(a, b core.NodeChange) int { return cmp.Compare(a.Name, b.Name) })
	if table.Table != nil {
		table.Nodes = all
		p.agree(table)
		all = nil
	}
	p.agree(core.Changed{Revision: revision, Nodes: all})
}

// resume has the cell apply the invalidations that it has missed, or let go of
// all that they may concern, if they cannot be read.
func (c *cell) resume(revision uint64) {
	e := c.process.world.etcd
	if broken(core.MissedNotRead) {
		c.applied = revision
		return
	}
	if c.process.world.plan.Unread {
		c.applied, c.floor, c.log = revision, revision, nil
		clear(c.kept)
		for key, f := range c.current {
			if f.load != nil {
				delete(c.current, key)
			}
		}
		return
	}
	for i := range e.log {
		if r := e.log[i].revision; r > c.applied && r <= revision {
			c.apply(change{core.Changed{Revision: r}, &e.log[i]})
		}
	}
	c.applied = revision
}
