package disk

import (
	"context"
	"io"
	"iter"

	"github.com/cockroachdb/pebble/v2"
	"github.com/corralcache/corral"
)

// Stat says what the store is and does. It works while the disk does not.
func (s *Store) Stat(ctx context.Context) (corral.StoreStat, error) {
	n := &s.sums
	stat := corral.StoreStat{
		Kind: "disk", MaxBytes: s.o.MaxBytes, Revision: s.floors.revision.Load(), Entries: -1, Bytes: -1,
		Gets: n.gets.Load(), Hits: n.hits.Load(), Puts: n.puts.Load(), Deletes: n.deletes.Load(), Errors: n.errors.Load(),
		Corrupt: n.corrupt.Load(), Evicted: n.evicted.Load(), Expired: n.expired.Load(), Refused: n.refused.Load(),
	}
	if err := context.Cause(ctx); err != nil {
		return stat, err
	}
	e, err := s.enter()
	if err != nil {
		stat.Broken = err.Error()
		return stat, nil
	}
	defer s.leave()
	if s.sequence != nil {
		stat.Sequence = *s.sequence
	}
	stat.Entries, stat.Bytes = max(0, e.entries.Load()), e.taken()+s.pending.Load()
	return stat, nil
}

// List yields what is kept under keys with a prefix, in the order of their bytes.
// It holds a page in memory, and nothing up while its caller works.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[corral.StoredEntry, error] {
	return s.walk(ctx, prefix, func(key string, w walked) (corral.StoredEntry, bool, error) {
		return s.look(ctx, key, w, false)
	})
}

// Verify reads every record whole, its body to the end. A broken one is yielded
// with its error and is out of the store then; the walk goes on.
func (s *Store) Verify(ctx context.Context) iter.Seq2[corral.StoredEntry, error] {
	return s.walk(ctx, "", func(key string, w walked) (corral.StoredEntry, bool, error) {
		return s.look(ctx, key, w, true)
	})
}

// walk yields what look makes of each entry of the index.
func (s *Store) walk(ctx context.Context, prefix string, look func(string, walked) (corral.StoredEntry, bool, error)) iter.Seq2[corral.StoredEntry, error] {
	return func(yield func(corral.StoredEntry, error) bool) {
		next, to := indexBounds(prefix)
		for next != nil {
			var all []walked
			err := s.with(ctx, func(e *engine) (err error) {
				all, next, err = page(e.db, next, to)
				return err
			})
			if err != nil {
				yield(corral.StoredEntry{}, s.failed("list", prefix, err))
				return
			}
			for _, w := range all {
				found, is, err := look(w.key, w)
				if (is || err != nil) && !yield(found, err) {
					return
				}
			}
		}
	}
}

// look reads a record for who browses; is is false when it is gone, or dead.
func (s *Store) look(ctx context.Context, key string, w walked, whole bool) (found corral.StoredEntry, is bool, err error) {
	found = corral.StoredEntry{Key: key, Bytes: w.entry.size + w.entry.body, HasBody: w.entry.file != 0, Revision: w.entry.revision}
	var record *corral.Record
	err = s.with(ctx, func(e *engine) (err error) {
		if w.err != nil {
			s.discard(e, key, nil)
			return w.err
		}
		if s.floors.dead(key, w.entry.revision, w.entry.tags) || !s.unchanged(e, key, w.entry) {
			return nil
		}
		if record, err = s.read(e, key, w.entry); err == nil || ofTheDisk(err) {
			return err
		}
		if !s.unchanged(e, key, w.entry) {
			return nil
		}
		s.discard(e, key, &w.entry)
		return err
	})
	if err != nil || record == nil {
		return found, false, s.failed("read", key, err)
	}
	found.Age, found.TTL, found.Cost = record.Age, record.TTL, record.Cost
	found.Windows = max(record.StaleFor, record.StaleOnError, record.StaleOnOutage)
	found.Tags, found.Validator, found.HasBody = record.Tags, record.Validator, record.Body != nil
	if record.Body == nil {
		return found, true, nil
	}
	defer record.Body.Close()
	if whole {
		if _, err := io.Copy(io.Discard, record.Body); err != nil {
			return found, false, s.failed("read", key, err)
		}
	}
	return found, true, nil
}

// Remove takes keys out, whatever their revision, and says how many there were.
func (s *Store) Remove(ctx context.Context, keys ...string) (removed int, err error) {
	for _, key := range keys {
		err = s.with(ctx, func(e *engine) error {
			gone, err := s.takeIf(e, key, func(*entry) bool { return true })
			if gone {
				removed++
			}
			return err
		})
		if err != nil {
			return removed, s.failed("remove", key, err)
		}
	}
	if removed == 0 {
		return 0, nil
	}
	err = s.with(ctx, func(e *engine) error {
		if err := e.db.LogData(nil, pebble.Sync); err != nil {
			return err
		}
		return e.fuse.err()
	})
	return removed, s.failed("remove", "", err)
}
