package corral

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// waitFor waits for a seat on a goroutine of its own, which has parked, or
// ended, when it returns.
func (b *bulkhead) waitFor(ctx context.Context, s *seat) <-chan error {
	done := make(chan error, 1)
	go func() { done <- b.wait(ctx, s) }()
	synctest.Wait()
	return done
}

func seatedNow(done <-chan error) bool {
	synctest.Wait()
	return len(done) > 0
}

func TestSeatsAreGivenFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead{free: 2}
		seats := make([]seat, 10)
		var turns []<-chan error
		for i := range seats {
			turns = append(turns, b.waitFor(t.Context(), &seats[i]))
		}
		for running := range 8 {
			for i, turn := range turns {
				if got, want := seatedNow(turn), i < running+2; got != want {
					t.Fatalf("after %d have left, seat %d is held: %v, want %v", running, i, got, want)
				}
			}
			if b.take(new(seat)) {
				t.Fatal("a seat was taken past the queue")
			}
			b.leave(&seats[running])
		}
		b.leave(&seats[8])
		b.leave(&seats[9])
		if b.free != 2 || b.first != nil || b.last != nil {
			t.Errorf("at the end %d seats are free, want 2, and the queue is %v", b.free, b.first)
		}
	})
}

func TestASeatThatIsLentRunsAtOnceAndTakesNobodysPlace(t *testing.T) {
	for _, from := range []seatState{outside, queued, held} {
		synctest.Test(t, func(t *testing.T) {
			b := bulkhead{free: 1}
			var parent, before, child, after seat
			if from == held {
				b.free = 2
			}
			if err := b.wait(t.Context(), &parent); err != nil {
				t.Fatal(err)
			}
			var turn <-chan error
			if from == held {
				turn = b.waitFor(t.Context(), &child)
			}
			first := b.waitFor(t.Context(), &before)
			if from == queued {
				turn = b.waitFor(t.Context(), &child)
			}
			last := b.waitFor(t.Context(), &after)

			b.lend(&child)
			b.lend(&child)
			if from == outside {
				if !b.take(&child) {
					t.Error("a lent seat was not taken at once")
				}
				turn = b.waitFor(t.Context(), &child)
			}
			if !seatedNow(turn) || <-turn != nil {
				t.Errorf("from state %d: the child does not run", from)
			}
			if want := map[seatState]seatState{outside: lent, queued: lent, held: held}[from]; child.state != want {
				t.Errorf("from state %d: the child's seat is %d, want %d", from, child.state, want)
			}
			if seatedNow(first) || seatedNow(last) {
				t.Errorf("from state %d: lending gave away a seat", from)
			}
			b.leave(&child)
			if gave := seatedNow(first); gave != (from == held) {
				t.Errorf("from state %d: the child's end gave a seat on: %v", from, gave)
			}
			b.leave(&parent)
			b.leave(&before)
			b.leave(&after)
			if want := map[bool]int{true: 2, false: 1}[from == held]; b.free != want || b.first != nil {
				t.Errorf("from state %d: %d seats are free at the end, want %d", from, b.free, want)
			}
		})
	}
}

func TestLeavingInEveryStateLosesNoSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bulkhead{free: 1}
		var never, holds, first, second, third, late seat
		b.leave(&never) // outside
		b.wait(t.Context(), &holds)
		ctx, cancel := context.WithCancelCause(t.Context())
		one, two, three := b.waitFor(t.Context(), &first), b.waitFor(ctx, &second), b.waitFor(t.Context(), &third)
		cancel(errSource)
		if err := <-two; !errors.Is(err, errSource) {
			t.Errorf("wait: got %v, want the cause of its context's end", err)
		}
		b.leave(&second) // queued, in the middle
		b.leave(&first)  // queued, in front, and nobody has come for it
		b.leave(&holds)  // held
		if !seatedNow(three) || b.free != 0 {
			t.Errorf("the seat went to nobody: %d are free", b.free)
		}
		b.leave(&third)
		b.leave(&third) // left
		b.lend(&third)
		if b.free != 1 || third.state != left {
			t.Errorf("%d seats are free, want 1; a seat left twice is %d", b.free, third.state)
		}
		if !b.take(&late) || b.take(new(seat)) {
			t.Error("the one seat was not given once")
		}
		b.lend(&first) // left: stays so
		if seatedNow(one) || first.state != left {
			t.Error("a seat that was left was lent")
		}
		close(first.ready) // ends its goroutine
	})
}

// A seat that is given at the moment at which its context ends is given back
// by leave, whichever of the two wait has seen.
func TestASeatThatIsGivenAsItsContextEndsIsNotLost(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			b := bulkhead{free: 1}
			var holds, waits seat
			b.wait(t.Context(), &holds)
			ctx, cancel := context.WithCancel(t.Context())
			done := b.waitFor(ctx, &waits)
			b.mu.Lock()
			cancel()
			b.mu.Unlock()
			b.leave(&holds)
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("wait: got %v", err)
			}
			b.leave(&waits)
			if b.free != 1 {
				t.Fatalf("%d seats are free, want 1", b.free)
			}
		})
	}
}

func TestNoMoreRunThanThereAreSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const seats, loads = 5, 300
		b := bulkhead{free: seats}
		var mu sync.Mutex
		running, most := 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			running += n
			most = max(most, running)
		}
		var wg sync.WaitGroup
		for i := range loads {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(9, uint64(i)))
				time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(3000))*time.Millisecond)
				defer cancel()
				var s seat
				defer b.leave(&s)
				if b.wait(ctx, &s) == nil {
					count(1)
					time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
					count(-1)
				}
			})
		}
		wg.Wait()
		if most != seats || b.free != seats || b.first != nil {
			t.Errorf("%d ran at once, want %d; %d seats are free at the end", most, seats, b.free)
		}
	})
}

func TestRetriesStayWithinTheirPartOfLoads(t *testing.T) {
	for _, part := range []float64{0, 0.1, 0.25, 1} {
		b := newBudget(part)
		random := rand.New(rand.NewPCG(12, 13))
		loads, retries := 0, 0
		for range 10_000 {
			if random.IntN(3) == 0 {
				b.load()
				loads++
			} else if b.retry() {
				retries++
			}
			if most := retryBurst + part*float64(loads) + 1e-6; float64(retries) > most {
				t.Fatalf("part %v: %d retries after %d loads, want at most %v", part, retries, loads, most)
			}
		}
		if part > 0 && float64(retries) < part*float64(loads) {
			t.Errorf("part %v: %d retries were allowed of %v", part, retries, part*float64(loads))
		}
	}
	b := newBudget(0.25)
	for range 1000 {
		b.load() // what is not used is not saved
	}
	for i := range retryBurst + 1 {
		if got, want := b.retry(), i < retryBurst; got != want {
			t.Errorf("retry %d at once: got %v, want %v", i, got, want)
		}
	}
	for i := range 8 {
		b.load()
		if got, want := b.retry(), i%4 == 3; got != want {
			t.Errorf("a quarter: the retry after load %d: got %v, want %v", i+1, got, want)
		}
	}
}
