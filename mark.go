package corral

import "time"

// A mark is what a load left that came to no value for others: callers are
// answered by it until its time has passed.
//
// After Validate it also has the value that is kept for validation only, for as
// long as the entry has the mark.
type mark[V any] struct {
	pass     bool
	until    int64
	err      error // of a failure
	failures int   // in a row
	kept     *record[V]
	weight   int64  // of the entry, with kept
	bond     uint64 // I13; zero when no load apart may write the entry
}

// markedLocked is the failure that still answers for the key.
func (e *entry[V]) markedLocked(now int64) error {
	m := e.mark.Load()
	if m == nil || m.pass || now >= m.until {
		return nil
	}
	return m.err
}

// keptLocked is what a load is given to validate where there is no value.
func (e *entry[V]) keptLocked(c *Cache[V]) *record[V] {
	m := e.mark.Load()
	if m == nil || m.kept == nil || !c.keepable(e.node.Key(), m.kept) { // I7
		return nil
	}
	return m.kept
}

// pass settles a flight with a value for its leader only, or, without a
// record, with the word that each is to load for itself.
func (e *entry[V]) pass(c *Cache[V], f *flight[V], r *record[V], weight int64) bool {
	defer c.afterwards()
	e.mu.Lock()
	defer e.mu.Unlock()
	if f.settled {
		return false
	}
	forValidation := r != nil && r.forValidation()
	switch {
	case f.alone && forValidation:
		f.home.retain(c, f, r, weight, 0)
	case e.flight != f:
	case forValidation && weight <= c.o.MaxValueBytes && e.holdsLocked(c, f, r):
		e.passedLocked(c, f, &mark[V]{kept: r, weight: weight})
	case r == nil && e.keptLocked(c) != nil: // another process's word, which is no news about it
		old := e.mark.Load()
		e.passedLocked(c, f, &mark[V]{kept: old.kept, weight: old.weight})
	default:
		e.passedLocked(c, f, nil)
	}
	f.settleLocked(result[V]{record: r, pass: true})
	return true
}

// passedLocked marks the key in place of all that the entry has, so that nobody
// parks for nothing. m says what is kept with the mark; nil is nothing. After a
// PassTTL of none the mark has ended already, and is there only for the sake of
// what it keeps or is going to.
func (e *entry[V]) passedLocked(c *Cache[V], f *flight[V], m *mark[V]) {
	e.flight = nil
	if m == nil && f.passTTL <= 0 && !f.reserved {
		e.dropLocked(c, Replaced)
		e.unpinLocked(c)
		return
	}
	if m == nil {
		m = &mark[V]{weight: c.overhead(f.key) + markBytes}
	}
	m.pass, m.until, m.bond = true, later(c.now(), f.passTTL), f.id
	e.putLocked(c, nil, m, m.weight)
}

// bind ties a load apart to the mark that it begins under (I13), and gives it
// what is kept there.
func (e *entry[V]) bind(c *Cache[V], f *flight[V]) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f.home = e
	if m := e.mark.Load(); m != nil {
		f.bond, f.previous = m.bond, e.keptLocked(c)
	}
}

// unbindLocked parts the loads apart from the key: what they bring is kept by
// nobody.
func (e *entry[V]) unbindLocked(c *Cache[V]) {
	m := e.mark.Load()
	if m == nil {
		return
	}
	next := *m
	next.bond = c.lastFlight.Add(1)
	c.table.Update(e, func() { e.mark.Store(&next) })
}

// retain takes what a load brought that no flight of the entry's brings: into
// the mark when it is for validation, else in the mark's place. release is what
// of the weight is reserved; when retain reports false, it still is.
func (e *entry[V]) retain(c *Cache[V], f *flight[V], r *record[V], weight, release int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.mark.Load()
	switch {
	case m == nil, f.bond == 0, m.bond != f.bond: // I13
		return false
	case m.kept != nil && m.kept.version() > r.version():
		return false // a newer load was faster
	case c.closed.Load(), weight > c.o.MaxValueBytes, !c.keepable(f.key, r): // I7
		return false
	}
	if release > 0 {
		r.body().settled()
	}
	if !r.forValidation() {
		if c.stampMirror(f.key, r) && !f.earned {
			c.mirrors.passBy(true)
			return false
		}
		return e.replaceLocked(c, r, nil, weight, release)
	}
	next := *m
	next.kept, next.weight = r, weight
	e.replaceLocked(c, nil, &next, weight, release)
	return true
}

// retained ends the body of a value that header gave to its leader only.
func (f *flight[V]) retained(c *Cache[V], weight int64, err error) {
	defer c.afterwards()
	r := f.out.record
	reserved, whole := r.body().end(err)
	if !f.reserved {
		return
	}
	if !whole || !f.home.retain(c, f, r, weight+reserved, weight+reserved) {
		r.body().window()
		c.table.Release(weight)
	}
}

// unmark ends a pass mark early, because a load was for everybody again, unless
// a newer one was not.
func (e *entry[V]) unmark(c *Cache[V], f *flight[V]) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.mark.Load()
	if m == nil || !m.pass || m.kept != nil && m.kept.version() > f.id || e.flight != nil || e.growingLocked() != nil {
		return
	}
	e.dropLocked(c, Replaced)
}

// rest puts a failure in the place of a pass mark.
func (e *entry[V]) rest(c *Cache[V], err error, pause time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := e.mark.Load()
	if m == nil || !m.pass || e.flight != nil || pause <= 0 {
		return
	}
	next := *m
	next.pass, next.until, next.err, next.failures = false, later(c.now(), pause), err, 1
	c.table.Update(e, func() { e.mark.Store(&next) })
}
