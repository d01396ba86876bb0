package disk

import (
	"errors"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// sweepPrefix takes out a page of what is below the floor of a prefix. When all
// of it is gone, the floor is not needed by later processes any more.
func (s *Store) sweepPrefix(e *engine) (more bool, err error) {
	c := &s.chores
	prefix, revision, is := s.floors.unswept()
	if !is {
		return false, nil
	}
	from, to := indexBounds(prefix)
	if c.under == prefix && c.prefix != nil {
		from = c.prefix
	}
	c.under = prefix
	c.prefix, err = s.sweepPage(e, from, to)
	if err != nil || c.prefix != nil {
		return true, err
	}
	// Whoever puts below the floor from now on is late, so nothing comes back (L3).
	if s.floors.sweptTo(prefix, revision) {
		if err := s.forgetPrefix(e, prefix, revision); err != nil {
			return true, err
		}
		s.roomMu.Lock()
		close(s.swept)
		s.swept = make(chan struct{})
		s.roomMu.Unlock()
	}
	return true, nil
}

// forgetPrefix takes a floor off the disk, unless it has been raised.
func (s *Store) forgetPrefix(e *engine, prefix string, revision uint64) error {
	e.telling.Lock()
	defer e.telling.Unlock()
	if s.floors.prefix(prefix) != revision {
		return nil
	}
	batch := e.db.NewBatch()
	batch.Delete(append(metaKey(metaPrefix), prefix...), nil)
	return e.apply(batch)
}

// sweepAll takes out a page of what is below a floor of tags or of everything.
func (s *Store) sweepAll(e *engine) (more bool, err error) {
	c := &s.chores
	c.mu.Lock()
	from, wanted := c.cursor, c.all
	c.mu.Unlock()
	if !wanted {
		return false, nil
	}
	first, to := indexBounds("")
	if from == nil {
		from = first
	}
	next, err := s.sweepPage(e, from, to)
	if err != nil {
		return true, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cursor = next; next == nil {
		c.all, c.again = c.again, false
	}
	return c.all, nil
}

// sweepPage takes out what is dead in a page of the index.
func (s *Store) sweepPage(e *engine, from, to []byte) (next []byte, err error) {
	all, next, err := page(e.db, from, to)
	if err != nil {
		return nil, err
	}
	for _, w := range all {
		switch {
		case w.err != nil:
			err = s.discard(e, w.key, nil)
		case s.floors.dead(w.key, w.entry.revision, w.entry.tags):
			err = s.take(e, w.key, w.entry.position)
		}
		if err != nil {
			return nil, err
		}
	}
	return next, nil
}

// counting counts what the index names, in a snapshot of it. What came and went
// since is in the estimates, which are set right by what they were off at the
// snapshot.
type counting struct {
	snapshot *pebble.Snapshot
	was      [3]int64 // the estimates then
	is       [3]int64
	next     []byte
	to       []byte
}

func newCounting(*engine) *counting { return &counting{} }

func (c *counting) end() {
	if c.snapshot != nil {
		c.snapshot.Close()
		c.snapshot = nil
	}
}

// step counts a page.
func (c *counting) step(s *Store, e *engine) (more bool, err error) {
	if e.counted.Load() {
		c.end()
		return false, nil
	}
	if c.snapshot == nil {
		c.begin(s, e)
	}
	all, next, err := page(c.snapshot, c.next, c.to)
	if err != nil {
		return true, err
	}
	for _, w := range all {
		c.is[0]++
		c.is[1] += w.entry.size
		c.is[2] += w.entry.body
	}
	if c.next = next; next != nil {
		return true, nil
	}
	c.end()
	for i, n := range []interface{ Add(int64) int64 }{&e.entries, &e.live, &e.files} {
		n.Add(c.is[i] - c.was[i])
	}
	e.counted.Store(true)
	return true, nil
}

// begin takes a snapshot while nobody writes.
func (c *counting) begin(s *Store, e *engine) {
	for i := range s.stripes {
		s.stripes[i].Lock()
		defer s.stripes[i].Unlock()
	}
	c.snapshot = e.db.NewSnapshot()
	c.was = [3]int64{e.entries.Load(), e.live.Load(), e.files.Load()}
	c.is = [3]int64{}
	c.next, c.to = indexBounds("")
}

// sweepOrphans removes, from one directory of bodies at a time, files of earlier
// runs that no record names: a run that was killed left them.
func (s *Store) sweepOrphans(e *engine) (more bool, err error) {
	c := &s.chores
	if c.orphans >= bodyShards {
		return false, nil
	}
	dir := s.fs.PathJoin(s.bodies.dir, shardName(c.orphans))
	names, err := s.fs.List(dir)
	if err != nil {
		return false, err
	}
	c.orphans++
	for _, name := range names {
		file, is := fileOf(strings.TrimSuffix(name, temporary))
		if is && file>>32 == s.run>>32 {
			continue // of this run, which removes its own
		}
		if is && !strings.HasSuffix(name, temporary) {
			if named, err := s.names(e, file); err != nil {
				return true, err
			} else if named {
				continue
			}
		}
		if err := s.fs.Remove(s.fs.PathJoin(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return true, err
		}
	}
	return true, nil
}

// names reports whether a record has a file as its body.
func (s *Store) names(e *engine, file uint64) (bool, error) {
	key, err := s.bodies.keyOf(file)
	if err != nil {
		if ofTheDisk(err) {
			return false, err
		}
		return false, nil
	}
	found, entry, err := e.lookup(key)
	if err != nil && ofTheDisk(err) {
		return false, err
	}
	return err == nil && found && entry.file == file, nil
}
