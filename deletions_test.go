package corral_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// onSlowStore is withBoth with a store that takes its time to delete.
func onSlowStore(takes time.Duration) func(r *rig, o *corral.Options[string]) {
	return func(r *rig, o *corral.Options[string]) {
		withBoth(r, o)
		o.Store = slowStore{Store: r.store, delete: takes}
	}
}

func (r *rig) deliver(inv corral.Invalidation) {
	r.t.Helper()
	if err := r.script.Deliver(r.t.Context(), inv); err != nil {
		r.t.Fatal(err)
	}
}

func TestAStoreThatIsSlowToDeleteHoldsUpNoRevision(t *testing.T) {
	withPorts(t, onSlowStore(time.Second), func(t *testing.T, r *rig) {
		start := time.Now()
		for i, key := range []string{"a", "b"} {
			r.deliver(corral.Invalidation{Revision: uint64(5 + i), Target: corral.Target{Keys: []string{key}}})
		}
		if g := r.get("d"); time.Since(start) != loadTime || g.info.Revision != 6 {
			t.Fatalf("revision %d is in force after %v, want 6 after %v", g.info.Revision, time.Since(start), loadTime)
		}
		synctest.Wait()
		late := text("of revision 6")
		late.Revision = 6
		r.keep("c", late)
		r.log.Take()
		if err := r.Invalidate(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Fatalf("acknowledged after %v, want 2s, when the store has deleted what came before and, in one call, what waited meanwhile", took)
		}
		r.wantLog("invalidate c", "store delete a", "store delete b c")
		if r.store.Look("c") != nil {
			t.Fatal("the store has a record from before the invalidation")
		}
	})
}

// X2.
func TestWhatTheStoreHasNotDeletedIsNotAcknowledged(t *testing.T) {
	withPorts(t, onSlowStore(time.Second), func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second-1)
		defer cancel()
		if err := r.Invalidate(ctx, "a"); !errors.Is(err, corral.ErrStorePending) || !errors.Is(err, corral.ErrNotAcknowledged) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Invalidate gave %v, want %v with its cause", err, corral.ErrStorePending)
		}
		if err := r.Invalidate(t.Context(), "a"); err != nil {
			t.Fatalf("Invalidate again: %v", err)
		}
	})
}

