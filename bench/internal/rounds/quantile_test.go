package rounds

import (
	"testing"
	"time"
)

func TestAQuantileIsTheLeastTimeThatSoManyAreNotAbove(t *testing.T) {
	for _, row := range []struct {
		times []time.Duration
		q     float64
		want  time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2}, 0.5, 1},
		{[]time.Duration{1, 2, 3}, 0.5, 2},
		{[]time.Duration{1, 2, 3, 4}, 0.75, 3},
		{[]time.Duration{1, 2, 3, 4}, 0.76, 4},
		{[]time.Duration{1, 2, 3, 4}, 1, 4},
	} {
		if got := Quantile(row.times, row.q); got != row.want {
			t.Errorf("Quantile(%v, %v) = %v, want %v", row.times, row.q, got, row.want)
		}
	}
}
