package sim

import (
	"cmp"
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// begins holds a load against those of its key that were under way when it was
// asked for: each is to have a cause out of the list of what can still repeat a
// computation (O4, O5).
func (j *judge) begins(l *load) {
	if l.reason == "pass" || l.flight.fresh {
		j.causes["by design"]++
		return
	}
	for _, o := range j.world.origin.byKey[l.key] {
		if o.reason == "pass" || o.set != nil && younger(o.lease, l.lease) || o.past || o.end >= 0 && o.end <= l.asked {
			continue
		}
		cause := j.cause(o, l)
		if l.lease.Gen < o.lease.Gen || l.lease.Gen == o.lease.Gen && l.lease.Seq < o.lease.Seq {
			cause = cmp.Or(cause, j.cause(l, o)) // the later grant began first
		}
		if cause == "" {
			j.fail("O5", "load %d of %s begins at %v beside load %d (%v, of %v, began at %v, ended at %v) without a cause",
				l.number, plain(l.key), l.process.node, o.number, o.lease, o.process.node, o.start, o.end)
			return
		}
		j.causes[cause]++
		o.past = true
	}
}

// cause says why a load could begin beside another, "" if nothing explains it.
func (j *judge) cause(o, l *load) string {
	w := j.world
	switch {
	case o.process.dead:
		return "its holder died"
	case o.cut:
		return "it was cancelled"
	case w.now >= o.deadline-w.times.Guard-w.plan.LoadTime/10 || o.told > 0 && o.end < 0:
		return "its deadline"
	case j.invalidatedSince(o):
		return "an invalidation"
	case j.grants[l.lease].owner != nil && j.grants[l.lease].owner.cell.floor > o.since:
		return "its owner does not know what was invalidated"
	case o.end >= 0 && l.process.cell.floor > o.v:
		return "its asker does not know what was invalidated"
	case j.overwritten(o.key, o.lease, l.lease):
		return "a Set"
	case !w.etcd.living(o.process.node):
		return "its holder was declared dead"
	}
	if o.end >= 0 && l.parked != o.lease {
		switch {
		case o.kind != core.KindValue || !o.keep:
			return "it had ended, and is not kept"
		case o.outcome != nil && w.now >= o.outcome.fresh:
			return "its value is old"
		case l.lease.Gen != o.lease.Gen:
			return "a cached value is not handed over"
		}
	}
	return j.silence(o, l)
}

// invalidatedSince reports whether an invalidation may end what a load can be
// given to. Its owner knows no more of v than that it is not below what its asker
// had applied.
func (j *judge) invalidatedSince(o *load) bool {
	for _, i := range j.world.etcd.log {
		if i.revision > o.since && (o.set == nil || i.call != o.set.call) && i.matches(o.key, j.world.plan.tags(o.key)) {
			return true
		}
	}
	return false
}

// silence says whether a load's holder was out of its owner's reach for long
// enough: for the limit, or, if the owner is new and nobody named the flight, for
// the recovery.
func (j *judge) silence(o, l *load) string {
	w := j.world
	owner := j.grants[l.lease].owner
	if owner == nil {
		return ""
	}
	limit := w.times.Limit - 1500*time.Millisecond
	holder := o.process.machine
	if granter := j.grants[o.lease].owner; granter != nil {
		switch {
		case w.silent(holder, granter.machine, o.start) >= limit:
			return "its holder was silent past the limit"
		case o.end >= 0 && w.silent(l.process.machine, granter.machine, l.asked) >= limit:
			return "its asker was silent past the limit"
		}
	}
	if o.lease.Gen == l.lease.Gen {
		return ""
	}
	if o.end >= 0 && w.silent(l.process.machine, owner.machine, w.etcd.genSince[l.lease.Part]) >= w.times.Recovery/4 {
		return "its asker was silent in the recovery"
	}
	if overlap(append(slices.Clone(owner.machine.deaf), w.etcd.outages...), o.start, w.now) >= limit {
		return "its new owner did not know of it"
	}
	since := w.etcd.genSince[l.lease.Part]
	if l.lease.Gen > o.lease.Gen+1 {
		for _, m := range w.machines {
			if m != holder && w.silent(holder, m, o.start) >= w.times.Recovery/4 {
				return "its holder was silent while owners changed"
			}
		}
		return ""
	}
	silent := w.silent(holder, owner.machine, since)
	if silent >= limit || silent >= w.times.Recovery/4 && !j.named(o, l, owner, since) {
		return "its holder was silent in the recovery"
	}
	return ""
}

// silent is for how long since then two machines could not speak, or one of them
// stood still.
func (w *world) silent(a, b *machine, since time.Duration) time.Duration {
	all := append(slices.Clone(w.network.outages(a, b)), a.pauses...)
	return overlap(append(all, b.pauses...), since, w.now)
}

// named reports whether somebody who was within the new owner's reach from the
// beginning was parked on a flight before the owner changed, and named it.
func (j *judge) named(o, l *load, owner *process, since time.Duration) bool {
	w := j.world
	within := func(p *process) bool { return w.silent(p.machine, owner.machine, since) == 0 }
	if l.parked == o.lease && l.flight.parkedAt < since && within(l.process) {
		return true
	}
	for _, m := range w.machines {
		if m.process == nil || m.process.cell == nil || !within(m.process) {
			continue
		}
		for _, key := range w.plan.keys() {
			f := m.process.cell.current[key]
			if f != nil && f.ask != 0 && f.parked == o.lease && f.parkedAt < since {
				return true
			}
		}
	}
	return false
}