// X1, X3.
func TestAStoreThatFailsIsToldWhenItIsBackAndNotReadBefore(t *testing.T) {
	for name, set := range map[string]func(r *rig, o *corral.Options[string]){"alone": withStore, "with a coordinator": withBoth} {
		t.Run(name, func(t *testing.T) {
			var store *dumb
			withPorts(t, func(r *rig, o *corral.Options[string]) {
				set(r, o)
				store = &dumb{Store: r.store}
				o.Store = store
			}, func(t *testing.T, r *rig) {
				r.keep("a", text("old"))
				r.keep("b", text("old"))
				r.keep("c", text("kept"))
				r.load = answering(corral.Item[string]{Value: "loaded"})
				store.down.Store(true)
				for _, key := range []string{"a", "b"} {
					if err := r.Invalidate(t.Context(), key); !errors.Is(err, corral.ErrStorePending) || !errors.Is(err, errPort) {
						t.Fatalf("Invalidate gave %v, want %v with the store's error", err, corral.ErrStorePending)
					}
				}
				if n := r.Stats().StorePending; n != 2 {
					t.Fatalf("%d invalidations wait for the store, want 2", n)
				}
				store.down.Store(false)
				r.log.Take()
				r.get("c").want(t, "loaded", corral.Loaded, 0) // the store answers, but has not been told yet
				synctest.Wait()
				if strings.Contains(r.log.Take(), "store") {
					t.Fatal("the store was asked, or written to, before it was told")
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if n := r.Stats().StorePending; n != 0 {
					t.Fatalf("%d invalidations wait for the store, want 0", n)
				}
				r.wantLog("store delete a", "store delete b")
				if r.store.Look("a") != nil || r.store.Look("b") != nil {
					t.Fatal("the store has what was invalidated while it was away")
				}
				if err := r.Invalidate(t.Context(), "c"); err != nil {
					t.Fatalf("Invalidate once the store is back: %v", err)
				}
			})
		})
	}
}

// X1.
func TestWhatWaitsForTheStoreIsBoundedAndNothingIsLeftOut(t *testing.T) {
	long := strings.Repeat("k", 8000)
	const most = 16 << 20 / 8005 // of keys of 8,005 bytes
	withPorts(t, onSlowStore(time.Second), func(t *testing.T, r *rig) {
		for i := range uint64(most) {
			r.deliver(corral.Invalidation{Revision: 5 + i, Target: corral.Target{Keys: []string{fmt.Sprintf("%s%05d", long, i)}}})
		}
		r.deliver(corral.Invalidation{Revision: 5 + most, Target: corral.Target{Tags: []string{"within"}}})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := r.log.Take(); strings.Count(got, "store delete") != 2 || strings.Count(got, long) != most || !strings.Contains(got, "#within") {
			t.Fatalf("%d calls of the store with %d keys; want 2 with %d and a tag", strings.Count(got, "store delete"), strings.Count(got, long), most)
		}
		for i := range uint64(most) {
			r.deliver(corral.Invalidation{Revision: 5000 + i, Target: corral.Target{Keys: []string{fmt.Sprintf("%s%05d", long, i)}}})
		}
		r.deliver(corral.Invalidation{Revision: 9000, Target: corral.Target{Keys: []string{long}}})
		record := text("old")
		record.Revision = 8999
		r.keep("any", record)
		r.log.Take()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := r.log.Take(); strings.Count(got, "store delete") != 2 || !strings.HasSuffix(got, "\nstore delete all") {
			t.Fatalf("the store was called so: %.100s; want what was under way, and one deletion of everything", got)
		}
		if r.store.Look("any") != nil {
			t.Fatal("the store has a record from before the newest invalidation")
		}
	})
}

// X1.
func TestOneCallOfTheStoreHasABoundedNumberOfTargets(t *testing.T) {
	withPorts(t, onSlowStore(time.Second), func(t *testing.T, r *rig) {
		for i := range uint64(1 + 4096 + 1) {
			r.deliver(corral.Invalidation{Revision: 5 + i, Target: corral.Target{Keys: []string{fmt.Sprint(i)}}})
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		calls := strings.Split(r.log.Take(), "\n")
		var counts []int
		for _, call := range calls {
			counts = append(counts, len(strings.Fields(call))-2)
		}
		if fmt.Sprint(counts) != "[1 4096 1]" {
			t.Fatalf("the calls have %v keys, want 1, 4096 and 1", counts)
		}
	})
}

func TestShutdownWaitsUntilTheStoreHasBeenTold(t *testing.T) {
	withPorts(t, onSlowStore(time.Second), func(t *testing.T, r *rig) {
		start := time.Now()
		r.deliver(corral.Invalidation{Revision: 5, Target: corral.Target{Keys: []string{"a"}}})
		synctest.Wait()
		if err := r.Shutdown(t.Context()); err != nil || time.Since(start) != time.Second {
			t.Fatalf("Shutdown gave %v after %v, want nil after 1s, when the store has deleted", err, time.Since(start))
		}
	})
	withPorts(t, func(r *rig, o *corral.Options[string]) { o.Store = isDown(r.store) }, func(t *testing.T, r *rig) {
		start := time.Now()
		r.Invalidate(t.Context(), "a")
		if err := r.Shutdown(t.Context()); err != nil || time.Since(start) != 0 {
			t.Fatalf("Shutdown gave %v after %v, want nil at once: the store is away", err, time.Since(start))
		}
	})
}

// What is to be forgotten keeps no company: the store remembers the others.
func TestWhatIsToBeForgottenIsACallOfItsOwn(t *testing.T) {
	withPorts(t, onSlowStore(time.Second), func(t *testing.T, r *rig) {
		r.load = answering(corral.Item[string]{Value: "v", Outcome: corral.Share})
		r.keep("a", text("old"))
		r.deliver(corral.Invalidation{Revision: 5, Target: corral.Target{Keys: []string{"x"}}})
		r.log.Take()
		r.get("a", corral.Fresh()).want(t, "v", corral.Loaded, 0)
		r.deliver(corral.Invalidation{Revision: 6, Target: corral.Target{Keys: []string{"y"}}})
		r.deliver(corral.Invalidation{Revision: 7, Target: corral.Target{Keys: []string{"z"}}})
		time.Sleep(4 * time.Second)
		r.wantLog("join a", "load a", "fill a", "store delete x", "store delete a", "store delete y z")
	})
}

func TestACacheThatClosesWithoutHavingMetItsStoreOwesItNothing(t *testing.T) {
	var lines bytes.Buffer
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Store = isDown(r.store)
		o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	}, func(t *testing.T, r *rig) {
		if n := r.Stats().StorePending; n != 0 {
			t.Fatalf("%d invalidations wait for the store, want none", n)
		}
		r.Close()
		if strings.Contains(lines.String(), "closed before") {
			t.Fatalf("said at the end:\n%s", lines.String())
		}
	})
	lines.Reset()
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Store = isDown(r.store)
		o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	}, func(t *testing.T, r *rig) {
		r.Invalidate(t.Context(), "a")
		r.Close()
		if !strings.Contains(lines.String(), "closed before") {
			t.Fatalf("said at the end:\n%s", lines.String())
		}
	})
}

func TestAStoreThatFailsIsALineInTheLogAMinute(t *testing.T) {
	var lines bytes.Buffer
	var store *dumb
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		store = &dumb{Store: r.store}
		o.Store = store
		o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	}, func(t *testing.T, r *rig) {
		store.down.Store(true)
		for i := range 100 {
			r.get(fmt.Sprint(i))
		}
		synctest.Wait()
		if n := strings.Count(lines.String(), "done without"); n != 1 {
			t.Fatalf("%d lines, want 1:\n%s", n, lines.String())
		}
		time.Sleep(time.Minute)
		r.get("b")
		synctest.Wait()
		if n := strings.Count(lines.String(), "done without"); n != 2 || !strings.Contains(lines.String(), "(200 failures since the last line)") {
			t.Fatalf("%d lines, want 2, with how many there were:\n%s", n, lines.String())
		}
		if n := r.Stats().StoreErrors; n != 202 {
			t.Fatalf("%d errors are counted, want 202", n)
		}
	})
}

