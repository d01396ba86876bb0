package marker

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// A Memory is a KV in this process, for tests and for measuring. ReadDelay makes
// it eventually consistent: what was put or deleted is seen that much later, by
// everybody, as with KVs that have copies in many places. The zero value is empty
// and gives what was put last.
type Memory struct {
	ReadDelay time.Duration // set before use

	mu   sync.Mutex
	keys map[string][]version
}

// A version is what a key was from an instant on, until the next.
type version struct {
	at    time.Time
	value []byte    // nil: nothing
	until time.Time // of value
}

var _ KV = (*Memory)(nil)

// Get gives what was there ReadDelay ago.
func (m *Memory) Get(ctx context.Context, key string) ([]byte, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := time.Now().Add(-m.ReadDelay)
	m.forgetLocked(key, seen)
	versions := m.keys[key]
	if len(versions) == 0 || versions[0].at.After(seen) || !versions[0].until.After(seen) {
		return nil, nil
	}
	return versions[0].value, nil
}

// forgetLocked takes out the versions of a key that nobody sees any more.
func (m *Memory) forgetLocked(key string, seen time.Time) {
	versions := m.keys[key]
	for len(versions) > 1 && !versions[1].at.After(seen) {
		versions = versions[1:]
	}
	if len(versions) == 1 && !versions[0].until.After(seen) && !versions[0].at.After(seen) {
		delete(m.keys, key)
		return
	}
	if len(versions) > 0 {
		m.keys[key] = versions
	}
}

// Put adds a version that lasts for ttl.
func (m *Memory) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return m.add(ctx, key, bytes.Clone(value), ttl)
}

// Delete adds a version that is nothing.
func (m *Memory) Delete(ctx context.Context, key string) error { return m.add(ctx, key, nil, 0) }

func (m *Memory) add(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.forgetLocked(key, now.Add(-m.ReadDelay))
	if m.keys == nil {
		m.keys = map[string][]version{}
	}
	m.keys[key] = append(m.keys[key], version{at: now, value: value, until: now.Add(ttl)})
	return nil
}
