package sim

import (
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// fromStore looks a key up in the shared store, if there is one; the flight asks
// the coordinator if nothing is there that may be given.
func (c *cell) fromStore(f *flight, g *get) bool {
	w := c.process.world
	if !w.plan.Store || f.fresh {
		return false
	}
	f.wait(g)
	w.after(between(c.process.machine.random, time.Millisecond, 10*time.Millisecond), func() {
		found := w.store[f.key]
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

// toStore writes a record. The rule is checked before and after it; what became
// invalid between is deleted.
func (c *cell) toStore(r *record) {
	w := c.process.world
	if !w.plan.Store || !c.process.standing() || !c.Untouched(r.key, r.tags, r.v, c.applied) {
		return
	}
	w.after(between(c.process.machine.random, time.Millisecond, 10*time.Millisecond), func() {
		w.store[r.key] = r
		c.process.do(source{'l', 0}, func() {
			if w.store[r.key] == r && !c.Untouched(r.key, r.tags, r.v, c.applied) {
				delete(w.store, r.key)
			}
		})
	})
}
