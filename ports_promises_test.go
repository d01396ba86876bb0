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

func TestAnOwnerThatOnlyHasWhatIsTooOldIsNotAskedForever(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.Deliver(t.Context(), corral.Invalidation{Revision: 5, Target: corral.Target{Keys: []string{"a"}}})
		old := text("old")
		old.Revision = 4
		r.script.On("a", func(ctx context.Context, request corral.Request) (corral.Answer, error) {
			if len(r.script.Requests()) > 1000 {
				return corraltest.Refuses(corral.AnswerUnavailable)(ctx, request)
			}
			return corraltest.Gives(old)(ctx, request)
		})
		if g := r.get("a"); !errors.Is(g.err, corral.ErrUnavailable) {
			t.Fatalf("got %q, %v", g.item.Value, g.err)
		}
		if n := len(r.script.Requests()); n > 10 {
			t.Fatalf("the owner was asked %d times without a pause", n)
		}
	})
}

func TestNoStaleTakesNoStaleValueOfAStore(t *testing.T) {
	withPorts(t, withStore, func(t *testing.T, r *rig) {
		record := text("kept")
		record.TTL, record.StaleFor = -time.Second, time.Minute
		r.keep("a", record)
		r.get("a", corral.NoStale()).want(t, "a#1", corral.Loaded, loadTime)
	})
}

func TestNoStaleTakesNoStaleAnswer(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		record := text("theirs")
		record.TTL, record.StaleFor = -time.Second, time.Minute
		r.script.On("a", corraltest.Gives(record), corraltest.Grants(corraltest.NewLease("a", r.log)))
		g := r.get("a", corral.NoStale())
		if g.err == nil && g.info.TTL < 0 {
			t.Fatalf("got %q with a TTL of %v", g.item.Value, g.info.TTL)
		}
	})
}

func TestAStoreThatPanicsIsDoneWithout(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Store = corraltest.FailNth(1, corraltest.Throws).Store(r.store)
	}, func(t *testing.T, r *rig) {
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
	})
}

func TestAStoreThatPanicsInSetIsDoneWithout(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Store = corraltest.FailNth(1, corraltest.Throws).Store(r.store)
	}, func(t *testing.T, r *rig) {
		defer func() {
			if p := recover(); p != nil {
				t.Fatalf("Set panicked: %v", p)
			}
		}()
		if err := r.Set(t.Context(), "a", corral.Item[string]{Value: "v"}); err != nil {
			t.Fatalf("Set gave %v", err)
		}
		r.wantLog("store delete a")
	})
}

func TestAStoreThatPanicsInDeleteDoesNotAcknowledge(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Store = corraltest.FailNth(1, corraltest.Throws).Store(r.store)
	}, func(t *testing.T, r *rig) {
		defer func() {
			if p := recover(); p != nil {
				t.Fatalf("Invalidate panicked: %v", p)
			}
		}()
		if err := r.Invalidate(t.Context(), "a"); !errors.Is(err, corral.ErrNotAcknowledged) {
			t.Fatalf("Invalidate gave %v", err)
		}
	})
}

func TestAStoreThatHangsIsDoneWithout(t *testing.T) {
	for _, fault := range []corraltest.Fault{corraltest.Hangs, corraltest.GoesDeaf} {
		t.Run(fault.String(), func(t *testing.T) {
			var trap *corraltest.Trap
			withPorts(t, func(r *rig, o *corral.Options[string]) {
				trap = corraltest.FailNth(1, fault)
				o.Store = trap.Store(r.store)
			}, func(t *testing.T, r *rig) {
				defer trap.Release()
				if g := r.get("a"); g.err != nil {
					t.Fatalf("got %v after %v; want a load without the store", g.err, g.at)
				}
			})
		})
	}
}

func TestWritesToTheStoreTakeNoLoadsSeat(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Store, o.MaxLoads = slowStore{Store: r.store, put: 20 * time.Second}, 1
	}, func(t *testing.T, r *rig) {
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
		r.get("b").want(t, "b#2", corral.Loaded, loadTime)
	})
}

