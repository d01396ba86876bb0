package corral

import (
	"errors"
	"math"
	"time"
)

// A freshness is what the clock says of a value.
//
//	          born        fresh        fresh+staleFor   fresh+staleOnError
//	───────────┼────────────┼────────────────┼──────────────────┼─────────────▶
//	           │ fresh/early│     stale      │     fallback     │    spent
//
// For a load that fails with an outage, staleOnOutage stands in the place of
// staleOnError; either may be the wider one.
//
// An instant on a boundary belongs to what is right of it. The windows may
// overlap: the wider one ends usability on error.
type freshness uint8

const (
	fresh    freshness = iota // hand it out
	early                     // hand it out and refresh it behind: XFetch's draw
	stale                     // hand it out and refresh it behind: within staleFor
	fallback                  // hand it out only when a load fails: within staleOnError, or staleOnOutage
	spent                     // of use for validation only
)

// windows are how a value may be used around its expiry.
type windows struct {
	staleFor      time.Duration
	staleOnError  time.Duration
	staleOnOutage time.Duration
	beta          float64       // XFetch's β; 0 is off
	cost          time.Duration // XFetch's Δ: how long the value took to compute
}

// facing is the windows as they count beside a load that came to err; nil is
// for one that is slow.
func (w windows) facing(err error) windows {
	if errors.Is(err, ErrOutage) {
		w.staleOnError = w.staleOnOutage
	}
	return w
}

// judge decides what a value that is fresh until expiry is at now. draw gives
// a number in (0, 1] and is asked only when XFetch is on and could be
// triggered.
func judge(now, expiry int64, w windows, draw func() float64) freshness {
	switch {
	case now < expiry:
		if w.beta > 0 && refreshEarly(now, expiry, w, draw) {
			return early
		}
		return fresh
	case now < later(expiry, w.staleFor):
		return stale
	case now < later(expiry, w.staleOnError):
		return fallback
	}
	return spent
}

// longestDraw is −ln of the smallest number that draw gives, 2⁻⁵³.
const longestDraw = 36.75

// refreshEarly is XFetch's rule, now − Δ·β·ln(u) ≥ expiry (Vattani,
// Chierichetti, Lowenstein, PVLDB 8(8), 2015, algorithm 2).
func refreshEarly(now, expiry int64, w windows, draw func() float64) bool {
	reach := float64(w.cost) * w.beta
	left := float64(uint64(expiry - now)) // now < expiry, perhaps by more than an int64 holds
	return left <= reach*longestDraw && left <= reach*-math.Log(draw())
}

// usableOnError reports whether a failing load may be covered by a value of
// this freshness.
func (f freshness) usableOnError() bool { return f != spent }

// lifetime is how long a new value is fresh. declared is the item's own TTL,
// standard the cache's. jitter shortens it by up to that part, times a number
// in (0, 1]; a part outside of [0, 1], which an item may ask for, is taken for
// the nearest one, since jitter neither prolongs a lifetime nor ends it.
func lifetime(declared, standard time.Duration, jitter, draw float64) time.Duration {
	ttl := override(declared, standard)
	if !(jitter > 0) || ttl <= 0 || ttl == Forever {
		return ttl
	}
	return ttl - time.Duration(float64(ttl)*min(jitter, 1)*(1-draw))
}

// pauseAfter is how long a key rests after its nth failure in a row: first,
// doubled by each further failure, at most longest, shortened as by lifetime.
func pauseAfter(failures int, first, longest time.Duration, jitter, draw float64) time.Duration {
	pause := first
	for range min(failures-1, 63) {
		if pause > longest/2 {
			pause = longest
			break
		}
		pause *= 2
	}
	return lifetime(min(pause, longest), 0, jitter, draw)
}

// override gives an item's own setting, the cache's where it is zero, and zero
// where it is negative, which stands for none.
func override[T float64 | time.Duration](own, standard T) T {
	if own == 0 {
		return standard
	}
	return max(own, 0)
}
