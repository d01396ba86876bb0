package upstream

import (
	"testing"
	"time"
)

func TestARateGivesABurstAndThenOneByOne(t *testing.T) {
	r := newRate(10, 3)
	now := start
	for i, want := range []time.Duration{0, 0, 0, 100 * time.Millisecond, 100 * time.Millisecond} {
		if got := r.wait(now); got != want {
			t.Fatalf("request %d waits %v, want %v", i+1, got, want)
		}
		now = now.Add(want)
		r.take(now)
	}
	now = now.Add(250 * time.Millisecond)
	for i, want := range []time.Duration{0, 0, 50 * time.Millisecond} {
		if got := r.wait(now); got != want {
			t.Fatalf("request %d after a pause waits %v, want %v", i+1, got, want)
		}
		now = now.Add(want)
		r.take(now)
	}
	now = now.Add(time.Hour)
	for i, want := range []time.Duration{0, 0, 0, 100 * time.Millisecond} {
		if got := r.wait(now); got != want {
			t.Fatalf("request %d after an hour waits %v, want %v", i+1, got, want)
		}
		r.take(now.Add(want))
	}
}

func TestARateOfNoneDoesNotLimit(t *testing.T) {
	r := newRate(0, 1)
	for range 1000 {
		if got := r.wait(start); got != 0 {
			t.Fatalf("wait = %v", got)
		}
		r.take(start)
	}
}

func TestARateAtItsEndsDoesNotOverflow(t *testing.T) {
	for _, row := range []struct {
		perSecond float64
		burst     int
	}{{1e-300, 1}, {1e-300, 1 << 62}, {1e300, 1}, {1, 1 << 62}} {
		r := newRate(row.perSecond, row.burst)
		for range 3 {
			if r.interval <= 0 || r.burst <= 0 || r.wait(start) < 0 {
				t.Fatalf("rate %v: interval %v, burst %v, wait %v", row, r.interval, r.burst, r.wait(start))
			}
			r.take(start)
		}
	}
}

func TestRetriesAreBoundedInAnyTenSeconds(t *testing.T) {
	for _, row := range []struct {
		name     string
		requests int
		part     float64
		want     int
	}{
		{"ten are free", 0, 0.1, 10},
		{"a tenth that is less", 99, 0.1, 10},
		{"a tenth that is as much", 109, 0.1, 10},
		{"a tenth that is more", 110, 0.1, 11},
		{"half", 1000, 0.5, 500},
		{"all", 1000, 1, 1000},
	} {
		b := budget{part: row.part}
		for range row.requests {
			b.request(start)
		}
		got := 0
		for b.retry(start) {
			got++
		}
		if got != row.want {
			t.Errorf("%s: %d retries, want %d", row.name, got, row.want)
		}
	}
}

func TestWhatIsTenSecondsAgoIsNotInTheBudget(t *testing.T) {
	b := budget{part: 0.1}
	for range 200 {
		b.request(start)
	}
	for range 20 {
		if !b.retry(start) {
			t.Fatal("a retry within the budget was refused")
		}
	}
	last := start.Add(10*time.Second - 1)
	if b.retry(last) {
		t.Fatal("a retry was allowed while twenty lie within ten seconds")
	}
	for i := range 10 {
		if !b.retry(last.Add(1)) {
			t.Fatalf("retry %d was refused, ten seconds after the others", i+1)
		}
	}
	if b.retry(last.Add(1)) {
		t.Fatal("requests of ten seconds ago are still in the budget")
	}
}
