package sim

import (
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/internal/placement"
)

// overwriteTime bounds what comes before a Set's value is handed over, and the
// life of its lease, as in the shell.
const overwriteTime = 10 * time.Second

// A setting is one caller's Set, step by step as the cache and the shell do it:
//
//	seize     the lease of its key, whatever is kept or under way
//	answered  granted: an invalidation of the key goes into the log
//	fill      acknowledged: the value is given to the owner, as of the invalidation's revision
//	settled   taken: Set returns, and the store has the value too
//
// Its process may end before any of these.
type setting struct {
	number  int
	key     string
	process *process
	load    *load // its lease, in the origin's log; nil: not granted
	call    *call // its invalidation
	over    bool
	heard   bool // its owner had heard of the invalidation when the value was sent
}

// seize asks for the lease.
func (s *setting) seize() {
	p := s.process
	if p.fenced {
		s.fail("fenced")
		return
	}
	p.world.after(p.machine.until(p.machine.clock().Add(overwriteTime)), func() { p.do(source{'s', s.number}, s.timeout) })
	p.world.judge.setting[asker{p.node, p.cell.asked + 1}] = s.key
	p.cell.send(&flight{cell: p.cell, key: s.key, since: p.cell.applied, fresh: true, set: s}, overwriteTime)
}

// answered takes in whether the lease was granted, and invalidates the key.
func (s *setting) answered(a core.Answered, f *flight) {
	p := s.process
	w := p.world
	switch a.Kind {
	case core.KindLease:
	case core.KindOverloaded, core.KindUnavailable:
		s.fail(a.Kind.String())
		return
	default:
		w.judge.fail("C5", "%v: set %d is answered with %v", p.node, s.number, a.Kind)
		return
	}
	s.load = w.origin.set(s, f, a.Flight, a.Life)
	w.traffic.Invalidations++
	s.call = &call{target: target{key: s.key}, number: w.traffic.Invalidations, called: w.now, acknowledged: -1, then: s.acknowledged}
	w.say(p.node.Name, "set %d of %s: invalidation %d", s.number, plain(s.key), s.call.number)
	p.cell.invalidate(s.call)
}

// acknowledged goes on, as a caller does: when the core has done its step.
func (s *setting) acknowledged(ok bool) {
	p := s.process
	p.world.after(0, func() {
		p.do(source{'s', s.number}, func() {
			switch {
			case s.over:
			case ok:
				s.fill()
			default:
				s.abandon()
			}
		})
	})
}

// fill gives the value to the owner, once everybody has heard of it. Where this
// node is the owner it is kept before, in the place of what is being loaded here.
func (s *setting) fill() {
	p, l, c := s.process, s.load, s.call
	w := p.world
	v := c.revision
	if broken(core.SetAsOfItsLease) {
		v = l.since
	}
	r := &record{key: s.key, load: l, v: v, began: c.committed, tags: w.plan.tags(s.key), keep: true, fresh: w.now + w.plan.Fresh, stale: w.now + w.plan.Fresh + w.plan.Stale}
	l.outcome, l.told, l.end = r, w.now, w.now
	owner := w.judge.grants[l.lease].owner
	s.heard = owner != nil && owner.cell.applied >= c.revision
	if part := placement.Partition(w.hashKey, s.key, w.plan.Partitions); p.table != nil && p.table.OwnerOf(part) == p.node {
		p.cell.outdo(s.key)
		p.cell.mirror(r, v)
	}
	p.step(core.Done{Flight: l.lease, Kind: core.KindValue, Value: r.value(w.now)})
}

// outdo parts what is being loaded from its key: it is not kept.
func (c *cell) outdo(key string) {
	delete(c.current, key)
	for _, l := range c.loads {
		l.outdone = l.outdone || l.key == key && l.set == nil
	}
}

// settled is the end: of a lease that is void nobody knows what it came to.
func (s *setting) settled(void bool) {
	switch {
	case s.over:
	case void || s.load.outcome == nil:
		s.fail("its lease is void")
	default:
		s.over = true
		w, r := s.process.world, s.load.outcome
		w.say(s.process.node.Name, "set %d of %s: done, v %d", s.number, plain(s.key), r.v)
		w.judge.set(s)
		if old, there := s.process.cell.kept[s.key]; !there || old.v <= r.v {
			s.process.cell.toStore(r)
		}
	}
}

