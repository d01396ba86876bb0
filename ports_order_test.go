package corral_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

func TestAMissAsksStoreThenCoordinatorThenLoader(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
		r.wantLog("store get a", "join a", "load a", "fill a", "store put a")
		r.get("a").want(t, "a#1", corral.Hit, 0)
		r.wantLog()
	})
}

func TestAStoredValueEndsTheSearch(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		kept := text("kept")
		kept.Age, kept.Validator, kept.Revision = 3*time.Second, "e", 1
		r.store.Put(t.Context(), "a", &kept)
		r.script.Deliver(t.Context(), corral.Invalidation{Revision: 1}) // from here on it has heard of everything
		r.log.Take()
		g := r.get("a")
		g.want(t, "kept", corral.Stored, 0)
		if g.info.Age != 3*time.Second || g.info.TTL != time.Hour || g.item.Validator != "e" || !g.info.Kept {
			t.Fatalf("got %+v", g.info)
		}
		r.get("a").want(t, "kept", corral.Hit, 0)
		r.wantLog("store get a")
		if s := r.Stats(); s.StoreHits != 1 || s.Loads != 0 {
			t.Fatalf("got %d store hits, %d loads; want 1 and 0", s.StoreHits, s.Loads)
		}
	})
}

func TestAValueOfAnotherProcessEndsTheSearch(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		r.script.On("a", giving("theirs"))
		g := r.get("a")
		g.want(t, "theirs", corral.Remote, 0)
		if !g.info.Kept || g.info.TTL != time.Hour {
			t.Fatalf("got %+v, want a kept value for an hour", g.info)
		}
		r.get("a").want(t, "theirs", corral.Hit, 0)
		r.wantLog("store get a", "join a")
	})
}

func TestCallersWhoMeetAskThePortsOnce(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		joined := 0
		for _, g := range atOnce(100, func(int) came { return r.get("a") }) {
			if g.info.Source == corral.Joined {
				joined++
			}
			g.want(t, "a#1", g.info.Source, loadTime)
		}
		if joined != 99 {
			t.Fatalf("%d callers joined, want 99", joined)
		}
		r.wantLog("store get a", "join a", "load a", "fill a", "store put a")
	})
}

func TestARefreshAsksTheStoreThenTheOwner(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withBoth(r, o)
		o.StaleFor = time.Hour
	}, func(t *testing.T, r *rig) {
		r.load = answering(corral.Item[string]{Value: "v", Validator: "e", Tags: []string{"x"}})
		r.get("a")
		time.Sleep(time.Minute)
		r.log.Take()
		r.get("a").want(t, "v", corral.Stale, 0)
		r.wantLog("store get a", "join a", "load a", "fill a", "store put a")
		requests := r.script.Requests()
		last := requests[len(requests)-1]
		if !last.Refresh || last.Previous == nil || last.Previous.Validator != "e" || last.Previous.Value != nil ||
			last.Previous.TTL != 0 || last.Previous.Age != time.Minute {
			t.Fatalf("got the request %+v with %+v; want a refresh that brings what it validates", last, last.Previous)
		}
	})
}

// T6.
func TestARefreshTakesWhatAnotherProcessHasRefreshed(t *testing.T) {
	for _, row := range []struct {
		name       string
		age, ttl   time.Duration // of what the store has by the time of the refresh
		taken      bool
		invalidate bool
	}{
		{"younger by a little more than the store's clock may be wrong", time.Minute - 100*time.Millisecond - 1, time.Second, true, false},
		{"as young as the store's clock may be wrong", time.Minute - 100*time.Millisecond, time.Second, false, false},
		{"its own", time.Minute, 0, false, false},
		{"younger and still fresh", time.Second, 1, true, false},
		{"younger and stale", time.Second, 0, false, false},
		{"younger and invalidated", time.Second, time.Minute, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			withPorts(t, func(r *rig, o *corral.Options[string]) {
				withStore(r, o)
				o.StaleFor = time.Hour
			}, func(t *testing.T, r *rig) {
				r.get("a").want(t, "a#1", corral.Loaded, loadTime)
				time.Sleep(time.Minute)
				record := text("of another process")
				record.Age, record.TTL, record.StaleFor = row.age, row.ttl, time.Hour
				if row.invalidate {
					r.InvalidateTags(t.Context(), "x")
					record.Tags = []string{"x"}
				}
				r.keep("a", record)
				r.log.Take()
				r.get("a").want(t, "a#1", corral.Stale, 0)
				time.Sleep(loadTime)
				if row.taken {
					r.wantLog("store get a")
				} else {
					r.wantLog("store get a", "load a", "store put a")
				}
				if got := r.get("a").item.Value == "of another process"; got != row.taken {
					t.Fatalf("taken: %v, want %v", got, row.taken)
				}
			})
		})
	}
}

