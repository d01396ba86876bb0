package pace

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// reserve takes a turn and says when it comes, without waiting for it.
func (b *Bucket) reserve(now time.Time, patience time.Duration) (wait time.Duration, ok bool) {
	if wait = b.Wait(now, 1); wait > patience {
		return wait, false
	}
	b.Take(now)
	return wait, true
}

func TestABucketGivesTurnsAtExactInstants(t *testing.T) {
	const least = 1e-9
	for _, test := range []struct {
		perSecond float64
		burst     int
		at        []time.Duration // of each call
		want      []time.Duration // its wait; -1: longer than a second
	}{
		{0, 0, []time.Duration{0, 0, 0}, []time.Duration{0, 0, 0}},
		{10, 1, []time.Duration{0, 0, 0, 0}, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}},
		{10, 3, []time.Duration{0, 0, 0, 0, 0}, []time.Duration{0, 0, 0, 100 * ms, 200 * ms}},
		{10, 1, []time.Duration{0, 100*ms - 1, 200 * ms, 300 * ms}, []time.Duration{0, 1, 0, 0}},
		{10, 2, []time.Duration{0, 0, 100*ms - 1, 200*ms - 1, 200 * ms}, []time.Duration{0, 0, 1, 1, 100 * ms}},
		{10, 2, []time.Duration{0, time.Hour, time.Hour, time.Hour}, []time.Duration{0, 0, 0, 100 * ms}}, // no more than a burst is saved
		{2, 1, []time.Duration{0, 0, 0, 0}, []time.Duration{0, 500 * ms, 1000 * ms, -1}},
		{2, 1, []time.Duration{0, 0, 0, 0, 500 * ms}, []time.Duration{0, 500 * ms, 1000 * ms, -1, 1000 * ms}}, // a refusal spends nothing
		{3, 1, []time.Duration{0, 0, 0}, []time.Duration{0, 333333333, 666666666}},
		{1e12, 1, []time.Duration{0, 0, 0}, []time.Duration{0, 1, 2}},
		{least, 1, []time.Duration{0, 0, time.Hour}, []time.Duration{0, -1, -1}},
		{least, math.MaxInt, []time.Duration{0, 0}, []time.Duration{0, 0}},
		{1e-300, 1, []time.Duration{0, 0}, []time.Duration{0, -1}},
		{1000, math.MaxInt, []time.Duration{0, 0}, []time.Duration{0, 0}},
	} {
		b := New(start, test.perSecond, test.burst, nil)
		for i, at := range test.at {
			wait, ok := b.reserve(start.Add(at), time.Second)
			if !ok {
				if wait <= time.Second {
					t.Errorf("%v/s, burst %d, call %d: refused with a wait of %v", test.perSecond, test.burst, i, wait)
				}
				wait = -1
			}
			if wait != test.want[i] {
				t.Errorf("%v/s, burst %d, call %d after %v: got %v, want %v", test.perSecond, test.burst, i, at, wait, test.want[i])
			}
		}
	}
}

func TestTheNthTurnFromHereIsThatOfWhoComesAsTheNth(t *testing.T) {
	for _, burst := range []int{1, 3} {
		b := New(start, 10, burst, nil)
		copied := b
		for nth := 1; nth <= 6; nth++ {
			got, _ := copied.reserve(start, time.Hour)
			if want := b.Wait(start, nth); got != want {
				t.Errorf("burst %d: turn %d is %v from here, and comes after %v", burst, nth, want, got)
			}
		}
	}
}

func TestABucketAtItsEndsDoesNotOverflow(t *testing.T) {
	for _, perSecond := range []float64{1e-300, 1e-9, 1, 1e300} {
		for _, burst := range []int{1, 1 << 62} {
			for _, share := range []float64{math.NaN(), -1, 0, 1e-300, 1, math.Inf(1)} {
				b := New(start, perSecond, burst, func() float64 { return share })
				for range 3 {
					for _, nth := range []int{1, 1 << 40} {
						if wait := b.Wait(start, nth); b.interval <= 0 || b.saved() <= 0 || wait < 0 {
							t.Fatalf("%v/s, burst %d, share %v: interval %v, saved %v, turn %d after %v", perSecond, burst, share, b.interval, b.saved(), nth, wait)
						}
					}
					b.Take(start)
				}
			}
		}
	}
}

