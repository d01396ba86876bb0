package server

import (
	"errors"
	"os"
	"sync"
	"time"
)

// A deadline is one of a connection's two. net/http, and whoever bounds how
// long a client may take, move them several times a request, nearly always to a
// later moment; each move would cost the runtime's timers more than all else
// that is done about a connection. So the timer that is armed stays until it
// fires, which it does too early, and is armed again then: once in ten seconds
// instead of five times a request.
//
//	D1. The timer is armed for no later moment than the one that is wanted.
//	D2. No call ends by the timer before the moment that is wanted then.
type deadline struct {
	mu     sync.Mutex
	wanted time.Time // zero: none
	armed  time.Time // zero: not
	arm    func(time.Time) error
}

// set asks for a moment; zero for none.
func (d *deadline) set(at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = at
	if later := at.IsZero() || !at.Before(d.armed); later && (at.IsZero() || !d.armed.IsZero()) {
		return nil
	}
	return d.armLocked() // D1
}

func (d *deadline) armLocked() error {
	d.armed = d.wanted
	return d.arm(d.wanted)
}

// early reports whether a call ended by the timer before its time. The timer is
// then armed anew, and the call is to be made again (D2).
func (d *deadline) early(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !time.Now().Before(d.wanted) {
		return false
	}
	return d.armLocked() == nil
}

// exact arms the timer for the moment that is wanted, for a call that cannot be
// made again.
func (d *deadline) exact() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armLocked()
}
