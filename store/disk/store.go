package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/corralcache/corral"
)

var (
	// ErrClosed is what calls give after Close.
	ErrClosed = errors.New("disk: the store is closed")
	// ErrBroken is what calls give while the disk does not work; the cause is in
	// the same error.
	ErrBroken = errors.New("the disk does not work")
	// ErrRefused is what Put gives for a record that is too large, and for one
	// that found no room while it could wait.
	ErrRefused = errors.New("refused")
	// ErrInUse is what Open gives for a directory that a process has open.
	ErrInUse = errors.New("another process has it")
)

// A Store keeps records in a directory. See the package comment.
//
// Invariants:
//
//	D1. Where the index names a record, no floor is above its revision unless a
//	    floor that stands says so (L2): who reads looks at the floors after the
//	    index.
//	D2. Index entry and record are written in one batch. What is at a position
//	    never changes until the position is behind the tail.
//	D3. A key's index entry is read and written by who holds the key's stripe.
//	    A writer looks whether it is late after it has the stripe, a Delete
//	    raises floors before: so either the writer sees the floor, or the Delete
//	    sees the record.
//	D4. Delete returns nil only after a sync of all that it wrote, with the fuse
//	    not blown after it (U2). Otherwise the directory has no witness (W1) from
//	    before Delete returns until what is owed has been told.
//	D5. A position is given out and written under a stripe. Who has held every
//	    stripe once knows that what was given out before is written.
//	D6. mu is held for reading by who uses the engine, never while waiting for
//	    a body, for room or for a caller's function.
type Store struct {
	o      Options
	fs     vfs.FS
	dir    *directory
	trust  trust
	bodies bodies
	now    func() instant
	floors floors
	recent recent
	sums   sums
	run    uint64 // the upper half of the numbers of this run's bodies
	serial atomic.Uint64

	stripes  [stripes]sync.Mutex
	revising sync.Mutex // orders who raises floors.revision

	mu       sync.RWMutex
	engine   *engine // nil while broken or closed
	broken   error   // why there is none
	sequence *string // of Bind

	oweing sync.Mutex
	owed   []corral.Invalidation // Deletes that failed, until they are told
	oweAll bool                  // there were too many

	pending atomic.Int64 // bytes of files of bodies that are being written
	roomMu  sync.Mutex
	room    chan struct{} // closed, and made anew, when there may be room

	keeping sync.Mutex    // held by the keeper while it does something
	wake    chan struct{} // there is something for the keeper
	swept   chan struct{} // the keeper has swept a prefix; see raisePrefix
	chores  chores
	closing context.Context
	stop    context.CancelFunc
	ended   chan struct{} // the keeper has ended
	closed  sync.Once
}

const (
	stripes  = 256
	maxOwed  = 1024
	minPause = time.Second
	maxPause = time.Minute
)

// sums are counts since Open.
type sums struct {
	gets, hits, puts, deletes, errors, corrupt, evicted, expired, refused atomic.Uint64
}

var (
	_ corral.Store      = (*Store)(nil)
	_ corral.Revisioned = (*Store)(nil)
	_ corral.Bound      = (*Store)(nil)
	_ corral.Browser    = (*Store)(nil)
)

// Open opens the store in a directory, and makes it where nothing is. The error
// says what is wrong with the options, with the directory, or that another
// process has it. What is there and cannot be read is thrown away: it is a cache.
func Open(o Options) (*Store, error) {
	return open(o, machine{fs: vfs.Default, lock: lock, now: clock(), pause: minPause})
}

// A machine is what a store runs on.
type machine struct {
	fs    vfs.FS
	lock  func(path string) (io.Closer, error)
	now   func() instant
	pause time.Duration // before the first of several attempts to open the engine again
}

func open(o Options, on machine) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	dir, err := openDirectory(on, o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		o: o, fs: on.fs, dir: dir, now: on.now, run: uint64(rand.Uint32()|1) << 32,
		trust:  trust{fs: on.fs, dir: dir.path},
		bodies: bodies{fs: on.fs, dir: dir.in(bodiesDir)},
		room:   make(chan struct{}), wake: make(chan struct{}, 1), swept: make(chan struct{}),
		ended: make(chan struct{}),
	}
	s.closing, s.stop = context.WithCancel(context.Background())
	if s.engine, err = s.start(); err != nil {
		s.trust.close()
		dir.lock.Close()
		return nil, fmt.Errorf("disk: open %q: %w", o.Dir, err)
	}
	go s.keep(on.pause)
	return s, nil
}

// start opens an engine with all that was told in it. At the first start the
// directory has to show that nothing is missing; later this process knows.
func (s *Store) start() (*engine, error) {
	first := s.engine == nil && s.broken == nil
	told, trusted := s.trust.read()
	if !first {
		told, trusted = max(told, s.trust.told), true
	}
	e, err := s.attempt(told, trusted, first)
	if !errors.Is(err, errUnreadable) {
		return e, err
	}
	s.sums.corrupt.Add(1)
	s.o.Logger.Warn("the disk store cannot be read and begins empty", "dir", s.o.Dir, "err", err)
	if err := s.fs.RemoveAll(s.dir.in(pebbleDir)); err != nil {
		return nil, err
	}
	return s.attempt(0, false, first)
}

