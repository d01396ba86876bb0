package corral

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// never is a draw for where no draw may be asked for.
func never(t *testing.T) func() float64 {
	return func() float64 {
		t.Helper()
		t.Error("a number was drawn")
		return 1
	}
}

func TestFreshnessChangesOnTheNanosecond(t *testing.T) {
	const expiry = int64(1_000_000)
	for _, test := range []struct {
		windows windows
		now     int64
		want    freshness
	}{
		{windows{}, math.MinInt64, fresh},
		{windows{}, expiry - 1, fresh},
		{windows{}, expiry, spent},
		{windows{}, expiry + 1, spent},

		{windows{staleFor: 100}, expiry - 1, fresh},
		{windows{staleFor: 100}, expiry, stale},
		{windows{staleFor: 100}, expiry + 99, stale},
		{windows{staleFor: 100}, expiry + 100, spent},

		{windows{staleOnError: 100}, expiry - 1, fresh},
		{windows{staleOnError: 100}, expiry, fallback},
		{windows{staleOnError: 100}, expiry + 99, fallback},
		{windows{staleOnError: 100}, expiry + 100, spent},

		{windows{staleFor: 100, staleOnError: 300}, expiry + 99, stale},
		{windows{staleFor: 100, staleOnError: 300}, expiry + 100, fallback},
		{windows{staleFor: 100, staleOnError: 300}, expiry + 299, fallback},
		{windows{staleFor: 100, staleOnError: 300}, expiry + 300, spent},

		{windows{staleFor: 300, staleOnError: 100}, expiry + 299, stale},
		{windows{staleFor: 300, staleOnError: 100}, expiry + 300, spent},

		{windows{staleFor: Forever}, math.MaxInt64 - 1, stale},
		{windows{staleFor: 1, staleOnError: Forever}, math.MaxInt64 - 1, fallback},
		{windows{staleFor: -5, staleOnError: -5}, expiry, spent}, // as a store may say
	} {
		if got := judge(test.now, expiry, test.windows, never(t)); got != test.want {
			t.Errorf("judge at expiry%+d with %+v: got %v, want %v", test.now-expiry, test.windows, got, test.want)
		}
	}
	if got := judge(math.MaxInt64-1, later(5, Forever), windows{}, never(t)); got != fresh {
		t.Errorf("a value without end is %v at the end of time, want fresh", got)
	}
}

func TestAllButSpentCoversAnError(t *testing.T) {
	for state, want := range map[freshness]bool{fresh: true, early: true, stale: true, fallback: true, spent: false} {
		if got := state.usableOnError(); got != want {
			t.Errorf("freshness %d: got %v, want %v", state, got, want)
		}
	}
}

// The rule is now − Δ·β·ln(u) ≥ expiry: with Δ·β = 1000 ns and u = e⁻² it
// reaches 2000 ns before the expiry, and not one more.
func TestXFetchTriggersExactlyWhereItsFormulaSays(t *testing.T) {
	const expiry = int64(1 << 60)
	for _, test := range []struct {
		beta  float64
		cost  time.Duration
		draw  float64
		reach int64
	}{
		{1, 1000, math.Exp(-2) * 0.9999999, 2000},
		{0.5, 2000, math.Exp(-2) * 0.9999999, 2000},
		{2, 1000, math.Exp(-2) * 0.9999999, 4000},
		{1, time.Second, math.Exp(-1) * (1 - 1e-12), int64(time.Second)},
		{1, 1000, 1 - 0x1p-53, 0}, // u → 1: −ln u is 1.1e-16
		{1, 1000, 1, 0},
		{1, 1000, 0x1p-53, 36736}, // the smallest u: −ln u is 36.7368
		{1, time.Second, 0x1p-53, 36736800569},
		{1000, time.Hour, 0x1p-53, 132252482050837560}, // 4.2 years
		{1, 0, 0x1p-53, 0},
		{1, -time.Second, 0x1p-53, 0},
		{math.Inf(1), 1, 0.5, expiry},
		{math.NaN(), time.Second, 0x1p-53, 0},
		{0, time.Second, 0x1p-53, 0},
		{-1, time.Second, 0x1p-53, 0},
	} {
		w := windows{beta: test.beta, cost: test.cost}
		draw := func() float64 { return test.draw }
		slack := int64(float64(test.reach) * 1e-12) // of the logarithm's last bits
		if at := expiry - test.reach + slack; test.reach > 0 && judge(at, expiry, w, draw) != early {
			t.Errorf("β %v, Δ %v, u %v, %d ns before the expiry: got %v, want early", test.beta, test.cost, test.draw, expiry-at, judge(at, expiry, w, draw))
		}
		if at := expiry - test.reach - 1 - slack; judge(at, expiry, w, draw) != fresh && !math.IsInf(test.beta, 1) {
			t.Errorf("β %v, Δ %v, u %v, %d ns before the expiry: got %v, want fresh", test.beta, test.cost, test.draw, expiry-at, judge(at, expiry, w, draw))
		}
		if got := judge(expiry, expiry, w, never(t)); got != spent {
			t.Errorf("β %v, Δ %v at the expiry: got %v, want spent", test.beta, test.cost, got)
		}
	}
}

