package corral_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// A town is several caches that share one domain, as the processes A, B, … of a
// cluster do, with one loader, one transcript and, if the options have one, one
// store.
type town struct {
	t      *testing.T
	log    *corraltest.Log
	domain *corraltest.Domain
	caches []*corral.Cache[string]
	ports  []*corraltest.Process
	loader *corraltest.Counter[string]
}

func inTown(t *testing.T, n int, loader corral.Loader[string], set func(o *corral.Options[string]), test func(t *testing.T, w *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &town{t: t, log: &corraltest.Log{}, domain: corraltest.NewDomain(), loader: &corraltest.Counter[string]{Loader: loader}}
		w.domain.Log = w.log
		for i := range n {
			name := string(rune('A' + i))
			w.ports = append(w.ports, w.domain.Process(name))
			o := corral.Options[string]{
				Name: name, TTL: time.Minute, MaxBytes: 1 << 20, Jitter: -1, Codec: corraltest.Text(),
				Coordinator: w.ports[i], Now: time.Now,
			}
			if set != nil {
				set(&o)
			}
			w.caches = append(w.caches, opened(t, w.loader, o))
		}
		synctest.Wait()
		w.log.Take()
		test(t, w)
	})
}

func (w *town) get(i int, key string, options ...corral.GetOption) came {
	return getFrom(w.caches[i], w.t.Context(), key, options...)
}

func (w *town) goGet(i int, key string, options ...corral.GetOption) <-chan came {
	return goGetFrom(w.caches[i], w.t.Context(), key, options...)
}

func (w *town) wantLoads(n int64) {
	w.t.Helper()
	if got := w.loader.Calls(); got != n {
		w.t.Fatalf("the loader was called %d times, want %d", got, n)
	}
}

// numbered gives each of its values a number, after loadTime.
func numbered() corral.Loader[string] {
	var r rig
	return corral.LoaderFunc[string](r.loads)
}

func TestTwoProcessesLoadAKeyOnce(t *testing.T) {
	inTown(t, 2, numbered(), nil, func(t *testing.T, w *town) {
		sources := map[corral.Source]int{}
		for _, g := range atOnce(200, func(i int) came { return w.get(i%2, "a") }) {
			g.want(t, "a#1", g.info.Source, loadTime)
			sources[g.info.Source]++
		}
		w.wantLoads(1)
		if sources[corral.Loaded] != 1 || sources[corral.Remote] != 1 || sources[corral.Joined] != 198 {
			t.Fatalf("got %v, want 1 loaded, 1 remote, 198 joined", sources)
		}
		for i := range w.caches {
			w.get(i, "a").want(t, "a#1", corral.Hit, 0)
		}
	})
}

func TestTwoProcessesShareAFailureAndItsPause(t *testing.T) {
	inTown(t, 2, corraltest.Slow(loadTime, corraltest.FailTimes(1, errPort, corraltest.Value("v"))), nil, func(t *testing.T, w *town) {
		for _, g := range atOnce(200, func(i int) came { return w.get(i%2, "a") }) {
			g.wantErr(t, errPort, loadTime)
		}
		time.Sleep(time.Second - 1)
		for i := range w.caches {
			w.get(i, "a").wantErr(t, errPort, 0)
		}
		w.wantLoads(1)
		time.Sleep(time.Nanosecond)
		w.get(1, "a").want(t, "v", corral.Loaded, loadTime)
	})
}

func TestTwoProcessesPassEachForItself(t *testing.T) {
	own := corraltest.Slow(loadTime, answering(corral.Item[string]{Value: "own", Outcome: corral.Pass}))
	inTown(t, 2, own, nil, func(t *testing.T, w *town) {
		leader, other := w.goGet(0, "a"), w.goGet(1, "a")
		(<-leader).want(t, "own", corral.Loaded, loadTime)
		(<-other).want(t, "own", corral.Loaded, 2*loadTime)
		w.wantLoads(2)
	})
}

func TestAValueToShareReachesThoseWhoWaitEverywhereAndIsKeptNowhere(t *testing.T) {
	shared := corraltest.Slow(loadTime, answering(corral.Item[string]{Value: "v", Outcome: corral.Share}))
	inTown(t, 2, shared, nil, func(t *testing.T, w *town) {
		for _, g := range atOnce(20, func(i int) came { return w.get(i%2, "a") }) {
			g.want(t, "v", g.info.Source, loadTime)
			if g.info.Kept {
				t.Fatalf("got %+v, want a value that is not kept", g.info)
			}
		}
		w.wantLoads(1)
		w.get(1, "a").want(t, "v", corral.Loaded, loadTime)
	})
}

