package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A cell is what a process has of the caches: the values that it keeps, one
// flight for a key, and the callers who wait. It keeps the rule of revisions
// where the caches keep it. It keeps every value of another node's that it is
// given, where the caches keep one that is asked for often: what those may answer
// with is among what it may.
//
// Invariants:
//
//	K1. kept holds a value only while no invalidation of it lies in (v, applied].
//	K2. current holds at most one flight for a key; whoever joins it is checked
//	    with his own s when its outcome lands.
//	K3. What is answered without a lease is not kept.
type cell struct {
	process *process
	applied uint64
	floor   uint64 // invalidations up to it are not known
	log     []invalidation
	kept    map[string]kept
	current map[string]*flight
	byAsk   map[uint64]*flight
	loads   map[core.Flight]*load
	calls   map[uint64]*call
	asked   uint64
	deletes []*invalidation // deletions from the store, the first is under way
	deleted []deleted       // who waits for them
	leaving map[uint64]bool // asks that are taken back, of which the core has yet to hear
}

// A kept value is known to be untouched up to applied: whoever is given it is told
// so, because his own log may not reach back to v.
type kept struct {
	*record
	v    uint64
	step uint64 // of the core, in which it was kept
}

// A record is a value: what a load came to.
type record struct {
	key   string
	load  *load
	v     uint64
	began time.Duration // what it says holds as of then: its load's beginning, or its Set's invalidation
	tags  []string
	keep  bool
	fresh time.Duration // until this true time
	stale time.Duration // and may stand in until this
	wrote *process      // into the store, if it was
}

// A flight is what a cell does to get a value.
type flight struct {
	cell     *cell
	key      string
	ask      uint64 // not answered yet; 0: none
	number   uint64 // of the last ask
	asked    time.Duration
	since    uint64
	fresh    bool
	noStale  bool
	refresh  bool
	lapsed   bool
	set      *setting // whose lease it asks for; nil: it is for those who get
	load     *load
	leader   *get // for whom it was begun; nil: a refresh
	getting  []*get
	parked   core.Flight // what the ask waits for, as the owner has said
	parkedAt time.Duration
}

// A get is one caller.
type get struct {
	number   int
	key      string
	process  *process
	arrived  time.Duration
	deadline time.Duration
	s        uint64
	fresh    bool
	noStale  bool
	lapsed   bool
	parent   *load // in whose load it is made
	flight   *flight
	done     bool
	then     func(failed bool)
}

// A call is one invalidation by a caller.
type call struct {
	target
	number       int
	called       time.Duration
	acknowledged time.Duration // negative: not
	revision     uint64
	committed    time.Duration
	then         func(ok bool) // nil: nothing
}

func newCell(p *process) *cell {
	return &cell{
		process: p, kept: map[string]kept{}, current: map[string]*flight{}, byAsk: map[uint64]*flight{},
		loads: map[core.Flight]*load{}, calls: map[uint64]*call{}, leaving: map[uint64]bool{},
	}
}

// begin reads the log, as far as it is retained.
func (c *cell) begin(revision uint64) {
	w := c.process.world
	c.applied = revision
	if c.floor = w.etcd.compacted(); w.plan.Unread {
		c.floor = revision
	}
	for _, i := range w.etcd.log {
		if i.revision <= revision && i.revision > c.floor {
			c.log = append(c.log, i)
			c.deleteBehind(&i)
		}
	}
}

// Untouched is the rule of revisions.
func (c *cell) Untouched(key string, tags []string, v, s uint64) bool {
	if v < c.floor && v < s {
		return false
	}
	for _, i := range c.log {
		if i.revision > v && i.revision <= s && i.matches(key, tags) {
			return false
		}
	}
	return true
}

// Peek implements core.Shelf.
func (c *cell) Peek(key string, since uint64, fresh, noStale bool) (core.Value, bool) {
	r, there := c.kept[key]
	now := c.process.world.now
	if !there || fresh || now >= r.stale || noStale && now >= r.fresh ||
		!c.Untouched(key, r.tags, r.v, max(since, c.applied)) {
		return core.Value{}, false
	}
	value := r.value(now)
	value.Revision = max(r.v, c.applied)
	return value, true
}

