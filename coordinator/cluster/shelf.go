package cluster

import (
	"strings"
	"sync"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
)

// separator stands between a cache's name and a key in what the core takes for
// a key. A name does not contain it.
const separator = "\x00"

// keeperOf is the cache of a composite key, nil if it is not open here, and the
// key in it. Called with mu or deliver held.
func (n *Node) keeperOf(composite string) (*keeper, string) {
	name, key, _ := strings.Cut(composite, separator)
	k := n.openKeeper(name)
	if k == nil || k.view() == nil {
		return nil, key
	}
	return k, key
}

// shelves are the node's caches as the core sees them: it is called under mu.
type shelves struct{ *Node }

// Peek implements core.Shelf.
func (s shelves) Peek(composite string, since uint64, fresh, noStale bool) (core.Value, bool) {
	v, ok := s.peek(composite, since, fresh, noStale)
	if !ok {
		return v, false
	}
	if p := v.Payload.(*parcel); p.body != nil {
		s.peeked = append(s.peeked, p)
	}
	return v, true
}

// peek may be called without mu. The body of what it gives is dropped, or taken.
func (s shelves) peek(composite string, since uint64, fresh, noStale bool) (core.Value, bool) {
	k, key := s.keeperOf(composite)
	if k == nil {
		return core.Value{}, false
	}
	shelf := k.view()
	if shelf == nil {
		return core.Value{}, false
	}
	record := shelf.Peek(s.ctx, corral.Request{Key: key, Revision: max(since, s.applied.Load()), Fresh: fresh, NoStale: noStale, Behind: nobody})
	if record == nil {
		return core.Value{}, false
	}
	return value(record, pack(record)), true
}

func nobody() []corral.Lease { return nil }

// Untouched implements core.Shelf.
func (s shelves) Untouched(composite string, tags []string, v, since uint64) bool {
	if v >= since {
		return true
	}
	name, key, _ := strings.Cut(composite, separator)
	if k := s.openKeeper(name); k != nil {
		if shelf := k.view(); shelf != nil {
			return shelf.Untouched(key, tags, v, since)
		}
	}
	return s.quiet.untouched(name, v)
}

// maxQuiet is of how many caches that nobody here has opened the newest
// invalidation is remembered.
const maxQuiet = 1 << 12

// quiet is the rule of revisions for caches that are not open here: what is
// known of each is its newest invalidation, whatever that concerns.
type quiet struct {
	mu    sync.Mutex
	last  map[string]uint64
	floor uint64 // the newest of those that are not remembered
}

func (q *quiet) invalidated(cache string, revision uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, known := q.last[cache]; !known && len(q.last) >= maxQuiet {
		q.floor = max(q.floor, revision)
		return
	}
	if q.last == nil {
		q.last = map[string]uint64{}
	}
	q.last[cache] = max(q.last[cache], revision)
}

// untouched reports whether nothing of a cache was invalidated after v.
func (q *quiet) untouched(cache string, v uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	last, known := q.last[cache]
	if !known {
		last = q.floor
	}
	return last <= v
}

// all says that everything of every cache may have been invalidated.
func (q *quiet) all(revision uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.last)
	q.floor = max(q.floor, revision)
}