func TestAStreamReachesTheOtherProcessAsItArrives(t *testing.T) {
	inTown(t, 2, streaming("header", time.Second, "body"), nil, func(t *testing.T, w *town) {
		all := atOnce(4, func(i int) came { return w.get(i%2, "a") })
		all = append(all, w.get(0, "a"), w.get(1, "a"))
		for i, g := range all {
			g.want(t, "header", g.info.Source, 0) // at header time
			start := time.Now()
			data, err := io.ReadAll(g.item.Body)
			g.item.Body.Close()
			if string(data) != "body" || err != nil || time.Since(start) != map[bool]time.Duration{true: time.Second}[i == 0] {
				t.Fatalf("reader %d read %q, %v after %v", i, data, err, time.Since(start))
			}
		}
		w.wantLoads(1)
	})
}

func TestAnInvalidationReachesEveryProcessBeforeItIsAcknowledged(t *testing.T) {
	tagged := corral.LoaderFunc[string](func(ctx context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
		return corral.Item[string]{Value: key, Tags: []string{"x"}}, sleepIn(ctx, loadTime)
	})
	for _, row := range []struct {
		name       string
		invalidate func(ctx context.Context, c *corral.Cache[string]) error
	}{
		{"by key", func(ctx context.Context, c *corral.Cache[string]) error { return c.Invalidate(ctx, "a") }},
		{"by tag", func(ctx context.Context, c *corral.Cache[string]) error { return c.InvalidateTags(ctx, "x") }},
		{"by prefix", func(ctx context.Context, c *corral.Cache[string]) error { return c.InvalidatePrefixes(ctx, "b", "a") }},
		{"of all", func(ctx context.Context, c *corral.Cache[string]) error { return c.InvalidateAll(ctx) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			inTown(t, 2, tagged, nil, func(t *testing.T, w *town) {
				for by, c := range w.caches {
					for i := range w.caches {
						w.get(i, "a")
						w.get(i, "a").want(t, "a", corral.Hit, 0)
					}
					if err := row.invalidate(t.Context(), c); err != nil {
						t.Fatal(err)
					}
					for i, c := range w.caches {
						if _, _, ok := c.Peek("a"); ok {
							t.Fatalf("process %d still has it, invalidated by %d", i, by)
						}
					}
					w.get(1-by, "a").want(t, "a", corral.Loaded, loadTime)
				}
				w.wantLoads(3)
			})
		})
	}
}

func TestASoftInvalidationExpiresInEveryProcessBeforeItIsAcknowledged(t *testing.T) {
	tagged := corral.LoaderFunc[string](func(ctx context.Context, key string, prev *corral.Item[string]) (corral.Item[string], error) {
		if prev != nil {
			return prev.NotModified(), sleepIn(ctx, loadTime)
		}
		return corral.Item[string]{Value: key, Tags: []string{"x"}}, sleepIn(ctx, loadTime)
	})
	for name, target := range map[string]corral.Target{
		"by key":    {Keys: []string{"a"}, Soft: true},
		"by prefix": {Prefixes: []string{"a"}, Soft: true},
		"by tag":    {Tags: []string{"x"}, Soft: true},
		"of all":    {All: true, Soft: true},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, 2, tagged, nil, func(t *testing.T, w *town) {
				for by, c := range w.caches {
					for i := range w.caches {
						w.get(i, "a")
						w.get(i, "a").want(t, "a", corral.Hit, 0)
					}
					if err := c.Purge(t.Context(), target); err != nil {
						t.Fatal(err)
					}
					for i, c := range w.caches {
						if _, info, ok := c.Peek("a"); !ok || info.Source != corral.Stale {
							t.Fatalf("process %d, by %d: Peek gave %v, %+v; want a stale value", i, by, ok, info)
						}
					}
					w.get(1-by, "a").want(t, "a", corral.Loaded, loadTime) // confirmed, by one
				}
				w.wantLoads(3)
			})
		})
	}
}