func (r *record) value(now time.Duration) core.Value {
	return core.Value{Revision: r.v, Tags: r.tags, Keep: r.keep, Stale: now >= r.fresh, Payload: r}
}

// apply takes in a revision of the watch.
func (c *cell) apply(ch change) {
	c.applied = ch.event.Revision
	i := ch.inv
	if i == nil {
		return
	}
	c.log = append(c.log, *i)
	c.deleteBehind(i)
	for _, key := range c.process.world.plan.keys() {
		if r, there := c.kept[key]; there && r.v < i.revision && i.matches(key, r.tags) {
			delete(c.kept, key)
		}
		if f := c.current[key]; f != nil && f.load != nil && i.matches(key, nil) {
			delete(c.current, key) // detached: it goes on for those who wait
		}
	}
}

// get is a caller's arrival. The lease is asked first and s is read after it; a
// goroutine may stand still between the two.
func (c *cell) get(g *get) {
	w, p := c.process.world, c.process
	gap := time.Duration(0)
	if chance(p.machine.random, w.plan.Gaps) {
		gap = between(p.machine.random, 0, time.Second)
	}
	if broken(core.SinceBeforeLease) {
		g.s = c.applied
	} else {
		g.lapsed = !p.standing()
	}
	then := func() {
		if broken(core.SinceBeforeLease) {
			g.lapsed = !p.standing()
		} else {
			g.s = c.applied
		}
		if !g.done {
			c.look(g)
		}
	}
	if gap == 0 {
		then()
		return
	}
	w.after(gap, func() { p.do(source{'g', g.number}, then) })
}

// standing asks the core whether the node may answer, and has the judge hear it.
func (p *process) standing() bool {
	standing := p.core.Standing(p.machine.clock())
	if standing {
		p.world.judge.stands(p)
	}
	return standing
}

// look answers a caller from what is there, or has it wait for a flight.
func (c *cell) look(g *get) {
	if g.lapsed {
		c.ask(&flight{cell: c, key: g.key, since: g.s, fresh: g.fresh, noStale: g.noStale, lapsed: true}, g)
		return
	}
	if value, there := c.Peek(g.key, g.s, g.fresh, g.noStale); there {
		g.answer(value.Payload.(*record), "kept")
		if value.Stale && c.current[g.key] == nil {
			c.ask(&flight{cell: c, key: g.key, since: g.s, refresh: true}, nil)
		}
		return
	}
	if f := c.current[g.key]; f != nil && !g.fresh && (!g.noStale || f.noStale) && (f.load == nil || c.Untouched(g.key, nil, f.load.v, g.s)) {
		f.wait(g)
		return
	}
	f := &flight{cell: c, key: g.key, since: g.s, fresh: g.fresh, noStale: g.noStale, leader: g}
	c.current[g.key] = f
	if c.fromStore(f, g) {
		return
	}
	c.ask(f, g)
}

func (f *flight) wait(g *get) {
	g.flight = f
	f.getting = append(f.getting, g)
}

// ask asks the coordinator.
func (c *cell) ask(f *flight, g *get) {
	p := c.process
	if g != nil {
		f.wait(g)
	}
	if !f.lapsed && c.current[f.key] == nil {
		c.current[f.key] = f
	}
	c.send(f, p.world.plan.LoadTime)
}

// send hands a flight's ask to the core.
func (c *cell) send(f *flight, wait time.Duration) {
	p := c.process
	c.asked++
	f.ask, f.asked = c.asked, p.world.now
	c.byAsk[f.ask] = f
	e := core.Ask{
		ID: f.ask, Key: f.key, Since: f.since, Wait: wait,
		Fresh: f.fresh, NoStale: f.noStale, Refresh: f.refresh, Lapsed: f.lapsed, Set: f.set != nil,
		Behind: f.behind,
	}
	id := f.ask
	f.number = id
	p.world.after(p.machine.until(p.machine.clock().Add(e.Wait)), func() {
		p.do(source{'g', -int(id)}, func() { f.giveUp(id) })
	})
	p.step(e)
}

// giveUp takes an ask back at its deadline.
func (f *flight) giveUp(id uint64) {
	c := f.cell
	if c.byAsk[id] != f {
		return
	}
	c.process.world.judge.unanswered(c.process, f)
	if f.set != nil {
		f.set.fail("the ask's deadline")
	}
	for _, g := range f.getting {
		g.fail("the ask's deadline")
	}
	f.takeBack()
}

