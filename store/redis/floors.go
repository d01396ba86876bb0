package redis

import (
	"hash/fnv"
	"slices"
	"strings"

	"github.com/corralcache/corral"
)

// Limits of what is remembered of invalidations. What is over them invalidates
// more than it was meant to, never less.
const (
	slots       = 1 << 14 // tags that share one of these are invalidated together
	maxPrefixes = 32      // of more, the oldest counts for every key
	maxPrefix   = 128     // bytes of a prefix that count
)

// slotOf is the slot of a tag, the same in every process and release.
func slotOf(tag string) uint16 {
	h := fnv.New64a()
	h.Write([]byte(tag))
	sum := h.Sum64()
	return uint16((sum ^ sum>>32) % slots)
}

func slotsOf(tags []string) []uint16 {
	list := make([]uint16, len(tags))
	for i, tag := range tags {
		list[i] = slotOf(tag)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func cut(prefix string) string { return prefix[:min(len(prefix), maxPrefix)] }

// prefixFloor is an invalidation by prefix.
type prefixFloor struct {
	revision uint64
	prefix   string
}

// floors are the revisions below which a record is not valid any more.
//
// Invariant: floors only rise. What is let go of for its number is covered by
// what stays.
type floors struct {
	all      uint64
	prefixes []prefixFloor // at most maxPrefixes, each above all
	slots    map[uint16]uint64
}

// raise takes an invalidation in.
func (f *floors) raise(inv corral.Invalidation) {
	if inv.All {
		f.raiseAll(inv.Revision)
	}
	for _, prefix := range inv.Prefixes {
		f.raisePrefix(prefixFloor{inv.Revision, cut(prefix)})
	}
	for _, slot := range slotsOf(inv.Tags) {
		f.raiseSlot(slot, inv.Revision)
	}
}

func (f *floors) raiseAll(revision uint64) {
	if revision <= f.all {
		return
	}
	f.all = revision
	f.prefixes = slices.DeleteFunc(f.prefixes, func(p prefixFloor) bool { return p.revision <= revision })
}

func (f *floors) raisePrefix(new prefixFloor) {
	if new.revision <= f.all {
		return
	}
	for i, p := range f.prefixes {
		if p.prefix == new.prefix {
			f.prefixes[i].revision = max(p.revision, new.revision)
			return
		}
	}
	f.prefixes = append(f.prefixes, new)
	if len(f.prefixes) > maxPrefixes {
		oldest := slices.MinFunc(f.prefixes, func(a, b prefixFloor) int { return compare(a.revision, b.revision) })
		f.raiseAll(oldest.revision)
	}
}

func (f *floors) raiseSlot(slot uint16, revision uint64) {
	if f.slots == nil {
		f.slots = make(map[uint16]uint64)
	}
	f.slots[slot] = max(f.slots[slot], revision)
}

// above reports whether an invalidation that is taken in concerns a record.
func (f *floors) above(key string, slots []uint16, revision uint64) bool {
	if revision < f.all {
		return true
	}
	for _, p := range f.prefixes {
		if revision < p.revision && strings.HasPrefix(key, p.prefix) {
			return true
		}
	}
	for _, slot := range slots {
		if revision < f.slots[slot] {
			return true
		}
	}
	return false
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
