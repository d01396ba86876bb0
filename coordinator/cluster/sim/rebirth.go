package sim

import (
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A process that the others took for dead is another one from then on, and what
// its caches have stays: they go on where its watch has stood. So its core is
// born with what was agreed at that revision, which may be before its own new
// record.

// reborn is a process's cell in its next life.
func (p *process) reborn(old *cell) *cell {
	c := newCell(p)
	c.applied, c.floor, c.log, c.kept = old.applied, old.floor, old.log, old.kept
	c.deletes = old.deletes
	for id, cl := range old.calls {
		if cl.revision > 0 && cl.then == nil { // else nobody waits any more
			c.calls[id] = cl
		}
	}
	return c
}

// resume tells a process what it has not been told in its earlier life, once its
// watch is there again.
func (e *etcd) resume(p *process) core.Snapshot {
	w, s := e.world, core.Snapshot{Revision: p.cell.applied}
	p.told = w.now + between(p.machine.random, 0, 500*time.Millisecond)
	nodes := map[string]core.NodeChange{}
	for _, c := range e.history {
		if c.event.Revision > p.cell.applied {
			e.tell(p, c)
			continue
		}
		for _, n := range c.event.Nodes {
			nodes[n.Name] = n
		}
		if c.event.Table != nil {
			s.Table, s.TableRevision = c.event.Table, c.event.Revision
		}
	}
	for _, n := range nodes {
		if n.Name != p.node.Name || n.Record.Node == p.node {
			s.Nodes = append(s.Nodes, n)
		}
	}
	slices.SortFunc(s.Nodes, func(a, b core.NodeChange) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return s
}

// again has those who wait for an acknowledgement wait in the next life.
func (p *process) again() {
	if len(p.cell.deletes) > 0 {
		p.cell.deleteFirst()
	}
	ids := make([]uint64, 0, len(p.cell.calls))
	for id := range p.cell.calls {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		p.step(core.Committed{ID: id, Revision: p.cell.calls[id].revision})
	}
}
