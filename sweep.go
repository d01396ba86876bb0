package corral

import "sync"

// applyToAll ends every flight's bond to its key, and every mark. The values go
// for the memory's sake alone, for the rule gives them to nobody: where a
// Coordinator tells of revisions they go behind it, because none is applied
// meanwhile, and a process that does not keep up may not answer.
func (c *Cache[V]) applyToAll(revision uint64) {
	behind := c.o.Coordinator != nil
	for e := range c.table.All() {
		if behind {
			e.interrupt(c, revision)
		} else {
			e.invalidate(c, revision)
		}
	}
	if behind && c.sweep.wants(revision) {
		c.chores.Go(c.sweepAll)
	}
}

// sweepAll lets go of what invalidations of everything have ended, until there
// was none while it looked.
func (c *Cache[V]) sweepAll() {
	for revision, more := c.sweep.next(0); more; revision, more = c.sweep.next(revision) {
		for e := range c.table.All() {
			if c.closed.Load() {
				return
			}
			e.invalidate(c, revision)
		}
		c.afterwards()
	}
}

// A sweep is at most one walk at a time for invalidations of everything.
type sweep struct {
	mu       sync.Mutex
	revision uint64 // of the newest
	walks    bool
}

// wants reports whether a walk is to begin.
func (s *sweep) wants(revision uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revision = max(s.revision, revision)
	begin := !s.walks
	s.walks = true
	return begin
}

// next is up to which revision to walk, after one up to done.
func (s *sweep) next(done uint64) (revision uint64, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.walks = s.revision > done
	return s.revision, s.walks
}
