package corral

import (
	"container/list"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// tagSlots is the size of the table of tag revisions. A collision invalidates
// too much, never too little.
const tagSlots = 1 << 16

// recentPrefixes is how many invalidated prefixes are remembered, those
// invalidated last.
const recentPrefixes = 256

// recentKeys is how many invalidated keys are remembered exactly, those
// invalidated last: by 64 bits of hash, so that long keys take no more room. Of
// the others there is a table like that of tags. A collision invalidates too much,
// never too little.
const recentKeys = 4096

// revisions is the rule by which a value is too old to be given or kept.
//
// A value carries v, what was applied when its load began; a caller carries s,
// what was applied when it arrived.
//
//	R1. A value answers a caller only if no invalidation that concerns it lies in (v, s].
//	R2. A value is kept only while none lies in (v, applied].
//	R3. applied never falls, and covers a revision only once tags, all, recent,
//	    prefixes and soft show it.
//
// Without a Coordinator the numbers come from a local counter; with one, from
// its Watch. Nothing else differs.
//
// Entries drop their value and detach their flight when their key is
// invalidated, so recent and prefixes are asked only for values that come from
// elsewhere: a store, another process. Those are refused after a soft
// invalidation too, for nobody can know from when on they count as expired. Where the newest invalidation of a tag lies after s,
// an older one within (v, s] may be hidden behind it, and the value is refused:
// that costs one more load and is never stale.
type revisions struct {
	applied atomic.Uint64
	all     atomic.Uint64                           // the newest that concerns everything
	tags    atomic.Pointer[[tagSlots]atomic.Uint64] // made by the first invalidation of a tag
	soft    softness
	swept   atomic.Uint64 // the newest that concerns everything, soft ones included: all that a plain hit looks at
	seed    maphash.Seed
	now     func() int64

	mu       sync.Mutex // orders writers; guards what is below
	recent   map[uint64]*list.Element
	order    list.List         // of keyRevision, the key invalidated longest ago in front
	older    *[tagSlots]uint64 // of keys that have left order, by hash; made by the first
	prefixes []prefixRevision  // the one invalidated longest ago in front
	floor    uint64            // the newest revision that has left prefixes
}

// keyRevision is the newest invalidation of a key.
type keyRevision struct{ hash, revision uint64 }

// prefixRevision is the newest invalidation of a prefix.
type prefixRevision struct {
	prefix   string
	revision uint64
}

func newRevisions(start uint64, now func() int64) *revisions {
	r := &revisions{seed: maphash.MakeSeed(), now: now, recent: map[uint64]*list.Element{}}
	r.applied.Store(start)
	return r
}

// slot is where a tag's revision stands.
func (r *revisions) slot(tag string) uint16 { return uint16(maphash.String(r.seed, tag)) }

func (r *revisions) slots(tags []string) []uint16 {
	if len(tags) == 0 {
		return nil
	}
	slots := make([]uint16, len(tags))
	for i, tag := range tags {
		slots[i] = r.slot(tag)
	}
	return slots
}

// apply makes an invalidation visible to all later decisions (R3). A revision
// of zero is given the next number of the local counter. It returns the
// invalidation as applied.
func (r *revisions) apply(inv Invalidation) Invalidation {
	r.mu.Lock()
	defer r.mu.Unlock()
	if inv.Revision == 0 {
		inv.Revision = r.applied.Load() + 1
	}
	if inv.Soft {
		r.soft.softenLocked(&inv, r.slots(inv.Tags), r.now())
	} else {
		r.hardenLocked(&inv)
	}
	if inv.All {
		raise(&r.swept, inv.Revision)
	}
	for _, key := range inv.Keys {
		r.rememberLocked(key, inv.Revision)
	}
	for _, prefix := range inv.Prefixes {
		r.rememberPrefixLocked(prefix, inv.Revision)
	}
	raise(&r.applied, inv.Revision)
	return inv
}

// hardenLocked notes an invalidation of tags or of everything that is not soft.
func (r *revisions) hardenLocked(inv *Invalidation) {
	if len(inv.Tags) > 0 && r.tags.Load() == nil {
		r.tags.Store(new([tagSlots]atomic.Uint64))
	}
	for _, tag := range inv.Tags {
		raise(&r.tags.Load()[r.slot(tag)], inv.Revision)
	}
	if inv.All {
		raise(&r.all, inv.Revision)
	}
}

// reach moves the local counter on.
func (r *revisions) reach(revision uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	raise(&r.applied, revision)
}

func raise(n *atomic.Uint64, to uint64) {
	if n.Load() < to {
		n.Store(to)
	}
}

// rememberLocked moves a key that is known already to the end: else its place
// would be given away early.
func (r *revisions) rememberLocked(key string, revision uint64) {
	hash := maphash.String(r.seed, key)
	if at, known := r.recent[hash]; known {
		at.Value = keyRevision{hash, max(at.Value.(keyRevision).revision, revision)}
		r.order.MoveToBack(at)
		return
	}
	if r.order.Len() == recentKeys {
		oldest := r.order.Remove(r.order.Front()).(keyRevision)
		delete(r.recent, oldest.hash)
		if r.older == nil {
			r.older = new([tagSlots]uint64)
		}
		slot := &r.older[uint16(oldest.hash)]
		*slot = max(*slot, oldest.revision)
	}
	r.recent[hash] = r.order.PushBack(keyRevision{hash, revision})
}

// rememberPrefixLocked is rememberLocked for a prefix.
func (r *revisions) rememberPrefixLocked(prefix string, revision uint64) {
	for i, known := range r.prefixes {
		if known.prefix == prefix {
			revision = max(revision, known.revision)
			r.prefixes = slices.Delete(r.prefixes, i, i+1)
			break
		}
	}
	if len(r.prefixes) == recentPrefixes {
		r.floor = max(r.floor, r.prefixes[0].revision)
		r.prefixes = slices.Delete(r.prefixes, 0, 1)
	}
	r.prefixes = append(r.prefixes, prefixRevision{prefix, revision})
}

// lastLocked is the newest invalidation of a key, or of a prefix of it, that is
// remembered.
func (r *revisions) lastLocked(key string) (last uint64) {
	hash := maphash.String(r.seed, key)
	if r.older != nil {
		last = r.older[uint16(hash)]
	}
	if at, known := r.recent[hash]; known { // not always the newer: what was told before may be told again
		last = max(last, at.Value.(keyRevision).revision)
	}
	for _, known := range r.prefixes {
		if strings.HasPrefix(key, known.prefix) {
			last = max(last, known.revision)
		}
	}
	return last
}

// knownFrom is the revision from which on all that was invalidated is remembered.
func (r *revisions) knownFrom() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.floor
}

// untouched reports whether no invalidation of tags or of all lies in (v, s].
// It is what a value of this process needs beyond the fate of its entry.
func (r *revisions) untouched(slots []uint16, v, s uint64) bool {
	if v >= s {
		return true
	}
	if r.all.Load() > v {
		return false
	}
	if len(slots) == 0 {
		return true
	}
	tags := r.tags.Load()
	if tags == nil {
		return true
	}
	for _, slot := range slots {
		if tags[slot].Load() > v {
			return false
		}
	}
	return true
}

// untouchedElsewhere is untouched for a value that came from outside this
// process: invalidations by key and prefix and soft ones count too, and what is
// older than the prefixes' floor is refused.
func (r *revisions) untouchedElsewhere(key string, slots []uint16, v, s uint64) bool {
	if v >= s {
		return true
	}
	r.mu.Lock()
	last := r.lastLocked(key)
	floor := r.floor
	r.mu.Unlock()
	_, softened := r.soft.since(slots, v)
	return v >= floor && last <= v && !softened && r.untouched(slots, v, s)
}
