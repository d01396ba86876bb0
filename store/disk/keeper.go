package disk

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// chores are what the keeper has to do, apart from making room, which shows in
// the numbers. They are done in small steps.
type chores struct {
	mu      sync.Mutex
	all     bool   // the whole index is to be swept
	cursor  []byte // how far that has come; nil: at its beginning
	prefix  []byte // how far the sweep of a prefix has come
	under   string // which prefix
	again   bool   // floors were raised since the sweep began
	orphans int    // the next shard of bodies to be looked through
}

// sweep asks for a walk through the index, or only for that of prefixes, which
// have a list of their own.
func (c *chores) sweep(all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if all {
		c.again = c.all
		c.all = true
	}
}

// keep does the store's chores until it closes, and opens the engine again when
// its fuse has blown. The pause before that doubles until it stays whole for as
// long as the longest.
func (s *Store) keep(minPause time.Duration) {
	defer close(s.ended)
	pause := minPause
	for {
		began := time.Now()
		e := s.engine // nobody else replaces it
		cause := s.doChores(e)
		if s.closing.Err() != nil {
			return
		}
		if time.Since(began) > maxPause {
			pause = minPause
		}
		s.breakDown(e, cause)
		for !s.restart(pause) {
			if s.closing.Err() != nil {
				return
			}
			pause = min(2*pause, maxPause)
		}
		pause = min(2*pause, maxPause)
	}
}

// breakDown closes an engine whose fuse has blown.
func (s *Store) breakDown(e *engine, cause error) {
	s.o.Logger.Error("the disk store does not work, and is done without", "dir", s.o.Dir, "err", cause)
	e.fuse.blow(cause)
	s.mu.Lock()
	s.engine, s.broken = nil, fmt.Errorf("%w: %w", ErrBroken, cause)
	s.mu.Unlock()
	e.close() // its error is the cause
	s.madeRoom()
	if e.unreadable.Load() {
		if err := s.fs.RemoveAll(s.dir.in(pebbleDir)); err != nil {
			s.o.Logger.Error("the damaged files of the disk store cannot be removed", "dir", s.o.Dir, "err", err)
		}
		s.sums.corrupt.Add(1)
	}
}

// restart opens the engine again after a pause, and reports whether it could.
func (s *Store) restart(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closing.Done():
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.start()
	if err != nil {
		s.broken = fmt.Errorf("%w: %w", ErrBroken, err)
		return false
	}
	s.engine, s.broken = e, nil
	s.o.Logger.Info("the disk store works again", "dir", s.o.Dir)
	return true
}

// syncEvery is how much later than a put the disk has it at most. Until then it
// may be in this process alone: Pebble writes its log by the block.
const syncEvery = time.Second

// doChores works through the chores until the store closes or the fuse blows, and
// says why.
func (s *Store) doChores(e *engine) error {
	s.chores.mu.Lock()
	s.chores.orphans, s.chores.cursor, s.chores.all = 0, nil, true
	s.chores.mu.Unlock()
	count := newCounting(e)
	defer count.end()
	ticker := time.NewTicker(syncEvery)
	defer ticker.Stop()
	for {
		busy, err := s.step(e, count)
		if err == nil {
			err = e.fuse.err()
		}
		if s.closing.Err() != nil {
			return nil
		}
		if err != nil && e.fuse.err() == nil && !ofTheDisk(err) {
			e.backgroundError(err) // what cannot be walked through cannot be kept
		}
		if blown := e.fuse.err(); blown != nil {
			return blown
		}
		if busy && err == nil {
			continue
		}
		select {
		case <-s.closing.Done():
			return nil
		case <-e.fuse.blown:
		case <-ticker.C:
			if e.unsynced.Swap(false) {
				e.sync()
			}
		case <-s.wakeUnless(err):
		}
	}
}

// wakeUnless is the call for the keeper, which after an error waits for its tick.
func (s *Store) wakeUnless(err error) <-chan struct{} {
	if err != nil {
		return nil
	}
	return s.wake
}

// step does a little of everything that there is to do, and reports whether
// something is left.
func (s *Store) step(e *engine, count *counting) (busy bool, err error) {
	var failures []error
	if s.owes() {
		failures = append(failures, s.pay(e))
	}
	for _, chore := range []func() (bool, error){
		func() (bool, error) { return s.evict(e) },
		func() (bool, error) { return s.sweepPrefix(e) },
		func() (bool, error) { return count.step(s, e) },
		func() (bool, error) { return s.sweepAll(e) },
		func() (bool, error) { return s.sweepOrphans(e) },
	} {
		s.keeping.Lock()
		more, err := chore()
		s.keeping.Unlock()
		busy = busy || more
		failures = append(failures, err)
	}
	return busy, errors.Join(failures...)
}

// walked is one page of the index.
type walked struct {
	key   string
	entry entry
	err   error // the entry cannot be read
}

// pageSize is how many entries of the index are looked at in one step.
const pageSize = 1024

// page reads a page of the index between two keys of Pebble's, and says where
// the next one begins; nil at the end.
func page(r pebble.Reader, from, to []byte) (all []walked, next []byte, err error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for valid := it.First(); valid; valid = it.Next() {
		if len(all) == pageSize {
			return all, append([]byte(nil), it.Key()...), nil
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, nil, err
		}
		w := walked{key: string(it.Key()[1:])}
		w.entry, w.err = parseEntry(value)
		all = append(all, w)
	}
	return all, nil, it.Error()
}

// indexBounds are the keys of Pebble's under which the index has a prefix.
func indexBounds(prefix string) (from, to []byte) {
	from = indexKey(nil, prefix)
	to = append([]byte(nil), from...)
	for i := len(to) - 1; i >= 0; i-- {
		if to[i] < 0xff {
			to[i]++
			return from, to[:i+1]
		}
	}
	return from, nil // not reached: keySpace is below 0xff
}
