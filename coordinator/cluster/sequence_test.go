package cluster

import (
	"testing"

	"github.com/corralcache/corral/corraltest"
)

// A boundStore notes whose revisions it is to hold.
type boundStore struct {
	corraltest.Store
	sequence string
}

func (s *boundStore) Bind(sequence string) error {
	s.sequence = sequence
	return nil
}

func TestAStoreIsBoundToTheClusterWhoseRevisionsItHolds(t *testing.T) {
	first, other := startEtcd(t), startEtcd(t)
	o := new(origin)
	var bound []string
	for _, node := range []*Node{join(t, first, "a", nil), join(t, first, "b", nil), join(t, other, "a", nil)} {
		store := new(boundStore)
		openOn(t, node, o, store)
		bound = append(bound, store.sequence)
	}
	if bound[0] == "" || bound[0] != bound[1] || bound[2] == "" || bound[2] == bound[0] {
		t.Fatalf("bound to %q; want the same for two nodes of a cluster, and another for another cluster's", bound)
	}
}
