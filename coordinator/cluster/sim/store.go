package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// What a cell does with its store, which is on its machine's disk or everybody's:
//
//	T1. A record answers only by the rule of revisions: the store may not have
//	    been told of an invalidation.
//	T2. A value is written only while the rule lets it be kept, and is deleted if
//	    that has changed by the time it is written.
//	T3. What an invalidation concerns is deleted behind it, in the order of
//	    revisions, also by a node that starts and reads the log. Who invalidates
//	    waits for that at his node.

// fromStore looks a key up, if there is a store; the flight asks the coordinator
// if nothing is there that may be given.
func (c *cell) fromStore(f *flight, g *get) bool {
	w := c.process.world
	if !w.plan.Store || f.fresh {
		return false
	}
	f.wait(g)
	w.after(between(c.process.machine.random, time.Millisecond, 10*time.Millisecond), func() {
		found := c.process.machine.store[f.key]
		c.process.do(source{'l', 0}, func() {
			if !f.anybody() {
				c.settle(f)
				return
			}
			may := found != nil && w.now < found.fresh &&
				(broken(core.StoreUnchecked) || found.v >= c.floor && c.Untouched(f.key, found.tags, found.v, max(f.since, c.applied)))
			if !may || !c.process.standing() {
				c.ask(f, nil)
				return
			}
			if broken(core.StoreUnchecked) {
				c.settle(f)
				for _, g := range f.getting {
					g.answer(found, "store")
				}
				return
			}
			c.mirror(found, found.v)
			c.land(f, found, found.v, "store")
		})
	})
	return true
}

// toStore writes a record (T2).
func (c *cell) toStore(r *record) {
	w, m := c.process.world, c.process.machine
	if !w.plan.Store || !c.process.standing() || !c.Untouched(r.key, r.tags, r.v, c.applied) {
		return
	}
	w.after(storeTakes(m.random), func() {
		m.store[r.key] = r
		r.wrote = c.process
		c.process.do(source{'l', 0}, func() {
			if !c.Untouched(r.key, r.tags, r.v, c.applied) && !broken(core.WriterDoesNotLookAgain) {
				c.drop(r.key, c.applied+1)
			}
		})
	})
}

// storeTakes is how long a store takes to write or to delete.
func storeTakes(r *rand.Rand) time.Duration {
	if chance(r, 0.4) {
		return between(r, 0, 500*time.Millisecond)
	}
	return between(r, time.Millisecond, 10*time.Millisecond)
}

// drop deletes what the store has of a key, if it is of before a revision.
func (c *cell) drop(key string, before uint64) {
	store := c.process.machine.store
	if r := store[key]; r != nil && r.v < before {
		delete(store, key)
	}
}

// deleteBehind begins to delete what an invalidation concerns (T3).
func (c *cell) deleteBehind(i *invalidation) {
	if !c.process.world.plan.Store || broken(core.StoreKeepsTheInvalidated) {
		return
	}
	if c.deletes = append(c.deletes, i); len(c.deletes) == 1 {
		c.deleteFirst()
	}
}

func (c *cell) deleteFirst() {
	i, p := c.deletes[0], c.process
	w := p.world
	w.after(storeTakes(p.machine.random), func() {
		for _, key := range w.plan.keys() {
			if i.matches(key, w.plan.tags(key)) {
				c.drop(key, i.revision)
			}
		}
		p.do(source{'d', 0}, func() {
			c.deletes = c.deletes[1:]
			c.tellDeleted()
			if len(c.deletes) > 0 {
				c.deleteFirst()
			}
		})
	})
}

// A deleted is somebody who waits until all up to a revision is deleted.
type deleted struct {
	upto uint64
	then func()
}

// whenDeleted goes on once all that is known to be invalidated is deleted.
func (c *cell) whenDeleted(then func()) {
	c.deleted = append(c.deleted, deleted{c.applied, then})
	c.tellDeleted()
}

func (c *cell) tellDeleted() {
	done := func(d deleted) bool { return len(c.deletes) == 0 || c.deletes[0].revision > d.upto }
	for {
		at := slices.IndexFunc(c.deleted, done)
		if at < 0 {
			return
		}
		then := c.deleted[at].then
		c.deleted = slices.Delete(c.deleted, at, at+1)
		then()
	}
}

// stored judges the stores when all is over: what an acknowledged invalidation
// concerns is not there, unless whoever wrote it has died before he could look
// again, or it is too old to answer anybody ("store").
func (j *judge) stored() {
	w := j.world
	for _, m := range w.machines {
		if m.process == nil {
			continue
		}
		for _, key := range w.plan.keys() {
			r := m.store[key]
			if r == nil || r.wrote.dead || r.v < m.process.cell.floor {
				continue
			}
			for _, i := range w.etcd.log {
				if i.revision > r.v && i.call.acknowledged >= 0 && i.matches(key, r.tags) {
					j.fail("store", "the store of %v has load %d of %s, which invalidation %d has ended", m.process.node, r.load.number, plain(key), i.call.number)
					return
				}
			}
		}
	}
}