// −ln ½ times 2⁵³ is a whole number, so here the rule can hold as an equality.
func TestXFetchTriggersOnTheNanosecondOfItsReach(t *testing.T) {
	const expiry = int64(1 << 60)
	w := windows{beta: 1, cost: 1 << 53}
	reach := int64(-math.Log(0.5) * (1 << 53))
	for before, want := range map[int64]freshness{reach - 1: early, reach: early, reach + 1: fresh} {
		if got := judge(expiry-before, expiry, w, func() float64 { return 0.5 }); got != want {
			t.Errorf("%d ns before the expiry, with a reach of %d: got %v, want %v", before, reach, got, want)
		}
	}
}

func TestXFetchDrawsOnlyWhereItCouldTrigger(t *testing.T) {
	const expiry = int64(1 << 40)
	w := windows{beta: 1, cost: time.Millisecond}
	farthest := expiry - int64(float64(w.cost)*longestDraw)
	if got := judge(farthest-1, expiry, w, never(t)); got != fresh {
		t.Errorf("beyond the farthest reach: got %v, want fresh", got)
	}
	drawn := 0
	judge(farthest, expiry, w, func() float64 { drawn++; return 0x1p-53 })
	if drawn != 1 {
		t.Errorf("at the farthest reach %d numbers were drawn, want 1", drawn)
	}
	if -math.Log(0x1p-53) > longestDraw {
		t.Errorf("the smallest draw reaches %v, longestDraw is %v", -math.Log(0x1p-53), longestDraw)
	}
	if got := judge(-1, math.MaxInt64, w, never(t)); got != fresh {
		t.Errorf("a value without end on a clock that went back: got %v, want fresh", got)
	}
}

// Requests at a rate r trigger at the intensity r·exp(−left/(β·Δ)), of which
// the integral is E ~ Exp(1), mean 1, at the first trigger and e^(1/β) times as
// much when its load lands, Δ later: e^(1/β) loads an expiry.
func TestStatelessXFetchCostsEToTheOneOverBetaLoadsAnExpiry(t *testing.T) {
	const (
		cost     = int64(100 * time.Millisecond)
		interval = int64(time.Millisecond) // r = 1000/s
		expiry   = int64(100 * time.Second)
		rounds   = 2000
	)
	random := rand.New(rand.NewPCG(1, 2))
	for _, beta := range []float64{0.5, 1, 2} {
		w := windows{beta: beta, cost: time.Duration(cost)}
		draw := func() float64 { return 1 - random.Float64() }
		loads := 0
		for range rounds {
			landed := int64(math.MaxInt64)
			for now := expiry - int64(float64(cost)*beta*longestDraw); now < landed; now += interval {
				if judge(now, expiry, w, draw) != fresh {
					loads++
					landed = min(landed, now+cost)
				}
			}
		}
		got, want := float64(loads)/rounds, math.Exp(1/beta)
		if math.Abs(got-want) > 0.15*want {
			t.Errorf("β %v: %.2f loads an expiry, want %.2f ± 15 %%", beta, got, want)
		}
	}
}

func TestJitterOnlyShortensALifetime(t *testing.T) {
	for _, test := range []struct {
		declared, standard time.Duration
		jitter, draw       float64
		want               time.Duration
	}{
		{0, time.Minute, 0, 0.5, time.Minute},
		{0, time.Minute, 0.1, 1, time.Minute},
		{0, time.Minute, 0.1, 0.5, 57 * time.Second},
		{0, 1000, 0.1, 0x1p-53, 901},
		{2 * time.Second, time.Minute, 0.5, 0.5, 1500 * time.Millisecond},
		{-1, time.Minute, 0.5, 0.5, 0},
		{math.MinInt64, time.Minute, 0.5, 0.5, 0},
		{0, 0, 0.5, 0.5, 0},
		{Forever, time.Minute, 0.5, 0.5, Forever},
		{0, Forever, 0.5, 0.5, Forever},
		{0, time.Minute, -1, 0.5, time.Minute},
		{0, time.Minute, math.NaN(), 0.5, time.Minute},
		{0, time.Minute, math.Inf(1), 0.5, 30 * time.Second},
		{0, time.Minute, 7, 0.5, 30 * time.Second},
		{0, time.Minute, 1, 0x1p-53, 1},
		{0, 1, 1, 0x1p-53, 1},
		{0, Forever - 1, 1, 0x1p-53, 1022},
	} {
		if got := lifetime(test.declared, test.standard, test.jitter, test.draw); got != test.want {
			t.Errorf("lifetime(%v, %v, %v, %v): got %v, want %v", test.declared, test.standard, test.jitter, test.draw, got, test.want)
		}
	}
}

