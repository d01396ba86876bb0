package corral

import "sync"

// waiting holds, for the whole process, which loads wait for which: a load's
// loader may ask any cache for any key. Only loads that ask are in it, so a
// plain Get never takes its lock.
//
// Two callers that start independently and then wait for each other's keys are
// found as a call chain is: whoever closes the ring is told.
var waiting waitGraph

type waitGraph struct {
	mu sync.Mutex // guards every run's waitsFor
}

// add records that a load waits for another, unless that one waits, in the
// end, for it: then it reports false.
func (g *waitGraph) add(from, to *run) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if reaches(to, from, map[*run]bool{}) {
		return false
	}
	if from.waitsFor == nil {
		from.waitsFor = map[*run]int{}
	}
	from.waitsFor[to]++
	return true
}

// remove takes one wait back, and nothing where add has refused it.
func (g *waitGraph) remove(from, to *run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if from.waitsFor[to] > 1 {
		from.waitsFor[to]--
	} else {
		delete(from.waitsFor, to)
	}
}

func reaches(from, target *run, seen map[*run]bool) bool {
	if from == target {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	for next := range from.waitsFor {
		if reaches(next, target, seen) {
			return true
		}
	}
	return false
}

// inside reports whether a load runs, at any depth, inside a load of the same
// cache and key, which could never be answered by waiting.
func (r *run) inside(cache *roster, key string) bool {
	for ; r != nil; r = r.parent {
		if r.roster == cache && r.key == key {
			return true
		}
	}
	return false
}
