// Package pace spaces out what may begin only so often: the loads of a cache,
// the requests to an origin.
//
// Several processes may keep one rate between them: each has a share of it, which
// changes as processes come and go. A change adds nothing to what may begin at
// once, so that over all of them, in any span of time, no more begins than the
// rate gives and one burst. Two things come on top: a process begins with one
// turn, and has one at least saved after a pause, however small its share of the
// burst is.
//
// A Bucket counts, and has no clock, no lock and no goroutine. A Line lets
// goroutines wait their turn at one.
package pace

import (
	"math"
	"time"
)

// A Bucket is a token bucket, kept as the instant at which it is empty (the
// generic cell rate algorithm, ITU-T I.371), on a clock of its own that runs at
// the share of the rate that is here: a turn costs the same on that clock
// whatever the share is. The zero value does not limit.
//
// Invariants:
//
//	B1. Between two turns that are given lies Interval on the bucket's clock, but
//	    for what was saved: the burst times the share, or one turn if that is
//	    more.
//	B2. A change of the share saves nothing and takes back nothing that was spent.
//	B3. What passed between two looks counts with the lesser of the two shares.
type Bucket struct {
	interval time.Duration  // between turns with the whole rate; 0: no limit
	burst    time.Duration  // what may be saved with the whole rate
	share    func() float64 // nil: the whole rate

	part   float64       // the share when it was looked at last
	since  time.Time     // the clock has run at part since then
	began  time.Duration // what it showed then
	looked time.Time     // when it was looked at last
	empty  time.Duration // what it shows when the bucket is, or was, empty
}

// longestSpan bounds a bucket's spans, so that no sum of them overflows: 73
// years.
const longestSpan = float64(math.MaxInt64 / 4)

// leastShare bounds how slowly a bucket's clock runs, whatever share says.
const leastShare = 1e-6

// New makes a bucket of perSecond turns a second, of which burst may be saved. A
// perSecond of 0 does not limit. share is the part of both that is here, in
// (0, 1], at the moment of the call; nil: all of it. A bucket that has all is
// full at first, for nobody else has spent anything; another has one turn.
func New(now time.Time, perSecond float64, burst int, share func() float64) Bucket {
	if perSecond == 0 {
		return Bucket{}
	}
	interval := math.Trunc(min(max(float64(time.Second)/perSecond, 1), longestSpan))
	b := Bucket{
		interval: time.Duration(interval),
		burst:    time.Duration(min(interval*float64(burst), longestSpan)),
		share:    share,
		since:    now,
		looked:   now,
	}
	b.part = b.present()
	b.empty = -b.interval
	if b.part == 1 {
		b.empty = -b.saved()
	}
	return b
}

// Limits reports whether the bucket limits anything.
func (b *Bucket) Limits() bool { return b.interval > 0 }

// Wait is how long it takes, from now on and with the share as it is, until the
// nth turn from here; 0 if it is there.
func (b *Bucket) Wait(now time.Time, nth int) time.Duration {
	if !b.Limits() {
		return 0
	}
	shown := b.look(now)
	due := b.level(shown) + time.Duration(min(float64(b.interval)*float64(nth), longestSpan))
	if due <= shown {
		return 0
	}
	in := min(math.Round(float64(due-b.began)/b.part), longestSpan)
	return b.since.Add(time.Duration(in)).Sub(now)
}

// Take spends a turn.
func (b *Bucket) Take(now time.Time) {
	if b.Limits() {
		b.empty = b.level(b.look(now)) + b.interval
	}
}

// takeLate spends a turn for which somebody has waited since before it came: what
// has come since then is not lost where the bucket could not save it.
func (b *Bucket) takeLate() { b.empty += b.interval }

// look returns what the clock shows, and has it go on at the share as it is.
func (b *Bucket) look(now time.Time) time.Duration {
	if part := b.present(); part != b.part {
		shown := b.shows(b.looked) + scaled(now.Sub(b.looked), min(part, b.part)) // B3
		b.empty = b.level(shown)                                                  // B2: with what could be saved before
		b.since, b.began, b.part = now, shown, part
	}
	b.looked = now
	return b.shows(now)
}

func (b *Bucket) shows(now time.Time) time.Duration {
	return b.began + scaled(now.Sub(b.since), b.part)
}

func scaled(d time.Duration, by float64) time.Duration {
	return time.Duration(math.Round(float64(d) * by))
}

// level is empty, less what was not spent and could not be saved.
func (b *Bucket) level(shown time.Duration) time.Duration { return max(b.empty, shown-b.saved()) }

// saved is the most that may be saved, at least a turn.
func (b *Bucket) saved() time.Duration {
	return max(scaled(b.burst, b.part), b.interval)
}

func (b *Bucket) present() float64 {
	if b.share == nil {
		return 1
	}
	part := b.share()
	if !(part >= leastShare) {
		return leastShare
	}
	return min(part, 1)
}
