package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Failure is a seed whose run broke a rule.
type Failure struct {
	Seed      uint64
	Theme     string
	Violation *Violation
}

// A Found is what a search came to.
type Found struct {
	Seeds     uint64
	Failures  int
	Simulated time.Duration
	Traffic   Traffic
	Causes    map[string]int
}

func (f Found) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d gets, %d loads, %d sets, %d values handed over, %d messages; loads beside another of their key:", f.Traffic.Gets, f.Traffic.Loads, f.Traffic.Sets, f.Traffic.Given, f.Traffic.Messages)
	for _, cause := range slices.Sorted(maps.Keys(f.Causes)) {
		fmt.Fprintf(&b, "\n%8d  %s", f.Causes[cause], cause)
	}
	return b.String()
}

// Search runs seeds, some at once, and tells of each failure; it ends when told
// to. Which seed is told of first is the only thing that differs between two
// searches.
func Search(first, count uint64, workers int, tell func(Failure) (goOn bool)) Found {
	found := Found{Causes: map[string]int{}}
	var next atomic.Uint64
	var end atomic.Bool
	var mu sync.Mutex
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for !end.Load() {
				i := next.Add(1) - 1
				if i >= count {
					return
				}
				plan := NewPlan(first + i)
				r := Run(plan, nil)
				mu.Lock()
				found.add(r)
				if r.Violation != nil && !end.Load() {
					found.Failures++
					end.Store(!tell(Failure{plan.Seed, plan.Theme, r.Violation}))
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return found
}

func (f *Found) add(r Result) {
	f.Seeds++
	f.Simulated += r.Took
	f.Traffic.add(r.Traffic)
	for cause, n := range r.Causes {
		f.Causes[cause] += n
	}
}

func (t *Traffic) add(u Traffic) {
	t.Messages += u.Messages
	t.Gets += u.Gets
	t.Invalidations += u.Invalidations
	t.Sets += u.Sets
	t.Given += u.Given
	t.Loads += u.Loads
	t.Writes += u.Writes
	t.Changes += u.Changes
}
