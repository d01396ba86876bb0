package upstream

import (
	"testing"
	"time"
)

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
