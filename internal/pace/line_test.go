package pace

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A queue is a line with who comes to it, and when each is let through.
type queue struct {
	*Line
	began time.Time
	share atomic.Value // of float64
	done  []chan outcome
}

type outcome struct {
	after time.Duration // from the beginning
	err   error
}

func newQueue(perSecond float64, burst int) *queue {
	q := &queue{began: time.Now()}
	q.share.Store(1.0)
	q.Line = NewLine(New(q.began, perSecond, burst, func() float64 { return q.share.Load().(float64) }))
	return q
}

// come has another one wait, on a goroutine that waits in line, or has ended,
// when it returns.
func (q *queue) come(ctx context.Context, patience time.Duration) {
	done := make(chan outcome, 1)
	q.done = append(q.done, done)
	go func() {
		err := q.Wait(ctx, patience)
		done <- outcome{time.Since(q.began), err}
	}()
	synctest.Wait()
}

// came is when each was let through.
func (q *queue) came(t *testing.T) (all []time.Duration) {
	t.Helper()
	for i, done := range q.done {
		o := <-done
		if o.err != nil {
			t.Errorf("waiter %d: %v", i, o.err)
		}
		all = append(all, o.after)
	}
	return all
}

func TestThoseInLineAreLetThroughInOrderAtExactInstants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10, 2)
		for range 5 {
			q.come(t.Context(), time.Second)
		}
		if got, want := q.came(t), []time.Duration{0, 0, 100 * ms, 200 * ms, 300 * ms}; !slices.Equal(got, want) {
			t.Errorf("they were let through after %v, want %v", got, want)
		}
	})
}

func TestPatienceIsCountedToTheNanosecondWithThoseAhead(t *testing.T) {
	for _, test := range []struct {
		ahead    int
		patience time.Duration
		want     error
	}{
		{0, -1, ErrTooLong}, {0, 0, nil},
		{1, 100*ms - 1, ErrTooLong}, {1, 100 * ms, nil},
		{3, 300*ms - 1, ErrTooLong}, {3, 300 * ms, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(10, 1)
			for range test.ahead {
				q.come(t.Context(), time.Second)
			}
			if err := q.Wait(t.Context(), test.patience); err != test.want {
				t.Errorf("%d ahead, a patience of %v: got %v, want %v", test.ahead, test.patience, err, test.want)
			}
			want := time.Duration(test.ahead) * 100 * ms
			if test.want != nil {
				want = 0
			}
			if took := time.Since(q.began); took != want {
				t.Errorf("%d ahead, a patience of %v: the answer came after %v, want %v", test.ahead, test.patience, took, want)
			}
			q.came(t)
		})
	}
}

func TestWhoLeavesALineSpendsNoTurn(t *testing.T) {
	errGone := errors.New("gone")
	for _, leaves := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(10, 1)
			q.Try()
			ctx, cancel := context.WithCancelCause(t.Context())
			for i := range 3 {
				if i == leaves {
					q.come(ctx, time.Second)
				} else {
					q.come(t.Context(), time.Second)
				}
			}
			time.Sleep(50 * ms)
			cancel(errGone)
			if o := <-q.done[leaves]; o != (outcome{50 * ms, errGone}) {
				t.Errorf("who leaves is told %v, want the cause after 50ms", o)
			}
			q.done = slices.Delete(q.done, leaves, leaves+1)
			if got, want := q.came(t), []time.Duration{100 * ms, 200 * ms}; !slices.Equal(got, want) {
				t.Errorf("with waiter %d gone the others were let through after %v, want %v", leaves, got, want)
			}
		})
	}
}

func TestTryTakesNoTurnFromThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(10, 1)
		if !q.Try() || q.Try() {
			t.Fatal("the one turn was not taken once")
		}
		q.come(t.Context(), time.Second)
		time.Sleep(100*ms - 1)
		if q.Try() {
			t.Error("a turn was taken before it was there")
		}
		time.Sleep(time.Nanosecond)
		if q.Try() { // whichever of the two looks first
			t.Error("a turn was taken for which somebody waits")
		}
		if got, want := q.came(t), []time.Duration{100 * ms}; !slices.Equal(got, want) {
			t.Errorf("who waited was let through after %v, want %v", got, want)
		}
		time.Sleep(100 * ms)
		place := q.waiting.PushBack(make(chan struct{})) // is first, and late
		if q.Try() {
			t.Error("a turn was taken from who is late for it")
		}
		q.waiting.Remove(place)
		if !q.Try() {
			t.Error("a turn that is there and that nobody waits for was not taken")
		}
	})
}

// A change is seen within a tenth of a second, by who is first. What has passed
// until then counts with the lesser share.
func TestThoseInLineFollowAChangeOfTheShare(t *testing.T) {
	for _, test := range []struct {
		name          string
		before, after float64
		at            time.Duration
		want          []time.Duration
	}{
		// What is seen at 100 ms has counted as 50 of the 100 that a turn takes.
		{"less is here", 1, 0.5, 30 * ms, []time.Duration{200 * ms, 400 * ms, 600 * ms}},
		{"less is here, just after a turn", 1, 0.5, 100*ms + 1, []time.Duration{100 * ms, 300 * ms, 500 * ms}},
		// What is seen at 1,100 ms has counted as 10.
		{"more is here", 0.1, 1, 1030 * ms, []time.Duration{1000 * ms, 1190 * ms, 1290 * ms}},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(10, 1)
			q.share.Store(test.before)
			q.Try()
			for range test.want {
				q.come(t.Context(), time.Hour)
			}
			time.Sleep(test.at)
			q.share.Store(test.after)
			if got := q.came(t); !slices.Equal(got, test.want) {
				t.Errorf("%s: they were let through after %v, want %v", test.name, got, test.want)
			}
		})
	}
}

func TestALineAtABucketWithoutALimitLetsEverybodyThrough(t *testing.T) {
	l := NewLine(New(start, 0, 0, nil))
	for range 1000 {
		if !l.Try() || l.Wait(t.Context(), -1) != nil {
			t.Fatal("somebody was not let through")
		}
	}
}
