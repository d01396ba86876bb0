package corraltest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// An Option changes how a suite runs.
type Option func(*suite)

// VirtualTime runs every case in a testing/synctest bubble of its own, for
// implementations without sockets and files. Time that passes is then exact.
// Without it a case waits in real time, for a tenth of a second at most where
// the contract speaks of time passing.
func VirtualTime() Option { return func(s *suite) { s.virtual = true } }

// Reopening says that a store survives its process, and how: reopen closes what
// open or an earlier reopen gave, and opens anew what that has kept. It is not
// bound yet. Cases that need it are run only with this option.
func Reopening(reopen func(t *testing.T, store corral.Store) corral.Store) Option {
	return func(s *suite) { s.reopen = reopen }
}

// LargestBody says how long a body a store takes, in bytes. Default 16 MiB.
func LargestBody(bytes int64) Option { return func(s *suite) { s.largestBody = bytes } }

// Records says how many records the case has that puts many, for stores that take
// long for each. Default 10,000.
func Records(n int) Option { return func(s *suite) { s.records = n } }

// ByTurns lets each call of a fault suite meet one of the Faults, by turns, instead
// of every one: for implementations that are expensive to open.
func ByTurns() Option { return func(s *suite) { s.byTurns = true } }

// suite is how the cases of a conformance suite are run.
type suite struct {
	virtual     bool
	weak        uint64 // a bit for each Weakness
	reopen      func(t *testing.T, store corral.Store) corral.Store
	largestBody int64
	records     int
	byTurns     bool
}

func newSuite(options []Option) suite {
	s := suite{largestBody: 16 << 20, records: 10_000}
	for _, option := range options {
		option(&s)
	}
	return s
}

func (s suite) run(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		if s.virtual {
			synctest.Test(t, test)
		} else {
			test(t)
		}
	})
}

// patience bounds what a case waits for, so that a hang is a failure.
const patience = 10 * time.Second

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// passing is the time that a case lets pass where the contract speaks of it,
// and resolution how coarse an implementation's durations may be: nothing in
// virtual time.
func (s suite) passing() (passing, resolution time.Duration) {
	if s.virtual {
		return time.Minute, 0
	}
	return 100 * time.Millisecond, 2 * time.Millisecond
}

// still is how long a case watches that something does not happen.
func (s suite) still() time.Duration {
	if s.virtual {
		return time.Minute
	}
	return 50 * time.Millisecond
}

// beats is how often a case extends a lease, a second apart at most: in virtual
// time for longer than one that is not extended lasts.
func (s suite) beats() int {
	if s.virtual {
		return 9
	}
	return 1
}

// settle lets everything that is under way come to where it waits.
func (s suite) settle() {
	if s.virtual {
		synctest.Wait()
		return
	}
	time.Sleep(s.still())
}
