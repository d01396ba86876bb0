package redisconn

import (
	"errors"
	"testing"
	"time"
)

var (
	t0      = time.Unix(0, 0)
	errAway = errors.New("away")
)

func TestABreakerOpensAtItsLimitOfFailuresInARow(t *testing.T) {
	b := Breaker{Limit: 3}
	for i, want := range []bool{false, false, true} {
		if got := b.Count(t0, errAway); got != want {
			t.Fatalf("failure %d: opened %v", i+1, got)
		}
	}
	probe, err := b.Allow(t0.Add(time.Second - 1))
	if !errors.Is(err, ErrOpen) || !errors.Is(err, errAway) {
		t.Fatalf("Allow: %v", err)
	}
	if !probe {
		t.Fatal("no probe after the pause")
	}
	if got := b.Broken(t0.Add(time.Second)); got != "for 1s: away" {
		t.Fatalf("Broken: %q", got)
	}
}

func TestABreakerOpensWhenMoreFailsThanSucceeds(t *testing.T) {
	rows := []struct {
		name     string
		outcomes string // + and -, repeated 100 times
		opens    bool
	}{
		{"half of it", "+-", false},
		{"two of three", "+--", true},
		{"one of three", "++-", false},
	}
	for _, row := range rows {
		b, opened := Breaker{Limit: 5}, false
		for range 100 {
			for _, c := range row.outcomes {
				var outage error
				if c == '-' {
					outage = errAway
				}
				opened = b.Count(t0, outage) || opened
			}
		}
		if opened != row.opens {
			t.Errorf("%s: opened %v", row.name, opened)
		}
	}
}

func TestOneProbeAtATimeIsAskedForAfterAPauseThatDoubles(t *testing.T) {
	b := Breaker{Limit: 1, Pause: time.Second}
	now := t0
	b.Count(now, errAway)
	for _, pause := range []time.Duration{1, 2, 4, 5, 5} {
		pause *= time.Second
		if probe, _ := b.Allow(now.Add(pause - 1)); probe {
			t.Fatalf("a probe before %v", pause)
		}
		now = now.Add(pause)
		if probe, _ := b.Allow(now); !probe {
			t.Fatalf("no probe after %v", pause)
		}
		if probe, _ := b.Allow(now.Add(time.Hour)); probe {
			t.Fatal("a second probe at the same time") // B1
		}
		if b.Probed(now, errAway) {
			t.Fatal("a failed probe closed it")
		}
	}
}

func TestOnlyAProbeClosesABreaker(t *testing.T) {
	b := Breaker{Limit: 1}
	b.Count(t0, errAway)
	b.Count(t0, nil) // B2: it began before
	if _, err := b.Allow(t0); err == nil {
		t.Fatal("a call of before closed it")
	}
	b.Allow(t0.Add(DefaultPause))
	if !b.Probed(t0.Add(DefaultPause), nil) {
		t.Fatal("a probe that succeeds does not close it")
	}
	if _, err := b.Allow(t0.Add(DefaultPause)); err != nil {
		t.Fatal(err)
	}
	if b.Count(t0, errAway) != true {
		t.Fatal("it does not open again at its limit of 1")
	}
}
