package core

import "testing"

func TestANodeIsBehindByWhatItsRenewalHasReadAndItHasNotApplied(t *testing.T) {
	self := Node{Name: "a", Incarnation: 1}
	record := &NodeRecord{Node: self, Weight: 1}
	c := New(Config{Self: self, Partitions: 1, Times: DefaultTimes()}, Snapshot{Revision: 10, Nodes: []NodeChange{{Name: "a", Record: record, Revision: 10}}}, 0)
	c.Step(0, Tick{}) // sends the first renewal
	for _, step := range []struct {
		event Event
		want  uint64
	}{
		{Tick{}, 0},
		{Renewed{OK: true, Nonce: 1, Inv: 14, Record: 15}, 5},
		{Changed{Revision: 13}, 2},
		{Changed{Revision: 15}, 0},
		{Changed{Revision: 20}, 0}, // of what others have written since
	} {
		c.Step(0, step.event)
		if got := c.Behind(); got != step.want {
			t.Errorf("after %+v: %d revisions behind, want %d", step.event, got, step.want)
		}
	}
}
