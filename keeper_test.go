package corral_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// kept is a rig behind a Keeper that is scripted.
type kept struct {
	*rig
	shelf    corral.Shelf
	standing func() bool
	await    func(context.Context) bool // nil: nothing is about to change
	poor     bool                       // it owns nothing
}

// scriptedKeeper is the rig's Script, and says of itself what a test says.
type scriptedKeeper struct {
	*corraltest.Script
	k *kept
}

func (s scriptedKeeper) Standing() bool { return s.k.standing() }

func (s scriptedKeeper) Await(ctx context.Context) bool {
	if s.k.await == nil {
		return false
	}
	return s.k.await(ctx)
}

func (s scriptedKeeper) Owns(string) bool { return !s.k.poor }

func (s scriptedKeeper) Attach(shelf corral.Shelf) (func(), error) {
	s.k.log.Add("attach")
	s.k.shelf = shelf
	return func() { s.k.log.Add("detach") }, nil
}

func withKeeper(t *testing.T, set func(k *kept, o *corral.Options[string]), test func(t *testing.T, k *kept)) {
	t.Helper()
	k := &kept{}
	k.stand(true)
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		k.rig = r
		o.Coordinator = scriptedKeeper{r.script, k}
		if set != nil {
			set(k, o)
		}
	}, func(t *testing.T, r *rig) {
		r.wantLog("attach", "watch")
		test(t, k)
	})
}

func (k *kept) stand(stands bool) { k.standing = func() bool { return stands } }

func (k *kept) invalidate(target corral.Target) {
	k.t.Helper()
	if err := k.Purge(k.t.Context(), target); err != nil {
		k.t.Fatalf("Purge: %v", err)
	}
}

// last is the request of the last Join.
func (k *kept) last() corral.Request {
	requests := k.script.Requests()
	return requests[len(requests)-1]
}

func TestAKeeperIsGivenTheShelfBeforeAllElseAndToldOfTheEndLast(t *testing.T) {
	var k *kept
	withKeeper(t, nil, func(t *testing.T, kept *kept) {
		k = kept
		k.goGet("a")
		k.log.Take()
		if err := k.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		k.wantLog("abandon a", "detach")
	})
}

func TestAKeeperThatDoesNotTakeTheCacheIsAnErrorOfNew(t *testing.T) {
	for _, refuse := range []func() error{
		func() error { return errPort },
		func() error { panic(errPort) },
	} {
		_, err := corral.New[string](nil, corral.Options[string]{
			TTL: time.Minute, Unbounded: true, Codec: corraltest.Text(), Coordinator: refusingKeeper{refuse: refuse},
		})
		if !errors.Is(err, errPort) {
			t.Errorf("New gave %v, want %v", err, errPort)
		}
	}
}

type refusingKeeper struct {
	corral.Coordinator
	refuse func() error
}

func (k refusingKeeper) Standing() bool                      { return true }
func (k refusingKeeper) Owns(string) bool                    { return true }
func (k refusingKeeper) Await(context.Context) bool          { return true }
func (k refusingKeeper) Attach(corral.Shelf) (func(), error) { return nil, k.refuse() }

func TestACallWaitsForAProcessThatIsAboutToStandAndIsAnsweredByIt(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.Set(t.Context(), "a", corral.Item[string]{Value: "kept"})
		k.stand(false)
		k.await = func(context.Context) bool {
			time.Sleep(100 * time.Millisecond)
			k.stand(true)
			return true
		}
		began := time.Now()
		got, err := k.Get(t.Context(), "a")
		if err != nil || got != "kept" || time.Since(began) != 100*time.Millisecond {
			t.Fatalf("got %q, %v after %v; want what is kept, after 100ms", got, err, time.Since(began))
		}
	})
}