func FuzzALifetimeLiesWithinItsJitter(f *testing.F) {
	f.Add(int64(time.Minute), 0.1, uint64(1))
	f.Add(int64(1), 1.0, uint64(1<<53))
	f.Add(int64(Forever-1), 1.0, uint64(1))
	f.Add(int64(1)<<53+3, 0.999, uint64(2))
	f.Fuzz(func(t *testing.T, ttl int64, jitter float64, numerator uint64) {
		draw := float64(numerator%(1<<53)+1) / (1 << 53)
		got := lifetime(time.Duration(ttl), 0, jitter, draw)
		if ttl <= 0 && got != 0 || ttl > 0 && (got <= 0 || got > time.Duration(ttl)) {
			t.Errorf("lifetime(%d, jitter %v, draw %v): got %d", ttl, jitter, draw, got)
		}
	})
}

func TestAPauseDoublesUpToTheLongest(t *testing.T) {
	const s = time.Second
	for _, test := range []struct {
		failures       int
		first, longest time.Duration
		want           time.Duration
	}{
		{1, s, 30 * s, s}, {2, s, 30 * s, 2 * s}, {3, s, 30 * s, 4 * s}, {4, s, 30 * s, 8 * s},
		{5, s, 30 * s, 16 * s}, {6, s, 30 * s, 30 * s}, {7, s, 30 * s, 30 * s}, {math.MaxInt, s, 30 * s, 30 * s},
		{0, s, 30 * s, s}, {-1, s, 30 * s, s},
		{1, 2, 5, 2}, {2, 2, 5, 4}, {3, 2, 5, 5},
		{2, 2, 4, 4}, {3, 2, 4, 4},
		{1, 40 * s, 30 * s, 30 * s},
		{1, 0, 30 * s, 0}, {100, 0, 30 * s, 0},
		{1, s, 0, 0}, {5, s, 0, 0},
		{63, 1, Forever, 1 << 62}, {64, 1, Forever, Forever}, {1000, 3, Forever, Forever},
	} {
		if got := pauseAfter(test.failures, test.first, test.longest, 0, 0.5); got != test.want {
			t.Errorf("pauseAfter(%d, %v, %v): got %v, want %v", test.failures, test.first, test.longest, got, test.want)
		}
	}
	if got := pauseAfter(2, s, 30*s, 0.5, 0.5); got != 1500*time.Millisecond {
		t.Errorf("with jitter: got %v, want 1.5s", got)
	}
}

func TestAnItemsOwnSettingOverridesTheCaches(t *testing.T) {
	for _, test := range []struct{ own, standard, want time.Duration }{
		{0, 5, 5}, {3, 5, 3}, {-1, 5, 0}, {math.MinInt64, 5, 0}, {0, 0, 0},
	} {
		if got := override(test.own, test.standard); got != test.want {
			t.Errorf("override(%d, %d): got %d, want %d", test.own, test.standard, got, test.want)
		}
	}
}

func TestLaterStopsAtBothEndsOfTime(t *testing.T) {
	for _, test := range []struct {
		instant int64
		by      time.Duration
		want    int64
	}{
		{5, 3, 8}, {5, -8, -3}, {0, Forever, math.MaxInt64}, {1, Forever, math.MaxInt64},
		{math.MaxInt64 - 1, 1, math.MaxInt64}, {math.MaxInt64 - 1, 2, math.MaxInt64},
		{math.MinInt64 + 1, -1, math.MinInt64}, {math.MinInt64 + 1, -2, math.MinInt64},
		{-1, math.MinInt64, math.MinInt64}, {0, math.MinInt64, math.MinInt64}, {math.MaxInt64, math.MinInt64, -1},
		{math.MinInt64, Forever, -1}, {math.MaxInt64, 0, math.MaxInt64},
	} {
		if got := later(test.instant, test.by); got != test.want {
			t.Errorf("later(%d, %d): got %d, want %d", test.instant, test.by, got, test.want)
		}
	}
}
