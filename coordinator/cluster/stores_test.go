package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// gatedStore deletes once its gate is open.
type gatedStore struct {
	*corraltest.Store
	gate chan struct{}
}

func (s gatedStore) Delete(ctx context.Context, inv corral.Invalidation) error {
	select {
	case <-s.gate:
		return s.Store.Delete(ctx, inv)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestAnInvalidationDeletesFromItsCallersStoreBeforeItIsAcknowledged(t *testing.T) {
	nodes := joinAll(t, 2)
	o := new(origin)
	shared := new(corraltest.Store)
	hangs := gatedStore{shared, make(chan struct{})}
	a, b := openOn(t, nodes[0], o, shared), openOn(t, nodes[1], o, hangs)
	key := keyOwnedBy(t, nodes, nodes[1])
	for _, c := range []*corral.Cache[[]byte]{a, b} {
		serves(t, c, key)
	}
	eventually(t, "it to be stored", func() bool { return shared.Look(key) != nil })
	if err := a.Invalidate(within(t), key); err != nil {
		t.Fatal(err)
	}
	if shared.Look(key) != nil {
		t.Error("the store has what is invalidated")
	}
	// The other node's store hangs: nobody but who invalidates there waits for it.
	for i := range 20 {
		if err := a.Invalidate(within(t), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := b.Get(within(t), key); err != nil || string(got) != key+"#2" {
		t.Errorf("b has %q, %v; want what is loaded anew", got, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Invalidate(ctx, key); !errors.Is(err, corral.ErrNotAcknowledged) {
		t.Errorf("b, whose store has not deleted it, was told %v, want ErrNotAcknowledged", err)
	}
	close(hangs.gate)
	if err := b.Invalidate(within(t), key); err != nil {
		t.Errorf("once it goes on: %v", err)
	}
}
