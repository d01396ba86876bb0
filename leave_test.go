package corral_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// leavers is a rig whose leases keep what Leave gave them.
func leavers(r *rig, o *corral.Options[string]) (unwanted *[]func()) {
	unwanted = new([]func())
	withScript(r, o)
	r.script.OnLease = func(lease *corraltest.Lease) {
		lease.OnLeave = func(f func()) { *unwanted = append(*unwanted, f) }
	}
	return unwanted
}

// visit is a Get that parks and leaves.
func (r *rig) visit(key string) {
	ctx, leave := context.WithCancel(r.t.Context())
	answer := goGetFrom(r.Cache, ctx, key)
	leave()
	(<-answer).wantErr(r.t, context.Canceled, 0)
	synctest.Wait()
}

func TestTheLastCallerOfALeaseTellsTheOwnerAndTheLoadGoesOn(t *testing.T) { // I8
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		r.visit("a")
		r.wantLog("join a", "load a", "leave a")
		time.Sleep(loadTime)
		r.wantLog("fill a")
		r.get("a").want(t, "a#1", corral.Hit, 0)
	})
}

func TestWhoLeavesOthersBehindTellsNobody(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		stays := r.goGet("a")
		r.visit("a")
		r.wantLog("join a", "load a")
		(<-stays).want(t, "a#1", corral.Loaded, loadTime)
	})
}

func TestALoadThatNobodyWantsAnywhereIsCancelledAndItsLeaseAbandoned(t *testing.T) { // I8
	for _, row := range []struct {
		name string
		load corral.LoaderFunc[string] // nil: heeds its context
	}{
		{"and heeds it", nil},
		{"and does not", func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
			time.Sleep(time.Minute)
			return corral.Item[string]{Value: "late"}, nil
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var unwanted *[]func()
			withPorts(t, func(r *rig, o *corral.Options[string]) { unwanted = leavers(r, o) }, func(t *testing.T, r *rig) {
				r.load = row.load
				r.visit("a")
				r.wantLog("join a", "load a", "leave a")
				(*unwanted)[0]()
				(*unwanted)[0]() // once more, which changes nothing
				r.wantLog("abandon a")
				r.load = nil
				again := r.get("a")
				again.want(t, again.item.Value, corral.Loaded, loadTime)
				if s := r.Stats(); s.Abandoned != 1 {
					t.Fatalf("%d loads were abandoned, want 1", s.Abandoned)
				}
				time.Sleep(time.Minute - 2*loadTime)
			})
		})
	}
}

func TestTheOwnersWordThatComesTooLateChangesNothing(t *testing.T) { // I8
	for _, row := range []struct {
		name  string
		since func(t *testing.T, r *rig) (answer <-chan came)
	}{
		{"somebody waits again", func(t *testing.T, r *rig) <-chan came { return r.goGet("a") }},
		{"somebody has waited again, and left", func(t *testing.T, r *rig) <-chan came { r.visit("a"); return nil }},
		{"the load has landed", func(t *testing.T, r *rig) <-chan came { time.Sleep(loadTime); synctest.Wait(); return nil }},
	} {
		t.Run(row.name, func(t *testing.T) {
			var unwanted *[]func()
			withPorts(t, func(r *rig, o *corral.Options[string]) { unwanted = leavers(r, o) }, func(t *testing.T, r *rig) {
				r.visit("a")
				answer := row.since(t, r)
				(*unwanted)[0]()
				synctest.Wait()
				time.Sleep(loadTime)
				if answer != nil {
					(<-answer).want(t, "a#1", corral.Joined, loadTime)
				}
				synctest.Wait()
				r.get("a").want(t, "a#1", corral.Hit, 0)
				if endings := r.script.Leases()[0].Endings(); len(endings) != 1 || endings[0].Record == nil {
					t.Fatalf("the lease ended so: %+v; want it filled", endings)
				}
			})
		})
	}
}

