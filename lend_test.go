package corral_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// lending grants a lease with a record to be validated.
func lending(record corral.Record, log *corraltest.Log) corraltest.Reply {
	return func(_ context.Context, request corral.Request) (corral.Answer, error) {
		return corral.Answer{Kind: corral.AnswerLease, Lease: corraltest.NewLease(request.Key, log), Record: &record}, nil
	}
}

func old(value string) corral.Record {
	record := text(value)
	record.TTL, record.StaleOnError, record.Validator = -time.Second, time.Hour, "e"
	return record
}

func TestALoadValidatesWhatTheOwnerLends(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.load = notModified("new")
		r.script.On("a", lending(old("lent"), r.log))
		r.get("a").want(t, "lent", corral.Loaded, 0)
		if s := r.Stats(); s.NotModified != 1 {
			t.Fatalf("%d loads found it not modified, want 1", s.NotModified)
		}
	})
}

func TestWhatTheOwnerLendsCoversALoadThatFails(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.load = failing(errPort)
		r.script.On("a", lending(old("lent"), r.log))
		g := r.get("a")
		g.want(t, "lent", corral.Stale, 0)
		r.get("b").wantErr(t, errPort, 0)
	})
}

func TestWhatTheOwnerLendsIsNoAnswer(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.On("a", lending(old("lent"), r.log))
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
	})
}

func TestALoadThatHasSomethingValidatesThat(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.load = notModified("own")
		r.get("a").want(t, "own", corral.Loaded, 0)
		r.Expire(t.Context(), "a")
		r.script.On("a", lending(old("lent"), r.log))
		r.get("a").want(t, "own", corral.Loaded, 0)
	})
}

func TestWhatTheOwnerLendsAndWillNotDoIsLeft(t *testing.T) {
	body, wire := arriving("lent")
	body.Revision, body.Validator = 1, "e"
	for _, row := range []struct {
		name   string
		record corral.Record
	}{
		{"it was invalidated", old("lent")},
		{"it has a body", body},
	} {
		t.Run(row.name, func(t *testing.T) {
			withPorts(t, withScript, func(t *testing.T, r *rig) {
				if err := r.Invalidate(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
				r.load = notModified("new")
				r.script.On("a", lending(row.record, r.log))
				r.get("a").want(t, "new", corral.Loaded, 0)
			})
		})
	}
	if wire.closes.Load() == 0 {
		t.Error("the body was not closed")
	}
}

func TestTheLeasesBehindAJoinAreThoseWhoseLoadsWaitForIt(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		granted := map[string]corral.Lease{}
		r.script.OnLease = func(lease *corraltest.Lease) { granted[last(r).Key] = lease }
		inside := map[string][]string{"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}
		r.load = func(ctx context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
			for _, k := range inside[key] {
				go r.Cache.Get(ctx, k)
			}
			time.Sleep(time.Second)
			if len(inside[key]) == 0 {
				time.Sleep(time.Second)
			}
			return corral.Item[string]{Value: key}, nil
		}
		r.script.On("d", corraltest.Late(time.Second/2, giving("d")))
		r.goGet("d") // nobody's load yet
		behind := last(r).Behind
		if got := behind(); got != nil {
			t.Fatalf("%d leases wait, want none", len(got))
		}
		r.goGet("a")
		synctest.Wait()
		got := behind()
		for _, key := range []string{"a", "b", "c"} {
			if !slices.Contains(got, granted[key]) {
				t.Errorf("the lease of %q is missing", key)
			}
		}
		if len(got) != 3 {
			t.Fatalf("%d leases wait, want 3", len(got))
		}
		time.Sleep(time.Second / 2)
		synctest.Wait()
		if got := behind(); got != nil {
			t.Fatalf("%d leases wait for what has been answered, want none", len(got))
		}
		time.Sleep(2 * time.Second)
	})
}

func TestALoadOfManyKeysWaitsWithAllItsLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := corraltest.NewScript(nil)
		loader := bulkLoader(func(ctx context.Context, keys []string) (map[string]corral.Item[string], error) {
			v, err := insideOf(ctx)
			return map[string]corral.Item[string]{keys[0]: {Value: v}, keys[1]: {Value: v}}, err
		})
		c := opened(t, loader, corral.Options[string]{TTL: time.Minute, Unbounded: true, Codec: corraltest.Text(), Coordinator: script, Now: time.Now})
		insideOf = func(ctx context.Context) (string, error) { return c.Get(ctx, "inner") }
		script.On("inner", corraltest.Late(time.Second, giving("v")))
		go c.GetMany(t.Context(), []string{"a", "b"})
		synctest.Wait()
		requests := script.Requests()
		if got := requests[len(requests)-1].Behind(); len(got) != 2 {
			t.Fatalf("%d leases wait, want 2", len(got))
		}
		time.Sleep(2 * time.Second)
	})
}

var insideOf func(ctx context.Context) (string, error)

type bulkLoader func(ctx context.Context, keys []string) (map[string]corral.Item[string], error)

func (l bulkLoader) Load(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
	return corral.Item[string]{}, errPort
}

func (l bulkLoader) LoadMany(ctx context.Context, keys []string) (map[string]corral.Item[string], error) {
	return l(ctx, keys)
}

func TestARingOverProcessesIsACycle(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.On("a", corraltest.Reports(corral.DecodeError(corral.EncodeError(corral.ErrCycle)), 0))
		r.get("a").wantErr(t, corral.ErrCycle, 0)
		r.script.On("a", giving("v"))
		r.get("a").want(t, "v", corral.Remote, 0) // and the key does not rest
	})
}

func last(r *rig) corral.Request {
	requests := r.script.Requests()
	return requests[len(requests)-1]
}
