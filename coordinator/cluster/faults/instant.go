package faults

import (
	"time"

	"golang.org/x/sys/unix"
)

// An Instant is nanoseconds of a clock that all processes of a machine share and
// that nobody sets: what happened at one process before something at another has
// the lower Instant.
type Instant int64

// Now is the present one.
func Now() Instant {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // of a clock that every system has
	}
	return Instant(t.Nano())
}

// Sub is the time from u to i.
func (i Instant) Sub(u Instant) time.Duration { return time.Duration(i - u) }
