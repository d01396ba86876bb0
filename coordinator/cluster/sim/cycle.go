package sim

import (
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// patient is for how long loads may wait for each other in a ring before that is
// found: two heartbeats, and the way of the probes.
const patient = 3 * time.Second

// nests looks whether a load that waits for another has come to wait for itself,
// and nobody has noticed.
func (j *judge) nests(l *load) {
	w := j.world
	began := w.now
	w.after(patient, func() {
		ring := j.ring(l)
		if ring == nil || !slices.ContainsFunc(ring, func(m *load) bool { return m.inner.flight.load == nil }) {
			return // within one process the caches see it, without the core
		}
		for _, m := range ring {
			for _, other := range w.machines {
				if w.silent(m.process.machine, other, began) > 0 || overlap(m.process.machine.deaf, began, w.now) > 0 {
					return
				}
			}
			if m.inner.arrived > began || !m.process.core.Standing(m.process.machine.clock()) {
				return
			}
		}
		j.fail("cycle", "load %d of %s at %v has waited for itself for %v, through %d loads", l.number, plain(l.key), l.process.node, patient, len(ring))
	})
}

// ring follows what a load waits for, and is the loads on the way if that leads
// back to it.
func (j *judge) ring(l *load) []*load {
	var way []*load
	for at := l; ; {
		if at == nil || at.end >= 0 || at.told > 0 || at.process.dead || at.inner == nil || at.inner.done || len(way) > 20 {
			return nil
		}
		way = append(way, at)
		if at = j.waitsFor(at.inner); at == l {
			return way
		}
	}
}

// waitsFor is the load whose outcome a caller waits for, nil if there is none.
func (j *judge) waitsFor(g *get) *load {
	f := g.flight
	switch {
	case f == nil:
		return nil
	case f.load != nil:
		return f.load
	case f.ask == 0 || f.parked == (core.Flight{}):
		return nil
	}
	for _, o := range j.world.origin.byKey[f.key] {
		if o.reason == "lease" && o.lease == f.parked {
			return o
		}
	}
	return nil
}