// takeBack takes an ask back.
func (f *flight) takeBack() {
	c := f.cell
	c.settle(f)
	id := f.ask
	delete(c.byAsk, id)
	f.ask = 0
	c.leaving[id] = true
	c.process.step(core.LeaveAsk{ID: id})
}

// behind is the leases of this process whose loads wait for a flight.
func (f *flight) behind() []core.Flight {
	var all []core.Flight
	seen := map[*flight]bool{}
	var walk func(f *flight)
	walk = func(f *flight) {
		if f == nil || seen[f] {
			return
		}
		seen[f] = true
		for _, g := range f.getting {
			if g.parent != nil && g.parent.end < 0 {
				all = append(all, g.parent.lease)
				walk(g.parent.flight)
			}
		}
	}
	walk(f)
	return all
}

// answered takes in what the coordinator answers.
func (c *cell) answered(a core.Answered) {
	j := c.process.world.judge
	f := c.byAsk[a.Ask]
	if f == nil && c.leaving[a.Ask] {
		return // answered before the core has heard that it is taken back
	}
	if f == nil {
		j.fail("C5", "%v: ask %d is answered with %v, and was answered or left before", c.process.node, a.Ask, a.Kind)
		return
	}
	delete(c.byAsk, a.Ask)
	f.ask = 0
	j.answered(c.process, f, a)
	if f.set != nil {
		f.set.answered(a, f)
		return
	}
	switch a.Kind {
	case core.KindValue:
		r := a.Value.Payload.(*record)
		j.foreign(c.process, f.key, r)
		if !f.lapsed && a.Value.Keep {
			c.mirror(r, a.Value.Revision)
		}
		c.land(f, r, a.Value.Revision, "coordinator")
	case core.KindLease:
		c.lease(f, a)
	case core.KindPass:
		c.settle(f)
		for _, g := range f.getting {
			if g.done {
				continue
			}
			if f.lapsed {
				g.fail("pass without a lease")
				continue
			}
			alone := &flight{cell: c, key: f.key, since: g.s}
			alone.wait(g)
			c.process.world.origin.begin(c, alone, core.Flight{}, c.process.world.plan.LoadTime, "pass")
		}
	case core.KindError, core.KindOverloaded, core.KindUnavailable:
		c.settle(f)
		for _, g := range f.getting {
			g.fail(a.Kind.String() + " " + a.Failure.Text)
		}
	default:
		j.fail("C5", "%v: ask %d is answered with %v", c.process.node, a.Ask, a.Kind)
	}
}

// lease begins the load that was granted.
func (c *cell) lease(f *flight, a core.Answered) {
	if f.lapsed {
		c.process.world.judge.fail("C2", "%v: an ask without a lease is granted %v", c.process.node, a.Flight)
		return
	}
	c.process.world.origin.begin(c, f, a.Flight, a.Life, "lease")
	if len(f.getting) == 0 && !f.refresh {
		f.leave()
	}
}

// settle ends a flight: the next caller starts another.
func (c *cell) settle(f *flight) {
	if c.current[f.key] == f {
		delete(c.current, f.key)
	}
}

// land gives a value to those who wait, each by the rule; the others ask again.
func (c *cell) land(f *flight, r *record, v uint64, from string) {
	c.settle(f)
	waiting := f.getting
	f.getting = nil
	for _, g := range waiting {
		switch {
		case g.done:
		case broken(core.FillUnchecked) || f.lapsed || c.Untouched(f.key, r.tags, v, g.s):
			g.answer(r, from)
		default:
			g.flight = nil
			c.get(g)
		}
	}
}

// mirror keeps what another node has computed, by the rule, and not in the place
// of what began later.
func (c *cell) mirror(r *record, v uint64) {
	if old, there := c.kept[r.key]; (!there || old.record.v <= r.v && (old.v < v || old.fresh < r.fresh)) && c.Untouched(r.key, r.tags, v, c.applied) {
		c.kept[r.key] = kept{r, v, c.process.steps}
	}
}