func TestAnOwnerSlowToAcknowledgeTakesNoLoadsSeat(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withScript(r, o)
		o.MaxLoads = 1
		r.script.OnLease = func(l *corraltest.Lease) {
			l.OnFill = func(ctx context.Context, _ *corral.Record) error { return sleepIn(ctx, 20*time.Second) }
		}
	}, func(t *testing.T, r *rig) {
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
		r.get("b").want(t, "b#2", corral.Loaded, loadTime)
	})
}

func TestAKeyInvalidatedWhileItsRecordIsWrittenTakesItOutAgain(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) { o.Store = slowStore{Store: r.store, put: time.Second} }, func(t *testing.T, r *rig) {
		r.get("a")
		synctest.Wait()
		if err := r.Invalidate(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := r.store.Look("a"); got != nil {
			t.Fatalf("the store has %q of revision %d, older than the acknowledged invalidation", got.Value, got.Revision)
		}
	})
}

func TestAKeyInvalidatedBeforeItsRecordIsWrittenKeepsItOut(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withBoth(r, o)
		r.script.OnLease = func(l *corraltest.Lease) {
			l.OnFill = func(ctx context.Context, _ *corral.Record) error { return sleepIn(ctx, time.Second) }
		}
	}, func(t *testing.T, r *rig) {
		r.get("a")
		synctest.Wait()
		if err := r.Invalidate(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := r.store.Look("a"); got != nil {
			t.Fatalf("the store has %q of revision %d, older than the acknowledged invalidation", got.Value, got.Revision)
		}
	})
}

func TestAnInvalidationCostsNoRecordOfAnEarlierRunThatItDoesNotConcern(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &corraltest.Store{}
		options := corral.Options[string]{TTL: time.Hour, MaxBytes: 1 << 20, Jitter: -1, Codec: corraltest.Text(), Store: store, Now: time.Now}
		first, err := corral.New(corraltest.Value("first"), options)
		if err != nil {
			t.Fatal(err)
		}
		first.Get(t.Context(), "a")
		synctest.Wait()
		first.Invalidate(t.Context(), "b")
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second := opened(t, corraltest.Value("second"), options)
		getFrom(second, t.Context(), "a").want(t, "first", corral.Stored, 0)
	})
}

func TestSetOfAValueThatIsNotKeptLeavesNoOlderOneInTheStore(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withStore(r, o)
		o.MaxBytes = 10_000
	}, func(t *testing.T, r *rig) {
		if err := r.Set(t.Context(), "a", corral.Item[string]{Value: "old"}); err != nil {
			t.Fatal(err)
		}
		if err := r.Set(t.Context(), "a", corral.Item[string]{Value: strings.Repeat("new", 10_000)}); err != nil {
			t.Fatal(err)
		}
		if g := r.get("a"); g.item.Value == "old" {
			t.Fatalf("got %q from %v, after a Set that had returned nil", g.item.Value, g.info.Source)
		}
	})
}

func TestEveryLeaseIsEndedOnce(t *testing.T) {
	release := func() (chan struct{}, func()) { c := make(chan struct{}); return c, func() { close(c) } }
	t.Run("by a load that comes after its deadline", func(t *testing.T) {
		withPorts(t, withScript, func(t *testing.T, r *rig) {
			held, free := release()
			r.load = corraltest.Deaf(held, answering(corral.Item[string]{Value: "late"})).Load
			r.get("a").wantErr(t, corral.ErrLoadTimeout, 30*time.Second)
			free()
			synctest.Wait()
			if e := r.script.Leases()[0].Endings(); len(e) != 1 {
				t.Fatalf("the lease was ended %d times, want once: %+v", len(e), e)
			}
		})
	})
	t.Run("at its deadline, whatever the loader does", func(t *testing.T) {
		withPorts(t, withScript, func(t *testing.T, r *rig) {
			held, free := release()
			defer free()
			r.load = corraltest.Deaf(held, answering(corral.Item[string]{Value: "late"})).Load
			r.get("a").wantErr(t, corral.ErrLoadTimeout, 30*time.Second)
			synctest.Wait()
			if e := r.script.Leases()[0].Endings(); len(e) != 1 || !errors.Is(e[0].Cause, corral.ErrLoadTimeout) {
				t.Fatalf("the lease was ended like this: %+v, want Fail with %v", e, corral.ErrLoadTimeout)
			}
		})
	})
	t.Run("by a stream whose header comes after its deadline", func(t *testing.T) {
		withPorts(t, withScript, func(t *testing.T, r *rig) {
			held, free := release()
			r.load = corraltest.Deaf(held, streaming("late", 0, "body")).Load
			r.get("a").wantErr(t, corral.ErrLoadTimeout, 30*time.Second)
			free()
			synctest.Wait()
			if e := r.script.Leases()[0].Endings(); len(e) != 1 {
				t.Fatalf("the lease was ended %d times, want once: %+v", len(e), e)
			}
		})
	})
	t.Run("before the cache closes, with a context that still lives", func(t *testing.T) {
		withPorts(t, withScript, func(t *testing.T, r *rig) {
			r.load = corraltest.Hang[string]().Load
			answer := r.goGet("a")
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			(<-answer).wantErr(t, corral.ErrClosed, 0)
			if e := r.script.Leases()[0].Endings(); len(e) != 1 || !e[0].Alive {
				t.Fatalf("the lease was ended like this: %+v, want once, by a call whose context had not ended", e)
			}
		})
	})
}

