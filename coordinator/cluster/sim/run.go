package sim

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A Result is what a run came to.
type Result struct {
	Violation *Violation
	Causes    map[string]int // loads that were repeated, by cause
	Notes     map[core.NoteKind]int
	Traffic   Traffic
	Took      time.Duration // of simulated time
}

// calm is how long a cluster has, after the last fault, to be whole again: loads
// that hang must have come to their deadlines.
func (p *Plan) calm() time.Duration { return max(12*time.Second, p.LoadTime+3*time.Second) }

// Run runs a plan, and writes its transcript if out is not nil.
func Run(plan Plan, out io.Writer) Result {
	w := newWorld(plan, out)
	for _, a := range plan.Acts {
		w.at(a.At, func() { w.act(a) })
	}
	w.run(plan.End)
	w.heal()
	w.run(plan.End + plan.calm())
	w.last()
	end := plan.End + plan.calm() + plan.LoadTime + 3*time.Second
	w.run(end)
	w.whole()
	return Result{w.judge.verdict, w.judge.causes, w.judge.notes, w.traffic, w.now}
}

func newWorld(plan Plan, out io.Writer) *world {
	w := &world{plan: plan, times: core.DefaultTimes()}
	shared := map[string]*record{}
	if out != nil {
		w.out = &transcript{out}
	}
	w.judge = newJudge(w)
	w.origin = &origin{world: w, byKey: map[string][]*load{}}
	w.etcd = &etcd{world: w, revision: 1, nodes: map[string]stored{}}
	for i := range plan.Nodes {
		name := fmt.Sprintf("%c", 'a'+i)
		if plan.Nodes > 26 {
			name = fmt.Sprintf("n%03d", i)
		}
		r := w.random("machine", i)
		w.machines = append(w.machines, &machine{
			world: w, index: i, name: name, random: r, rate: plan.Rates[i], offset: core.Time(1 + r.Int64N(int64(time.Hour))), store: map[string]*record{},
		})
		if plan.Shared {
			w.machines[i].store = shared
		}
		w.etcd.random = append(w.etcd.random, w.random("etcd", i))
	}
	w.network = newNetwork(w)
	return w
}

// limits are the cores': next to nothing, where that is to be seen.
func (w *world) limits() core.Limits {
	if w.plan.Tight {
		return core.Limits{ParkedOnKey: 2, Parked: 5, Flights: 3, Asks: 8, Marks: 1}
	}
	return core.Limits{}
}

// act does what a plan says.
func (w *world) act(a Act) {
	m, other := w.machines[a.Node], w.machines[a.Other]
	switch a.Kind {
	case ActGet:
		w.getAt(m, w.plan.keys()[a.Key], a)
	case ActInvalidate:
		w.invalidateAt(m, a)
	case ActStart:
		m.start()
	case ActCrash:
		m.crash("crashes")
		w.after(a.For, m.start)
	case ActPause:
		m.pause(a.For)
	case ActOutage:
		w.etcd.outage(a.For)
	case ActIsolate:
		w.say(m.name, "is cut from etcd for %v", a.For)
		m.isolated = max(m.isolated, w.now+a.For)
		m.deaf = append(m.deaf, interval{w.now, w.now + a.For})
	case ActStall:
		w.say(m.name, "its watch stands still for %v", a.For)
		m.stalled = max(m.stalled, w.now+a.For)
		m.deaf = append(m.deaf, interval{w.now, w.now + a.For})
	case ActCut:
		w.say("network", "nothing goes from %s to %s for %v (one way: %v)", m.name, other.name, a.For, a.OneWay)
		w.network.cut(m, other, a.For)
		if !a.OneWay {
			w.network.cut(other, m, a.For)
		}
	case ActSplit:
		w.say("network", "%s is cut from all for %v", m.name, a.For)
		for _, o := range w.machines {
			if o != m {
				w.network.cut(m, o, a.For)
				w.network.cut(o, m, a.For)
			}
		}
	case ActReset:
		w.network.reset(m, other)
	case ActLossy:
		w.say("network", "%s-%s loses messages for %v", m.name, other.name, a.For)
		p := w.network.pairs[m.index][other.index]
		p.lossy = max(p.lossy, w.now+a.For)
	case ActDrain:
		if a.Stay {
			w.order(m, core.Drain{Stay: true})
			return
		}
		w.drain(m)
	case ActUndrain:
		w.order(m, core.Undrain{})
	case ActSet:
		w.setAt(m, w.plan.keys()[a.Key])
	}
}

// drain makes a node leave, if others stay that can own something.
func (w *world) drain(m *machine) {
	p := m.process
	stay := 0
	for _, o := range w.machines {
		if o != m && o.process != nil && o.process.joined && !o.leaving && !o.process.staying && o.weight() > 0 {
			stay++
		}
	}
	if p == nil || !p.joined || m.leaving || stay == 0 {
		return
	}
	w.say(m.name, "is to leave")
	m.leaving = true
	p.do(source{'g', 0}, func() {
		p.draining, p.staying = true, false
		p.step(core.Drain{})
	})
}

