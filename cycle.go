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
	mu sync.Mutex // guards every run's waitsFor and waitedBy
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
	if to.waitedBy == nil {
		to.waitedBy = map[*run]int{}
	}
	from.waitsFor[to]++
	to.waitedBy[from]++
	return true
}

// remove takes one wait back, and nothing where add has refused it.
func (g *waitGraph) remove(from, to *run) {
	g.mu.Lock()
	defer g.mu.Unlock()
	takeOne(from.waitsFor, to)
	takeOne(to.waitedBy, from)
}

func takeOne(waits map[*run]int, other *run) {
	if waits[other] > 1 {
		waits[other]--
	} else {
		delete(waits, other)
	}
}

// behind gives the leases of the loads that wait for one, directly or through
// others.
func (g *waitGraph) behind(r *run) (leases []Lease) {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := map[*run]bool{r: true}
	for next := []*run{r}; len(next) > 0; next = next[1:] {
		for from := range next[0].waitedBy {
			if seen[from] {
				continue
			}
			seen[from] = true
			next = append(next, from)
			if lease := from.flight.holding(); lease != nil {
				leases = append(leases, lease)
			}
		}
	}
	return leases
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