// everyGet are the calls that give values.
var everyGet = map[string]func(k *kept, key string) (string, error){
	"Get":     func(k *kept, key string) (string, error) { return k.Get(k.t.Context(), key) },
	"GetItem": func(k *kept, key string) (string, error) { g := k.get(key); return g.item.Value, g.err },
	"GetItem, no stale": func(k *kept, key string) (string, error) {
		g := k.get(key, corral.NoStale())
		return g.item.Value, g.err
	},
	"GetItem, max stale": func(k *kept, key string) (string, error) {
		g := k.get(key, corral.MaxStale(time.Hour))
		return g.item.Value, g.err
	},
	"GetWith": func(k *kept, key string) (string, error) {
		item, _, err := k.GetWith(k.t.Context(), key, answering(corral.Item[string]{Value: "loaded"}))
		return item.Value, err
	},
	"GetMany": func(k *kept, key string) (string, error) {
		values, err := k.GetMany(k.t.Context(), []string{key, "other"})
		return values[key], err
	},
	"Refresh": func(k *kept, key string) (string, error) { return "", k.Refresh(k.t.Context(), key) },
}

func TestAProcessThatDoesNotStandAnswersNothingItself(t *testing.T) { // C2
	for _, state := range []struct {
		name string
		come func(k *kept)
	}{
		{"a fresh value", func(k *kept) { k.get("a") }},
		{"a stale value", func(k *kept) {
			k.load = answering(corral.Item[string]{Value: "v", TTL: time.Second, StaleFor: time.Hour, StaleOnError: time.Hour})
			k.get("a")
			time.Sleep(2 * time.Second)
		}},
		{"a value that covers failures", func(k *kept) {
			k.load = answering(corral.Item[string]{Value: "v", TTL: time.Second, StaleOnError: time.Hour, StaleOnOutage: time.Hour})
			k.get("a")
			time.Sleep(2 * time.Second)
		}},
		{"a flight", func(k *kept) { k.goGet("a") }},
		{"a refresh", func(k *kept) {
			k.load = answering(corral.Item[string]{Value: "v", TTL: time.Second, StaleFor: time.Hour})
			k.get("a")
			time.Sleep(2 * time.Second)
			k.load = nil
			k.goGet("a")
		}},
		{"a failure", func(k *kept) { k.load = failing(errPort); k.get("a") }},
		{"a pass", func(k *kept) { k.load = answering(corral.Item[string]{Outcome: corral.Pass}); k.get("a") }},
		{"something for validation", func(k *kept) {
			k.load = answering(corral.Item[string]{Value: "v", Outcome: corral.Validate})
			k.get("a")
		}},
		{"a stored value", func(k *kept) { k.get("a"); k.Cache.Expire(k.t.Context(), "a") }},
		{"nothing", func(k *kept) {}},
	} {
		for name, get := range everyGet {
			t.Run(state.name+", "+name, func(t *testing.T) {
				withKeeper(t, func(k *kept, o *corral.Options[string]) { o.Store = k.store }, func(t *testing.T, k *kept) {
					state.come(k)
					synctest.Wait()
					k.script.On("a", corraltest.Refuses(corral.AnswerUnavailable)).On("other", corraltest.Refuses(corral.AnswerUnavailable))
					k.log.Take()
					calls := k.calls.Load()
					k.stand(false)
					start := time.Now()
					value, err := get(k, "a")
					if value != "" || !errors.Is(err, corral.ErrUnavailable) || time.Since(start) != 0 {
						t.Fatalf("got %q, %v after %v; want %v at once", value, err, time.Since(start), corral.ErrUnavailable)
					}
					if request := k.last(); !request.Lapsed {
						t.Fatalf("the coordinator was asked with %+v, want Lapsed", request)
					}
					if log := k.log.Take(); strings.Contains(log, "store") || strings.Contains(log, "load") || k.calls.Load() != calls {
						t.Fatalf("more was asked than the coordinator:\n%s", log)
					}
					if item, _, ok := k.Peek("a"); ok {
						t.Fatalf("Peek gave %q", item.Value)
					}
				})
			})
		}
	}
}

