package corraltest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral"
)

// A Store keeps records in memory. It is Revisioned, Bound and a Browser, streams
// bodies, and lets nothing go but by Delete and Remove: a record whose windows have passed is still there,
// with negative times. The zero value is empty and ready.
//
// It does not remember deletes (TakesLatePuts).
type Store struct {
	Log *Log // notes calls, as "store put a"; may be nil

	mu       sync.Mutex
	records  map[string]stored
	revision uint64
	sequence string
}

var (
	_ corral.Store      = (*Store)(nil)
	_ corral.Revisioned = (*Store)(nil)
	_ corral.Bound      = (*Store)(nil)
	_ corral.Browser    = (*Store)(nil)
)

// stored is a record as it was at an instant, its body apart.
type stored struct {
	record  corral.Record
	body    []byte
	hasBody bool
	at      time.Time
}

// Get gives the record of a key with its durations as of now.
func (s *Store) Get(ctx context.Context, key string) (*corral.Record, error) {
	s.Log.Add("store get", key)
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("corraltest: store get %q: %w", key, err)
	}
	return s.Look(key), nil
}

// Look is Get that is not noted: what the store has under a key, or nil.
func (s *Store) Look(key string) *corral.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.records[key]
	if !ok {
		return nil
	}
	record := later(found.record, time.Since(found.at))
	if found.hasBody {
		record.Body = io.NopCloser(bytes.NewReader(found.body))
		record.BodySize = int64(len(found.body))
	}
	return &record
}

// Put keeps a record once its body has arrived.
func (s *Store) Put(ctx context.Context, key string, record *corral.Record) error {
	s.Log.Add("store put", key)
	at := time.Now()
	kept := stored{record: detached(record), at: at}
	if record.Body != nil {
		defer record.Body.Close()
		body, err := io.ReadAll(record.Body)
		if err != nil {
			return fmt.Errorf("corraltest: store put %q: body: %w", key, err)
		}
		kept.body, kept.hasBody = body, true
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("corraltest: store put %q: %w", key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records == nil {
		s.records = map[string]stored{}
	}
	s.records[key] = kept
	s.revision = max(s.revision, record.Revision)
	return nil
}

// Delete lets go of the records that an invalidation concerns and that are
// older.
func (s *Store) Delete(ctx context.Context, invalidation corral.Invalidation) error {
	s.Log.Add("store delete", describe(invalidation.Target))
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("corraltest: store delete: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, kept := range s.records {
		if (invalidation.Forget || kept.record.Revision < invalidation.Revision) && concerns(invalidation.Target, key, kept.record.Tags) {
			delete(s.records, key)
		}
	}
	if !invalidation.Forget {
		s.revision = max(s.revision, invalidation.Revision)
	}
	return nil
}

// Bind lets go of everything if it belongs to another sequence of revisions.
func (s *Store) Bind(sequence string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sequence != sequence {
		s.records, s.revision = nil, 0
	}
	s.sequence = sequence
	return nil
}

// Revision is the highest revision of a record or a Delete so far.
func (s *Store) Revision(context.Context) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision, nil
}

// Len is how many records there are.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records)
}

// detached is a copy that shares nothing with a record, without its body.
func detached(record *corral.Record) corral.Record {
	copied := *record
	copied.Value = bytes.Clone(record.Value)
	copied.Tags = slices.Clone(record.Tags)
	copied.Body, copied.BodySize = nil, -1
	return copied
}

// later is a record some time after, and a copy.
func later(record corral.Record, passed time.Duration) corral.Record {
	copied := detached(&record)
	copied.Age += passed
	if copied.TTL != corral.Forever {
		copied.TTL -= passed
	}
	return copied
}

// concerns is what a target matches, soft or not.
func concerns(target corral.Target, key string, tags []string) bool {
	return target.All || slices.Contains(target.Keys, key) ||
		slices.ContainsFunc(target.Prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) ||
		slices.ContainsFunc(target.Tags, func(tag string) bool { return slices.Contains(tags, tag) })
}

// describe is a target in a Log, as "soft key prefix… #tag".
func describe(target corral.Target) string {
	var words []string
	if target.Soft {
		words = append(words, "soft")
	}
	if target.All {
		return strings.Join(append(words, "all"), " ")
	}
	words = append(words, target.Keys...)
	for _, prefix := range target.Prefixes {
		words = append(words, prefix+"…")
	}
	for _, tag := range target.Tags {
		words = append(words, "#"+tag)
	}
	return strings.Join(words, " ")
}
