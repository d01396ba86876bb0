package upstream

import (
	"testing"
	"time"
)

// newStanding is of a server that two failures eject, for 10 s at first and 40 s
// at most.
func newStanding() *standing {
	return &standing{after: 2, forTime: 10 * time.Second, maxTime: 40 * time.Second, downAfter: 3, upAfter: 2}
}

// ends plays requests that begin and end at one moment.
func (s *standing) ends(now time.Time, outcomes ...outcome) {
	for _, o := range outcomes {
		s.end(now, s.begin(now), o)
	}
}

func (s *standing) want(t *testing.T, now time.Time, available bool) {
	t.Helper()
	if got := s.available(now); got != available {
		t.Fatalf("available %v after the start: %v, want %v", now.Sub(start), got, available)
	}
}

func TestFailuresInSequenceEjectAServer(t *testing.T) {
	for _, row := range []struct {
		name     string
		after    int
		outcomes []outcome
		ejected  bool
	}{
		{"one", 2, []outcome{failed}, false},
		{"two", 2, []outcome{failed, failed}, true},
		{"an answer between them", 2, []outcome{failed, answered, failed}, false},
		{"something that says nothing between them", 2, []outcome{failed, unknown, failed}, true},
		{"the first of one", 1, []outcome{failed}, true},
		{"never", -1, []outcome{failed, failed, failed, failed}, false},
	} {
		s := newStanding()
		s.after = row.after
		s.ends(start, row.outcomes...)
		if s.ejected != row.ejected || s.healthy() == row.ejected {
			t.Errorf("%s: ejected %v, healthy %v; want ejected %v", row.name, s.ejected, s.healthy(), row.ejected)
		}
	}
}

func TestAServerIsLeftAloneToTheNanosecondAndTriedOnce(t *testing.T) {
	s := newStanding()
	s.ends(start, failed, failed)
	over := start.Add(10 * time.Second)
	s.want(t, start, false)
	s.want(t, over.Add(-1), false)
	if got := s.untilTrial(over.Add(-1)); got != 1 {
		t.Fatalf("untilTrial a nanosecond before = %d", got)
	}
	s.want(t, over, true)
	if got := s.untilTrial(over); got != 0 {
		t.Fatalf("untilTrial at its time = %d", got)
	}
	trial := s.begin(over)
	s.want(t, over.Add(time.Hour), false) // another is on its way
	s.end(over, trial, unknown)
	s.want(t, over, true)
	s.ends(over, answered)
	s.want(t, over, true)
	if !s.healthy() {
		t.Fatal("a trial that was answered did not bring the server back")
	}
}

func TestEachEjectionInARowIsTwiceAsLongUpToALimit(t *testing.T) {
	s, now := newStanding(), start
	s.ends(now, failed, failed)
	for i, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 40 * time.Second} {
		if got := s.untilTrial(now); got != want {
			t.Fatalf("ejection %d is for %v, want %v", i+1, got, want)
		}
		now = now.Add(want)
		s.ends(now, failed)
	}
}

func TestTheDoublingIsForgottenAfterTheLongestTimeWithoutEjection(t *testing.T) {
	for _, row := range []struct{ well, want time.Duration }{
		{40*time.Second - 1, 20 * time.Second},
		{40 * time.Second, 10 * time.Second},
	} {
		s := newStanding()
		s.ends(start, failed, failed)
		back := start.Add(10 * time.Second)
		s.ends(back, answered)
		again := back.Add(row.well)
		s.ends(again, failed, failed)
		if got := s.untilTrial(again); got != row.want {
			t.Errorf("after %v without one, an ejection is for %v, want %v", row.well, got, row.want)
		}
	}
}

func TestWhatBeganBeforeAnEjectionSaysNothingAfterIt(t *testing.T) {
	s := newStanding()
	early, earlier := s.begin(start), s.begin(start)
	s.ends(start, failed, failed)
	if s.end(start, early, answered); s.healthy() {
		t.Fatal("an answer to a request from before brought the server back")
	}
	over := start.Add(10 * time.Second)
	trial := s.begin(over)
	if s.end(over, earlier, failed); s.until != over {
		t.Fatalf("a failure from before moved the ejection's end to %v", s.until.Sub(start))
	}
	s.want(t, over, false) // still on trial
	s.end(over, trial, answered)
	if s.ends(over, failed); !s.healthy() {
		t.Fatal("a failure from before the ejection counts after the return")
	}
}

func TestAnAnswerGivenWhileHealthIsIgnoredBringsAServerBack(t *testing.T) {
	s := newStanding()
	s.ends(start, failed, failed)
	s.ends(start.Add(time.Second), failed) // no trial: says what is known
	if got := s.untilTrial(start); got != 10*time.Second {
		t.Fatalf("a failure while it is left alone makes the time %v", got)
	}
	over := start.Add(10 * time.Second)
	trial := s.begin(over)
	s.ends(over, answered)
	if !s.healthy() {
		t.Fatal("an answer did not bring the server back")
	}
	s.end(over, trial, failed)
	s.ends(over, failed)
	if !s.healthy() {
		t.Fatal("the trial of an ejection that is over counts after the return")
	}
	s.ends(over, failed)
	s.want(t, over.Add(20*time.Second), true) // the old trial does not stand in the way
}

func TestAnswersToQuestionsAreBelievedAfterSomeInSequence(t *testing.T) {
	s := newStanding()
	for i, step := range []struct{ well, changed, down bool }{
		{true, false, false},
		{false, false, false},
		{false, false, false},
		{true, false, false},
		{false, false, false},
		{false, false, false},
		{false, true, true},
		{false, false, true},
		{true, false, true},
		{false, false, true},
		{true, false, true},
		{true, true, false},
		{false, false, false},
	} {
		if changed := s.asked(step.well); changed != step.changed || s.down != step.down {
			t.Fatalf("answer %d (well: %v): changed %v, down %v; want %v, %v", i, step.well, changed, s.down, step.changed, step.down)
		}
	}
}

func TestAnswersToRequestsDoNotOutweighQuestions(t *testing.T) {
	s := newStanding()
	for range 3 {
		s.asked(false)
	}
	s.ends(start, answered)
	s.want(t, start, false)
	s.ends(start, failed, failed)
	s.asked(true)
	s.asked(true)
	s.want(t, start, false) // up, but still ejected
	if got := s.untilTrial(start); got != 10*time.Second {
		t.Fatalf("untilTrial = %v, want 10s", got)
	}
	s.asked(false)
	s.asked(false)
	s.asked(false)
	if got := s.untilTrial(start); got != 0 {
		t.Fatalf("untilTrial of a server that is down = %v: time alone does not make it available", got)
	}
}