// attempt opens an engine. errUnreadable says that it cannot for what is on disk.
func (s *Store) attempt(told uint64, trusted, first bool) (*engine, error) {
	e, err := openPebble(s.fs, s.dir.in(pebbleDir), s.o, pebbleLog{s.o.Logger})
	if err != nil {
		return nil, err
	}
	m, err := s.load(e)
	if err == nil {
		err = s.settle(e, m, trusted && m.told >= told, first)
	}
	if err != nil {
		e.close()
		return nil, e.why(err)
	}
	return e, nil
}

// load reads what an engine starts from.
func (s *Store) load(e *engine) (meta, error) {
	m, err := loadMeta(e.db, &s.floors)
	if err != nil {
		return m, err
	}
	e.told = m.told
	e.entries.Store(m.counts[0])
	e.live.Store(m.counts[1])
	e.files.Store(m.counts[2])
	return m, e.findEnds()
}

// settle empties an engine that cannot be trusted, tells it what is owed, and
// lets the witness vouch for it.
func (s *Store) settle(e *engine, m meta, trusted, first bool) error {
	if first {
		s.sequence = m.sequence
	}
	other := s.sequence != nil && (m.sequence == nil || *m.sequence != *s.sequence)
	s.oweing.Lock()
	defer s.oweing.Unlock()
	if !trusted || other || s.oweAll {
		if first && e.entries.Load() > 0 {
			s.o.Logger.Warn("the disk store begins empty: not all that was invalidated is known to be in it", "dir", s.o.Dir)
		}
		if err := e.empty(s.sequence, s.floors.revision.Load()); err != nil {
			return err
		}
	} else if err := s.writeRevision(e, s.floors.revision.Load()); err != nil {
		return err
	}
	if !first {
		s.floors.unsweptAll()
	}
	for _, inv := range s.owed {
		if err := s.tell(e, inv); err != nil {
			return err
		}
	}
	if err := s.trust.begin(e.told); err != nil {
		return err
	}
	s.owed, s.oweAll = nil, false
	return nil
}

// pebbleLog lets Pebble's own lines be seen by who debugs.
type pebbleLog struct{ to logger }

type logger interface{ Debug(string, ...any) }

func (l pebbleLog) Infof(string, ...any) {}
func (l pebbleLog) Errorf(format string, args ...any) {
	l.to.Debug("pebble", "says", fmt.Sprintf(format, args...))
}
func (l pebbleLog) Fatalf(string, ...any) {} // engineLog's

var _ pebble.Logger = pebbleLog{}

// enter gives the engine, to be left by leave.
func (s *Store) enter() (*engine, error) {
	s.mu.RLock()
	if s.engine == nil {
		defer s.mu.RUnlock()
		return nil, s.broken
	}
	if err := s.engine.fuse.err(); err != nil {
		defer s.mu.RUnlock()
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return s.engine, nil
}

func (s *Store) leave() { s.mu.RUnlock() }

// with calls use with the engine, once a call's context has not ended.
func (s *Store) with(ctx context.Context, use func(*engine) error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	e, err := s.enter()
	if err != nil {
		return err
	}
	defer s.leave()
	return use(e)
}

// stripe is the lock of a key (D3).
func (s *Store) stripe(key string) *sync.Mutex { return &s.stripes[slotOf(key)%stripes] }

// nudge lets the keeper look for something to do.
func (s *Store) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Bind names the sequence to which revisions belong from now on. What the store
// has of another is dropped at once, however much it is.
func (s *Store) Bind(sequence string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keeping.Lock()
	defer s.keeping.Unlock()
	had := s.sequence
	s.sequence = &sequence
	if had != nil && *had == sequence {
		return nil
	}
	fresh := had == nil && (s.engine == nil || s.floors.revision.Load() == 0 && s.engine.entries.Load() == 0)
	if !fresh {
		s.floors.clear()
	}
	if s.engine == nil {
		return nil // start sees that the sequence is another
	}
	s.oweing.Lock()
	defer s.oweing.Unlock()
	if err := s.engine.empty(s.sequence, 0); err != nil {
		return fmt.Errorf("disk: bind: %w", err)
	}
	s.owed, s.oweAll = nil, false
	return s.trust.begin(0)
}

// Revision is the highest that a record or a Delete had, in this process or an
// earlier one.
func (s *Store) Revision(ctx context.Context) (revision uint64, err error) {
	err = s.with(ctx, func(*engine) error {
		revision = s.floors.revision.Load()
		return nil
	})
	return revision, s.failed("revision", "", err)
}

// failed counts an error of a call and says of which one it is.
func (s *Store) failed(call, key string, err error) error {
	if err == nil {
		return nil
	}
	s.sums.errors.Add(1)
	if key != "" {
		return fmt.Errorf("disk: %s %.200q: %w", call, key, err)
	}
	return fmt.Errorf("disk: %s: %w", call, err)
}

// Close ends the store once the calls under way have ended. Bodies that are being
// read go on.
func (s *Store) Close() (err error) {
	s.closed.Do(func() {
		s.stop()
		<-s.ended
		s.mu.Lock()
		defer s.mu.Unlock()
		e := s.engine
		s.engine, s.broken = nil, ErrClosed
		if e != nil {
			if e.fuse.err() == nil {
				e.keepCounts()
			}
			if err = e.close(); err != nil {
				err = fmt.Errorf("disk: close %q: %w", s.o.Dir, err)
			}
		}
		s.trust.close()
		s.dir.lock.Close()
	})
	return err
}