func TestFreshIsAskedOfNoStore(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		kept := text("kept")
		r.store.Put(t.Context(), "a", &kept)
		r.log.Take()
		r.get("a", corral.Fresh()).want(t, "a#1", corral.Loaded, loadTime)
		r.wantLog("join a", "load a", "fill a", "store put a")
		if requests := r.script.Requests(); !requests[0].Fresh {
			t.Fatalf("got the request %+v, want one for a fresh value", requests[0])
		}
	})
}

func TestWhatIsSharedReachesNoStore(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		r.load = answering(corral.Item[string]{Value: "v", Outcome: corral.Share})
		r.get("a").want(t, "v", corral.Loaded, 0)
		r.wantLog("store get a", "join a", "load a", "fill a")
		if record := r.script.Leases()[0].Endings()[0].Record; record.Outcome != corral.Share {
			t.Fatalf("the owner was told %v, want %v", record.Outcome, corral.Share)
		}
	})
}

func TestAPassIsToldToTheOwnerAndNotStored(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		r.load = answering(corral.Item[string]{Value: "v", Outcome: corral.Pass})
		r.get("a").want(t, "v", corral.Loaded, 0)
		r.wantLog("store get a", "join a", "load a", "pass a")
		r.get("a").want(t, "v", corral.Loaded, 0) // by itself, while the mark lasts
		r.wantLog("load a")
	})
}

func TestWhatIsForValidationOnlyIsAPassToOwnerAndStore(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		r.load = notModified("v")
		r.get("a").want(t, "v", corral.Loaded, 0)
		r.wantLog("store get a", "join a", "load a", "fill a", "store put a")
		time.Sleep(time.Minute)
		r.load = func(_ context.Context, _ string, prev *corral.Item[string]) (corral.Item[string], error) {
			if prev.Outcome == corral.Validate {
				return prev.NotModified(), nil
			}
			return corral.Item[string]{Value: "private", Outcome: corral.Validate, PassTTL: -1}, nil
		}
		r.get("a").want(t, "private", corral.Loaded, 0)
		r.wantLog("store get a", "join a", "load a", "pass a", "store delete a")
		r.get("a").want(t, "private", corral.Loaded, 0) // asks the owner again, since no mark stays
		r.wantLog("store get a", "join a", "load a", "pass a")
		r.get("a").want(t, "private", corral.Loaded, 0) // by itself, since this time one did
		r.wantLog("load a")
	})
}

func TestAFailureIsToldToTheOwnerWithItsPause(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		r.load = failing(errPort)
		r.get("a").wantErr(t, errPort, 0)
		r.wantLog("store get a", "join a", "load a", "fail a")
		if e := r.script.Leases()[0].Endings(); len(e) != 1 || e[0].Cause != errPort || e[0].RetryAfter != time.Second {
			t.Fatalf("the owner was told %+v, want the cause and a pause of 1s", e)
		}
		r.get("a").wantErr(t, errPort, 0)
		r.wantLog()
	})
}

