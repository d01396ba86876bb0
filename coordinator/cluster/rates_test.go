package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// shown lets a node's clock, which runs faster by drift in a window, be seen for
// some windows, each record late by what late says of the instant on this clock.
func shown(r *rates, name string, drift time.Duration, windows int, late func(core.Time) time.Duration) (ended int) {
	const every = 500 * time.Millisecond
	for passed := time.Duration(0); passed <= time.Duration(windows)*rateWindow; passed += every {
		ours := core.Time(1e9).Add(passed)
		theirs := core.Time(7e9).Add(passed + time.Duration(float64(drift)*float64(passed)/float64(rateWindow)))
		if late != nil {
			theirs = theirs.Add(-late(ours))
		}
		if r.look(core.NodeRecord{Node: core.Node{Name: name, Incarnation: 1}, Clock: theirs}, ours) {
			ended++
		}
	}
	return ended
}

func TestAClockIsDoubtedWhenItDiffersFromMostOthers(t *testing.T) {
	for _, test := range []struct {
		name    string
		drifts  map[string]time.Duration // of the others, over a window
		differ  []string
		doubted bool
	}{
		{"nobody to compare with", nil, nil, false},
		{"all alike", map[string]time.Duration{"b": 0, "c": time.Second}, nil, false},
		{"within the tolerance", map[string]time.Duration{"b": 2900 * time.Millisecond, "c": -2900 * time.Millisecond}, nil, false},
		{"one of two differs", map[string]time.Duration{"b": 3100 * time.Millisecond, "c": 0}, []string{"b"}, false},
		{"the only other one differs", map[string]time.Duration{"b": 10 * time.Second}, []string{"b"}, false},
		{"both differ", map[string]time.Duration{"b": 4 * time.Second, "c": 4 * time.Second}, []string{"b", "c"}, true},
		{"two of four differ", map[string]time.Duration{"b": -4 * time.Second, "c": -4 * time.Second, "d": 0, "e": 0}, []string{"b", "c"}, false},
		{"three of four differ", map[string]time.Duration{"b": -4 * time.Second, "c": -4 * time.Second, "d": -4 * time.Second, "e": 0}, []string{"b", "c", "d"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r rates
			for name, drift := range test.drifts {
				if ended := shown(&r, name, drift, 2, nil); ended != 2 {
					t.Fatalf("%d windows of %s ended, want 2", ended, name)
				}
			}
			differ, doubted := r.differ(0.05)
			if !slices.Equal(differ, test.differ) || doubted != test.doubted {
				t.Fatalf("got %v, doubted %v; want %v, %v", differ, doubted, test.differ, test.doubted)
			}
		})
	}
}

func TestOneWindowSaysNothingOfAClock(t *testing.T) {
	var r rates
	shown(&r, "b", 30*time.Second, 1, nil)
	if differ, _ := r.differ(0.05); differ != nil {
		t.Fatalf("after one window %v differ", differ)
	}
}

func TestRecordsThatAreLateSayNothingOfAClock(t *testing.T) {
	var r rates
	shown(&r, "b", 0, 3, func(ours core.Time) time.Duration { // five seconds at the end of every window, but for one record
		if into := ours.Sub(1e9) % rateWindow; into > 20*time.Second {
			return 5 * time.Second
		}
		return 0
	})
	if differ, _ := r.differ(0.05); differ != nil {
		t.Fatalf("%v differ, and their records were late", differ)
	}
}

func TestAWindowWithAGapSaysNothingOfAClock(t *testing.T) {
	var r rates
	record := core.NodeRecord{Node: core.Node{Name: "b", Incarnation: 1}, Clock: 1}
	r.look(record, 1)
	record.Clock = core.Time(1).Add(10 * time.Second)
	r.look(record, core.Time(1).Add(rateGap))
	if r.of[record.Node].began != 1 {
		t.Fatal("a gap that is just allowed began a window")
	}
	r.look(record, core.Time(2).Add(2*rateGap))
	if r.of[record.Node].began == 1 {
		t.Fatal("a window went on over a gap")
	}
}

func TestAnotherIncarnationsClockIsComparedAnew(t *testing.T) {
	var r rates
	shown(&r, "b", 0, 1, nil)
	record := core.NodeRecord{Node: core.Node{Name: "b", Incarnation: 2}, Clock: 1} // its machine was restarted
	r.look(record, core.Time(1e9).Add(rateWindow))
	if got := r.of[record.Node].windows; got != 0 || len(r.of) != 1 {
		t.Fatalf("%d windows are known of the new incarnation, and %d clocks", got, len(r.of))
	}
	record.State = core.Tombstone
	r.look(record, 1)
	if len(r.of) != 0 {
		t.Fatalf("%d clocks are remembered of dead nodes", len(r.of))
	}
}
