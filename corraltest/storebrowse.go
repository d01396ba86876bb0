package corraltest

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral"
)

// Stat counts what there is.
func (s *Store) Stat(ctx context.Context) (corral.StoreStat, error) {
	if err := context.Cause(ctx); err != nil {
		return corral.StoreStat{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stat := corral.StoreStat{Kind: "memory", Sequence: s.sequence, Revision: s.revision, Entries: int64(len(s.records))}
	for key, kept := range s.records {
		stat.Bytes += int64(len(key)+len(kept.record.Value)) + int64(len(kept.body))
	}
	return stat, nil
}

// List yields what there was when it began, in the order of keys.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[corral.StoredEntry, error] {
	return func(yield func(corral.StoredEntry, error) bool) {
		s.mu.Lock()
		records := maps.Clone(s.records)
		s.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(records)) {
			if err := context.Cause(ctx); err != nil {
				yield(corral.StoredEntry{}, err)
				return
			}
			if strings.HasPrefix(key, prefix) && !yield(records[key].entry(key), nil) {
				return
			}
		}
	}
}

func (s stored) entry(key string) corral.StoredEntry {
	r := later(s.record, time.Since(s.at))
	return corral.StoredEntry{
		Key: key, Bytes: int64(len(r.Value) + len(s.body)), HasBody: s.hasBody, Age: r.Age, TTL: r.TTL,
		Windows: max(r.StaleFor, r.StaleOnError, r.StaleOnOutage), Cost: r.Cost, Revision: r.Revision, Tags: r.Tags, Validator: r.Validator,
	}
}

// Verify is List: nothing breaks in memory.
func (s *Store) Verify(ctx context.Context) iter.Seq2[corral.StoredEntry, error] {
	return s.List(ctx, "")
}

// Remove takes keys out.
func (s *Store) Remove(ctx context.Context, keys ...string) (n int, err error) {
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if _, ok := s.records[key]; ok {
			delete(s.records, key)
			n++
		}
	}
	return n, nil
}