func TestWhatIsSavedFollowsTheShare(t *testing.T) {
	for _, test := range []struct {
		share float64
		burst int
		want  []time.Duration // waits of calls at one instant, after a long pause
	}{
		{1, 4, []time.Duration{0, 0, 0, 0, 100 * ms, 200 * ms}},
		{0.5, 4, []time.Duration{0, 0, 200 * ms, 400 * ms}},
		{0.25, 4, []time.Duration{0, 400 * ms, 800 * ms}},
		{0.125, 4, []time.Duration{0, 800 * ms}}, // at least a turn
		{1. / 3, 6, []time.Duration{0, 0, 300 * ms, 600 * ms, 900 * ms}},
		{2. / 3, 3, []time.Duration{0, 0, 150 * ms, 300 * ms, 450 * ms}},
	} {
		b := New(start, 10, test.burst, func() float64 { return test.share })
		now := start.Add(time.Hour)
		for i, want := range test.want {
			if got, _ := b.reserve(now, time.Hour); got != want {
				t.Errorf("share %v, burst %d, call %d: got %v, want %v", test.share, test.burst, i, got, want)
			}
		}
	}
}

func TestAProcessThatJoinsOthersBeginsWithOneTurn(t *testing.T) {
	for _, test := range []struct {
		share float64
		want  []time.Duration
	}{
		{1, []time.Duration{0, 0, 0, 0, 100 * ms}},
		{0.5, []time.Duration{0, 200 * ms}},
	} {
		b := New(start, 10, 4, func() float64 { return test.share })
		for i, want := range test.want {
			if got, _ := b.reserve(start, time.Hour); got != want {
				t.Errorf("share %v, call %d: got %v, want %v", test.share, i, got, want)
			}
		}
	}
}

// A change of the share, to the nanosecond: each row begins with a bucket of
// 10/s and a burst of 4, some of which is spent at the beginning.
func TestAChangeOfTheShareAddsNothingAndForgivesNothing(t *testing.T) {
	for _, test := range []struct {
		name         string
		before       float64
		spent        int           // at first, after a long pause
		at           time.Duration // of the change, and of the look that sees it
		after        float64
		want         []time.Duration // waits of calls then
		wantAfterAll []time.Duration // of calls after another long pause
	}{
		{"full, less is here", 1, 0, 0, 0.5, []time.Duration{0, 0, 200 * ms}, []time.Duration{0, 0, 200 * ms}},
		{"full, more is here", 0.5, 0, 0, 1, []time.Duration{0, 0, 100 * ms, 200 * ms}, []time.Duration{0, 0, 0, 0, 100 * ms}},
		{"half is spent, less is here", 1, 2, 0, 0.5, []time.Duration{0, 0, 200 * ms}, []time.Duration{0, 0, 200 * ms}},
		{"three quarters are spent, less is here", 1, 3, 0, 0.5, []time.Duration{0, 200 * ms}, []time.Duration{0, 0, 200 * ms}},
		{"all is spent, less is here", 1, 4, 0, 0.5, []time.Duration{200 * ms, 400 * ms}, []time.Duration{0, 0, 200 * ms}},
		{"all is spent, more is here", 0.5, 2, 0, 1, []time.Duration{100 * ms, 200 * ms}, []time.Duration{0, 0, 0, 0, 100 * ms}},
		{"more is spent than was there", 1, 6, 0, 0.5, []time.Duration{600 * ms, 800 * ms}, []time.Duration{0, 0, 200 * ms}},
		{"what passed unseen counts with the lesser share: less is here", 1, 4, 100 * ms, 0.5, []time.Duration{100 * ms}, []time.Duration{0, 0, 200 * ms}},
		{"what passed unseen counts with the lesser share: more is here", 0.5, 2, 100 * ms, 1, []time.Duration{50 * ms}, []time.Duration{0, 0, 0, 0, 100 * ms}},
		{"a nanosecond before the turn", 0.5, 2, 200*ms - 2, 1, []time.Duration{1}, []time.Duration{0, 0, 0, 0, 100 * ms}},
		{"at the turn", 0.5, 2, 200 * ms, 1, []time.Duration{0, 100 * ms}, []time.Duration{0, 0, 0, 0, 100 * ms}},
		{"to what one turn is more than", 1, 0, 0, 0.125, []time.Duration{0, 800 * ms}, []time.Duration{0, 800 * ms}},
	} {
		share := test.before
		b := New(start.Add(-time.Hour), 10, 4, func() float64 { return share })
		for range test.spent {
			b.Take(start)
		}
		b.Wait(start, 1)
		share = test.after
		now := start.Add(test.at)
		for i, want := range test.want {
			if got, _ := b.reserve(now, time.Hour); got != want {
				t.Errorf("%s: call %d waits %v, want %v", test.name, i, got, want)
			}
		}
		for i, want := range test.wantAfterAll {
			if got, _ := b.reserve(now.Add(time.Hour), time.Hour); got != want {
				t.Errorf("%s: call %d after an hour waits %v, want %v", test.name, i, got, want)
			}
		}
	}
}