func TestWhatTheLoaderFindsNotModifiedIsFilledWhole(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withBoth(r, o)
		o.StaleFor = time.Hour
	}, func(t *testing.T, r *rig) {
		r.load = notModified("v")
		r.get("a")
		time.Sleep(time.Minute)
		r.get("a").want(t, "v", corral.Stale, 0)
		r.wantLog("store get a", "join a", "load a", "fill a", "store put a", "store get a", "join a", "load a", "fill a", "store put a")
		endings := r.script.Leases()[1].Endings()
		if record := endings[0].Record; string(record.Value) != "v" || record.TTL != time.Minute || record.Validator != "e" || record.Outcome != corral.Keep {
			t.Fatalf("the owner was filled with %+v, want the whole record with new times", record)
		}
		if record := r.store.Look("a"); string(record.Value) != "v" || record.TTL != time.Minute {
			t.Fatalf("the store has %+v, want the whole record with new times", record)
		}
	})
}

func TestAnAnswerOlderThanAPrefixOrSoftInvalidationIsGivenToNobody(t *testing.T) {
	for name, target := range map[string]corral.Target{
		"prefix":      {Prefixes: []string{"b", "a"}},
		"soft key":    {Keys: []string{"a"}, Soft: true},
		"soft prefix": {Prefixes: []string{""}, Soft: true},
		"soft tag":    {Tags: []string{"x"}, Soft: true},
		"soft all":    {All: true, Soft: true},
	} {
		t.Run(name, func(t *testing.T) {
			withPorts(t, withScript, func(t *testing.T, r *rig) {
				r.script.Deliver(t.Context(), corral.Invalidation{Revision: 5, Target: target})
				old := text("old")
				old.Revision, old.Tags = 4, []string{"x"}
				lease := corraltest.NewLease("a", r.log)
				r.script.On("a", corraltest.Gives(old), corraltest.Grants(lease))
				for _, g := range atOnce(3, func(int) came { return r.get("a") }) {
					g.want(t, "a#1", g.info.Source, loadTime)
				}
				r.wantLog("join a", "join a", "load a", "fill a")
			})
		})
	}
}

func TestASoftInvalidationDeletesFromTheStore(t *testing.T) {
	for want, target := range map[string]corral.Target{
		"store delete soft a":       {Keys: []string{"a"}, Soft: true},
		"store delete soft a… #x":   {Prefixes: []string{"a"}, Tags: []string{"x"}, Soft: true},
		"store delete soft all":     {All: true, Soft: true},
		"store delete b c… #y":      {Keys: []string{"b"}, Prefixes: []string{"c"}, Tags: []string{"y"}},
		"store delete soft b c… #y": {Keys: []string{"b"}, Prefixes: []string{"c"}, Tags: []string{"y"}, Soft: true},
	} {
		withPorts(t, withStore, func(t *testing.T, r *rig) {
			r.load = answering(corral.Item[string]{Value: "v", Tags: []string{"x"}})
			r.get("a")
			r.wantLog("store get a", "load a", "store put a")
			if err := r.Purge(t.Context(), target); err != nil {
				t.Fatal(err)
			}
			r.wantLog(want)
			if concerned := target.Soft && !strings.Contains(want, "b"); concerned != (r.store.Look("a") == nil) {
				t.Fatalf("after %q the store has %+v", want, r.store.Look("a"))
			}
			if _, _, ok := r.Peek("a"); !ok {
				t.Fatal("the value has left the memory")
			}
		})
	}
}

func TestAnAnswerOlderThanAnInvalidationIsGivenToNobody(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.Deliver(t.Context(), corral.Invalidation{Revision: 5, Target: corral.Target{Keys: []string{"a"}}})
		old := text("old")
		old.Revision = 4
		lease := corraltest.NewLease("a", r.log)
		r.script.On("a", corraltest.Gives(old), corraltest.Grants(lease))
		for _, g := range atOnce(3, func(int) came { return r.get("a") }) {
			g.want(t, "a#1", g.info.Source, loadTime)
		}
		r.wantLog("join a", "join a", "load a", "fill a")
	})
}
