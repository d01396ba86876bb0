package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// An origin logs the start and the end of every load: the judges believe it,
// and no counter of the core's.
type origin struct {
	world *world
	loads []*load
	byKey map[string][]*load
}

// A load is one call of a loader.
type load struct {
	number   int
	key      string
	process  *process
	flight   *flight
	lease    core.Flight
	reason   string   // "lease", "pass" or "set"
	set      *setting // of a Set, which calls no loader; else nil
	v        uint64   // applied at the node when it began
	start    time.Duration
	deadline time.Duration // the end of its lease's absolute lifetime
	end      time.Duration // at the origin; negative: it runs
	kind     core.Kind     // what it comes to
	keep     bool
	since    uint64        // s of the ask that was granted
	asked    time.Duration // when the ask that was granted was asked
	parked   core.Flight   // what that ask was parked on last
	cut      bool          // it was cancelled
	told     time.Duration // when the coordinator was told its outcome; 0: not
	lost     time.Duration // when its lease was lost; 0: not
	void     bool
	outdone  bool // a Set has taken its place at its node
	past     bool // a judge has seen another begin beside it, with cause
	outcome  *record
	inner    *get // the get that it makes and waits for; nil: none
}

// begin calls the loader for a flight.
func (o *origin) begin(c *cell, f *flight, lease core.Flight, life time.Duration, reason string) {
	w, p := o.world, c.process
	w.traffic.Loads++
	l := &load{
		number: len(o.loads) + 1, key: f.key, process: p, flight: f, lease: lease, reason: reason, v: c.applied,
		start: w.now, end: -1, asked: f.asked, since: f.since, parked: f.parked,
	}
	if broken(core.FillUnchecked) {
		l.parked = core.Flight{}
	}
	l.deadline = w.now + p.machine.until(p.machine.clock().Add(life))
	f.load = l
	o.loads = append(o.loads, l)
	if reason == "lease" {
		c.loads[lease] = l
	}
	r := w.random("load "+f.key, len(o.byKey[f.key]))
	takes := o.fate(l, r)
	if w.out != nil {
		w.say(p.node.Name, "load %d of %s begins: %s %v, v %d, life %v, will be %s", l.number, plain(l.key), reason, lease, l.v, life.Round(time.Millisecond), l.fate())
	}
	w.judge.begins(l)
	o.byKey[f.key] = append(o.byKey[f.key], l)
	w.after(l.deadline-w.now, func() { p.do(source{'l', l.number}, l.expire) })
	if nested := w.plan.nestedIn(f.key); nested != "" && takes < time.Minute {
		w.after(takes/2, func() { p.do(source{'l', l.number}, func() { l.nest(nested, takes-takes/2) }) })
		return
	}
	w.after(takes, l.finish)
}

// fate draws how long a load takes and what it comes to.
func (o *origin) fate(l *load, r *rand.Rand) time.Duration {
	plan := o.world.plan
	l.kind, l.keep = core.KindValue, true
	takes := between(r, 5*time.Millisecond, plan.LoadTakes)
	switch x := r.Float64(); {
	case x < plan.Shares:
		l.keep = false
	case x < plan.Shares+plan.Passes:
		l.kind = core.KindPass
	case x < plan.Shares+plan.Passes+plan.Errors:
		l.kind = core.KindError
	case x < plan.Shares+plan.Passes+plan.Errors+plan.Hangs:
		takes = plan.LoadTime + between(r, -time.Second, 10*time.Second)
	}
	return takes
}

func (l *load) fate() string {
	if l.kind == core.KindValue && !l.keep {
		return "share"
	}
	return l.kind.String()
}

// nest makes a get of another key, inside a load.
func (l *load) nest(key string, rest time.Duration) {
	if l.told > 0 || l.end >= 0 {
		return
	}
	w, p := l.process.world, l.process
	l.inner = &get{key: key, parent: l, then: func(failed bool) {
		l.inner = nil
		if failed {
			l.kind = core.KindError
		}
		w.after(rest, l.finish)
	}}
	w.caller(p, l.inner, l.deadline-w.now)
	w.judge.nests(l)
}

// finish is the load's end at the origin. Its process learns of it if it lives.
func (l *load) finish() {
	if l.end >= 0 {
		return
	}
	w := l.process.world
	l.end = w.now
	if l.process.dead {
		return
	}
	w.say("origin", "load %d of %s has ended: %s", l.number, plain(l.key), l.fate())
	l.process.do(source{'l', l.number}, l.landed)
}

// landed hands the outcome to the callers here, and to the coordinator.
func (l *load) landed() {
	if l.told > 0 {
		return
	}
	w, p, c := l.process.world, l.process, l.process.cell
	l.told = w.now
	f := l.flight
	v := l.v
	if broken(core.RevisionAtEnd) {
		v = c.applied
	}
	done := core.Done{Flight: l.lease, Kind: l.kind}
	switch l.kind {
	case core.KindValue:
		r := &record{key: l.key, load: l, v: v, began: l.start, tags: w.plan.tags(l.key), keep: l.keep, fresh: w.now + w.plan.Fresh, stale: w.now + w.plan.Fresh + w.plan.Stale}
		l.outcome = r
		if l.keep && l.reason == "lease" && l.lost == 0 && !l.outdone {
			c.mirror(r, r.v)
			c.toStore(r)
		}
		done.Value = r.value(w.now)
		c.land(f, r, r.v, "load")
	case core.KindPass:
		c.settle(f)
		r := &record{key: l.key, load: l, v: v, began: l.start, tags: w.plan.tags(l.key)}
		for _, g := range f.getting {
			if g == f.leader || l.reason == "pass" {
				g.answer(r, "load")
				continue
			}
			alone := &flight{cell: c, key: f.key, since: g.s}
			if g.done {
				continue
			}
			alone.wait(g)
			w.origin.begin(c, alone, core.Flight{}, w.plan.LoadTime, "pass")
		}
	case core.KindError:
		done.Failure = core.Failure{Code: 1000, Text: "the load failed", RetryAfter: w.plan.Rest}
		c.settle(f)
		for _, g := range f.getting {
			g.fail("the load failed")
		}
	}
	if l.reason == "lease" {
		p.step(done)
	}
}

// expire ends a load's lease at its deadline; the origin may be at it still.
func (l *load) expire() {
	if l.told > 0 {
		return
	}
	l.giveUp(core.Done{Flight: l.lease, Kind: core.KindError, Failure: core.Failure{Code: 1001, Text: "deadline"}})
}

// cancel ends a load that nobody wants.
func (l *load) cancel() {
	l.cut = true
	if l.end < 0 {
		l.end = l.process.world.now
	}
	l.giveUp(core.Done{Flight: l.lease, Kind: core.KindAbandon})
}

func (l *load) giveUp(done core.Done) {
	w, c := l.process.world, l.process.cell
	l.told = w.now
	w.say(l.process.node.Name, "load %d of %s is given up", l.number, plain(l.key))
	c.settle(l.flight)
	for _, g := range slices.Clone(l.flight.getting) {
		g.fail("the load was given up")
	}
	if l.reason == "lease" {
		l.process.step(done)
	}
}

// died ends the loads of a process, and its callers.
func (o *origin) died(p *process) {
	for _, l := range o.loads {
		if l.process == p && l.end < 0 {
			l.end = o.world.now
			l.cut = true
		}
	}
}