func TestEachTimeThatNobodyWaitsAnyMoreTheOwnerIsTold(t *testing.T) { // I8
	var unwanted *[]func()
	withPorts(t, func(r *rig, o *corral.Options[string]) { unwanted = leavers(r, o) }, func(t *testing.T, r *rig) {
		r.visit("a")
		r.visit("a")
		r.wantLog("join a", "load a", "leave a", "leave a")
		(*unwanted)[1]()
		r.wantLog("abandon a")
	})
}

func TestAnOwnerThatDoesNotWantItAnyMoreMayTellAtOnce(t *testing.T) { // and no lock is held
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withScript(r, o)
		r.script.OnLease = func(lease *corraltest.Lease) { lease.OnLeave = func(unwanted func()) { unwanted() } }
	}, func(t *testing.T, r *rig) {
		r.visit("a")
		r.wantLog("join a", "load a", "leave a", "abandon a")
	})
}

func TestNobodyLeavesWhatIsToBeFinished(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) { withScript(r, o); o.FinishAbandoned = true }, func(t *testing.T, r *rig) {
		r.visit("a")
		r.wantLog("join a", "load a")
		time.Sleep(loadTime)
		r.wantLog("fill a")
	})
	withPorts(t, func(r *rig, o *corral.Options[string]) { withScript(r, o); o.StaleFor = time.Hour }, func(t *testing.T, r *rig) {
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
		time.Sleep(2 * time.Minute)
		r.log.Take()
		r.get("a").want(t, "a#1", corral.Stale, 0)
		ctx, leave := context.WithCancel(t.Context())
		waits := goGetFrom(r.Cache, ctx, "a", corral.NoStale())
		leave()
		(<-waits).wantErr(t, context.Canceled, 0)
		r.wantLog("join a", "load a") // of the refresh
		time.Sleep(loadTime)
		r.wantLog("fill a")
	})
}

func TestALostLeaseIsLeftWithoutAWord(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		ctx, leave := context.WithCancel(t.Context())
		answer := goGetFrom(r.Cache, ctx, "a")
		r.script.Leases()[0].Lose()
		leave()
		(<-answer).wantErr(t, context.Canceled, 0)
		synctest.Wait()
		if n := r.Stats().Running; n != 0 {
			t.Fatalf("%d loads run for nobody", n)
		}
	})
}

func TestALeaseThatComesWhenNobodyWaitsAnyMoreIsAbandoned(t *testing.T) {
	withPorts(t, withScript, func(t *testing.T, r *rig) {
		lease := corraltest.NewLease("a", r.log)
		release := make(chan struct{})
		r.script.On("a", corraltest.Held(release, corraltest.Grants(lease)))
		r.visit("a")
		close(release)
		r.wantLog("join a", "abandon a")
	})
}

func TestAHoldersLoadGoesOnForThoseWhoWaitElsewhereAndNoLonger(t *testing.T) {
	inTown(t, 2, numbered(), nil, func(t *testing.T, w *town) {
		ctx, leave := context.WithCancel(t.Context())
		holder := goGetFrom(w.caches[0], ctx, "a")
		other := w.goGet(1, "a")
		leave()
		(<-holder).wantErr(t, context.Canceled, 0)
		(<-other).want(t, "a#1", corral.Remote, loadTime)
		w.wantLoads(1)

		ctx, leave = context.WithCancel(t.Context())
		holder = goGetFrom(w.caches[0], ctx, "b")
		remote, leaveToo := context.WithCancel(t.Context())
		other = goGetFrom(w.caches[1], remote, "b")
		leave()
		<-holder
		synctest.Wait()
		if n := w.caches[0].Stats().Running; n != 1 {
			t.Fatalf("%d loads run, want the one that is waited for", n)
		}
		leaveToo()
		<-other
		synctest.Wait()
		if n := w.caches[0].Stats().Running; n != 0 {
			t.Fatalf("%d loads run for nobody", n)
		}
		w.get(1, "b").want(t, "b#3", corral.Loaded, loadTime)
	})
}