// order tells a node to own nothing, or something again, unless it cannot say so
// to the others, or nobody else could own what it does.
func (w *world) order(m *machine, e core.Event) {
	p := m.process
	if p == nil || !p.joined {
		return
	}
	p.do(source{'g', 0}, func() {
		drain, is := e.(core.Drain)
		if m.leaving || p.fenced || !p.standing() || is && m.weight() > 0 && !p.core.Drainable() {
			return
		}
		w.say(p.node.Name, "is told %s", describe(e))
		p.staying = drain.Stay
		p.step(e)
	})
}

// setAt makes a caller who sets a key.
func (w *world) setAt(m *machine, key string) {
	p := m.process
	if p == nil || !p.joined || p.fenced {
		return
	}
	w.traffic.Sets++
	s := &setting{number: w.traffic.Sets, key: key, process: p}
	w.say(p.node.Name, "set %d of %s", s.number, plain(key))
	p.do(source{'s', s.number}, s.seize)
}

// getAt makes a caller at a machine, if a process is there that could hear it.
func (w *world) getAt(m *machine, key string, a Act) {
	if p := m.process; p != nil && p.joined && !p.fenced {
		w.caller(p, &get{key: key, fresh: a.Fresh, noStale: a.NoStale}, a.For)
	}
}

// caller makes a caller, who waits for so long.
func (w *world) caller(p *process, g *get, wait time.Duration) {
	w.traffic.Gets++
	g.number, g.process, g.arrived, g.deadline = w.traffic.Gets, p, w.now, w.now+wait
	w.say(p.node.Name, "get %d of %s arrives", g.number, plain(g.key))
	p.do(source{'g', g.number}, func() { p.cell.get(g) })
	w.at(g.deadline, func() { p.do(source{'g', g.number}, g.timeout) })
}

func (w *world) invalidateAt(m *machine, a Act) {
	p := m.process
	if p == nil || !p.joined || p.fenced {
		return
	}
	key := w.plan.keys()[a.Key]
	c := &call{target: [...]target{{key: key}, {tag: w.plan.tags(key)[0]}, {}}[a.Scope], called: w.now, acknowledged: -1}
	w.traffic.Invalidations++
	c.number = w.traffic.Invalidations
	w.say(p.node.Name, "invalidation %d of %v", c.number, c.target)
	p.do(source{'g', -c.number}, func() { p.cell.invalidate(c) })
}

// heal ends what the faults have left, and has all machines run that did not
// leave. Loads succeed from now on.
func (w *world) heal() {
	w.say("world", "heals")
	w.plan.healed = true
	w.plan.Shares, w.plan.Passes, w.plan.Errors, w.plan.Hangs = 0, 0, 0, 0
	w.plan.EtcdLoss, w.plan.Loss = 0, 0
	w.plan.LoadTakes = min(w.plan.LoadTakes, 500*time.Millisecond)
	for _, m := range w.machines {
		w.after(0, m.start)
	}
}

// last makes the last callers: each key, at each node, must be had.
func (w *world) last() {
	if w.judge.verdict != nil {
		return
	}
	for _, m := range w.machines {
		for _, key := range w.plan.keys() {
			if m.gone {
				continue
			}
			p := m.process
			if p == nil || !p.joined {
				w.judge.fail("heal", "%s does not run %v after the last fault", m.name, w.plan.calm())
				return
			}
			w.caller(p, &get{key: key, then: func(failed bool) {
				if failed && !w.plan.Tight {
					w.judge.fail("heal", "a get of %s at %v fails after the last fault", plain(key), p.node)
				}
			}}, 3*time.Second)
		}
	}
}

// whole judges a cluster to which nothing has happened for a while.
func (w *world) whole() {
	if w.judge.verdict != nil {
		return
	}
	owns := map[core.Node]int{}
	t := w.etcd.table
	for p := range t.Owner {
		owns[t.OwnerOf(p)]++
	}
	least, most := w.plan.Partitions, 0
	for _, m := range w.machines {
		if m.process == nil {
			continue
		}
		if n := owns[m.process.node]; m.process.staying {
			if n > 0 && w.someOwn() {
				w.judge.fail("heal", "%v owns %d partitions, and is drained", m.process.node, n)
			}
		} else if m.weight() > 0 {
			least, most = min(least, n), max(most, n)
		} else if n > 0 {
			w.judge.fail("heal", "%v owns %d partitions, and has no weight", m.process.node, n)
		}
		delete(owns, m.process.node)
		if s := m.process.core.Sizes(); s.Asks+s.Held+s.Flights+s.Parked+s.Lagging+s.Recoveries+s.Invalidations > 0 {
			w.judge.fail("leak", "%v remembers %+v when all is over", m.process.node, s)
		}
		if c := m.process.cell; len(c.byAsk) > 0 || len(c.loads) > 0 {
			w.judge.fail("leak", "%v: %d asks and %d loads are open when all is over", m.process.node, len(c.byAsk), len(c.loads))
		}
	}
	for _, n := range slices.SortedFunc(maps.Keys(owns), func(a, b core.Node) int { return int(a.Incarnation) - int(b.Incarnation) }) {
		w.judge.fail("heal", "%d partitions belong to %v, which is not there", owns[n], n)
	}
	if most-least > 1 {
		w.judge.fail("heal", "one node owns %d partitions and one %d", most, least)
	}
	w.judge.stored()
}

// someOwn reports whether a node is there that is to own something.
func (w *world) someOwn() bool {
	return slices.ContainsFunc(w.machines, func(m *machine) bool { return m.process != nil && !m.process.staying && m.weight() > 0 })
}
