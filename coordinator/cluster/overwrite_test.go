package cluster

import (
	"errors"
	"fmt"
	"testing"

	"github.com/corralcache/corral"
)

func TestWhatIsSetAtOneNodeIsGivenByAll(t *testing.T) {
	nodes := joinAll(t, 3)
	o := &origin{}
	caches := openAll(t, nodes, o)
	for setter := range caches {
		for owner := range nodes {
			key := keyOwnedBy(t, nodes, nodes[owner])
			value := fmt.Sprintf("set by %d", setter)
			if err := caches[setter].Set(within(t), key, corral.Item[[]byte]{Value: []byte(value)}); err != nil {
				t.Fatal(err)
			}
			for asker := range caches {
				if got, err := caches[asker].Get(within(t), key); err != nil || string(got) != value {
					t.Errorf("node %d gives %q, %v for a key of node %d; want %q", asker, got, err, owner, value)
				}
			}
		}
	}
	if calls := o.calls.Load(); calls != 0 {
		t.Errorf("%d loads, want 0", calls)
	}
}

func TestASetWinsOverALoadThatBeganBeforeIt(t *testing.T) {
	nodes := joinAll(t, 3)
	o, began, gate := gated()
	caches := openAll(t, nodes, o)
	key := keyOwnedBy(t, nodes, nodes[2])
	before := []<-chan got{ask(caches[0], t.Context(), key), ask(caches[1], t.Context(), key)}
	wait(t, began, "the load")
	parked(t, nodes[2], 1)
	if err := caches[1].Set(within(t), key, corral.Item[[]byte]{Value: []byte("set")}); err != nil {
		t.Fatal(err)
	}
	after := func(when string) {
		for i, c := range caches {
			if got, err := c.Get(within(t), key); err != nil || string(got) != "set" {
				t.Errorf("%s node %d gives %q, %v; want what was set", when, i, got, err)
			}
		}
	}
	after("while the load runs")
	close(gate)
	for i, answer := range before {
		if g := wait(t, answer, "an answer"); g.err != nil || g.value != key+"#1" {
			t.Errorf("caller %d, who asked before, got %q, %v", i, g.value, g.err)
		}
	}
	after("after the load")
}

func TestASetThatIsNotAcknowledgedSaysSo(t *testing.T) {
	nodes := joinAll(t, 2)
	caches := openAll(t, nodes, &origin{})
	key := keyOwnedBy(t, nodes, nodes[1])
	caches[0].Close()
	nodes[0].Close()
	if err := caches[0].Set(within(t), key, corral.Item[[]byte]{}); !errors.Is(err, corral.ErrClosed) {
		t.Errorf("Set = %v, want %v", err, corral.ErrClosed)
	}
	nodes[1].Close()
	if err := caches[1].Set(within(t), key, corral.Item[[]byte]{}); !errors.Is(err, corral.ErrNotAcknowledged) {
		t.Errorf("Set without a node = %v, want %v", err, corral.ErrNotAcknowledged)
	}
}

func TestWhatIsExpiredAtOneNodeIsStaleAtAll(t *testing.T) {
	nodes := joinAll(t, 3)
	o := &origin{}
	caches := openAll(t, nodes, o)
	key := keyOwnedBy(t, nodes, nodes[2])
	for _, c := range caches {
		if _, err := c.Get(within(t), key); err != nil {
			t.Fatal(err)
		}
	}
	if err := caches[0].Expire(within(t), key); err != nil {
		t.Fatal(err)
	}
	for i, c := range caches {
		if got, err := c.Get(within(t), key); err != nil || string(got) != key+"#2" {
			t.Errorf("node %d gives %q, %v; want the second load's", i, got, err)
		}
	}
}
