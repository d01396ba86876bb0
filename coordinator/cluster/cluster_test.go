package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/internal/ramdir"
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

func TestTheFirstGetOfACacheIsAnswered(t *testing.T) {
	n := join(t, startEtcd(t), "a", nil)
	for i := range 20 {
		o := &origin{}
		c, err := corral.New(corral.LoaderFunc[[]byte](o.Load), corral.Options[[]byte]{
			MaxBytes: 1 << 20, TTL: time.Hour, Codec: codec.Bytes{}, Coordinator: n.Cache(fmt.Sprint(i)),
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Get(t.Context(), "k")
		c.Close()
		if err != nil || string(got) != "k#1" {
			t.Fatalf("cache %d: got %q, %v; want k#1", i, got, err)
		}
	}
}

func TestThreeNodesRunTheirOwnEtcd(t *testing.T) {
	addresses := []string{freeAddress(t), freeAddress(t), freeAddress(t)}
	nodes := make([]*Node, 3)
	var all sync.WaitGroup
	for i, address := range addresses {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			n, err := Join(ctx, Config{
				Name: string(rune('a' + i)), Listen: address, Peers: addresses, Dir: ramdir.Dir(t, 3*ramdir.Member), New: true,
				Partitions: 16, Log: logFor(t, address),
			})
			if err != nil {
				t.Errorf("Join %s: %v", address, err)
				return
			}
			t.Cleanup(func() { n.Close() })
			nodes[i] = n
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	connected(t, nodes)
	o := &origin{}
	for i, c := range openAll(t, nodes, o) {
		if got, err := c.Get(t.Context(), "k"); err != nil || string(got) != "k#1" {
			t.Fatalf("node %d got %q, %v; want k#1", i, got, err)
		}
	}
}
