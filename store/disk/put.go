package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// Put keeps a record in the place of the one that its key had. One that was
// invalidated meanwhile is dropped without an error. It waits for room if need
// be, until ctx ends.
func (s *Store) Put(ctx context.Context, key string, record *corral.Record) error {
	if record.Body != nil {
		defer record.Body.Close()
	}
	err := s.put(ctx, key, record)
	if errors.Is(err, ErrRefused) {
		s.sums.refused.Add(1)
	}
	return s.failed("put", key, err)
}

func (s *Store) put(ctx context.Context, key string, record *corral.Record) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if len(key) > maxKey {
		return fmt.Errorf("%w: a key of %d bytes, and at most %d may be", ErrRefused, len(key), maxKey)
	}
	if err := s.fits(int64(len(record.Value))); err != nil {
		return err
	}
	if err := s.waitForRoom(ctx); err != nil {
		return err
	}
	head := head{key: key, written: s.now()}
	kept := *record
	var onFile int64
	defer func() { s.pending.Add(-onFile) }()
	if record.Body != nil {
		if err := s.putBody(ctx, &head, &kept, &onFile); err != nil {
			return err
		}
	}
	entry := entry{body: onFile, file: head.file, revision: record.Revision, tags: slotsOf(record.Tags)}
	put := false
	err := s.with(ctx, func(e *engine) (err error) {
		put, err = s.commit(e, key, &head, &kept, entry)
		return err
	})
	if !put {
		s.bodies.remove(head.file)
	}
	return err
}

// fits refuses what is too large to be of use.
func (s *Store) fits(size int64) error {
	if limit := s.o.MaxBytes / objectShare; size > limit {
		return fmt.Errorf("%w: larger than %d bytes, a quarter of Options.MaxBytes", ErrRefused, limit)
	}
	return nil
}

// putBody takes a body in: a short one into the head, a long one into a file.
// What that takes is in pending, and in onFile.
func (s *Store) putBody(ctx context.Context, head *head, record *corral.Record, onFile *int64) error {
	start, err := io.ReadAll(io.LimitReader(record.Body, BodyThreshold))
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	length := int64(len(start))
	if length < BodyThreshold {
		head.inline = start
	} else {
		head.file = s.run | s.serial.Add(1)&(1<<32-1)
		reserve := func(n int64) error {
			*onFile += n
			s.pending.Add(n)
			if err := s.fits(*onFile); err != nil {
				return err
			}
			return s.waitForRoom(ctx)
		}
		length, err = s.bodies.write(head.file, head.key, io.MultiReader(bytes.NewReader(start), record.Body), reserve)
		if err != nil {
			return err
		}
		head.length = length
	}
	if record.BodySize >= 0 && record.BodySize != length {
		s.bodies.remove(head.file)
		return fmt.Errorf("body: %d bytes, and BodySize says %d", length, record.BodySize)
	}
	record.BodySize = length
	return nil
}

// commit writes a record and its index entry. It reports whether the record is
// in the index now: it is not if it is late.
func (s *Store) commit(e *engine, key string, head *head, record *corral.Record, entry entry) (put bool, err error) {
	if err := s.raiseRevision(e, record.Revision); err != nil {
		return false, err
	}
	batch := e.db.NewBatch()
	defer batch.Close()
	stripe := s.stripe(key)
	stripe.Lock()
	defer stripe.Unlock()
	if s.floors.late(key, entry.revision, entry.tags) { // D3
		return false, nil
	}
	found, old, err := e.lookup(key)
	if err != nil && ofTheDisk(err) {
		return false, err
	}
	entry.size = recordOverhead + headSize(head) + int64(2*len(key)+len(record.Value)+len(record.Validator))
	for _, tag := range record.Tags {
		entry.size += int64(len(tag)) + 4
	}
	entry.position = e.head.Add(entry.size) - entry.size // D5
	value := stored.Append(head.append(nil, entry.position), key, record)
	batch.Set(valueKey(nil, entry.position), value, nil)
	batch.Set(indexKey(nil, key), entry.append(nil), nil)
	if err := e.db.Apply(batch, noSync); err != nil { // D2
		return false, err
	}
	e.count(&entry, 1)
	if found && err == nil {
		e.count(&old, -1)
		s.bodies.remove(old.file)
	}
	s.sums.puts.Add(1)
	if !e.unsynced.Load() {
		e.unsynced.Store(true)
	}
	if e.taken() > s.o.MaxBytes {
		s.nudge()
	}
	return true, e.fuse.err()
}

// headSize is about what a head takes.
func headSize(h *head) int64 { return int64(64 + len(h.key) + len(h.inline)) }

// raiseRevision lets a revision be on disk before a record that has it.
func (s *Store) raiseRevision(e *engine, revision uint64) error {
	if revision <= s.floors.revision.Load() {
		return nil
	}
	s.revising.Lock()
	defer s.revising.Unlock()
	if revision <= s.floors.revision.Load() {
		return nil
	}
	if err := s.writeRevision(e, revision); err != nil {
		return err
	}
	raise(&s.floors.revision, revision)
	return nil
}

func (s *Store) writeRevision(e *engine, revision uint64) error {
	batch := e.db.NewBatch()
	batch.Set(metaKey(metaRevision), number(revision), nil)
	return e.apply(batch)
}

// waitForRoom waits while eviction is too far behind.
func (s *Store) waitForRoom(ctx context.Context) error {
	for {
		s.roomMu.Lock()
		room := s.room
		s.roomMu.Unlock()
		e, err := s.enter()
		if err != nil {
			return err
		}
		over := e.taken() + s.pending.Load() - s.o.MaxBytes
		s.leave()
		if over > 0 {
			s.nudge()
		}
		if over <= s.o.MaxBytes/burstShare {
			return nil
		}
		select {
		case <-room:
		case <-s.closing.Done():
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("%w: no room: %w", ErrRefused, context.Cause(ctx))
		}
	}
}

// madeRoom wakes who waits for room.
func (s *Store) madeRoom() {
	s.roomMu.Lock()
	defer s.roomMu.Unlock()
	close(s.room)
	s.room = make(chan struct{})
}
