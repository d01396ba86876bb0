package corral

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// A bubble ends only when every goroutine in it has: that these tests return
// shows that the clock's has.

func TestTheCoarseClockTicksWhileItHasUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c coarseClock
		c.retain()
		c.retain()
		stopped := c.stopped
		last := c.nanos.Load()
		if last == 0 {
			t.Fatal("the clock was not set when its first user came")
		}
		for i := range 100 {
			if i == 50 {
				c.release() // the other user is left
			}
			time.Sleep(tick)
			synctest.Wait()
			now := c.nanos.Load() // by the real clock: virtual time makes it tick, and does not say what it shows
			if now <= last || now > boottime() {
				t.Fatalf("tick %d: the clock shows %d, after %d and at %d", i, now, last, boottime())
			}
			last = now
		}
		c.release()
		select {
		case <-stopped:
		default:
			t.Fatal("the last user has gone and the clock's goroutine has not")
		}
		time.Sleep(10 * tick)
		if now := c.nanos.Load(); now != last {
			t.Fatalf("the clock went on to %d from %d with no user", now, last)
		}
		c.retain()
		if now := c.nanos.Load(); now <= last {
			t.Fatalf("the clock shows %d after %d for a user who comes later", now, last)
		}
		c.release()
	})
}

func TestTheCoarseClockNeverGoesBackWhoeverComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c coarseClock
		c.retain()
		defer c.release()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				last := int64(0)
				for range 500 {
					c.retain()
					now := c.nanos.Load()
					if now < last {
						t.Errorf("the clock went back from %d to %d", last, now)
					}
					last = now
					time.Sleep(tick / 4)
					c.release()
				}
			})
		}
		wg.Wait()
	})
}

func TestBoottimeCountsOn(t *testing.T) {
	last := boottime()
	for range 1000 {
		now := boottime()
		if now < last {
			t.Fatalf("it went back from %d to %d", last, now)
		}
		last = now
	}
	if before, now := monotonic(), monotonic(); before <= 0 || now < before {
		t.Fatalf("the monotonic reading went from %d to %d", before, now)
	}
}

// jump moves the wall reading of a time and leaves its monotonic one, as a
// step of the system's clock does: in a time that has both, the seconds stand
// above 30 bits of nanoseconds in the first word.
func jump(at time.Time, seconds int64) time.Time {
	*(*uint64)(unsafe.Pointer(&at)) += uint64(seconds) << 30
	return at
}

func TestTheExactClockDoesNotFollowTheWallClock(t *testing.T) {
	start := time.Now()
	at := start
	now := exactClock(func() time.Time { return at })
	passed := time.Duration(0)
	for _, step := range []int64{0, 3600, -3600, 86400, 0} {
		passed += time.Second + time.Nanosecond
		at = jump(start.Add(passed), step)
		if moved := at.Round(0).Sub(start.Round(0)); moved != passed+time.Duration(step)*time.Second {
			t.Fatalf("the wall reading moved by %v, want %v and %d s", moved, passed, step)
		}
		if got := now(); got != int64(passed) {
			t.Errorf("with the wall clock %d s off: got %d, want %d", step, got, passed)
		}
	}
}

func TestTheExactClockFollowsATimeWithoutMonotonicReading(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := exactClock(func() time.Time { return at })
	for _, step := range []time.Duration{0, 1, time.Hour, -2 * time.Hour} {
		before := now()
		at = at.Add(step)
		if got := now() - before; got != int64(step) {
			t.Errorf("after a step of %v: the clock went on by %d", step, got)
		}
	}
}

// F17: nothing expires early or lives on when the wall clock jumps.
func TestAWallClockThatJumpsChangesNoFreshness(t *testing.T) {
	real := time.Now() // times of a bubble have no monotonic reading
	inBubble(t, func(t *testing.T) {
		start, wall := time.Now(), int64(0)
		c, err := New[string](&source{}, Options[string]{TTL: time.Minute, MaxBytes: 1 << 20, Jitter: -1,
			Now: func() time.Time { return jump(real.Add(time.Since(start)), wall) }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		get(c, t.Context(), "a")
		wall = 3600
		time.Sleep(time.Minute - time.Nanosecond)
		get(c, t.Context(), "a").want(t, "a#1", Hit, 0)
		wall = -3600
		get(c, t.Context(), "a").want(t, "a#1", Hit, 0)
		time.Sleep(time.Nanosecond)
		get(c, t.Context(), "a").want(t, "a#2", Loaded, 0)
	})
}