func TestWhatWasMissedEndsWhatIsInMemoryAndLeavesTheStoreForValidation(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		value := "new"
		r.load = func(_ context.Context, key string, prev *corral.Item[string]) (corral.Item[string], error) {
			if prev != nil {
				return corral.Item[string]{Outcome: corral.NotModified}, nil
			}
			return corral.Item[string]{Value: value, Validator: "e"}, nil
		}
		for key, v := range map[string]uint64{"before": 9, "at": 10, "touched before": 9, "touched at": 10, "ahead": 99} {
			record := text("kept")
			record.Revision, record.Validator = v, "e"
			r.keep(key, record)
		}
		r.deliver(corral.Invalidation{Revision: 10, Missed: true})
		r.get("memory").want(t, "new", corral.Loaded, 0)
		r.deliver(corral.Invalidation{Revision: 11, Target: corral.Target{Prefixes: []string{"touched"}}})
		synctest.Wait()
		for _, key := range []string{"touched before", "touched at"} { // as if the store had failed to delete
			record := text("kept")
			record.Revision, record.Validator = map[string]uint64{"touched before": 9, "touched at": 10}[key], "e"
			r.keep(key, record)
		}
		for _, row := range []struct {
			key, want string
			source    corral.Source
		}{
			{"before", "kept", corral.Loaded}, // validated
			{"at", "kept", corral.Stored},
			{"ahead", "kept", corral.Loaded}, // validated
			{"touched before", "new", corral.Loaded},
			{"touched at", "new", corral.Loaded},
			{"memory", "new", corral.Hit},
		} {
			if g := r.get(row.key); g.err != nil || g.item.Value != row.want || g.info.Source != row.source {
				t.Errorf("%q: got %q from %v, %v; want %q from %v", row.key, g.item.Value, g.info.Source, g.err, row.want, row.source)
			}
		}
		synctest.Wait()
		r.log.Take()
		r.deliver(corral.Invalidation{Revision: 12, Missed: true})
		synctest.Wait()
		r.wantLog() // nothing is deleted from the store
		value = "newest"
		r.get("memory").want(t, "new", corral.Loaded, 0) // validated
	})
}

type slowDumb struct {
	*dumb
	begun chan struct{} // a deletion has
}

func (s slowDumb) Delete(ctx context.Context, inv corral.Invalidation) error {
	close(s.begun)
	return errors.Join(sleepIn(ctx, time.Second), s.dumb.Delete(ctx, inv))
}

// X3. What was invalidated before the store was met has a revision below
// the store's until it is told: nothing else keeps its records away.
func TestNothingIsReadFromAStoreBeforeItHasBeenToldEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := isDown(&corraltest.Store{})
		for _, key := range []string{"a", "b"} {
			record := text("old")
			record.Revision = 41
			store.Store.Put(t.Context(), key, &record)
		}
		begun := make(chan struct{})
		c := opened(t, corraltest.Value("loaded"), corral.Options[string]{TTL: time.Hour, MaxBytes: 1 << 20, Codec: corraltest.Text(), Now: time.Now, Store: slowDumb{store, begun}})
		if err := c.Invalidate(t.Context(), "b"); !errors.Is(err, corral.ErrStorePending) {
			t.Fatalf("Invalidate gave %v, want %v", err, corral.ErrStorePending)
		}
		store.down.Store(false)
		<-begun // it has been met, and is being told
		getFrom(c, t.Context(), "b").want(t, "loaded", corral.Loaded, 0)
	})
}

type millisecondStore struct{ *corraltest.Store }

func (s millisecondStore) Delete(ctx context.Context, inv corral.Invalidation) error {
	time.Sleep(time.Millisecond)
	return s.Store.Delete(ctx, inv)
}

// X1. Revisions are given in apply, and the queue is entered after it: the
// next one need not have the highest.
func TestInvalidationsAtOnceAreToldWithTheHighestOfTheirRevisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &corraltest.Store{}
		c := opened(t, corraltest.Value("v"), corral.Options[string]{TTL: time.Hour, MaxBytes: 1 << 24, Codec: corraltest.Text(), Now: time.Now, Store: millisecondStore{store}})
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				for i := range 1000 {
					key := fmt.Sprint(g, "/", i)
					c.Get(t.Context(), key)
					for store.Look(key) == nil {
						time.Sleep(time.Microsecond)
					}
					if err := c.Invalidate(t.Context(), key); err != nil {
						t.Error(err)
					}
					if r := store.Look(key); r != nil {
						t.Errorf("%s: revision %d is there after an invalidation that was acknowledged", key, r.Revision)
						return
					}
				}
			})
		}
		all.Wait()
	})
}