// timeout gives up what takes too long.
func (s *setting) timeout() {
	if !s.over && s.load != nil && s.load.told == 0 {
		s.abandon()
	}
}

// abandon gives the lease back: whoever waits for the value is granted the next.
func (s *setting) abandon() {
	l := s.load
	s.fail("not acknowledged")
	l.told, l.cut, l.end = s.process.world.now, true, s.process.world.now
	s.process.step(core.Done{Flight: l.lease, Kind: core.KindAbandon})
}

// fail ends a Set with an error: it may or may not be in force.
func (s *setting) fail(why string) {
	if !s.over {
		s.over = true
		s.process.world.say(s.process.node.Name, "set %d of %s: %s", s.number, plain(s.key), why)
	}
}

// set notes a Set's lease in the log, beside the loads: who asks meanwhile is to
// wait for its value instead of loading what it is about to replace.
func (o *origin) set(s *setting, f *flight, lease core.Flight, life time.Duration) *load {
	w, p := o.world, s.process
	l := &load{
		number: len(o.loads) + 1, key: s.key, process: p, flight: f, lease: lease, reason: "set", set: s,
		v: p.cell.applied, start: w.now, end: -1, asked: f.asked, since: f.since, kind: core.KindValue, keep: true,
	}
	l.deadline = w.now + p.machine.until(p.machine.clock().Add(life))
	o.loads = append(o.loads, l)
	o.byKey[s.key] = append(o.byKey[s.key], l)
	p.cell.loads[lease] = l
	w.say(p.node.Name, "load %d of %s is set %d, under %v", l.number, plain(s.key), s.number, lease)
	return l
}

// An asker is one ask of one node.
type asker struct {
	node core.Node
	ask  uint64
}

// seized hears of every lease that is granted, and remembers those of Sets, also
// of one that has died meanwhile.
func (j *judge) seized(f core.Flight, by asker) {
	if key, set := j.setting[by]; set {
		j.sets[key] = append(j.sets[key], f)
	}
}

// overwritten reports whether a Set was granted the key after one lease and
// before another: the one was not current any more.
func (j *judge) overwritten(key string, after, before core.Flight) bool {
	for _, f := range j.sets[key] {
		if younger(f, after) && younger(before, f) {
			return true
		}
	}
	return false
}

// younger reports whether a lease of a key was granted after another.
func younger(a, b core.Flight) bool { return a.Gen > b.Gen || a.Gen == b.Gen && a.Seq > b.Seq }

// set judges a Set that has returned: its owner has its value, if that is still
// the one that granted the lease, and nothing has come after it ("set"). One
// whose lease is out may take the value in before it hears of the invalidation,
// and what it computes itself may take its place, which the invalidation ends.
func (j *judge) set(s *setting) {
	w, l := j.world, s.load
	g := j.grants[l.lease]
	part := int(l.lease.Part)
	if !s.heard || g.owner.dead || g.owner.cell.floor > s.call.revision || g.owner.machine.paused() || w.etcd.table.OwnerOf(part) != g.owner.node || w.etcd.table.Gen[part] != l.lease.Gen ||
		w.now >= l.outcome.fresh || j.later(l) {
		return
	}
	if kept, there := g.owner.cell.kept[s.key]; !there || kept.v < s.call.revision {
		j.fail("set", "set %d of %s at %v has returned, and its owner %v does not have its value", s.number, plain(s.key), s.process.node, g.owner.node)
	}
}

// later reports whether something has come after a Set that ends its value: a
// later Set, or an invalidation.
func (j *judge) later(l *load) bool {
	for _, f := range j.sets[l.key] {
		if younger(f, l.lease) {
			return true
		}
	}
	for _, i := range j.world.etcd.log {
		if i.revision > l.set.call.revision && i.matches(l.key, j.world.plan.tags(l.key)) {
			return true
		}
	}
	return false
}
