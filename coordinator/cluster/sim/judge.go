package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/internal/placement"
)

// A Violation is a rule that a run broke.
type Violation struct {
	Rule string // of the protocol: C1 … C6, O1 … O5, or what else was promised
	At   time.Duration
	Text string
}

func (v *Violation) Error() string { return fmt.Sprintf("%v: %s: %s", v.At, v.Rule, v.Text) }

// A judge sees true time, all machines and etcd, and holds what it sees against
// the protocol's invariants. It never asks a core what it believes, except to
// hold that against the truth.
type judge struct {
	world    *world
	verdict  *Violation
	grants   map[core.Flight]grant
	giving   map[*process]map[uint32]uint64 // O2: partitions whose giving away has been sent, and in which step
	causes   map[string]int                 // why loads were repeated
	notes    map[core.NoteKind]int
	handings map[*process]*handing
	setting  map[asker]string         // the asks of Sets, and their keys
	sets     map[string][]core.Flight // leases that they were granted
}

// A grant is a lease that an owner gave.
type grant struct {
	owner *process
	at    time.Duration
	key   string
}

func newJudge(w *world) *judge {
	return &judge{
		world: w, grants: map[core.Flight]grant{}, giving: map[*process]map[uint32]uint64{},
		causes: map[string]int{}, notes: map[core.NoteKind]int{}, setting: map[asker]string{}, handings: map[*process]*handing{}, sets: map[string][]core.Flight{},
	}
}

// fail ends the run with a violation.
func (j *judge) fail(rule, format string, args ...any) {
	if j.verdict == nil {
		j.verdict = &Violation{rule, j.world.now, fmt.Sprintf(format, args...)}
		j.world.say("judge", "%s: %s", rule, j.verdict.Text)
	}
}

// A truth is what a process's lease truly is: the judge's own account of C2.
type truth struct {
	t0      map[uint64]core.Time
	pending []promise
	until   core.Time // by the machine's CLOCK_BOOTTIME
}

// A promise is a lease until an instant, once a revision has been applied.
type promise struct {
	until core.Time
	need  uint64
}

func (t *truth) sent(nonce uint64, now core.Time) {
	if t.t0 == nil {
		t.t0 = map[uint64]core.Time{}
	}
	t.t0[nonce] = now
}

func (t *truth) renewed(r core.Renewed, lease time.Duration, applied uint64) {
	if t0, sent := t.t0[r.Nonce]; sent && !r.Gone {
		t.pending = append(t.pending, promise{t0.Add(lease), max(r.Table, r.Inv)})
		t.apply(applied)
	}
}

func (t *truth) apply(applied uint64) {
	t.pending = slices.DeleteFunc(t.pending, func(p promise) bool {
		if p.need <= applied {
			t.until = max(t.until, p.until)
		}
		return p.need <= applied
	})
}

// stands hears that a core says that it may answer (C2).
func (j *judge) stands(p *process) {
	if now := p.machine.boottime(); now >= p.truth.until {
		j.fail("C2", "%v answers from what it has, and its lease has been out for %v", p.node, now.Sub(p.truth.until))
	}
}

// stepped looks at a core after a step (C4).
func (j *judge) stepped(p *process, before uint64) {
	if after := p.core.Applied(); after < before {
		j.fail("C4", "%v: applied goes back from %d to %d", p.node, before, after)
	}
}

// given hears of a value that a caller is given (C1, C3).
func (j *judge) given(g *get, r *record, from string) {
	if r.key != g.key {
		j.fail("C3", "get %d of %s at %v is given load %d of %s", g.number, plain(g.key), g.process.node, r.load.number, plain(r.key))
	}
	for i := range j.world.etcd.log {
		inv := &j.world.etcd.log[i]
		if inv.matches(r.key, j.world.plan.tags(r.key)) && inv.call.acknowledged >= 0 &&
			inv.call.acknowledged <= g.arrived && r.began < inv.committed {
			j.fail("C1", "get %d of %s at %v arrived at %v, after invalidation %d of %v was acknowledged at %v, and is given load %d from %s, which began at %v",
				g.number, plain(g.key), g.process.node, g.arrived, inv.call.number, inv.target, inv.call.acknowledged, r.load.number, from, r.began)
		}
	}
}

