package corral_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// gates has n callers of a cache, each with a key of its own, and says when their
// loads began, in order; and how many were refused, at once.
func gates(t *testing.T, n int, o corral.Options[string], meanwhile func()) (began []time.Duration, refused int) {
	t.Helper()
	var mu sync.Mutex
	o.TTL, o.MaxBytes, o.Jitter, o.Codec, o.Now = time.Minute, 1<<20, -1, corraltest.Text(), time.Now
	c := opened(t, corraltest.Value("v"), o)
	time.Sleep(time.Minute) // a burst is saved
	start := time.Now()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			_, err := c.Get(t.Context(), fmt.Sprint(o.Name, i))
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, corral.ErrOverloaded) && time.Since(start) == 0 {
				refused++
			} else if err != nil {
				t.Errorf("key %d: %v after %v", i, err, time.Since(start))
			} else {
				began = append(began, time.Since(start))
			}
		})
	}
	if meanwhile != nil {
		meanwhile()
	}
	all.Wait()
	slices.Sort(began)
	return began, refused
}

func TestAProcessTakesItsShareOfTheRateOfLoads(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name    string
		share   float64
		options corral.Options[string]
		want    []time.Duration
		refused int
	}{
		{"all of it", 1, corral.Options[string]{LoadsPerSecond: 10, Burst: 4}, []time.Duration{0, 0, 0, 0, 100 * ms, 200 * ms}, 0},
		{"half of it", 0.5, corral.Options[string]{LoadsPerSecond: 10, Burst: 4}, []time.Duration{0, 0, 200 * ms, 400 * ms, 600 * ms, 800 * ms}, 0},
		{"a burst of at least one", 0.125, corral.Options[string]{LoadsPerSecond: 10, Burst: 4}, []time.Duration{0, 800 * ms, 1600 * ms, 2400 * ms, 3200 * ms, 4000 * ms}, 0},
		{"what cannot have its turn in time is refused", 0.5, corral.Options[string]{LoadsPerSecond: 10, Burst: 4, LoadTimeout: 400 * ms}, []time.Duration{0, 0, 200 * ms, 400 * ms}, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			process := corraltest.NewDomain().Process("a")
			process.SetShare(test.share)
			test.options.Coordinator = process
			if test.refused > 0 {
				test.options.LoadTimeout++ // so that the last turn is not at its deadline
			}
			began, refused := gates(t, 6, test.options, nil)
			if !slices.Equal(began, test.want) || refused != test.refused {
				t.Errorf("%s: loads began after %v, and %d were refused; want %v and %d", test.name, began, refused, test.want, test.refused)
			}
		})
	}
}

func TestLoadsThatWaitTheirTurnFollowTheShare(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		process := corraltest.NewDomain().Process("a")
		began, _ := gates(t, 6, corral.Options[string]{LoadsPerSecond: 10, Burst: 1, Coordinator: process}, func() {
			time.Sleep(100*ms + 1)
			process.SetShare(0.5) // seen at 200 ms: what has passed counts half
			time.Sleep(600 * ms)
			process.SetShare(1) // seen at 800 ms
		})
		if want := []time.Duration{0, 100 * ms, 300 * ms, 500 * ms, 700 * ms, 850 * ms}; !slices.Equal(began, want) {
			t.Errorf("loads began after %v, want %v", began, want)
		}
	})
}

func TestTheSharesOfAllProcessesAreTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		domain := corraltest.NewDomain()
		var all sync.WaitGroup
		var mu sync.Mutex
		given := map[time.Duration]int{}
		for i := range 4 {
			process := domain.Process(fmt.Sprint(i))
			process.SetShare(0.25)
			all.Go(func() {
				began, _ := gates(t, 10, corral.Options[string]{Name: fmt.Sprint("n", i), LoadsPerSecond: 20, Burst: 8, Coordinator: process}, nil)
				mu.Lock()
				defer mu.Unlock()
				for _, at := range began {
					given[at.Truncate(time.Second)]++
				}
			})
		}
		all.Wait()
		if given[0] != 8+16 || given[time.Second] != 16 {
			t.Errorf("loads by the second: %v, want 24 in the first and 16 then", given)
		}
	})
}
