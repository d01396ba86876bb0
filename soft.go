package corral

import "sync/atomic"

// softness is what soft invalidations by tag and of everything have left:
// whose values count as expired, and since when. Those by key and by prefix have
// expired what they concern themselves.
//
//	R4. Once a soft invalidation is applied, a value that it concerns and whose
//	    load began before is fresh to nobody, and its windows count from then:
//	    from the latest such invalidation, for one that nobody has asked for
//	    in between.
//	R5. Such a value answers a caller who arrived after it only within a stale
//	    window, as one that was there: who waited for its load asks again.
//
// A moment's time is written before its revision, so whoever sees the revision
// has the time, or a later one.
type softness struct {
	newest atomic.Uint64 // of all: a value at or above it needs no look
	all    moment
	tags   atomic.Pointer[[tagSlots]moment] // made by the first soft invalidation of a tag
}

// A moment is a revision and when it was applied, on the cache's clock.
type moment struct {
	revision atomic.Uint64
	at       atomic.Int64
}

func (m *moment) raise(revision uint64, now int64) {
	if m.revision.Load() < revision {
		m.at.Store(now)
		m.revision.Store(revision)
	}
}

// softenLocked notes a soft invalidation. slots are those of its tags.
func (s *softness) softenLocked(inv *Invalidation, slots []uint16, now int64) {
	if len(slots) > 0 && s.tags.Load() == nil {
		s.tags.Store(new([tagSlots]moment))
	}
	for _, slot := range slots {
		s.tags.Load()[slot].raise(inv.Revision, now)
	}
	if inv.All {
		s.all.raise(inv.Revision, now)
	}
	if inv.All || len(slots) > 0 {
		raise(&s.newest, inv.Revision)
	}
}

// since is from when on a value of revision v counts as expired.
func (s *softness) since(slots []uint16, v uint64) (at int64, expired bool) {
	if v >= s.newest.Load() {
		return 0, false
	}
	if s.all.revision.Load() > v {
		at, expired = s.all.at.Load(), true
	}
	tags := s.tags.Load()
	if tags == nil {
		return at, expired
	}
	for _, slot := range slots {
		if m := &tags[slot]; m.revision.Load() > v {
			if when := m.at.Load(); !expired || when < at {
				at = when
			}
			expired = true
		}
	}
	return at, expired
}

// softened is a record as soft invalidations have left it (R4). One that was
// computed after the moment from which it counts as expired has been expired
// from the beginning.
func (c *Cache[V]) softened(r *record[V]) *record[V] {
	at, expired := c.rules.soft.since(r.slots(), r.revision)
	if end := max(at, r.born); expired && end < r.expiry {
		return r.endingAt(end)
	}
	return r
}

// landing is a record as Expire, and soft invalidations that came while it was
// computed, have left it. Called before its flight has settled.
func (f *flight[V]) landing(r *record[V]) *record[V] {
	if f.softened > f.revision {
		r = r.endingAt(f.c.now())
	}
	return f.c.softened(r)
}

// outdated reports whether a soft invalidation in (v, s] concerns what a flight
// came to (R5). An older one may be hidden behind one beyond s; that costs one
// more load.
func (c *Cache[V]) outdated(q *query[V], f *flight[V]) bool {
	v := f.out.record.revision
	if v >= q.since {
		return false
	}
	_, expired := c.rules.soft.since(f.out.record.slots(), v)
	return expired || f.softened > v && f.softened <= q.since
}
