package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

func TestThreeNodesComputeAColdKeyOnce(t *testing.T) {
	nodes := joinAll(t, 3)
	o := &origin{load: func(ctx context.Context, key string, call int64) (corral.Item[[]byte], error) {
		time.Sleep(50 * time.Millisecond) // the load itself
		return corral.Item[[]byte]{Value: fmt.Appendf(nil, "%s#%d", key, call)}, nil
	}}
	caches := openAll(t, nodes, o)
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			got, err := caches[i%3].Get(t.Context(), "k")
			if err != nil || string(got) != "k#1" {
				t.Errorf("caller %d got %q, %v; want k#1", i, got, err)
			}
		})
	}
	all.Wait()
	if calls := o.calls.Load(); calls != 1 {
		t.Fatalf("%d loads, want 1", calls)
	}
}

func TestNobodyIsGivenWhatWasInvalidatedOnAnotherNode(t *testing.T) {
	nodes := joinAll(t, 3)
	o := &origin{}
	caches := openAll(t, nodes, o)
	for round := int64(1); round <= 20; round++ {
		want := fmt.Sprintf("k#%d", round)
		for i, c := range caches {
			if got, err := c.Get(t.Context(), "k"); err != nil || string(got) != want {
				t.Fatalf("round %d: node %d got %q, %v; want %q", round, i, got, err, want)
			}
		}
		if err := caches[round%3].Invalidate(t.Context(), "k"); err != nil {
			t.Fatalf("round %d: Invalidate: %v", round, err)
		}
	}
}