func TestAnInvalidationDuringALoadGivesThoseWhoAskAfterAnother(t *testing.T) {
	inTown(t, 2, numbered(), nil, func(t *testing.T, w *town) {
		before := []<-chan came{w.goGet(0, "a"), w.goGet(1, "a")}
		time.Sleep(loadTime / 2)
		if err := w.caches[1].Invalidate(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		after := []<-chan came{w.goGet(0, "a"), w.goGet(1, "a")}
		for i, answer := range before {
			g := <-answer
			g.want(t, "a#1", [...]corral.Source{corral.Loaded, corral.Remote}[i], loadTime)
			if g.info.Kept {
				t.Fatalf("process %d kept a value that an invalidation concerns", i)
			}
		}
		for _, answer := range after {
			g := <-answer
			g.want(t, "a#2", g.info.Source, loadTime)
		}
		w.wantLoads(2)
		for i := range w.caches {
			w.get(i, "a").want(t, "a#2", corral.Hit, 0)
		}
	})
}

func TestASoftInvalidationDeliveredTwiceConcernsNothingNewer(t *testing.T) {
	for name, target := range map[string]corral.Target{
		"key": {Keys: []string{"a"}, Soft: true}, "prefix": {Prefixes: []string{"a"}, Soft: true}, "all": {All: true, Soft: true},
	} {
		t.Run(name, func(t *testing.T) {
			withPorts(t, withScript, func(t *testing.T, r *rig) {
				inv := corral.Invalidation{Revision: 5, Target: target}
				r.script.Deliver(t.Context(), inv)
				answer := r.goGet("a")
				r.script.Deliver(t.Context(), inv) // while it is loaded
				if g := <-answer; g.err != nil || g.info.TTL != time.Minute {
					t.Fatalf("got %+v, want a value fresh for a minute", g)
				}
				r.script.Deliver(t.Context(), inv) // when it is there
				r.get("a").want(t, "a#1", corral.Hit, 0)
			})
		})
	}
}

func TestALateRepeatTakesNoSoftInvalidationBack(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		soft := func(revision uint64) corral.Invalidation {
			return corral.Invalidation{Revision: revision, Target: corral.Target{Keys: []string{"a"}, Soft: true}}
		}
		r.script.Deliver(t.Context(), soft(5))
		answer := r.goGet("a")
		r.script.Deliver(t.Context(), soft(6))
		r.script.Deliver(t.Context(), soft(5))
		if g := <-answer; g.err != nil || g.info.TTL > 0 {
			t.Fatalf("got %+v, want a value that has expired", g)
		}
	})
}

func TestAnInvalidationDeliveredTwiceConcernsNothingNewer(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		inv := corral.Invalidation{Revision: 5, Target: corral.Target{Keys: []string{"a"}, Tags: []string{"x"}, All: true}}
		answer := r.goGet("a")
		for range 2 {
			if err := r.script.Deliver(t.Context(), inv); err != nil {
				t.Fatal(err)
			}
		}
		if g := <-answer; g.err != nil || g.info.Kept {
			t.Fatalf("got %+v, %v; want a value that is not kept", g.info, g.err)
		}
		g := r.get("a")
		g.want(t, "a#2", corral.Loaded, loadTime)
		if g.info.Revision != 5 {
			t.Fatalf("Info.Revision is %d, want 5", g.info.Revision)
		}
		if err := r.script.Deliver(t.Context(), inv); err != nil {
			t.Fatal(err)
		}
		r.get("a").want(t, "a#2", corral.Hit, 0)
		if n := r.Stats().Invalidations; n != 3 {
			t.Fatalf("%d invalidations, want 3", n)
		}
	})
}

func TestAnInvalidationWithoutATargetMovesTheRevisionOnly(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.get("a")
		r.script.Deliver(t.Context(), corral.Invalidation{Revision: 9})
		r.get("a").want(t, "a#1", corral.Hit, 0)
		if g := r.get("b"); g.info.Revision != 9 {
			t.Fatalf("Info.Revision is %d, want 9", g.info.Revision)
		}
		if requests := r.script.Requests(); requests[len(requests)-1].Revision != 9 {
			t.Fatalf("the request brought the revision %d, want 9", requests[len(requests)-1].Revision)
		}
		if n := r.Stats().Invalidations; n != 0 {
			t.Fatalf("%d invalidations, want none", n)
		}
	})
}

func TestAWatchThatEndsIsBegunAgainAndMissesNothing(t *testing.T) {
	inTown(t, 2, numbered(), nil, func(t *testing.T, w *town) {
		w.get(1, "a")
		w.ports[1].BreakWatch(errPort)
		synctest.Wait()
		done := make(chan time.Duration, 1)
		go func() {
			start := time.Now()
			if err := w.caches[0].Invalidate(t.Context(), "a"); err != nil {
				t.Error(err)
			}
			done <- time.Since(start)
		}()
		if took := <-done; took != 100*time.Millisecond {
			t.Fatalf("acknowledged after %v, want 100ms, when the watch was there again", took)
		}
		w.get(1, "a").want(t, "a#2", corral.Loaded, loadTime)
	})
}

