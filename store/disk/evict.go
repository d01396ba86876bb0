package disk

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/corralcache/corral/internal/stored"
)

const (
	maxChunk     = 4 << 20 // bytes that one step of eviction passes
	maxChunkKeys = 4096
	// crowded is the part of MaxBytes, in hundredths, from which on what is
	// alive is what fills the room, and goes. Below it dead records do, and what
	// is alive is written again behind the end.
	crowded = 75
)

// evict makes room: it passes a chunk at the tail, and drops it. What was read
// since it was passed last stays, as long as that makes room at all.
func (s *Store) evict(e *engine) (more bool, err error) {
	if e.taken()+s.pending.Load() <= s.o.MaxBytes {
		e.spared = 0
		return false, nil
	}
	horizon := e.head.Load()
	s.passStripes()
	chunk, end, err := s.chunk(e, horizon)
	if err != nil && !ofTheDisk(err) { // whoever looks for what is there finds it missing
		s.sums.corrupt.Add(1)
		chunk, end, err = nil, min(e.tail.Load()+s.chunkBytes(), horizon), nil
	}
	if err != nil || end == e.tail.Load() {
		return false, err
	}
	for i := range chunk {
		if err := s.pass(e, &chunk[i]); err != nil {
			return true, err
		}
	}
	batch := e.db.NewBatch()
	batch.DeleteRange(valueKey(nil, 0), valueKey(nil, end), nil)
	if err := e.apply(batch); err != nil {
		return true, err
	}
	e.tail.Store(end)
	s.madeRoom()
	return true, nil
}

// passStripes returns once all positions that were given out before are written
// (D5).
func (s *Store) passStripes() {
	for i := range s.stripes {
		func() {
			s.stripes[i].Lock()
			defer s.stripes[i].Unlock()
		}()
	}
}

// chunkBytes is how much one step passes.
func (s *Store) chunkBytes() int64 { return min(maxChunk, s.o.MaxBytes/burstShare) }

// passed is a record at the tail.
type passed struct {
	position int64
	data     []byte
}

// chunk reads records at the tail, and says where the next chunk begins.
func (s *Store) chunk(e *engine, horizon int64) (all []passed, end int64, err error) {
	end = e.tail.Load()
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: valueKey(nil, end), UpperBound: valueKey(nil, horizon)})
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	limit, begin := s.chunkBytes(), end
	for valid := it.First(); valid; valid = it.Next() {
		position, is := positionOf(it.Key())
		if !is {
			return nil, 0, errMeta
		}
		if position-begin > limit || len(all) == maxChunkKeys {
			return all, position, nil
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, 0, err
		}
		all = append(all, passed{position, bytes.Clone(value)})
	}
	return all, horizon, it.Error()
}

// pass decides what becomes of a record whose room is wanted.
func (s *Store) pass(e *engine, p *passed) error {
	head, form, err := parseHead(p.data, p.position)
	if err != nil {
		return nil // who looks for it finds it missing
	}
	stripe := s.stripe(head.key)
	stripe.Lock()
	defer stripe.Unlock()
	found, entry, err := e.lookup(head.key)
	if err != nil && ofTheDisk(err) {
		return err
	}
	if err != nil || !found || entry.position != p.position {
		return nil // replaced or deleted
	}
	dead := s.floors.dead(head.key, entry.revision, entry.tags)
	expired := !dead && s.expired(&head, form)
	if !dead && !expired && s.spares(e, &head, entry) {
		return s.moveLocked(e, &head, form, entry)
	}
	batch := e.db.NewBatch()
	batch.Delete(indexKey(nil, head.key), nil)
	if err := e.apply(batch); err != nil {
		return err
	}
	e.count(&entry, -1)
	s.bodies.remove(entry.file)
	switch {
	case expired:
		s.sums.expired.Add(1)
	case !dead:
		s.sums.evicted.Add(1)
	}
	return nil
}

// expired reports whether a record is past all its windows, and nothing can
// confirm it.
func (s *Store) expired(head *head, form []byte) bool {
	r, err := stored.Parse(head.key, form)
	if err != nil {
		return false
	}
	stored.Pass(r, s.now().since(head.written))
	widest := max(r.StaleFor, r.StaleOnError, r.StaleOnOutage, 0)
	return r.Validator == "" && r.TTL < 0 && r.TTL+widest < 0
}

// spares reports whether a record has another turn. Once a whole round has been
// spared, nothing is until there is room.
func (s *Store) spares(e *engine, head *head, entry entry) bool {
	read := s.recent.take(head.key)
	if e.spared > s.o.MaxBytes {
		return false
	}
	dense := !e.counted.Load() || (e.live.Load()+e.files.Load())*100 > s.o.MaxBytes*crowded
	if dense && !read {
		return false
	}
	e.spared += entry.size
	return true
}

// moveLocked writes a record again behind the end, as it is.
func (s *Store) moveLocked(e *engine, head *head, form []byte, entry entry) error {
	entry.position = e.head.Add(entry.size) - entry.size
	batch := e.db.NewBatch()
	batch.Set(valueKey(nil, entry.position), append(head.append(nil, entry.position), form...), nil)
	batch.Set(indexKey(nil, head.key), entry.append(nil), nil)
	return e.apply(batch)
}
