package cluster

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
)

func purgeOf(cache string, target corral.Target) *purge {
	return &purge{Invalidation: etcd.Invalidation{Cache: cache, Target: target}, size: len(cache) + sizeOf(target), done: make(chan purged, 1)}
}

func TestABatchNamesEverythingOnce(t *testing.T) {
	soft := corral.Target{Keys: []string{"s"}, Soft: true}
	for name, row := range map[string]struct {
		batch []*purge
		want  []etcd.Invalidation
	}{
		"one alone is as it was given": {
			[]*purge{purgeOf("c", keyed("a", "a"))},
			[]etcd.Invalidation{{Cache: "c", Target: keyed("a", "a")}},
		},
		"one key many times": {
			[]*purge{purgeOf("c", keyed("a")), purgeOf("c", keyed("a")), purgeOf("c", keyed("b", "a"))},
			[]etcd.Invalidation{{Cache: "c", Target: keyed("a", "b")}},
		},
		"keys, prefixes and tags are not each other": {
			[]*purge{purgeOf("c", keyed("a")), purgeOf("c", corral.Target{Prefixes: []string{"a"}}), purgeOf("c", corral.Target{Tags: []string{"a"}})},
			[]etcd.Invalidation{{Cache: "c", Target: corral.Target{Keys: []string{"a"}, Prefixes: []string{"a"}, Tags: []string{"a"}}}},
		},
		"all makes the cache's others superfluous, before it and after it": {
			[]*purge{purgeOf("c", keyed("a")), purgeOf("c", corral.Target{All: true}), purgeOf("c", keyed("b")), purgeOf("d", keyed("a"))},
			[]etcd.Invalidation{{Cache: "c", Target: corral.Target{All: true}}, {Cache: "d", Target: keyed("a")}},
		},
		"what is soft does not make superfluous what is not": {
			[]*purge{purgeOf("c", keyed("a")), purgeOf("c", soft), purgeOf("c", corral.Target{All: true, Soft: true})},
			[]etcd.Invalidation{{Cache: "c", Target: keyed("a")}, {Cache: "c", Target: corral.Target{All: true, Soft: true}}},
		},
	} {
		if got := merge(row.batch); !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, row.want)
		}
	}
}

func TestWhatIsTooLargeForABatchIsSplit(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n-textBytes) }
	for name, row := range map[string]struct {
		target corral.Target
		want   []corral.Target
	}{
		"as much as fits":    {keyed(text(50), text(50)), []corral.Target{keyed(text(50), text(50))}},
		"a byte more":        {keyed(text(50), text(51)), []corral.Target{keyed(text(50)), keyed(text(51))}},
		"all beside names":   {corral.Target{All: true, Soft: true, Keys: []string{text(50), text(51)}}, []corral.Target{{All: true, Soft: true}}},
		"of different kinds": {corral.Target{Keys: []string{text(60)}, Prefixes: []string{text(40)}, Tags: []string{text(30), text(71)}, Soft: true}, []corral.Target{{Keys: []string{text(60)}, Prefixes: []string{text(40)}, Soft: true}, {Tags: []string{text(30)}, Soft: true}, {Tags: []string{text(71)}, Soft: true}}},
		"one as large as it": {keyed(text(8), text(100)), []corral.Target{keyed(text(8)), keyed(text(100))}},
	} {
		if got, err := split(row.target, 100); err != nil || !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, row.want)
		}
	}
	if got, err := split(keyed("a", text(101)), 100); err == nil || !strings.Contains(err.Error(), "93 bytes") || !strings.Contains(err.Error(), "92 are allowed") {
		t.Errorf("a key that fits into no batch: got %+v, %v", got, err)
	}
}