// foreign looks at a value that a node is handed under a key (C3).
func (j *judge) foreign(p *process, key string, r *record) {
	if r.key != key {
		j.fail("C3", "%v is handed load %d of %s for %s", p.node, r.load.number, plain(r.key), plain(key))
	}
}

// unanswered judges an ask that its asker has given up at its deadline: it may
// have been parked, or its owner may have been out of reach, or the like; else an
// owner that was there all the time has swallowed it (C5).
func (j *judge) unanswered(p *process, f *flight) {
	w, e := j.world, j.world.etcd
	part := placement.Partition(w.hashKey, f.key, w.plan.Partitions)
	owner := w.machine(e.table.OwnerOf(part).Name)
	if f.parked != (core.Flight{}) || owner == nil || owner.process == nil || e.genSince[part] > f.asked || owner.stalled > f.asked ||
		w.silent(p.machine, owner, f.asked) > 0 || overlap(e.outages, f.asked-time.Second, w.now) > 0 || owner.isolated > f.asked || owner == p.machine {
		return
	}
	j.fail("C5", "%v: ask %d of %s is not answered by its deadline, and %v was there all the time", p.node, f.number, plain(f.key), owner.process.node)
}

func (j *judge) died(p *process) {
	delete(j.giving, p)
	delete(j.handings, p)
}

func (j *judge) noted(p *process, n core.Note) { j.notes[n.What]++ }

// answered hears of an answer. A lease that nobody was seen to send was granted
// by the node itself; one of a generation older than what the node was told of is
// void.
func (j *judge) answered(p *process, f *flight, a core.Answered) {
	if a.Kind != core.KindLease {
		return
	}
	if _, sent := j.grants[a.Flight]; !sent {
		j.seized(a.Flight, asker{p.node, a.Ask})
		j.granted(p, p, a.Flight, f)
	}
	if known := p.genKnown[a.Flight.Part]; a.Flight.Gen < known {
		j.fail("O4", "%v accepts the lease %v of %s, and knows of generation %d", p.node, a.Flight, plain(f.key), known)
	}
}

// sends hears of every message that a core sends.
func (j *judge) sends(p *process, a core.Send) {
	r, is := a.Message.(core.Reply)
	if !is || r.Kind != core.KindLease {
		return
	}
	if _, before := j.grants[r.Flight]; before {
		return
	}
	j.seized(r.Flight, asker{a.To, r.Ask})
	to := j.world.machine(a.To.Name).process
	if to == nil || to.node != a.To || to.cell.byAsk[r.Ask] == nil {
		j.granted(p, to, r.Flight, nil)
		return
	}
	j.granted(p, to, r.Flight, to.cell.byAsk[r.Ask])
}

// granted judges a lease at the instant at which it is granted (O2, O3, C2).
func (j *judge) granted(p, to *process, f core.Flight, ask *flight) {
	e := j.world.etcd
	g := grant{owner: p, at: j.world.now}
	if ask != nil {
		g.key = ask.key
	}
	j.grants[f] = g
	if now := p.machine.boottime(); now >= p.truth.until {
		j.fail("C2", "%v grants %v, and its lease has been out for %v", p.node, f, now.Sub(p.truth.until))
	}
	if owner := e.table.OwnerOf(int(f.Part)); owner != p.node || e.table.Gen[f.Part] != f.Gen {
		j.fail("O3", "%v grants %v, and %v owns it at generation %d", p.node, f, owner, e.table.Gen[f.Part])
	}
	if step, gives := j.giving[p][f.Part]; gives && step < p.steps { // within one step, what is answered here comes last
		j.fail("O2", "%v grants %v, and has sent a write that gives it away", p.node, f)
	}
	if ask == nil || ask.fresh || ask.refresh {
		return
	}
	if p.cell.kept[ask.key].step == p.steps {
		return // it has come by the same step, before this was carried out
	}
	if value, there := p.cell.Peek(ask.key, ask.since, false, ask.noStale); there && !p.machine.paused() {
		j.fail("one", "%v grants %v for %s, and has load %d of it", p.node, f, plain(ask.key), value.Payload.(*record).load.number)
	}
}

