package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

func TestAClockIsDoubtedWhenItDiffersFromMostOthers(t *testing.T) {
	for _, test := range []struct {
		name    string
		drifts  map[string]time.Duration // of the others, over the window
		differ  []string
		doubted bool
	}{
		{"nobody to compare with", nil, nil, false},
		{"all alike", map[string]time.Duration{"b": 0, "c": time.Second}, nil, false},
		{"just within the tolerance", map[string]time.Duration{"b": 3 * time.Second, "c": -3 * time.Second}, nil, false},
		{"one of two differs", map[string]time.Duration{"b": 3*time.Second + time.Millisecond, "c": 0}, []string{"b"}, false},
		{"the only other one differs", map[string]time.Duration{"b": 10 * time.Second}, []string{"b"}, false},
		{"both differ", map[string]time.Duration{"b": 4 * time.Second, "c": 4 * time.Second}, []string{"b", "c"}, true},
		{"two of four differ", map[string]time.Duration{"b": -4 * time.Second, "c": -4 * time.Second, "d": 0, "e": 0}, []string{"b", "c"}, false},
		{"three of four differ", map[string]time.Duration{"b": -4 * time.Second, "c": -4 * time.Second, "d": -4 * time.Second, "e": 0}, []string{"b", "c", "d"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r rates
			for name, drift := range test.drifts {
				record := core.NodeRecord{Node: core.Node{Name: name, Incarnation: 1}, Clock: 5000}
				if r.look(record, 1000) {
					t.Fatalf("a window ended with the first record of %s", name)
				}
				record.Clock = core.Time(5000).Add(rateWindow + drift)
				if r.look(record, core.Time(999).Add(rateWindow)) {
					t.Fatalf("the window of %s ended a nanosecond early", name)
				}
				if !r.look(record, core.Time(1000).Add(rateWindow)) {
					t.Fatalf("the window of %s did not end", name)
				}
			}
			differ, doubted := r.differ(0.05)
			if !slices.Equal(differ, test.differ) || doubted != test.doubted {
				t.Fatalf("got %v, doubted %v; want %v, %v", differ, doubted, test.differ, test.doubted)
			}
		})
	}
}

func TestAnotherIncarnationsClockIsComparedAnew(t *testing.T) {
	var r rates
	record := core.NodeRecord{Node: core.Node{Name: "b", Incarnation: 1}, Clock: 1}
	r.look(record, 1)
	record.Incarnation, record.Clock = 2, 1 // its machine was restarted
	if r.look(record, core.Time(1).Add(2*rateWindow)) {
		t.Fatal("the clocks of two incarnations were compared")
	}
	record.State = core.Tombstone
	r.look(record, 1)
	if len(r.of) != 0 {
		t.Fatalf("%d clocks are remembered of dead nodes", len(r.of))
	}
}
