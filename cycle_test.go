package corral

import (
	"math/rand/v2"
	"sync"
	"testing"
)

func TestAWaitThatClosesARingIsRefused(t *testing.T) {
	for _, test := range []struct {
		name  string
		waits [][2]int
		last  [2]int
		want  bool
	}{
		{"on itself", nil, [2]int{0, 0}, false},
		{"of two", [][2]int{{0, 1}}, [2]int{1, 0}, false},
		{"of three", [][2]int{{0, 1}, {1, 2}}, [2]int{2, 0}, false},
		{"through one of two branches", [][2]int{{0, 1}, {0, 2}, {2, 3}}, [2]int{3, 0}, false},
		{"no ring: a chain", [][2]int{{0, 1}, {1, 2}}, [2]int{2, 3}, true},
		{"no ring: a rhombus", [][2]int{{0, 1}, {0, 2}, {1, 3}}, [2]int{2, 3}, true},
		{"no ring: twice the same", [][2]int{{0, 1}}, [2]int{0, 1}, true},
		{"beside a ring's parts", [][2]int{{1, 2}, {2, 3}}, [2]int{0, 2}, true},
	} {
		var g waitGraph
		runs := make([]run, 4)
		for _, w := range test.waits {
			if !g.add(&runs[w[0]], &runs[w[1]]) {
				t.Fatalf("%s: the wait %v was refused", test.name, w)
			}
		}
		if got := g.add(&runs[test.last[0]], &runs[test.last[1]]); got != test.want {
			t.Errorf("%s: after %v the wait %v: got %v, want %v", test.name, test.waits, test.last, got, test.want)
		}
	}
}

func TestAWaitCountsUntilItIsTakenBackAsOftenAsItWasAdded(t *testing.T) {
	var g waitGraph
	var a, b run
	g.remove(&a, &b) // was refused, or never added
	g.add(&a, &b)
	g.add(&a, &b)
	g.remove(&a, &b)
	if g.add(&b, &a) {
		t.Error("a wait that was added twice and taken back once is gone")
	}
	g.remove(&b, &a) // refused just now
	g.remove(&a, &b)
	if !g.add(&b, &a) {
		t.Error("a wait that was taken back still closes a ring")
	}
	g.remove(&b, &a)
	if len(a.waitsFor) != 0 || len(b.waitsFor) != 0 {
		t.Errorf("waits are left: %v, %v", a.waitsFor, b.waitsFor)
	}
}

func TestLoadsThatWaitInParallelNeverCloseARing(t *testing.T) {
	var g waitGraph
	runs := make([]run, 12)
	var wg sync.WaitGroup
	for i := range runs {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(14, uint64(i)))
			for range 500 {
				to := &runs[random.IntN(len(runs))]
				if !g.add(&runs[i], to) {
					continue
				}
				g.mu.Lock()
				for next := range runs[i].waitsFor {
					if reaches(next, &runs[i], map[*run]bool{}) {
						t.Error("a ring was closed")
					}
				}
				g.mu.Unlock()
				if random.IntN(2) == 0 {
					g.remove(&runs[i], to)
				}
			}
		})
	}
	wg.Wait()
}

func TestALoadIsInsideItsParentsOfTheSameCacheAndKey(t *testing.T) {
	one, other := new(roster), new(roster)
	grand := &run{roster: one, key: "a"}
	parent := &run{roster: other, key: "b", parent: grand}
	child := &run{roster: one, key: "c", parent: parent}
	for _, test := range []struct {
		r     *run
		cache *roster
		key   string
		want  bool
	}{
		{nil, one, "a", false}, {child, one, "c", true}, {child, one, "a", true}, {child, other, "b", true},
		{child, other, "a", false}, {child, one, "b", false}, {parent, one, "c", false},
	} {
		if got := test.r.inside(test.cache, test.key); got != test.want {
			t.Errorf("inside(%v, %q): got %v, want %v", test.cache == one, test.key, got, test.want)
		}
	}
}
