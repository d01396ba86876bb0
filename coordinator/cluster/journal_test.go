package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
	"github.com/corralcache/corral/corraltest"
)

func entryOf(revision uint64, key string) entry {
	return newEntry(revision, []etcd.Invalidation{{Cache: "c", Target: corral.Target{Keys: []string{key}}}})
}

func TestAJournalForgetsTheOldestAndSaysHowFarItReaches(t *testing.T) {
	var j journal
	key := strings.Repeat("k", maxJournalBytes/4-2*entryBytes-8-len("c")) // four fill it
	for revision := uint64(10); revision <= 40; revision += 10 {
		j.add(entryOf(revision, key))
	}
	if j.floor != 0 || len(j.entries) != 4 || j.bytes != maxJournalBytes {
		t.Fatalf("floor %d, %d entries of %d bytes; want 0, 4, %d", j.floor, len(j.entries), j.bytes, maxJournalBytes)
	}
	j.add(entryOf(50, ""))
	if j.floor != 10 || len(j.entries) != 4 {
		t.Fatalf("floor %d, %d entries; want 10, 4", j.floor, len(j.entries))
	}
	for after, want := range map[uint64][]uint64{10: {20, 30, 40, 50}, 19: {20, 30, 40, 50}, 20: {30, 40, 50}, 49: {50}, 50: nil} {
		var got []uint64
		for _, e := range j.after(after) {
			got = append(got, e.revision)
		}
		if !slices.Equal(got, want) {
			t.Errorf("after %d: got %d, want %d", after, got, want)
		}
	}
	j.forget(60)
	if j.floor != 60 || len(j.entries) != 0 || j.bytes != 0 {
		t.Errorf("forgotten: floor %d, %d entries of %d bytes; want 60 and none", j.floor, len(j.entries), j.bytes)
	}
	j.forget(55)
	if j.floor != 60 {
		t.Errorf("the floor fell to %d", j.floor)
	}
}

// follower is what the Watch of a keeper was told.
type follower struct {
	upto uint64 // what its node had applied when it began
	told chan corral.Invalidation
	stop context.CancelFunc
	done chan error
}

func follow(t testing.TB, k corral.Coordinator) *follower {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &follower{upto: k.(*keeper).node.applied.Load(), told: make(chan corral.Invalidation, 10_000), stop: stop, done: make(chan error, 1)}
	go func() { f.done <- k.Watch(ctx, func(inv corral.Invalidation) { f.told <- inv }) }()
	t.Cleanup(stop)
	return f
}

// first is what was told of what its node had applied when it began, in words.
func (f *follower) first(t testing.TB) (words []string) {
	t.Helper()
	for {
		inv := wait(t, f.told, "what the watch tells")
		switch {
		case inv.Missed:
			words = append(words, "missed")
		case len(inv.Keys) > 0:
			words = append(words, strings.Join(inv.Keys, " "))
		case len(inv.Tags) > 0:
			words = append(words, "#"+strings.Join(inv.Tags, " "))
		}
		if inv.Revision >= f.upto && !inv.More {
			return words
		}
	}
}

func (f *follower) end(t testing.TB) {
	t.Helper()
	f.stop()
	wait(t, f.done, "the watch to end")
}

func invalidate(t testing.TB, k corral.Coordinator, target corral.Target) {
	t.Helper()
	if err := k.Invalidate(within(t), target); err != nil {
		t.Fatalf("Invalidate %+v: %v", target, err)
	}
}

func keyed(keys ...string) corral.Target { return corral.Target{Keys: keys} }

func wantWords(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("the watch told %q, want %q", got, want)
	}
}

func TestAWatchBeginsWithWhatTheLogHas(t *testing.T) {
	endpoint := startEtcd(t)
	a := join(t, endpoint, "a", nil)
	invalidate(t, a.Cache("test"), keyed("1"))
	invalidate(t, a.Cache("other"), keyed("of another cache"))
	invalidate(t, a.Cache("test"), corral.Target{Tags: []string{"x"}})
	b := join(t, endpoint, "b", nil)
	for range fewEntries + 1 { // more than it is told while revisions wait
		invalidate(t, a.Cache("other"), keyed("o"))
	}
	invalidate(t, a.Cache("test"), keyed("2", "3"))
	for _, n := range []*Node{a, b} {
		f := follow(t, n.Cache("test"))
		wantWords(t, f.first(t), "missed", "1", "#x", "2 3")
	}
}

