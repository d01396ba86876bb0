package sim

import (
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/internal/placement"
)

// A given value is one that is on its way to the next owner of its key.
type given struct {
	*record
	v uint64
}

// handOver gives what is kept of partitions to their next owners, and tells the
// core when all of them have it, or could not be reached. Some do not get
// through, and now and then the core is not told: it goes on by itself.
func (c *cell) handOver(a core.HandOver) {
	p := c.process
	w, r := p.world, p.machine.random
	if w.judge.hands(p, a); chance(r, 0.05) {
		return
	}
	var to []core.Node
	for _, g := range a.Gifts {
		if !slices.Contains(to, g.To) {
			to = append(to, g.To)
		}
	}
	left := len(to)
	for _, who := range to {
		p.give(who, a.Gifts, func() {
			if left--; left == 0 {
				w.judge.handed(p, a.Round)
				p.step(core.HandedOver{Round: a.Round})
			}
		})
	}
}

// give reads what is kept for one node, and has it take that in.
func (p *process) give(who core.Node, gifts []core.Gift, then func()) {
	w, r := p.world, p.machine.random
	began, m := w.now, w.machine(who.Name)
	way := func() time.Duration {
		if chance(r, 0.2) {
			return between(r, 0, 3*time.Second)
		}
		return w.plan.delay(r)
	}
	w.after(way(), func() {
		p.do(source{'h', m.index}, func() {
			values := p.cell.keptOf(who, gifts)
			w.after(way(), func() {
				if x := m.process; x != nil && x.node == who && x.joined && w.silent(p.machine, m, began) == 0 {
					x.do(source{'h', p.machine.index}, func() { x.cell.take(p, values) })
				}
				w.after(w.plan.delay(r), func() { p.do(source{'h', m.index}, then) })
			})
		})
	})
}

// keptOf is what there is for one node, each with the revision up to which it is
// known to be untouched.
func (c *cell) keptOf(who core.Node, gifts []core.Gift) (values []given) {
	w := c.process.world
	for _, key := range w.plan.keys() {
		part := uint32(placement.Partition(w.hashKey, key, w.plan.Partitions))
		if !slices.Contains(gifts, core.Gift{Part: part, To: who}) {
			continue
		}
		if v, there := c.Peek(key, 0, false, false); there {
			values = append(values, given{v.Payload.(*record), v.Revision})
		}
	}
	return values
}

// take keeps what is handed over, by the rule.
func (c *cell) take(from *process, values []given) {
	for _, g := range values {
		if broken(core.GiftUnchecked) {
			c.kept[g.key] = kept{g.record, max(g.v, c.applied), c.process.steps}
			continue
		}
		c.mirror(g.record, g.v)
	}
	if w := c.process.world; len(values) > 0 {
		w.traffic.Given += len(values)
		w.say(c.process.node.Name, "%v hands over %d values", from.node, len(values))
	}
}

// A handing is what a node has been told to hand over before its next write.
type handing struct {
	round uint64
	to    map[uint32]core.Node
	until core.Time
	done  bool
}

// hands hears that a node is to hand something over.
func (j *judge) hands(p *process, a core.HandOver) {
	h := j.handings[p]
	if h == nil {
		h = &handing{to: map[uint32]core.Node{}, until: p.machine.clock().Add(j.world.times.Handover)}
		j.handings[p] = h
	}
	h.round, h.done = a.Round, false
	for _, g := range a.Gifts {
		h.to[g.Part] = g.To
	}
}

// handed hears that it has, as far as it could.
func (j *judge) handed(p *process, round uint64) {
	if h := j.handings[p]; h != nil && h.round == round {
		h.done = true
	}
}

// warm judges a write that gives a partition away: what is kept of it has been
// handed over, or that takes too long, or the next owner was out of reach
// ("warm"). A write that buries somebody does not wait.
func (j *judge) warm(p *process, part uint32, to core.Node) {
	h := j.handings[p]
	switch {
	case to == core.Node{} || !j.world.etcd.living(to) || p.sessions[j.world.machine(to.Name).index] == 0:
	case h == nil || h.to[part] != to:
		if len(p.cell.keptOf(to, []core.Gift{{Part: part, To: to}})) > 0 {
			j.causes["given away without its values"]++
		}
	case !h.done && p.machine.clock() < h.until:
		j.fail("warm", "%v gives partition %d to %v, and has not handed over what it has kept of it", p.node, part, to)
	}
}