func TestAProcessThatStandsAgainHasWhatItHad(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.get("a").want(t, "a#1", corral.Loaded, loadTime)
		k.stand(false)
		k.script.On("a", corraltest.Refuses(corral.AnswerUnavailable))
		k.get("a").wantErr(t, corral.ErrUnavailable, 0)
		k.stand(true)
		k.get("a").want(t, "a#1", corral.Hit, 0)
		if item, _, ok := k.Peek("a"); !ok || item.Value != "a#1" {
			t.Fatalf("Peek gave %q, %v", item.Value, ok)
		}
	})
}

func TestWhatAProcessAppliesBeforeItStandsCountsForItsCallers(t *testing.T) { // C2
	tagged := corral.LoaderFunc[string](func(ctx context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
		return corral.Item[string]{Value: "old", Tags: []string{"x"}}, sleepIn(ctx, loadTime)
	})
	for name, get := range everyGet {
		for _, state := range []struct {
			name string
			come func(k *kept)
		}{
			{"a flight", func(k *kept) { k.goGet("a") }},
			{"a value", func(k *kept) { k.get("a") }},
			{"a plain value", func(k *kept) { k.load = answering(corral.Item[string]{Value: "old"}); k.get("a") }},
		} {
			t.Run(state.name+", "+name, func(t *testing.T) {
				withKeeper(t, nil, func(t *testing.T, k *kept) {
					k.load = tagged
					state.come(k)
					k.load = answering(corral.Item[string]{Value: "new"})
					invalidated := false
					k.standing = func() bool { // as one that renews while it is asked
						if !invalidated {
							invalidated = true
							target := corral.Target{Tags: []string{"x"}}
							if state.name == "a plain value" {
								target = corral.Target{Keys: []string{"a"}}
							}
							k.invalidate(target)
						}
						return true
					}
					value, err := get(k, "a")
					if err != nil || value == "old" {
						t.Fatalf("got %q, %v; want what was loaded after the invalidation", value, err)
					}
				})
			})
		}
	}
}

func TestWhoMayNotBeAnsweredHereIsGivenWhatAnotherProcessSays(t *testing.T) {
	stale := text("stale")
	stale.TTL, stale.StaleFor = -time.Second, time.Hour
	for _, row := range []struct {
		name    string
		reply   corraltest.Reply
		options []corral.GetOption
		value   string
		source  corral.Source
		err     error
	}{
		{"a value", giving("v"), nil, "v", corral.Remote, nil},
		{"a stale value", corraltest.Gives(stale), nil, "stale", corral.Remote, nil},
		{"a stale value, which will not do", corraltest.Gives(stale), []corral.GetOption{corral.NoStale()}, "", 0, corral.ErrUnavailable},
		{"an error", corraltest.Reports(errPort, time.Minute), nil, "", 0, errPort},
		{"a pass", corraltest.Refuses(corral.AnswerPass), nil, "", 0, corral.ErrUnavailable},
		{"a refusal", corraltest.Refuses(corral.AnswerOverloaded), nil, "", 0, corral.ErrOverloaded},
		{"that nobody can say", corraltest.Refuses(corral.AnswerUnavailable), nil, "", 0, corral.ErrUnavailable},
		{"nothing that is known", corraltest.Refuses(99), nil, "", 0, corral.ErrUnavailable},
		{"that it fails", corraltest.Errs(errPort), nil, "", 0, corral.ErrUnavailable},
	} {
		t.Run(row.name, func(t *testing.T) {
			withKeeper(t, nil, func(t *testing.T, k *kept) {
				k.get("a").want(t, "a#1", corral.Loaded, loadTime)
				k.stand(false)
				k.script.On("a", corraltest.Late(time.Second, row.reply))
				if g := k.get("a", row.options...); row.err != nil {
					g.wantErr(t, row.err, time.Second)
				} else {
					g.want(t, row.value, row.source, time.Second)
					if g.info.Kept {
						t.Fatalf("got %+v, want a value that is not kept", g.info)
					}
				}
				k.stand(true)
				k.get("a").want(t, "a#1", corral.Hit, 0) // nothing of it is kept, no mark either
			})
		})
	}
}