func TestAWatchThatBeginsAgainGoesOnWhereItWas(t *testing.T) {
	a := join(t, startEtcd(t), "a", nil)
	k := a.Cache("test")
	invalidate(t, k, keyed("1"))
	f := follow(t, k)
	wantWords(t, f.first(t), "missed", "1")
	invalidate(t, k, keyed("2"))
	f.end(t)
	invalidate(t, k, keyed("3"))
	invalidate(t, k, keyed("4"))
	f = follow(t, k)
	wantWords(t, f.first(t), "3", "4")
	f.end(t)
	eventually(t, "a revision that it is not told", func() bool { return a.applied.Load() > k.(*keeper).told })
	a.deliver.Lock()
	a.journal.forget(a.applied.Load())
	a.deliver.Unlock()
	invalidate(t, k, keyed("5"))
	f = follow(t, k)
	wantWords(t, f.first(t), "missed", "5")
}

func TestACacheThatIsSlowToCatchUpHoldsUpNoRevision(t *testing.T) {
	a := join(t, startEtcd(t), "a", nil)
	k := a.Cache("test")
	told, goOn := make(chan corral.Invalidation), make(chan struct{})
	go k.Watch(t.Context(), func(inv corral.Invalidation) {
		select {
		case told <- inv:
			<-goOn
		case <-t.Context().Done():
		}
	})
	if first := wait(t, told, "the first word"); !first.Missed {
		t.Fatalf("the first word is %+v", first)
	}
	invalidate(t, k, keyed("1")) // the cache answers nothing yet, and is not waited for
	if k.(corral.Keeper).Standing() {
		t.Error("a cache that has not caught up may answer")
	}
	goOn <- struct{}{}
	if next := wait(t, told, "what came meanwhile"); !slices.Equal(next.Keys, []string{"1"}) {
		t.Errorf("then it was told %+v", next)
	}
	close(goOn)
}

