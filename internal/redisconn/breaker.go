package redisconn

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrOpen says that no call is made, because the last ones failed.
var ErrOpen = errors.New("redis: done without")

// Defaults of a Breaker.
const (
	DefaultLimit = 5
	DefaultPause = 250 * time.Millisecond
	maxPause     = 5 * time.Second
)

// A Breaker keeps calls from a server that fails: a call that waits for one
// that hangs costs its caller the deadline, and each that follows again. It has
// no clock and no goroutines; its caller passes the time and makes the probes.
//
//	state   Allow                             until
//	closed  lets calls through                the score reaches Limit → open
//	open    refuses with ErrOpen and why      a probe succeeds → closed
//
// The score goes one up with a failure and one down with a success, so Limit in
// a row open it, and so does anything that fails more often than not.
//
// While it is open, Allow asks one caller after each pause to make a probe, in
// the background: nobody waits for it. The pause doubles, to 5 s.
//
// Invariants:
//
//	B1. Between the Allow that asked for a probe and its Probed no other probe is asked for.
//	B2. A call that began before the breaker opened does not close it.
//
// The zero value is ready.
type Breaker struct {
	Limit int           // 0: 5
	Pause time.Duration // before the first probe; 0: 250 ms

	mu      sync.Mutex
	score   int
	open    bool
	since   time.Time
	why     error
	pause   time.Duration
	probing bool
	probe   time.Time // when the next is due
}

// Allow returns nil when a call may be made. With an error, probe asks the
// caller to probe the server and to tell Probed what came of it.
func (b *Breaker) Allow(now time.Time) (probe bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return false, nil
	}
	if !b.probing && !now.Before(b.probe) {
		b.probing, probe = true, true
	}
	return probe, fmt.Errorf("%w for %v: %w", ErrOpen, now.Sub(b.since).Round(time.Millisecond), b.why)
}

// Count takes the outcome of a call: nil, or the outage it met. It reports
// whether that opened the breaker.
func (b *Breaker) Count(now time.Time, outage error) (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open {
		return false
	}
	if outage == nil {
		b.score = max(0, b.score-1)
		return false
	}
	if b.score++; b.score < or(b.Limit, DefaultLimit) {
		return false
	}
	b.open, b.since, b.why = true, now, outage
	b.pause = or(b.Pause, DefaultPause)
	b.probe = now.Add(b.pause)
	return true
}

// Probed takes the outcome of a probe. It reports whether that closed the breaker.
func (b *Breaker) Probed(now time.Time, outage error) (closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	if outage != nil {
		b.why = outage
		b.pause = min(2*b.pause, maxPause)
		b.probe = now.Add(b.pause)
		return false
	}
	closed, b.open, b.score = b.open, false, 0
	return closed
}

// Broken is why calls are refused, and "" when they are not.
func (b *Breaker) Broken(now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return ""
	}
	return fmt.Sprintf("for %v: %v", now.Sub(b.since).Round(time.Millisecond), b.why)
}

func or[T int | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}
