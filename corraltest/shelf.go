package corraltest

import (
	"bytes"
	"context"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// shelf is what a Keeper sees in a suite, where there is no cache: enough of one
// that what is filled is kept somewhere.
type shelf struct {
	mu      sync.Mutex
	history []corral.Invalidation
	applied uint64
	kept    map[string]*owned
}

var _ corral.Shelf = (*shelf)(nil)

// attach gives a Keeper a shelf, as New does before all else.
func (m *member) attach(t *testing.T) {
	t.Helper()
	keeper, ok := m.Coordinator.(corral.Keeper)
	if !ok {
		return
	}
	m.shelf = &shelf{kept: map[string]*owned{}}
	detach, err := keeper.Attach(m.shelf)
	if err != nil {
		t.Fatalf("Attach: %v", err)
	}
	t.Cleanup(detach)
}

func (s *shelf) apply(inv corral.Invalidation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, inv)
	s.applied = max(s.applied, inv.Revision)
	for key, k := range s.kept {
		if concerns(inv.Target, key, k.record.record.Tags) && k.record.record.Revision < inv.Revision {
			delete(s.kept, key)
		}
	}
}

// fill is what a cache does with what it has computed, before it fills the lease.
func (s *shelf) fill(t *testing.T, key string, record *corral.Record) {
	t.Helper()
	copied := *record
	if record.Body != nil {
		data, err := io.ReadAll(record.Body)
		if err != nil {
			t.Fatalf("the body of what is filled: %v", err)
		}
		record.Body = io.NopCloser(bytes.NewReader(data))
		copied.Body = io.NopCloser(bytes.NewReader(data))
	}
	s.Keep(key, &copied)
}

func (s *shelf) Peek(_ context.Context, request corral.Request) *corral.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kept[request.Key]
	if k == nil || request.Revision > s.applied {
		return nil
	}
	record := k.answerLocked(request)
	if record != nil {
		record.Revision = max(record.Revision, s.applied)
	}
	return record
}

func (s *shelf) Keep(key string, record *corral.Record) error {
	value := &held{record: detached(record), at: time.Now()}
	if record.Body != nil {
		value.body, value.record.BodySize = newSpool(), record.BodySize
		go func() {
			defer record.Body.Close()
			value.body.fill(context.Background(), record.Body)
		}()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if record.Outcome == corral.Keep && s.untouchedLocked(key, record.Tags, record.Revision, s.applied) {
		s.kept[key] = &owned{record: value}
	}
	return nil
}

func (s *shelf) Keys() iter.Seq[string] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Values(slices.Sorted(maps.Keys(s.kept)))
}

func (s *shelf) Untouched(key string, tags []string, v, u uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.untouchedLocked(key, tags, v, u)
}

func (s *shelf) untouchedLocked(key string, tags []string, v, u uint64) bool {
	return !slices.ContainsFunc(s.history, func(inv corral.Invalidation) bool {
		return inv.Revision > v && inv.Revision <= u && concerns(inv.Target, key, tags)
	})
}

func (s *shelf) Applied() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied
}