func TestAQueueIsBoundedAndABatchToo(t *testing.T) {
	var node Node
	b := newBatcher(&node)
	for i := range maxQueued {
		if err := b.add(purgeOf("c", keyed("k"))); err != nil {
			t.Fatalf("invalidation %d: %v", i, err)
		}
	}
	if err := b.add(purgeOf("c", keyed("k"))); !errors.Is(err, corral.ErrOverloaded) {
		t.Fatalf("one more: %v, want ErrOverloaded", err)
	}
	for left := maxQueued; left > 0; left -= etcd.MaxInvalidations {
		if batch := b.take(); len(batch) != min(left, etcd.MaxInvalidations) {
			t.Fatalf("a batch of %d, want %d", len(batch), min(left, etcd.MaxInvalidations))
		}
	}
	if batch := b.take(); batch != nil || b.bytes != 0 {
		t.Fatalf("a batch of %d, and %d bytes, of an empty queue", len(batch), b.bytes)
	}
	large := purgeOf("c", keyed(strings.Repeat("k", maxBatchBytes-textBytes-len("c"))))
	for range maxQueuedBytes / maxBatchBytes {
		if err := b.add(large); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.add(purgeOf("", corral.Target{All: true})); err != nil {
		t.Fatalf("what takes no bytes: %v", err)
	}
	if err := b.add(purgeOf("c", keyed(""))); !errors.Is(err, corral.ErrOverloaded) {
		t.Fatalf("over the bytes: %v, want ErrOverloaded", err)
	}
	if batch := b.take(); len(batch) != 1 {
		t.Fatalf("%d of maxBatchBytes are one batch", len(batch))
	}
}

func TestAStormIsAcknowledgedToEveryCallerAndAppliedOnce(t *testing.T) {
	nodes := joinAll(t, 2)
	follow(t, nodes[0].Cache("test"))
	f := follow(t, nodes[1].Cache("test"))
	const callers, keys = 500, 20
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			if err := nodes[i%2].Cache("test").Invalidate(within(t), keyed("all", fmt.Sprint(i%keys))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	seen := map[string]bool{}
	told := 0
	for len(f.told) > 0 {
		inv := <-f.told
		for _, key := range inv.Keys {
			seen[key] = true
		}
		if told += len(inv.Keys); len(slices.Compact(slices.Sorted(slices.Values(inv.Keys)))) != len(inv.Keys) {
			t.Errorf("one revision names a key twice: %q", inv.Keys)
		}
	}
	if len(seen) != keys+1 || told >= 2*callers {
		t.Errorf("the other node was told of %d keys, %d times; want %d, and fewer than %d", len(seen), told, keys+1, 2*callers)
	}
}

func TestManyKeysAreInvalidatedByOneCall(t *testing.T) {
	nodes := joinAll(t, 2)
	o := new(origin)
	caches := openAll(t, nodes, o)
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("https://shop.example.com/products/%d", i)
	}
	some := []string{keys[0], keys[len(keys)/2], keys[len(keys)-1]}
	served := func() {
		for _, key := range some {
			eventually(t, "it to be served", func() bool { // a busy machine may cost the lease
				_, err := caches[1].Get(within(t), key)
				return err == nil
			})
		}
	}
	served()
	before, batches := o.calls.Load(), nodes[0].Status().Invalidations
	if err := caches[0].Invalidate(within(t), keys...); err != nil {
		t.Fatal(err)
	}
	if batches = nodes[0].Status().Invalidations - batches; batches < 2 {
		t.Errorf("%d batches, want several", batches)
	}
	served()
	if loads := o.calls.Load() - before; loads != 3 {
		t.Errorf("%d loads after it, want 3", loads)
	}
}

func TestWhatIsNotAcknowledgedIsSaidAndCounted(t *testing.T) {
	endpoint, stop, _ := startMember(t, 0)
	n := join(t, endpoint, "a", nil)
	k := n.Cache("test")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for i, row := range []struct {
		name   string
		ctx    context.Context
		target corral.Target
		before func()
		want   error
	}{
		{"the queue is full", t.Context(), keyed("a"), func() { // nobody has woken its writer yet, and this does not
			n.purges.mu.Lock()
			n.purges.queue = make([]*purge, maxQueued)
			n.purges.mu.Unlock()
		}, corral.ErrOverloaded},
		{"the context has ended", ended, keyed("a"), func() {
			n.purges.mu.Lock()
			n.purges.queue = nil
			n.purges.mu.Unlock()
		}, context.Canceled},
		{"a key is too large", t.Context(), keyed(strings.Repeat("k", maxBatchBytes)), nil, nil},
		{"the write is unknown", t.Context(), keyed("a"), stop, etcd.ErrUnknown},
		{"the node has left", t.Context(), keyed("a"), func() { n.Close() }, ErrLeft},
	} {
		if row.before != nil {
			row.before()
		}
		err := k.Invalidate(row.ctx, row.target)
		if !errors.Is(err, corral.ErrNotAcknowledged) || row.want != nil && !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want ErrNotAcknowledged with %v", row.name, err, row.want)
		}
		if got := n.Status().NotAcknowledged; got != uint64(i+1) {
			t.Errorf("%s: %d are counted, want %d", row.name, got, i+1)
		}
	}
}
