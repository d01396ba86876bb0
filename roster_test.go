package corral

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// timed is a load that notes when it was ended.
type timed struct {
	run
	expired atomic.Int64 // nanoseconds since it began
	times   atomic.Int64
}

func (l *timed) expire() {
	l.expired.Store(int64(time.Since(l.started)))
	l.times.Add(1)
}
func (l *timed) end(error)                    {}
func (l *timed) describe() (FlightInfo, bool) { return FlightInfo{}, false }
func (l *timed) holding() Lease               { return nil }

func begin(t *testing.T, r *roster) *timed {
	t.Helper()
	l := new(timed)
	l.started = time.Now()
	l.flight = l
	if !r.enter(&l.run) {
		t.Fatal("enter: the roster is closed")
	}
	return l
}

const loadTime = 30 * time.Second

func TestEveryLoadIsEndedAtItsOwnDeadlineToTheNanosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := roster{timeout: loadTime}
		var loads []*timed
		for _, after := range []time.Duration{0, 0, 1, time.Nanosecond, time.Second, 7 * time.Second, loadTime - 1, loadTime, loadTime + 1, 3 * loadTime, 0} {
			time.Sleep(after)
			loads = append(loads, begin(t, &r))
		}
		time.Sleep(loadTime)
		synctest.Wait()
		for i, l := range loads {
			if at, times := time.Duration(l.expired.Load()), l.times.Load(); at != loadTime || times != 1 {
				t.Errorf("load %d was ended %d times, after %v, want once, after %v", i, times, at, loadTime)
			}
			r.leave(&l.run)
		}
		if r.timer != nil || r.first != nil || r.last != nil || r.size() != 0 {
			t.Errorf("left behind: timer %v, %d loads", r.timer, r.size())
		}
	})
}

func TestADeadlineCountsFromTheLoadsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := roster{timeout: loadTime}
		l := &timed{run: run{started: time.Now()}}
		l.flight = l
		time.Sleep(time.Second)
		r.enter(&l.run)
		time.Sleep(loadTime)
		synctest.Wait()
		if at := time.Duration(l.expired.Load()); at != loadTime {
			t.Errorf("a load that entered a second after its start was ended after %v, want %v", at, loadTime)
		}
	})
}

func TestALoadThatSettledOrReturnedHasNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := roster{timeout: loadTime}
		returned, settled := begin(t, &r), begin(t, &r)
		time.Sleep(time.Second)
		later := begin(t, &r)
		r.leave(&returned.run)
		r.settled(&settled.run)
		time.Sleep(loadTime - time.Second) // the timer of the first two fires for nothing
		synctest.Wait()
		again := begin(t, &r)
		time.Sleep(loadTime)
		synctest.Wait()
		for name, got := range map[string][2]int64{
			"returned": {returned.times.Load(), 0}, "settled": {settled.times.Load(), 0},
			"later": {later.expired.Load(), int64(loadTime)}, "again": {again.expired.Load(), int64(loadTime)},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: got %d, want %d", name, got[0], got[1])
			}
		}
		if !slices.Equal(r.running(), []*run{&settled.run, &later.run, &again.run}) {
			t.Errorf("%d loads run, want 3 in the order in which they began", len(r.running()))
		}
	})
}

func TestTheTimerIsSetAgainAfterAQuietTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := roster{timeout: loadTime}
		for range 3 {
			l := begin(t, &r)
			time.Sleep(10 * loadTime)
			if at := time.Duration(l.expired.Load()); at != loadTime {
				t.Errorf("the load was ended after %v, want %v", at, loadTime)
			}
			r.leave(&l.run)
			time.Sleep(10 * loadTime)
		}
	})
}

func TestAZombieIsCountedUntilItReturnsAndOnlyIfItHasNot(t *testing.T) {
	r := roster{timeout: loadTime}
	defer r.stop()
	late, quick := begin(t, &r), begin(t, &r)
	r.bury(&late.run)
	r.bury(&late.run)
	if r.zombies.Load() != 1 || !r.isZombie(&late.run) || r.isZombie(&quick.run) {
		t.Fatalf("%d zombies are counted, want 1", r.zombies.Load())
	}
	if !r.leave(&late.run) || r.leave(&quick.run) {
		t.Error("leave does not say who was a zombie")
	}
	r.bury(&quick.run) // its goroutine was faster
	if r.zombies.Load() != 0 || r.isZombie(&quick.run) {
		t.Errorf("%d zombies are counted at the end, want 0", r.zombies.Load())
	}
	for range 1000 {
		l := begin(t, &r)
		var wg sync.WaitGroup
		wg.Go(func() { r.bury(&l.run) })
		wg.Go(func() { r.leave(&l.run) })
		wg.Wait()
	}
	if r.zombies.Load() != 0 || r.size() != 0 {
		t.Errorf("%d zombies and %d loads are counted at the end, want none", r.zombies.Load(), r.size())
	}
}

func TestEmptyIsToldOnceTheLastLoadHasReturned(t *testing.T) {
	r := roster{timeout: loadTime}
	defer r.stop()
	closed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	if !closed(r.empty()) {
		t.Error("an empty roster is not empty")
	}
	first, second := begin(t, &r), begin(t, &r)
	one, two := r.empty(), r.empty()
	r.leave(&first.run)
	if closed(one) || closed(two) {
		t.Error("empty while a load runs")
	}
	r.leave(&second.run)
	if !closed(one) || !closed(two) {
		t.Error("not empty when the last load has returned")
	}
	third := begin(t, &r)
	again := r.empty()
	if closed(again) || !closed(one) {
		t.Error("a later load does not begin anew")
	}
	r.leave(&third.run)
	if !closed(again) || !closed(r.empty()) {
		t.Error("not empty for the second time")
	}
}

func TestNoLoadEntersAClosedRosterAndItsTimerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := roster{timeout: loadTime}
		l := begin(t, &r)
		r.close()
		if r.enter(&run{}) || r.size() != 1 {
			t.Error("a load entered a closed roster")
		}
		r.stop()
		r.stop()
		time.Sleep(2 * loadTime)
		synctest.Wait()
		if l.times.Load() != 0 {
			t.Error("a load was ended by a timer that was stopped")
		}
		r.leave(&l.run)
	})
}

func TestLoadsLeaveInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}, {0, 2, 1}, {2, 0, 1}} {
		r := roster{timeout: loadTime}
		loads := []*timed{begin(t, &r), begin(t, &r), begin(t, &r)}
		want := []*run{&loads[0].run, &loads[1].run, &loads[2].run}
		for _, i := range order {
			r.leave(&loads[i].run)
			want = slices.DeleteFunc(want, func(other *run) bool { return other == &loads[i].run })
			if got := r.running(); !slices.Equal(got, want) {
				t.Errorf("order %v: %d loads run, want %d", order, len(got), len(want))
			}
		}
		r.stop()
	}
}
