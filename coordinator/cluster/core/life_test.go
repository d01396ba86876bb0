package core

import "testing"

// A node that was buried while it could not follow the watch begins anew before
// it has read its own tombstone there.
func TestALifeIsNotEndedByTheTombstoneOfTheOneBefore(t *testing.T) {
	self := Node{Name: "a", Incarnation: 2}
	for incarnation, want := range map[uint64]bool{1: false, 2: true, 3: true} {
		c := New(Config{Self: self, Partitions: 1, Times: DefaultTimes()}, Snapshot{}, 0)
		record := &NodeRecord{Node: Node{Name: "a", Incarnation: incarnation}, State: Tombstone}
		fenced := false
		for _, action := range c.Step(0, Changed{Revision: 5, Nodes: []NodeChange{{Name: "a", Record: record, Revision: 5}}}) {
			_, is := action.(Fenced)
			fenced = fenced || is
		}
		if fenced != want {
			t.Errorf("the tombstone of incarnation %d ends incarnation 2: got %v, want %v", incarnation, fenced, want)
		}
	}
}
