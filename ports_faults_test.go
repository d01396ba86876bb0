package corral_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// aDay is a scenario that makes every kind of call of a store and a
// coordinator. It fails unless each caller is given a right answer or one of
// the errors allowed, and what is acknowledged holds.
func aDay(t *testing.T, r *rig, allowed ...error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	may := func(what string, err error) {
		t.Helper()
		for _, target := range allowed {
			if errors.Is(err, target) {
				return
			}
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, key := range []string{"a", "b"} {
		for range 2 {
			g := r.get(key)
			may("get "+key, g.err)
			synctest.Wait()
		}
	}
	time.Sleep(time.Minute) // stale
	g := r.get("a")
	may("get a, stale", g.err)
	time.Sleep(time.Minute) // past all windows
	g = r.get("b")
	may("get b, spent", g.err)
	synctest.Wait()
	err := r.Invalidate(ctx, "a")
	if may("invalidate a", err); err == nil {
		before := r.calls.Load()
		if g = r.get("a"); g.err == nil && r.calls.Load() == before {
			t.Errorf("get a after an invalidation gave %q from %v, and nothing was loaded", g.item.Value, g.info.Source)
		}
		may("get a, invalidated", g.err)
	}
	synctest.Wait()
	err = r.Set(ctx, "b", corral.Item[string]{Value: "set"})
	if err == nil { // else it has said so
		if g = r.get("b"); g.item.Value != "set" {
			t.Errorf("get b after Set gave %q, %v", g.item.Value, g.err)
		}
	}
	may("invalidate all", r.InvalidateAll(ctx))
	may("get a, at last", r.get("a").err)
	synctest.Wait()
}

// atEachCall runs aDay with a fault at the first call of a port, then at the
// second, and so on until the day has no such call any more; it has at least
// calls of them.
func atEachCall(t *testing.T, fault corraltest.Fault, calls int, set func(r *rig, o *corral.Options[string], trap *corraltest.Trap), allowed ...error) {
	t.Helper()
	n := 1
	for sprung := true; sprung; n++ {
		var trap *corraltest.Trap
		t.Run(fmt.Sprintf("call %d %v", n, fault), func(t *testing.T) {
			withPorts(t, func(r *rig, o *corral.Options[string]) {
				o.StaleFor = 30 * time.Second
				o.TTL = 50 * time.Second
				trap = corraltest.FailNth(n, fault)
				set(r, o, trap)
			}, func(t *testing.T, r *rig) {
				defer trap.Release()
				if aDay(t, r, allowed...); !trap.Sprung() {
					return
				}
				time.Sleep(time.Hour) // whatever pauses there are have passed
				g := r.get("c")
				g.want(t, g.item.Value, corral.Loaded, loadTime)
				synctest.Wait()
				if s := r.Stats(); fault != corraltest.GoesDeaf && s.Running != 0 {
					t.Errorf("%d loads still run", s.Running)
				}
			})
		})
		sprung = trap.Sprung() && !t.Failed()
	}
	if n-2 < calls && !t.Failed() {
		t.Errorf("the day made %d calls, want %d and more", n-2, calls)
	}
}

func TestServingGoesOnWhicheverCallOfTheStoreFails(t *testing.T) {
	atEachCall(t, corraltest.Fails, 10, func(r *rig, o *corral.Options[string], trap *corraltest.Trap) {
		o.Store = trap.Store(r.store)
	}, corral.ErrNotAcknowledged, corraltest.ErrInjected)
}

func TestServingGoesOnAfterAFaultOfAnyCallOfTheCoordinator(t *testing.T) {
	for _, fault := range []corraltest.Fault{corraltest.Fails, corraltest.Hangs} {
		atEachCall(t, fault, 10, func(r *rig, o *corral.Options[string], trap *corraltest.Trap) {
			o.LoadTimeout = 10 * time.Second
			o.Coordinator = trap.Coordinator(corraltest.NewDomain().Process("A"))
		}, corral.ErrNotAcknowledged, corral.ErrUnavailable, corral.ErrLoadTimeout, corraltest.ErrInjected)
	}
}

func TestServingGoesOnWhicheverCallOfTheCodecFails(t *testing.T) {
	for _, fault := range []corraltest.Fault{corraltest.Fails, corraltest.Throws} {
		atEachCall(t, fault, 5, func(r *rig, o *corral.Options[string], trap *corraltest.Trap) {
			o.Store, o.MaxBytes = r.store, 350 // room for one value: the others are in the store
			o.Codec = corraltest.TrapCodec(trap, o.Codec)
		}, corraltest.ErrInjected)
	}
}