func TestAShareThatComesAndGoesSavesNoMoreThanOneThatStays(t *testing.T) {
	share := 1.0
	b := New(start, 10, 4, func() float64 { return share })
	for range 4 {
		b.Take(start)
	}
	for i := range 1000 { // at one instant
		share = []float64{1, 0.5, 0.25, 1. / 3}[i%4]
		b.Wait(start, 1)
	}
	share = 1
	if got := b.Wait(start, 1); got != 100*ms {
		t.Errorf("after a thousand changes at one instant the next turn comes after %v, want 100ms", got)
	}
}

// Who has waited may take its turn late: what came meanwhile is not lost to those
// behind it, though it could not have been saved.
func TestATurnThatIsTakenLateDelaysNoOther(t *testing.T) {
	b := New(start, 10, 1, nil)
	b.Take(start)
	late := start.Add(250 * ms)
	for i, want := range []time.Duration{0, 0, 50 * ms} {
		if got := b.Wait(late, 1); got != want {
			t.Errorf("call %d of those who have waited, 250 ms later, waits another %v, want %v", i, got, want)
		}
		b.takeLate()
	}
}

func TestARateIsKeptHoweverCallersCome(t *testing.T) {
	const perSecond, burst = 50, 7
	random := rand.New(rand.NewPCG(10, 11))
	b, at := New(start, perSecond, burst, nil), start
	var turns []time.Time
	for range 5000 {
		at = at.Add(time.Duration(random.IntN(30)) * ms)
		if wait, ok := b.reserve(at, 200*ms); ok {
			turns = append(turns, at.Add(wait))
		}
	}
	slices.SortFunc(turns, time.Time.Compare)
	for i := range turns {
		for _, n := range []int{burst, burst + 1, 50, 500} {
			if i+n >= len(turns) {
				continue
			}
			if span, least := turns[i+n].Sub(turns[i]), time.Duration(n+1-burst)*time.Second/perSecond; span < least {
				t.Fatalf("%d turns were given within %v, want at least %v", n+1, span, least)
			}
		}
	}
}

// Processes join and leave at random, and each takes whatever turn it gets: in
// every span of time all of them together begin no more than the rate gives in
// it, the burst, one for each process and one for each that joins.
func TestOverAllProcessesARateIsKeptWhileTheyJoinAndLeave(t *testing.T) {
	const perSecond, burst = 100, 20
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		now, live, joined := start, []*Bucket{}, 0
		share := func() float64 { return 1 / float64(max(len(live), 1)) }
		join := func() {
			live = append(live, nil)
			b := New(now, perSecond, burst, share)
			live[len(live)-1] = &b
			joined++
		}
		join()
		// beyond is how many turns were given, less what the rate has given and
		// who has joined; least its lowest, with what was saved then.
		turns, eager, least := 0, true, math.Inf(1)
		beyond := func() float64 { return float64(turns-joined) - perSecond*now.Sub(start).Seconds() }
		for range 4000 {
			now = now.Add(time.Duration(random.IntN(5)) * ms)
			switch n := random.IntN(200); {
			case n == 0 && len(live) < 6:
				join()
			case n == 1 && len(live) > 1:
				i := random.IntN(len(live))
				live = slices.Delete(live, i, i+1)
			case n < 4:
				eager = !eager // a pause, in which bursts are saved
			}
			least = min(least, beyond()+burst+float64(len(live)))
			for _, b := range live {
				for eager {
					if _, ok := b.reserve(now, 0); !ok {
						break
					}
					turns++
				}
			}
			if got := beyond(); got > least+1e-6 {
				t.Fatalf("seed %d: until %v %.2f turns too many were given", seed, now.Sub(start), got-least)
			}
		}
		if few := perSecond * now.Sub(start).Seconds() / 4; float64(turns) < few {
			t.Errorf("seed %d: %d turns were given, want at least %.0f", seed, turns, few)
		}
	}
}
