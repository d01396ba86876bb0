package disk

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// replaced is how often Get looks again for a record that was replaced between
// two of its reads.
const replaced = 8

// Get gives the record of a key as of now, or nil. Its Body, if it has one, stays
// readable whatever becomes of the record.
func (s *Store) Get(ctx context.Context, key string) (record *corral.Record, err error) {
	s.sums.gets.Add(1)
	err = s.with(ctx, func(e *engine) error {
		record, err = s.find(e, key)
		return err
	})
	if err != nil {
		return nil, s.failed("get", key, err)
	}
	if record != nil {
		s.sums.hits.Add(1)
		s.recent.note(key)
	}
	return record, nil
}

// find reads a record. What is broken is taken out, and not found.
func (s *Store) find(e *engine, key string) (*corral.Record, error) {
	for range replaced {
		found, entry, err := e.lookup(key)
		switch {
		case err != nil && ofTheDisk(err):
			return nil, err
		case err != nil:
			return nil, s.discard(e, key, nil)
		case !found || s.floors.dead(key, entry.revision, entry.tags): // D1
			return nil, nil
		}
		record, err := s.read(e, key, entry)
		switch {
		case err == nil:
			return record, nil
		case errors.Is(err, stored.ErrVersion):
			return nil, nil
		case ofTheDisk(err):
			return nil, err
		case s.unchanged(e, key, entry):
			return nil, s.discard(e, key, &entry)
		}
	}
	return nil, nil
}

// errMissing says that there is nothing where the index says.
var errMissing = errors.New("missing record")

// read reads the record that an index entry names.
func (s *Store) read(e *engine, key string, entry entry) (record *corral.Record, err error) {
	var data []byte
	var buffer [16]byte
	found, err := e.get(valueKey(buffer[:0], entry.position), func(value []byte) error {
		data = bytes.Clone(value)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errMissing
	}
	head, form, err := parseHead(data, entry.position)
	if err != nil {
		return nil, err
	}
	if head.key != key {
		return nil, errHead
	}
	if record, err = stored.Parse(key, form); err != nil {
		return nil, err
	}
	stored.Pass(record, s.now().since(head.written))
	if stored.HasBody(form) {
		record.Body = io.NopCloser(bytes.NewReader(head.inline))
	}
	if head.file != 0 {
		record.Body, err = s.bodies.open(head.file, key, head.length, func(error) { s.discardLater(key, entry) })
	}
	return record, err
}

// unchanged reports whether the index names the same record still.
func (s *Store) unchanged(e *engine, key string, was entry) bool {
	found, now, err := e.lookup(key)
	return err == nil && found && now.position == was.position
}

// discard takes a broken record out; without an entry, whatever the index has.
func (s *Store) discard(e *engine, key string, entry *entry) error {
	s.sums.corrupt.Add(1)
	s.o.Logger.Warn("a record in the disk store is damaged, and removed", "dir", s.o.Dir, "key", key)
	if entry != nil {
		return s.take(e, key, entry.position)
	}
	stripe := s.stripe(key)
	stripe.Lock()
	defer stripe.Unlock()
	batch := e.db.NewBatch()
	batch.Delete(indexKey(nil, key), nil)
	e.entries.Add(-1)
	return e.apply(batch)
}

// discardLater is discard from a body's reader.
func (s *Store) discardLater(key string, entry entry) {
	if e, err := s.enter(); err == nil {
		defer s.leave()
		s.discard(e, key, &entry)
	}
}

// take takes a record out of the index, if it is the one at a position.
func (s *Store) take(e *engine, key string, position int64) error {
	_, err := s.takeIf(e, key, func(entry *entry) bool { return entry.position == position })
	return err
}

// takeIf takes a record out of the index and its body from the disk. An index
// entry that cannot be read is taken out in any case.
func (s *Store) takeIf(e *engine, key string, goes func(*entry) bool) (gone bool, err error) {
	stripe := s.stripe(key)
	stripe.Lock()
	defer stripe.Unlock()
	found, entry, err := e.lookup(key)
	if err != nil && ofTheDisk(err) {
		return false, err
	}
	if err == nil && (!found || !goes(&entry)) {
		return false, nil
	}
	batch := e.db.NewBatch()
	batch.Delete(indexKey(nil, key), nil)
	if err := e.apply(batch); err != nil {
		return false, err
	}
	e.count(&entry, -1)
	s.bodies.remove(entry.file)
	return true, nil
}