func TestAWatchThatKeepsEndingIsBegunAgainEverLater(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withScript(r, o)
		r.script.OnWatch = func(context.Context, func(corral.Invalidation)) error { panic("boom") }
	}, func(t *testing.T, r *rig) {
		time.Sleep(13 * time.Second)
		synctest.Wait()
		ms := time.Millisecond
		want := fmt.Sprint([]time.Duration{100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms, 6300 * ms, 11300 * ms})
		var got []time.Duration
		for _, at := range r.log.Times("watch") {
			got = append(got, at+100*ms) // the first was taken from the transcript
		}
		if fmt.Sprint(got) != want {
			t.Fatalf("watched at %v, want %v", got, want)
		}
	})
}

func TestALostLeaseIsGivenToOneWhoWaitsElsewhere(t *testing.T) {
	inTown(t, 3, numbered(), nil, func(t *testing.T, w *town) {
		holder, second, third := w.goGet(0, "a"), w.goGet(1, "a"), w.goGet(2, "a")
		time.Sleep(loadTime / 2)
		if !w.domain.Lose("a") {
			t.Fatal("there was no lease")
		}
		g := <-holder
		g.want(t, "a#1", corral.Loaded, loadTime)
		if g.info.Kept {
			t.Fatal("a value computed under a lost lease was kept")
		}
		(<-second).want(t, "a#2", corral.Loaded, loadTime+loadTime/2)
		(<-third).want(t, "a#2", corral.Remote, loadTime+loadTime/2)
		w.wantLoads(2)
	})
}

func TestAProcessThatDiesCostsOneLoadMore(t *testing.T) {
	inTown(t, 2, numbered(), nil, func(t *testing.T, w *town) {
		w.goGet(0, "a")
		other := w.goGet(1, "a")
		w.ports[0].Leave()
		(<-other).want(t, "a#2", corral.Loaded, loadTime)
		w.wantLoads(2)
	})
}

func TestARefreshIsDoneByOneProcessForAll(t *testing.T) {
	inTown(t, 2, numbered(), func(o *corral.Options[string]) { o.StaleFor = time.Hour }, func(t *testing.T, w *town) {
		for i := range w.caches {
			w.get(i, "a")
		}
		time.Sleep(time.Minute)
		for i := range w.caches {
			w.get(i, "a").want(t, "a#1", corral.Stale, 0)
		}
		time.Sleep(loadTime)
		synctest.Wait()
		for i := range w.caches {
			w.get(i, "a").want(t, "a#2", corral.Hit, 0)
		}
		w.wantLoads(2)
	})
}

func TestSetReachesEveryProcess(t *testing.T) {
	inTown(t, 2, numbered(), nil, func(t *testing.T, w *town) {
		w.get(1, "a")
		if err := w.caches[0].Set(t.Context(), "a", corral.Item[string]{Value: "set"}); err != nil {
			t.Fatal(err)
		}
		w.get(0, "a").want(t, "set", corral.Hit, 0)
		if g := w.get(1, "a"); g.item.Value == "a#1" {
			t.Fatal("the other process still serves the value from before Set")
		}
	})
}

func TestProcessesThatShareAStoreFindEachOthersValues(t *testing.T) {
	store := &corraltest.Store{}
	inTown(t, 2, numbered(), func(o *corral.Options[string]) { o.Store = store }, func(t *testing.T, w *town) {
		w.get(0, "a").want(t, "a#1", corral.Loaded, loadTime)
		synctest.Wait()
		w.get(1, "a").want(t, "a#1", corral.Stored, 0)
		if err := w.caches[1].Invalidate(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if store.Len() != 0 {
			t.Fatal("the store still has it")
		}
		w.get(0, "a").want(t, "a#2", corral.Loaded, loadTime)
	})
}

func TestAnInvalidationThatAProcessHasNotAppliedIsNotAcknowledged(t *testing.T) {
	inTown(t, 1, numbered(), nil, func(t *testing.T, w *town) {
		w.domain.Process("B") // never watches
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.caches[0].Invalidate(ctx, "a"); !errors.Is(err, corral.ErrNotAcknowledged) {
			t.Fatalf("Invalidate gave %v, want %v", err, corral.ErrNotAcknowledged)
		}
	})
}
