package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/corralcache/corral"
)

func TestAHotKeyOfAnotherNodeCostsItsOwnerTwoAnswers(t *testing.T) {
	nodes := joinAll(t, 2)
	o := &origin{}
	caches := openAll(t, nodes, o)
	key := keyOwnedBy(t, nodes, nodes[0])
	if _, err := caches[0].Get(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	const gets = 10_000
	for range gets {
		if got, err := caches[1].Get(t.Context(), key); err != nil || string(got) != key+"#1" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	s := caches[1].Stats()
	if answers := nodes[1].Status().Values; answers > gets/1000 || s.Hits < gets-gets/1000 || s.Mirrors != 1 {
		t.Fatalf("%d answers of the owner, %d hits, %d mirrors for %d gets; want 2 answers and a mirror", answers, s.Hits, s.Mirrors, gets)
	}
	if err := caches[0].Invalidate(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if got, err := caches[1].Get(t.Context(), key); err != nil || string(got) != key+"#2" {
		t.Fatalf("after an invalidation at the owner got %q, %v", got, err)
	}
}

func TestABodyThatEndsAtOnceIsLoadedOnceForAllNodes(t *testing.T) {
	nodes := joinAll(t, 3)
	body := pattern(20_000)
	o := &origin{load: func(context.Context, string, int64) (corral.Item[[]byte], error) {
		return corral.Item[[]byte]{Tail: func(_ context.Context, w io.Writer) error {
			_, err := w.Write(body)
			return err
		}}, nil
	}}
	caches := openAll(t, nodes, o)
	const keys = 40
	var all sync.WaitGroup
	for i, c := range caches {
		all.Go(func() {
			for k := range keys {
				item, _, err := c.GetItem(within(t), fmt.Sprint("key ", k))
				if err != nil {
					t.Errorf("node %d, key %d: %v", i, k, err)
					continue
				}
				got, err := io.ReadAll(item.Body)
				item.Body.Close()
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("node %d, key %d: %d bytes came, %v; want %d", i, k, len(got), err, len(body))
				}
			}
		})
	}
	all.Wait()
	if calls := o.calls.Load(); calls != keys {
		t.Errorf("%d loads of %d keys", calls, keys)
	}
}