func TestACallerThatLeavesHarmsNobodyInAnotherProcess(t *testing.T) {
	inTown(t, 2, numbered(), nil, func(t *testing.T, w *town) {
		ctx, cancel := context.WithCancel(t.Context())
		leaving := goGetFrom(w.caches[0], ctx, "a")
		other := w.goGet(1, "a")
		cancel()
		(<-leaving).wantErr(t, context.Canceled, 0)
		if g := <-other; g.err != nil {
			t.Fatalf("the other process's caller got %v", g.err)
		}
	})
}

func TestAProcessThatClosesHarmsNobodyInAnother(t *testing.T) {
	inTown(t, 2, numbered(), nil, func(t *testing.T, w *town) {
		w.goGet(0, "a")
		other := w.goGet(1, "a")
		if err := w.caches[0].Close(); err != nil {
			t.Fatal(err)
		}
		if g := <-other; g.err != nil {
			t.Fatalf("the other process's caller got %v", g.err)
		}
	})
}

func TestALimitOfOneProcessRefusesNobodyInAnother(t *testing.T) {
	load := corral.LoaderFunc[string](func(ctx context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
		if key == "slow" {
			return corral.Item[string]{Value: key}, sleepIn(ctx, 20*time.Second)
		}
		return corral.Item[string]{Value: key}, nil
	})
	inTown(t, 2, load, func(o *corral.Options[string]) {
		if o.Name == "A" {
			o.MaxLoads, o.LoadTimeout = 1, 10*time.Second
		}
	}, func(t *testing.T, w *town) {
		w.goGet(0, "slow")
		mine, theirs := w.goGet(0, "a"), w.goGet(1, "a")
		if g := <-theirs; g.err != nil {
			t.Errorf("the other process's caller got %v after %v", g.err, g.at)
		}
		<-mine
	})
}

func TestALeaseIsNotExtendedOnceItHasEnded(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Coordinator, o.Store = r.script, slowStore{Store: r.store, put: 5 * time.Second}
	}, func(t *testing.T, r *rig) {
		r.get("a")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := r.log.Times("extend a"); len(got) > 0 {
			t.Fatalf("extended at %v, after its Fill was acknowledged", got)
		}
	})
}

func TestABodyOfAnAnswerThatCannotBeReadIsClosed(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withScript(r, o)
		o.Codec = corraltest.CodecFunc[string]{EncodeFunc: corraltest.Text().Encode, DecodeFunc: func([]byte) (string, error) { return "", errPort }}
	}, func(t *testing.T, r *rig) {
		body := &closing{Reader: strings.NewReader("body")}
		record := text("theirs")
		record.Body = body
		r.script.On("a", func(context.Context, corral.Request) (corral.Answer, error) {
			return corral.Answer{Kind: corral.AnswerValue, Record: &record}, nil
		})
		r.get("a").wantErr(t, errPort, 0)
		if !body.closed {
			t.Fatal("the body of the record was not closed")
		}
	})
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestABodyIsFilledForAsLongAsItArrives(t *testing.T) {
	inTown(t, 2, corral.LoaderFunc[string](func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
		return corral.Item[string]{Value: "header", Tail: func(ctx context.Context, w io.Writer) error {
			for range 6 {
				if err := sleepIn(ctx, 20*time.Second); err != nil {
					return err
				}
				if _, err := io.WriteString(w, "part "); err != nil {
					return err
				}
			}
			return nil
		}}, nil
	}), nil, func(t *testing.T, w *town) {
		mine, theirs := w.goGet(0, "a"), w.goGet(1, "a")
		for _, answer := range []<-chan came{mine, theirs} {
			g := <-answer
			data, err := io.ReadAll(g.item.Body)
			g.item.Body.Close()
			if string(data) != strings.Repeat("part ", 6) || err != nil {
				t.Errorf("from %v, read %q, %v; want six parts", g.info.Source, data, err)
			}
		}
	})
}