// writes hears of a write that is sent (O2).
func (j *judge) writes(p *process, a core.Write) {
	if a.Table == nil || p.table == nil {
		return
	}
	for i := range a.Table.Owner {
		if p.table.OwnerOf(i) == p.node && a.Table.OwnerOf(i) != p.node && a.Table.Gen[i] > p.table.Gen[i] { // else it is an old write, repeated
			if j.giving[p] == nil {
				j.giving[p] = map[uint32]uint64{}
			}
			j.giving[p][uint32(i)] = p.steps
			if len(a.Bury) == 0 && a.Table.Epoch > p.wrote {
				j.warm(p, uint32(i), a.Table.OwnerOf(i))
			}
		}
	}
	if a.Table.Epoch > p.wrote {
		p.wrote = a.Table.Epoch
		delete(j.handings, p)
	}
}

// wrote hears what a write came to.
func (j *judge) wrote(p *process, r core.Wrote) {
	if !r.Unknown && !r.OK {
		delete(j.giving, p)
	}
}

// assigned judges a table that is written (O1, C4).
func (j *judge) assigned(p *process, old, next *core.Table, bury []core.Burial) {
	e := j.world.etcd
	if len(next.Owner) != j.world.plan.Partitions || len(next.Gen) != len(next.Owner) {
		j.fail("O1", "%v writes a table of %d partitions", p.node, len(next.Owner))
		return
	}
	if old == nil {
		return
	}
	if next.Epoch <= old.Epoch {
		j.fail("C4", "%v writes epoch %d after %d", p.node, next.Epoch, old.Epoch)
	}
	for i := range next.Owner {
		was, is := old.OwnerOf(i), next.OwnerOf(i)
		if next.Gen[i] < old.Gen[i] || was != is && next.Gen[i] == old.Gen[i] {
			j.fail("C4", "%v writes generation %d of %d after %d, owner %v after %v", p.node, next.Gen[i], i, old.Gen[i], is, was)
		}
		isBuried := slices.ContainsFunc(bury, func(b core.Burial) bool { return b.Node == was })
		if was != is && was != (core.Node{}) && was != p.node && e.living(was) && !isBuried {
			j.fail("O1", "%v takes partition %d from %v, which lives, for %v", p.node, i, was, is)
		}
	}
}

// buried judges a tombstone at the instant at which it is written: its node can
// hold no lease then, and was not declared dead for an outage of everybody's.
func (j *judge) buried(p *process, b core.Burial, record core.NodeRecord) {
	w, e := j.world, j.world.etcd
	if record.Node != b.Node {
		j.fail("C4", "%v buries %v, and the record is %v's", p.node, b.Node, record.Node)
	}
	w.say("etcd", "%v buries %v", p.node, b.Node)
	m := w.machine(b.Node.Name)
	x := m.process
	if x == nil || x.node != b.Node || x == p || !x.joined || x.draining {
		return
	}
	if now := m.boottime(); now < x.truth.until {
		j.fail("O3", "%v buries %v, whose lease runs for another %v", p.node, b.Node, x.truth.until.Sub(now))
	}
	if broken(core.ClockStopsWhilePaused) {
		return
	}
	began, end := w.now, time.Duration(-1)
	for _, o := range e.outages {
		if o.to > w.now-5*time.Second {
			began, end = min(began, o.from), max(end, o.to)
		}
	}
	if overlap(append(slices.Clone(m.pauses), m.deaf...), began-4*time.Second, w.now) > 0 {
		return
	}
	if overlap(m.unlucky, began-4*time.Second, w.now) >= 4*patience {
		return // one renewal after the other was lost
	}
	if end >= 0 && w.now-end > w.times.Lease-w.times.Guard {
		return
	}
	j.fail("F3", "%v buries %v, which was well but for an outage of etcd's", p.node, b.Node)
}