// openOn is open with a store that outlives the cache.
func openOn(t testing.TB, n *Node, o *origin, s corral.Store) *corral.Cache[[]byte] {
	t.Helper()
	c, err := corral.New(corral.LoaderFunc[[]byte](o.Load), corral.Options[[]byte]{
		Name: "test", TTL: time.Hour, Jitter: -1, ErrorPause: -1, MaxBytes: 64 << 20,
		Codec: codec.Bytes{}, Coordinator: n.Cache("test"), Store: s,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	watching(t, []*Node{n})
	return c
}

func compact(t testing.TB, endpoint string, revision uint64) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Compact(t.Context(), int64(revision), clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
}

// F12b: what a node has on its disk from before it was down.
func TestWhatWasInvalidatedWhileANodeWasDownIsNotServedFromItsStore(t *testing.T) {
	for _, row := range []struct {
		name      string
		compacted bool
		kept      string // where what nobody has invalidated comes from
	}{
		{"the log reaches back", false, "stored"},
		{"the log has been compacted", true, "validated"},
	} {
		t.Run(row.name, func(t *testing.T) {
			endpoint := startEtcd(t)
			a, b := join(t, endpoint, "a", nil), join(t, endpoint, "b", nil)
			connected(t, []*Node{a, b})
			version := "old"
			o := &origin{load: func(_ context.Context, key string, _ int64) (corral.Item[[]byte], error) {
				return corral.Item[[]byte]{Value: []byte(key + version), Tags: []string{"tag of " + key}, Validator: "v"}, nil
			}}
			all := open(t, a, o)
			store := new(corraltest.Store)
			c := openOn(t, b, o, store)
			keys := []string{"by key", "by prefix", "by tag", "kept"}
			for i := range keys { // the other node has nothing of what this one owns
				name := keys[i]
				for n := 0; b.OwnerOf("test", keys[i]) != "b"; n++ {
					keys[i] = fmt.Sprint(name, n)
				}
			}
			for _, key := range keys {
				if _, err := c.Get(within(t), key); err != nil {
					t.Fatal(err)
				}
				eventually(t, "it to be stored", func() bool { return store.Look(key) != nil })
			}
			if err := errors.Join(c.Close(), b.Close()); err != nil {
				t.Fatal(err)
			}
			version = "new"
			if err := all.Purge(within(t), corral.Target{Keys: keys[:1], Prefixes: []string{"by p"}, Tags: []string{"tag of " + keys[2]}}); err != nil {
				t.Fatal(err)
			}
			if row.compacted {
				invalidate(t, a.Cache("other"), keyed("x")) // else compaction leaves the newest
				compact(t, endpoint, a.Status().Revision)
			}
			before := o.calls.Load()
			var validated []string
			load := o.load
			o.load = nil
			loader := corral.LoaderFunc[[]byte](func(ctx context.Context, key string, prev *corral.Item[[]byte]) (corral.Item[[]byte], error) {
				if prev != nil {
					validated = append(validated, key)
				}
				o.calls.Add(1)
				return load(ctx, key, 0)
			})
			again := join(t, endpoint, "b", nil)
			c, err := corral.New(loader, corral.Options[[]byte]{
				Name: "test", TTL: time.Hour, Jitter: -1, MaxBytes: 64 << 20, Codec: codec.Bytes{}, Coordinator: again.Cache("test"), Store: store,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, key := range keys {
				got, err := c.Get(within(t), key)
				want := key + "new"
				if key == keys[3] && row.kept == "stored" {
					want = key + "old"
				}
				if err != nil || string(got) != want {
					t.Errorf("%s: got %q, %v; want %q", key, got, err, want)
				}
			}
			loads, want := o.calls.Load()-before, int64(3)
			if row.kept == "validated" {
				want = 4
			}
			if loads != want {
				t.Errorf("%d loads, want %d", loads, want)
			}
			if row.kept == "validated" && !slices.Contains(validated, keys[3]) || row.kept == "stored" && validated != nil {
				t.Errorf("what loads were given to validate: %q", validated)
			}
		})
	}
}

func TestAfterAGapWhatTheLogSaysIsInvalidated(t *testing.T) {
	endpoint := startEtcd(t)
	n := join(t, endpoint, "a", nil)
	o := new(origin)
	c := open(t, n, o)
	watching(t, []*Node{n})
	serves(t, c, "kept")
	serves(t, c, "gone")
	n.deliver.Lock() // the watch stands still
	defer n.deliver.Unlock()
	by := operator(t, endpoint, "")
	putByHand(t, by, etcd.InvalidationsKey, encoded(etcd.EncodeInvalidations([]etcd.Invalidation{{Cache: "test", Target: keyed("gone")}})))
	s := read(t, by)
	entries, floor := n.past(t.Context(), s.Revision, n.applied.Load())
	n.resumed(s, entries, floor)
	shelf := n.openKeeper("test").shelf
	request := func(key string) corral.Request { return corral.Request{Key: key, Revision: s.Revision, Behind: nobody} }
	if shelf.Peek(t.Context(), request("gone")) != nil || shelf.Peek(t.Context(), request("kept")) == nil {
		t.Error("after the gap there is not what the log leaves")
	}
}

func TestARevisionThatCannotBeReadCountsAsEverything(t *testing.T) {
	endpoint := startEtcd(t)
	n := join(t, endpoint, "a", nil)
	store := new(corraltest.Store)
	c := openOn(t, n, new(origin), store)
	serves(t, c, "k")
	eventually(t, "it to be stored", func() bool { return store.Look("k") != nil })
	by := operator(t, endpoint, "")
	putByHand(t, by, etcd.InvalidationsKey, []byte("{"))
	eventually(t, "the revision to be applied", func() bool {
		n.deliver.Lock()
		defer n.deliver.Unlock()
		return n.journal.floor == read(t, by).Keys[etcd.InvalidationsKey].Revision
	})
	if got, err := c.Get(within(t), "k"); err != nil || string(got) != "k#2" {
		t.Errorf("got %q, %v; want what is loaded anew", got, err)
	}
	again := join(t, endpoint, "b", nil) // for whom the log ends there
	if f := follow(t, again.Cache("test")); fmt.Sprint(f.first(t)) != "[missed]" {
		t.Error("a node that begins knows of more than the log says")
	}
}