// keep is a Keep action.
func (c *cell) keep(key string, v core.Value) {
	r := v.Payload.(*record)
	c.process.world.judge.foreign(c.process, key, r)
	if v.Keep {
		c.mirror(r, v.Revision)
	}
}

// settled is the acknowledgement of Done.
func (c *cell) settled(a core.Settled) {
	l := c.loads[a.Flight]
	if l == nil || l.told == 0 {
		c.process.world.judge.fail("C5", "%v: %v is settled, and was never done", c.process.node, a.Flight)
		return
	}
	l.void = a.Void
	delete(c.loads, a.Flight)
	if l.set != nil {
		l.set.settled(a.Void)
	}
}

// lost is a lease that is void: its load goes on for its own callers.
func (c *cell) lost(f core.Flight) {
	l := c.loads[f]
	if l == nil {
		return
	}
	l.lost = c.process.world.now
	c.settle(l.flight)
}

// nobodyAnywhere cancels a load, unless somebody here waits again.
func (c *cell) nobodyAnywhere(f core.Flight) {
	l := c.loads[f]
	if l == nil || l.told > 0 || l.set != nil || l.flight.anybody() {
		return
	}
	c.settle(l.flight)
	l.cancel()
}

func (f *flight) anybody() bool {
	return slices.ContainsFunc(f.getting, func(g *get) bool { return !g.done })
}

// leave is what happens when the last caller of a flight has left.
func (f *flight) leave() {
	c := f.cell
	switch {
	case f.anybody() || f.refresh:
	case f.ask != 0:
		f.takeBack()
	case f.load != nil && f.load.told == 0 && f.load.reason == "lease":
		c.process.step(core.NobodyHere{Flight: f.load.lease})
	case f.load != nil && f.load.told == 0:
		f.load.cancel()
	}
}

// answer gives a caller its value.
func (g *get) answer(r *record, from string) {
	if g.done {
		return
	}
	g.done = true
	w := g.process.world
	if w.out != nil {
		w.say(g.process.node.Name, "get %d of %s: load %d (v %d) from %s", g.number, plain(g.key), r.load.number, r.v, from)
	}
	w.judge.given(g, r, from)
	if g.then != nil {
		g.then(false)
	}
}

// fail gives a caller an error.
func (g *get) fail(why string) {
	if g.done {
		return
	}
	g.done = true
	w := g.process.world
	if w.out != nil {
		w.say(g.process.node.Name, "get %d of %s: %s", g.number, plain(g.key), why)
	}
	if g.then != nil {
		g.then(true)
	}
}

// timeout takes a caller away at its deadline.
func (g *get) timeout() {
	if g.done {
		return
	}
	g.fail("deadline")
	if g.flight != nil {
		g.flight.leave()
	}
}

// invalidate is a caller's invalidation.
func (c *cell) invalidate(cl *call) {
	p := c.process
	w, e := p.world, p.world.etcd
	id := uint64(cl.number)
	c.calls[id] = cl
	var i invalidation
	e.call(p, func() {
		i = invalidation{target: cl.target, call: cl}
		e.commit(nil, nil, &i)
	}, func(ok bool) {
		if !ok {
			w.say(p.node.Name, "invalidation %d: not acknowledged", cl.number)
			delete(c.calls, id)
			cl.end(false)
			return
		}
		cl.revision, cl.committed = i.revision, i.committed
		if broken(core.AcknowledgedAtCommit) {
			c.acknowledged(id)
		}
		p.step(core.Committed{ID: id, Revision: i.revision})
	})
}

func (c *cell) acknowledged(id uint64) {
	w, cl := c.process.world, c.calls[id]
	if cl == nil {
		if !broken(core.AcknowledgedAtCommit) {
			w.judge.fail("C5", "%v: invalidation %d is acknowledged twice", c.process.node, id)
		}
		return
	}
	delete(c.calls, id)
	c.whenDeleted(func() {
		cl.acknowledged = w.now
		w.say(c.process.node.Name, "invalidation %d of %v: acknowledged", cl.number, cl.target)
		cl.end(true)
	})
}

// end tells whoever waits for an invalidation.
func (cl *call) end(ok bool) {
	if cl.then != nil {
		cl.then(ok)
	}
}

// plain is a key without its cache's name.
func plain(key string) string {
	_, key, _ = strings.Cut(key, "\x00")
	return key
}