func TestCloseDoesNotWaitForAWatchThatIgnoresItsContext(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withScript(r, o)
		r.script.OnWatch = func(context.Context, func(corral.Invalidation)) error {
			time.Sleep(time.Hour)
			return errPort
		}
	}, func(t *testing.T, r *rig) {
		start := time.Now()
		err := r.Close()
		if took := time.Since(start); took > time.Second {
			t.Fatalf("Close took %v (and gave %v), want a second at most", took, err)
		}
		time.Sleep(time.Hour)
	})
}

func TestSetThatTheCoordinatorDoesNotTakeIsNotAcknowledged(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.OnInvalidate = func(context.Context, corral.Target) error { return errPort }
		err := r.Set(t.Context(), "a", corral.Item[string]{Value: "v"})
		if !errors.Is(err, corral.ErrNotAcknowledged) || !errors.Is(err, errPort) {
			t.Fatalf("Set gave %v, want %v with its cause", err, corral.ErrNotAcknowledged)
		}
	})
}

func TestARecordOlderThanWhatAStoreKnowsIsStillOfUseForValidation(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		r.store.Delete(r.t.Context(), corral.Invalidation{Revision: 7})
		withStore(r, o)
	}, func(t *testing.T, r *rig) {
		record := text("kept")
		record.Validator, record.Revision = "e", 3
		r.keep("a", record)
		r.load = notModified("new")
		if g := r.get("a"); g.item.Value != "kept" {
			t.Fatalf("got %q, %v; want the record, validated", g.item.Value, g.info.Source)
		}
	})
}

func TestAWatchsInvalidationReachesTheStoreOfItsOwnProcess(t *testing.T) {
	stores := map[string]*corraltest.Store{"A": {}, "B": {}}
	inTown(t, 2, numbered(), func(o *corral.Options[string]) { o.Store = stores[o.Name] }, func(t *testing.T, w *town) {
		w.get(1, "a")
		synctest.Wait()
		if err := w.caches[0].Invalidate(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := w.caches[1].Close(); err != nil {
			t.Fatal(err)
		}
		again := opened(t, w.loader, corral.Options[string]{
			Name: "B", TTL: time.Hour, MaxBytes: 1 << 20, Jitter: -1, Codec: corraltest.Text(), Now: time.Now,
			Store: stores["B"], Coordinator: w.domain.Process("B again"),
		})
		synctest.Wait()
		if g := getFrom(again, t.Context(), "a"); g.info.Source == corral.Stored {
			t.Fatalf("got %q of revision %d from the store, after an acknowledged invalidation", g.item.Value, g.info.Revision)
		}
	})
}

func TestPassesOfAnOwnerAreCounted(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.On("a", corraltest.Refuses(corral.AnswerPass))
		r.get("a")
		if n := r.Stats().Passes; n != 1 {
			t.Fatalf("%d passes, want 1", n)
		}
	})
}

func TestServingGoesOnWhicheverCallOfTheStorePanics(t *testing.T) {
	atEachCall(t, corraltest.Throws, 10, func(r *rig, o *corral.Options[string], trap *corraltest.Trap) {
		o.Store = trap.Store(r.store)
	}, corral.ErrNotAcknowledged, corraltest.ErrInjected)
}

func TestServingGoesOnWhicheverCallOfTheStoreHangs(t *testing.T) {
	for _, fault := range []corraltest.Fault{corraltest.Hangs, corraltest.GoesDeaf} {
		atEachCall(t, fault, 10, func(r *rig, o *corral.Options[string], trap *corraltest.Trap) {
			o.Store = trap.Store(r.store)
		}, corral.ErrNotAcknowledged)
	}
}