func TestAPauseThatIsLearnedElsewhereIsNotTheKeysHere(t *testing.T) { // C2
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.load = answering(corral.Item[string]{Value: "own", Outcome: corral.Pass})
		k.get("a").want(t, "own", corral.Loaded, 0)
		k.stand(false)
		k.script.On("a", corraltest.Reports(errPort, time.Minute))
		k.get("a").wantErr(t, errPort, 0)
		k.stand(true)
		k.get("a").want(t, "own", corral.Loaded, 0)
	})
}

func TestWhoMayNotBeAnsweredHereIsGrantedNothing(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.stand(false)
		k.get("a").wantErr(t, corral.ErrUnavailable, 0)
		k.wantLog("join a", "abandon a")
	})
}

func TestEachWhoMayNotBeAnsweredHereAsksForItself(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.stand(false)
		k.script.On("a", corraltest.Late(time.Second, giving("v")))
		for _, g := range atOnce(10, func(int) came { return k.get("a") }) {
			g.want(t, "v", corral.Remote, time.Second)
		}
		if n := len(k.script.Requests()); n != 10 {
			t.Fatalf("the coordinator was asked %d times, want 10", n)
		}
		if n := k.Stats().Entries; n != 0 {
			t.Fatalf("%d entries are left, want none", n)
		}
	})
}

func TestManyKeysThatMayNotBeAnsweredHereAreAskedForTogether(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.stand(false)
		for _, key := range []string{"a", "b", "c"} {
			k.script.On(key, corraltest.Late(time.Second, giving(key)))
		}
		start := time.Now()
		values, err := k.GetMany(t.Context(), []string{"a", "b", "c"})
		if err != nil || len(values) != 3 || values["b"] != "b" || time.Since(start) != time.Second {
			t.Fatalf("got %v, %v after %v; want all after %v", values, err, time.Since(start), time.Second)
		}
	})
}

func TestABodyForOneWhoMayNotBeAnsweredHereIsReadByItAlone(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.stand(false)
		record := text("header")
		record.Body, record.BodySize = io.NopCloser(strings.NewReader("body")), 4
		k.script.On("a", corraltest.Gives(record), corraltest.Refuses(corral.AnswerUnavailable))
		g := k.get("a")
		g.want(t, "header", corral.Remote, 0)
		data, err := io.ReadAll(g.item.Body)
		g.item.Body.Close()
		if string(data) != "body" || err != nil {
			t.Fatalf("read %q, %v", data, err)
		}
		k.stand(true)
		k.get("a").wantErr(t, corral.ErrUnavailable, 0)
	})
}

func TestWhoMayNotBeAnsweredHereCountsAsAWaiter(t *testing.T) {
	withKeeper(t, func(_ *kept, o *corral.Options[string]) { o.MaxWaiters = 1 }, func(t *testing.T, k *kept) {
		k.stand(false)
		k.script.On("a", corraltest.Silent())
		ctx, leave := context.WithCancel(t.Context())
		waits := goGetFrom(k.Cache, ctx, "a")
		k.get("a").wantErr(t, corral.ErrOverloaded, 0)
		leave()
		(<-waits).wantErr(t, context.Canceled, 0)
		k.script.On("a", giving("v"))
		k.get("a").want(t, "v", corral.Remote, 0)
	})
}

func TestWhoMayNotBeAnsweredHereWaitsForALoadsTimeAtMost(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.stand(false)
		k.script.On("a", corraltest.Silent())
		k.get("a").wantErr(t, corral.ErrLoadTimeout, 30*time.Second)
	})
}

func TestAWaiterThatParkedWhileItsProcessStoodIsAnswered(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		leader, other := k.goGet("a"), k.goGet("a")
		k.stand(false)
		(<-leader).want(t, "a#1", corral.Loaded, loadTime)
		(<-other).want(t, "a#1", corral.Joined, loadTime)
	})
}

func TestALoadThatWaitsForItselfThroughAProcessThatDoesNotStandIsACycle(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.load = func(ctx context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
			k.stand(false)
			_, err := k.Get(ctx, key)
			return corral.Item[string]{}, err
		}
		k.get("a").wantErr(t, corral.ErrCycle, 0)
	})
}
