package upstream

import "time"

// An outcome is what a request, or a question, says of its server.
type outcome int

const (
	unknown  outcome = iota // nothing: the client left, or the request was bad
	answered                // with whatever status
	failed                  // there was no answer
)

// A standing is what is known of a server's health, from two sources that do
// not mix: questions put it up or down, requests eject it and bring it back.
//
//	requests   means
//	in         fewer than after requests in sequence have failed
//	ejected    it is left alone until a time
//	on trial   that time is over, and one request is on its way
//
// It has no clock and no lock: its pool has.
//
// Invariants:
//
//	H1. A server is available if and only if questions have it up and it is in,
//	    or ejected with its time over and not on trial.
//	H2. It is on trial only while a request that began as its trial has not
//	    ended.
//	H3. Only a request that began after the last ejection or return changes
//	    anything: what is older says what is known already.
//	H4. It is ejected for forTime times two to the number of ejections before, in
//	    a row, maxTime at most.
type standing struct {
	after            int // failures in sequence that eject; negative: nothing does
	forTime, maxTime time.Duration
	downAfter        int // bad answers to questions that put it down
	upAfter          int

	failures int // in sequence
	ejected  bool
	trial    bool
	until    time.Time     // if ejected
	span     time.Duration // of the last ejection
	back     time.Time     // from the last ejection
	era      int           // the number of ejections and returns

	down   bool
	streak int // of answers that speak against down's value
}

// A ticket is a request's to say how it ended.
type ticket struct {
	era   int
	trial bool
}

func (s *standing) available(now time.Time) bool {
	return !s.down && (!s.ejected || !s.trial && !now.Before(s.until))
}

func (s *standing) healthy() bool { return !s.down && !s.ejected }

func (s *standing) begin(now time.Time) ticket {
	t := ticket{era: s.era, trial: s.ejected && !s.trial && !now.Before(s.until)}
	s.trial = s.trial || t.trial
	return t
}

// end reports whether the server was ejected or is back.
func (s *standing) end(now time.Time, t ticket, o outcome) (changed bool) {
	if t.era != s.era {
		return false // H3
	}
	if t.trial {
		s.trial = false // H2
	}
	switch {
	case o == unknown:
		return false
	case o == answered:
		s.failures = 0
		if s.ejected {
			s.ejected, s.trial = false, false
			s.back, s.era = now, s.era+1
			return true
		}
	case s.ejected && t.trial:
		s.eject(now)
		return true
	case !s.ejected:
		s.failures++
		if s.after >= 0 && s.failures >= s.after {
			s.eject(now)
			return true
		}
	}
	return false
}

func (s *standing) eject(now time.Time) {
	if s.span == 0 || !s.ejected && now.Sub(s.back) >= s.maxTime {
		s.span = s.forTime
	} else {
		s.span = min(2*s.span, s.maxTime)
	}
	s.ejected, s.failures = true, 0
	s.until, s.era = now.Add(s.span), s.era+1
}

// parole ends the time for which the server is left alone.
func (s *standing) parole(now time.Time) {
	if s.ejected && now.Before(s.until) {
		s.until = now
	}
}

// asked takes the answer to a question, and reports whether the server went
// down or up by it.
func (s *standing) asked(well bool) (changed bool) {
	if well != s.down { // as it was
		s.streak = 0
		return false
	}
	s.streak++
	enough := s.downAfter
	if s.down {
		enough = s.upAfter
	}
	if s.streak < enough {
		return false
	}
	s.down, s.streak = !s.down, 0
	return true
}

// untilTrial is how long it takes until time alone makes the server available;
// 0 if time alone does not.
func (s *standing) untilTrial(now time.Time) time.Duration {
	if s.down || !s.ejected {
		return 0
	}
	return max(0, s.until.Sub(now))
}
