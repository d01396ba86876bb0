package corral_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
		r.log.Take()
		if err := r.Invalidate(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Fatalf("acknowledged after %v, want 3s, when the store has deleted what came before and it", took)
		}
		r.wantLog("invalidate c", "store delete a", "store delete b", "store delete c")
	})
}

func TestWhatTheStoreHasNotDeletedIsNotAcknowledged(t *testing.T) {
	withPorts(t, onSlowStore(time.Second), func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second-1)
		defer cancel()
		if err := r.Invalidate(ctx, "a"); !errors.Is(err, corral.ErrNotAcknowledged) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Invalidate gave %v, want %v with its cause", err, corral.ErrNotAcknowledged)
		}
		if err := r.Invalidate(t.Context(), "a"); err != nil {
			t.Fatalf("Invalidate again: %v", err)
		}
	})
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withBoth(r, o)
		o.Store = corraltest.FailNth(1, corraltest.Fails).Store(r.store)
	}, func(t *testing.T, r *rig) {
		if err := r.Invalidate(t.Context(), "a"); !errors.Is(err, corral.ErrNotAcknowledged) || !errors.Is(err, corraltest.ErrInjected) {
			t.Fatalf("Invalidate gave %v, want %v with the store's error", err, corral.ErrNotAcknowledged)
		}
		if err := r.Invalidate(t.Context(), "a"); err != nil {
			t.Fatalf("Invalidate again: %v", err)
		}
	})
}

func TestWhatIsToBeDeletedIsBounded(t *testing.T) {
	const most = 1024
	withPorts(t, onSlowStore(time.Millisecond), func(t *testing.T, r *rig) {
		for i := range uint64(most) {
			r.deliver(corral.Invalidation{Revision: 5 + i, Target: corral.Target{Keys: []string{fmt.Sprint(i)}}})
		}
		synctest.Wait()
		if n := r.Stats().StoreErrors; n != 0 {
			t.Fatalf("%d errors of the store before the queue is full", n)
		}
		r.deliver(corral.Invalidation{Revision: 5 + most, Target: corral.Target{Keys: []string{"too many"}}})
		synctest.Wait()
		if n := r.Stats().StoreErrors; n != 1 {
			t.Fatalf("%d errors of the store, want the one that had no place", n)
		}
		time.Sleep(most * time.Millisecond)
		synctest.Wait()
		if n := strings.Count(r.log.Take(), "store delete"); n != most {
			t.Fatalf("%d deletions, want %d", n, most)
		}
		if err := r.Invalidate(t.Context(), "a"); err != nil {
			t.Fatalf("Invalidate once there is room: %v", err)
		}
	})
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withBoth(r, o)
		o.Store = &failsLate{Store: r.store}
	}, func(t *testing.T, r *rig) {
		for i := range uint64(most) { // the first of them is going to fail
			r.deliver(corral.Invalidation{Revision: 5 + i, Target: corral.Target{Keys: []string{fmt.Sprint(i)}}})
		}
		if err := r.Invalidate(t.Context(), "a"); !errors.Is(err, corral.ErrNotAcknowledged) {
			t.Fatalf("Invalidate that had no place, before what fails: %v, want %v", err, corral.ErrNotAcknowledged)
		}
	})
}

// failsLate fails to delete, after a while, the first time.
type failsLate struct {
	*corraltest.Store
	deletes int
}

func (s *failsLate) Delete(ctx context.Context, inv corral.Invalidation) error {
	if s.deletes++; s.deletes > 1 {
		return s.Store.Delete(ctx, inv)
	}
	return errors.Join(errPort, sleepIn(ctx, time.Second))
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
