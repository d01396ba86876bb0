package corral

import (
	"sync"
	"testing"
	"time"
	"unsafe"
)

func TestLoadTimesAreFiledByTheirBounds(t *testing.T) {
	bounds := LoadTimeBounds()
	if len(bounds) != loadTimeBuckets || bounds[0] != time.Millisecond || bounds[16] != 65536*time.Millisecond {
		t.Fatalf("the bounds are %v", bounds)
	}
	file := func(d time.Duration) int {
		var c counters
		c.took(d)
		at := -1
		for i := range c.loadTimes {
			if n := c.loadTimes[i].Load(); n == 1 && at < 0 {
				at = i
			} else if n != 0 {
				t.Fatalf("%v was filed more than once", d)
			}
		}
		if got := c.loadNanos.Load(); got != uint64(d) {
			t.Errorf("the sum of %v is %d", d, got)
		}
		return at
	}
	for i, bound := range bounds {
		for _, test := range []struct {
			took time.Duration
			want int
		}{{bound - 1, i}, {bound, i + 1}, {bound + 1, i + 1}} {
			if got := file(test.took); got != test.want {
				t.Errorf("a load of %v is in bucket %d, want %d", test.took, got, test.want)
			}
		}
	}
	if got := file(0); got != 0 {
		t.Errorf("a load of no time is in bucket %d, want 0", got)
	}
	if got := file(Forever); got != loadTimeBuckets {
		t.Errorf("a load without end is in bucket %d, want the last", got)
	}
}

func TestAStripedCounterIsExactUnderConcurrency(t *testing.T) {
	const workers, each = 16, 10_000
	var s striped
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				s.inc()
			}
		})
	}
	wg.Wait()
	if got := s.sum(); got != workers*each {
		t.Errorf("got %d, want %d", got, workers*each)
	}
	if size := unsafe.Sizeof(s[0]); size != 64 {
		t.Errorf("a stripe takes %d bytes, want a cache line", size)
	}
	if n := testing.AllocsPerRun(100, s.inc); n != 0 {
		t.Errorf("an increment makes %v allocations, want 0", n)
	}
}