func TestServingGoesOnAfterAPanicInAnyCallOfTheCoordinator(t *testing.T) {
	atEachCall(t, corraltest.Throws, 10, func(r *rig, o *corral.Options[string], trap *corraltest.Trap) {
		o.Coordinator = trap.Coordinator(corraltest.NewDomain().Process("A"))
	}, corral.ErrNotAcknowledged, corral.ErrUnavailable, corraltest.ErrInjected)
}

func TestAnInvalidationAtTheRevisionOfTheStoreConcernsWhatWasLoadedBefore(t *testing.T) {
	store := &corraltest.Store{}
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Coordinator, o.Store, o.MaxBytes = r.script, store, 10_000
	}, func(t *testing.T, r *rig) {
		r.script.OnInvalidate = func(ctx context.Context, target corral.Target) error {
			return r.script.Deliver(ctx, corral.Invalidation{Revision: 5, Target: target})
		}
		r.Set(t.Context(), "big", corral.Item[string]{Value: string(make([]byte, 20_000))}) // not kept: taken out of the store
	})
	withPorts(t, func(r *rig, o *corral.Options[string]) { o.Coordinator, o.Store = r.script, store }, func(t *testing.T, r *rig) {
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
		synctest.Wait()
		r.script.Deliver(t.Context(), corral.Invalidation{Revision: 6, Target: corral.Target{Keys: []string{"a"}}})
		if g := r.get("a"); g.item.Value == "a#1" {
			t.Fatalf("got %q of revision %d after an invalidation at 6", g.item.Value, g.info.Revision)
		}
	})
}

func TestARecordOfAProcessThatWasAwayIsNotServed(t *testing.T) {
	stores := map[string]*corraltest.Store{"A": {}, "B": {}}
	inTown(t, 2, numbered(), func(o *corral.Options[string]) { o.Store = stores[o.Name] }, func(t *testing.T, w *town) {
		w.get(1, "a")
		synctest.Wait()
		if err := w.caches[1].Close(); err != nil {
			t.Fatal(err)
		}
		if err := w.caches[0].Invalidate(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		again := opened(t, w.loader, corral.Options[string]{
			Name: "B", TTL: time.Hour, MaxBytes: 1 << 20, Jitter: -1, Codec: corraltest.Text(), Now: time.Now,
			Store: stores["B"], Coordinator: w.domain.Process("B again"),
		})
		synctest.Wait()
		if g := getFrom(again, t.Context(), "a"); g.info.Source == corral.Stored {
			t.Fatalf("got %q of revision %d from the store, after an invalidation that was acknowledged while it was away", g.item.Value, g.info.Revision)
		}
	})
}

func TestNothingOfAStoreIsServedBeforeTheWatchHasBegun(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withBoth(r, o)
		r.script.OnWatch = func(ctx context.Context, _ func(corral.Invalidation)) error { <-ctx.Done(); return context.Cause(ctx) }
	}, func(t *testing.T, r *rig) {
		r.keep("a", text("kept"))
		if g := r.get("a"); g.info.Source == corral.Stored {
			t.Fatalf("got %q from the store by a process that knows of no invalidation", g.item.Value)
		}
	})
}

func TestAHeartbeatThatPanicsEndsNoProcess(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withScript(r, o)
		r.script.OnLease = func(l *corraltest.Lease) { l.OnExtend = func(context.Context) error { panic("boom") } }
	}, func(t *testing.T, r *rig) {
		r.load = corraltest.Slow(2*time.Second, answering(corral.Item[string]{Value: "v"})).Load
		r.get("a").want(t, "v", corral.Loaded, 2*time.Second)
	})
}

func TestAnInvalidationWithoutARevisionMovesNoRevision(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.script.Deliver(t.Context(), corral.Invalidation{})
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
		r.script.Deliver(t.Context(), corral.Invalidation{Revision: 1, Target: corral.Target{Keys: []string{"a"}}})
		if g := r.get("a"); g.err != nil || errors.Is(g.err, errPort) || g.item.Value == "a#1" {
			t.Fatalf("got %q of revision %d after an invalidation at 1", g.item.Value, g.info.Revision)
		}
	})
}
