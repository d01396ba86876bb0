package disk

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// slots is the size of the tables of tags and keys. A collision invalidates
	// too much, never too little. The place of a tag is part of the format.
	slots = 1 << 16
	// maxPrefixes is how many invalidated prefixes are told apart. What is under
	// one is taken out behind its invalidation; a Delete that finds no place
	// waits for that.
	maxPrefixes = 1024
)

// hash is FNV-1a. It is the same in every process.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// slotOf is where a tag or key stands in a table.
func slotOf(s string) uint16 {
	h := hash(s)
	return uint16(h ^ h>>16 ^ h>>32 ^ h>>48)
}

// slotsOf is where a record's tags stand.
func slotsOf(tags []string) []uint16 {
	if len(tags) == 0 {
		return nil
	}
	all := make([]uint16, len(tags))
	for i, tag := range tags {
		all[i] = slotOf(tag)
	}
	return all
}

// floors are the revisions below which records are dead.
//
//	L1. Floors only rise, but for clear.
//	L2. A record that a Delete concerned by prefix, tag or All is below a floor
//	    from before Delete returns until the record is gone.
//	L3. A record that a Delete concerned in any way, and that is put after it by
//	    this process, is late.
type floors struct {
	revision atomic.Uint64 // the highest seen
	all      atomic.Uint64
	tags     table
	keys     table // for those who come late only: what was there is taken out

	mu       sync.RWMutex
	prefixes map[string]*prefixFloor
	lengths  []int    // of prefixes, each once
	order    []string // prefixes, the one that came first in front
	dropped  uint64   // newest revision of those that are gone from prefixes: for those who come late
}

type prefixFloor struct {
	revision uint64
	swept    bool // what it concerned is out of the store
}

// A table has a revision for each slot; it is made by the first that is raised.
type table struct {
	rows atomic.Pointer[[slots]atomic.Uint64]
}

func (t *table) raise(slot uint16, to uint64) {
	rows := t.rows.Load()
	if rows == nil {
		t.rows.CompareAndSwap(nil, new([slots]atomic.Uint64))
		rows = t.rows.Load()
	}
	raise(&rows[slot], to)
}

func (t *table) at(slot uint16) uint64 {
	rows := t.rows.Load()
	if rows == nil {
		return 0
	}
	return rows[slot].Load()
}

// raise lifts n to a revision, and reports whether it was lower.
func raise(n *atomic.Uint64, to uint64) bool {
	for {
		now := n.Load()
		if now >= to {
			return false
		}
		if n.CompareAndSwap(now, to) {
			return true
		}
	}
}

// clear forgets everything: the revisions are another sequence's from now on.
func (f *floors) clear() {
	f.revision.Store(0)
	f.all.Store(0)
	f.tags.rows.Store(nil)
	f.keys.rows.Store(nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prefixes, f.lengths, f.order, f.dropped = nil, nil, nil, 0
}

// dead reports whether a record is below a floor of those that stand for what
// has not been taken out.
func (f *floors) dead(key string, revision uint64, tags []uint16) bool {
	if revision < f.all.Load() {
		return true
	}
	for _, slot := range tags {
		if revision < f.tags.at(slot) {
			return true
		}
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, n := range f.lengths {
		if n > len(key) {
			continue
		}
		if floor, is := f.prefixes[key[:n]]; is && revision < floor.revision {
			return true
		}
	}
	return false
}

// late reports whether a record that is put now was invalidated before (L3). It
// may say so of others whose loads began as early.
func (f *floors) late(key string, revision uint64, tags []uint16) bool {
	if revision < f.keys.at(slotOf(key)) || f.dead(key, revision, tags) {
		return true
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	return revision < f.dropped
}

// raisePrefix reports false when there is no place.
func (f *floors) raisePrefix(prefix string, revision uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if floor, is := f.prefixes[prefix]; is {
		if revision > floor.revision {
			*floor = prefixFloor{revision: revision}
		}
		return true
	}
	if len(f.prefixes) >= maxPrefixes && !f.dropSweptLocked() {
		return false
	}
	if f.prefixes == nil {
		f.prefixes = map[string]*prefixFloor{}
	}
	prefix = strings.Clone(prefix)
	f.prefixes[prefix] = &prefixFloor{revision: revision}
	f.order = append(f.order, prefix)
	if !slices.Contains(f.lengths, len(prefix)) {
		f.lengths = append(f.lengths, len(prefix))
	}
	return true
}

// prefix is the floor of a prefix.
func (f *floors) prefix(prefix string) uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if floor, is := f.prefixes[prefix]; is {
		return floor.revision
	}
	return 0
}

// standing is the floor of a prefix under which something may still be.
func (f *floors) standing(prefix string) (revision uint64, is bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	floor, known := f.prefixes[prefix]
	if !known || floor.swept {
		return 0, false
	}
	return floor.revision, true
}

// dropSweptLocked makes room for a prefix, if one has been swept.
func (f *floors) dropSweptLocked() bool {
	i := slices.IndexFunc(f.order, func(prefix string) bool { return f.prefixes[prefix].swept })
	if i < 0 {
		return false
	}
	gone := f.order[i]
	f.dropped = max(f.dropped, f.prefixes[gone].revision)
	delete(f.prefixes, gone)
	f.order = slices.Delete(f.order, i, i+1)
	f.lengths = f.lengths[:0]
	for _, prefix := range f.order {
		if !slices.Contains(f.lengths, len(prefix)) {
			f.lengths = append(f.lengths, len(prefix))
		}
	}
	return true
}

// unswept is a prefix under which something may still be, and its floor.
func (f *floors) unswept() (prefix string, revision uint64, is bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, prefix := range f.order {
		if floor := f.prefixes[prefix]; !floor.swept {
			return prefix, floor.revision, true
		}
	}
	return "", 0, false
}

// swept notes that what was below a floor is out of the store, and reports
// whether the floor is still that one.
func (f *floors) sweptTo(prefix string, revision uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	floor, is := f.prefixes[prefix]
	if !is || floor.revision != revision {
		return false
	}
	floor.swept = true
	return true
}

// unsweptAll makes all prefixes stand for something again: the store is another
// one than was swept.
func (f *floors) unsweptAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, floor := range f.prefixes {
		floor.swept = false
	}
}
