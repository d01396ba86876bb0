package corral

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// account is a ledger with a limit, and the checks of one.
type account struct {
	t     testing.TB
	limit int64 // guarded by mu, as are the others

	mu       sync.Mutex
	reserved int64
	peak     int64
}

func (a *account) Reserve(n int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n <= 0 {
		a.t.Errorf("Reserve(%d)", n)
	}
	if a.reserved+n > a.limit {
		return false
	}
	a.reserved += n
	a.peak = max(a.peak, a.reserved)
	return true
}

func (a *account) Release(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reserved -= n; a.reserved < 0 {
		a.t.Errorf("Release(%d): %d more than was reserved", n, -a.reserved)
	}
}

func (a *account) balance() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reserved
}

func (a *account) setLimit(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limit = n
}

// stream is a body under test.
type stream struct {
	*growing
	t         testing.TB
	account   *account
	abandoned atomic.Int64
	writer    bodyWriter
	cancel    context.CancelCauseFunc
	data      []byte // what the writer is going to write
}

const bodyStall = 30 * time.Second

func newStream(t testing.TB, kept bool, expected int, limit int64) *stream {
	s := &stream{t: t, account: &account{t: t, limit: limit}, data: pattern()}
	s.growing = &growing{kept: kept, arrival: &arrival{
		ledger: s.account, stall: bodyStall, limit: limit, largest: math.MaxInt64,
		readers: map[*Body]struct{}{}, expected: expected,
	}}
	s.idle = func() { s.abandoned.Add(1) }
	ctx, cancel := context.WithCancelCause(context.Background())
	s.writer, s.cancel = bodyWriter{s.growing, ctx}, cancel
	return s
}

// pattern is bytes of which no two places look alike. Nobody changes them.
var pattern = sync.OnceValue(func() []byte {
	data := make([]byte, 8<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	return data
})

// write appends the next n bytes of data.
func (s *stream) write(n int) (int, error) {
	at := int(s.size) // only the writer changes it
	return s.writer.Write(s.data[at : at+n])
}

func (s *stream) mustWrite(n int) {
	s.t.Helper()
	if wrote, err := s.write(n); wrote != n || err != nil {
		s.t.Fatalf("Write of %d bytes: got %d, %v", n, wrote, err)
	}
}

// wantHeld checks B3.
func (s *stream) wantHeld(want int64) {
	s.t.Helper()
	s.mu.Lock()
	held, there := s.held, int64(0)
	for c := s.head; c != nil; c = c.next {
		there += int64(cap(c.data))
	}
	s.mu.Unlock()
	if balance := s.account.balance(); balance != want || held != want && !s.counted || there != want && !s.counted {
		s.t.Fatalf("B3: the ledger has %d, held is %d, the chunks take %d, want %d", balance, held, there, want)
	}
}

// want reads n bytes that begin at an offset.
func (s *stream) want(b *Body, at, n int) {
	s.t.Helper()
	got := make([]byte, n)
	if read, err := io.ReadFull(b, got); err != nil {
		s.t.Fatalf("Read at %d: got %d bytes, %v, want %d", at, read, err, n)
	}
	if !bytes.Equal(got, s.data[at:at+n]) {
		s.t.Fatalf("B2: what was read at %d is not what was written there", at)
	}
}

func (s *stream) wantEnd(b *Body, target error) {
	s.t.Helper()
	if n, err := b.Read(make([]byte, 1)); n != 0 || !errors.Is(err, target) {
		s.t.Fatalf("Read at the end: got %d bytes, %v, want %v", n, err, target)
	}
}

func (s *stream) mustJoin(expected bool) *Body {
	s.t.Helper()
	b := s.join(s.t.Context(), expected)
	if b == nil {
		s.t.Fatal("join: got nil, want a reader")
	}
	return b
}

// blocked runs f on a goroutine of its own and says whether it still waits.
func blocked(f func()) (done chan struct{}, waits func() bool) {
	done = make(chan struct{})
	go func() { defer close(done); f() }()
	return done, func() bool {
		synctest.Wait()
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
}

var errTail = errors.New("the tail failed")

func TestReadersOfAKeptBodySeeAllOfItWheneverTheyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, true, 1, 1<<30)
		first := s.mustJoin(true)
		read, waits := blocked(func() { s.want(first, 0, 10) })
		if !waits() {
			t.Fatal("a reader does not wait for the first byte")
		}
		s.mustWrite(10)
		<-read
		s.mustWrite(200_000)
		second := s.mustJoin(false)
		s.want(second, 0, 200_010)
		if n, whole := second.Len(); n != 200_010 || whole {
			t.Fatalf("Len: got %d, %v", n, whole)
		}
		read, waits = blocked(func() { s.want(second, 200_010, 1) })
		if !waits() {
			t.Fatal("a reader does not wait for the next byte")
		}
		s.mustWrite(1)
		<-read
		if reserved, whole := s.end(nil); !whole || reserved != s.account.balance() {
			t.Fatalf("end: got %d, %v, want %d, whole", reserved, whole, s.account.balance())
		}
		third := s.mustJoin(false)
		if got, err := io.ReadAll(third); err != nil || !bytes.Equal(got, s.data[:200_011]) {
			t.Fatalf("B2: a reader of the whole body got %d bytes, %v", len(got), err)
		}
		s.want(first, 10, 200_001)
		for _, b := range []*Body{first, second, third} {
			s.checkCounts()
			s.wantEnd(b, io.EOF)
			s.wantEnd(b, io.EOF)
			if n, whole := b.Len(); n != 200_011 || !whole {
				t.Fatalf("Len: got %d, %v", n, whole)
			}
		}
		if len(s.readers) != 0 {
			t.Errorf("%d readers are remembered after the end", len(s.readers))
		}
		if s.abandoned.Load() != 0 {
			t.Error("the body is said to be abandoned")
		}
		n, whole := s.bytes()
		if balance := s.account.balance(); n != 200_011 || balance != n || !whole {
			t.Errorf("bytes: got %d, %v, and the ledger has %d, want 200011, whole", n, whole, balance)
		}
	})
}

func TestASlowReaderDoesNotHoldUpABodyThatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, true, 1, 1<<30)
		slow := s.mustJoin(true)
		start := time.Now()
		s.mustWrite(4 * bodyWindow)
		if took := time.Since(start); took != 0 {
			t.Fatalf("the writer waited %v", took)
		}
		time.Sleep(10 * bodyStall)
		s.want(slow, 0, 4*bodyWindow)
		s.end(nil)
		s.wantEnd(slow, io.EOF)
	})
}

func TestTheWriterOfAWindowedBodyWaitsAtTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, 2, 1<<30)
		fast, slow := s.mustJoin(true), s.mustJoin(true)
		var wrote int64
		done, waits := blocked(func() {
			for wrote < 4*bodyWindow {
				s.mustWrite(maxChunk)
				atomic.AddInt64(&wrote, maxChunk)
			}
		})
		for step := range int64(4) {
			if ahead := atomic.LoadInt64(&wrote) - step*maxChunk; !waits() && step < 3 || ahead > bodyWindow {
				t.Fatalf("the writer is %d bytes ahead of the slowest reader, want %d", ahead, bodyWindow)
			}
			s.wantHeld(bodyWindow)
			s.want(fast, int(step)*maxChunk, maxChunk)
			if !waits() || s.size != bodyWindow+step*maxChunk {
				t.Fatalf("a reader who is not the slowest let the writer go on to %d", s.size)
			}
			s.want(slow, int(step)*maxChunk, maxChunk-1)
			if !waits() || s.size != bodyWindow+step*maxChunk {
				t.Fatalf("a reader with a byte of the oldest chunk to go let the writer go on to %d", s.size)
			}
			s.want(slow, int(step+1)*maxChunk-1, 1)
			if !waits() || s.size != bodyWindow+(step+1)*maxChunk {
				t.Fatalf("the writer is at %d after step %d, want %d", s.size, step, bodyWindow+(step+1)*maxChunk)
			}
		}
		go io.Copy(io.Discard, fast)
		go io.Copy(io.Discard, slow)
		<-done
		s.end(nil)
		synctest.Wait()
		s.wantHeld(0)
		if s.account.peak != bodyWindow {
			t.Errorf("at most %d bytes were reserved, want %d", s.account.peak, bodyWindow)
		}
	})
}

func TestAReaderThatMakesNoRoomForTheStallTimeIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, 3, 1<<30)
		still, slow, fast := s.mustJoin(true), s.mustJoin(true), s.mustJoin(true)
		start := time.Now()
		s.writeFor(fast, bodyWindow)
		time.Sleep(time.Second) // the stall counts from when the writer waits
		done, waits := blocked(func() { s.mustWrite(1) })
		time.Sleep(bodyStall - time.Nanosecond)
		if !waits() {
			t.Fatalf("the writer went on after %v", time.Since(start))
		}
		s.want(slow, 0, maxChunk) // just in time
		time.Sleep(time.Nanosecond)
		if waits() {
			t.Fatal("the writer still waits after the stall time")
		}
		<-done
		s.wantEnd(still, ErrOverloaded)
		s.wantEnd(still, ErrOverloaded)
		s.want(slow, maxChunk, bodyWindow-maxChunk+1)
		s.want(fast, bodyWindow, 1)
		s.end(nil)
		s.wantEnd(slow, io.EOF)
		s.wantEnd(fast, io.EOF)
		s.wantHeld(0)
	})
}

// writeFor writes n bytes and reads them by one reader.
func (s *stream) writeFor(b *Body, n int) {
	s.t.Helper()
	s.mustWrite(n)
	s.want(b, 0, n)
}

// One reader who reads a byte now and then must not hold the others up for longer
// than the stall time a chunk.
func TestAReaderThatTricklesIsCutOffToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, 2, 1<<30)
		trickle, fast := s.mustJoin(true), s.mustJoin(true)
		s.writeFor(fast, bodyWindow)
		start := time.Now()
		cut, _ := blocked(func() {
			for {
				time.Sleep(time.Second + time.Millisecond)
				if _, err := trickle.Read(make([]byte, 1)); err != nil {
					return
				}
			}
		})
		s.mustWrite(1)
		if waited := time.Since(start); waited != bodyStall {
			t.Errorf("the writer waited %v, want %v", waited, bodyStall)
		}
		s.end(nil)
		s.want(fast, bodyWindow, 1)
		s.wantEnd(fast, io.EOF)
		s.wantHeld(0)
		<-cut
		s.wantEnd(trickle, ErrOverloaded)
	})
}

func TestExpectedReadersFindTheBeginningOrForfeit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, 3, 1<<30)
		first := s.mustJoin(true)
		s.writeFor(first, bodyWindow)
		s.wantHeld(bodyWindow)
		done, waits := blocked(func() { s.mustWrite(1) })
		if !waits() {
			t.Fatal("the writer does not wait for readers that are still to come")
		}
		s.forfeit()
		if !waits() {
			t.Fatal("the writer does not wait for the last reader to come")
		}
		second := s.mustJoin(true)
		if s.join(t.Context(), false) != nil || s.join(t.Context(), true) != nil {
			t.Fatal("B4: a reader that was not expected joined a windowed body")
		}
		s.want(second, 0, bodyWindow)
		<-done
		s.end(nil)
		if s.join(t.Context(), false) != nil || s.join(t.Context(), true) != nil {
			t.Fatal("B4: a reader that was not expected joined a windowed body that has ended")
		}
		s.want(first, bodyWindow, 1)
		s.want(second, bodyWindow, 1)
		s.wantEnd(first, io.EOF)
		s.wantEnd(second, io.EOF)
		s.wantHeld(0)
	})
}

func TestAnExpectedReaderThatComesAfterItWasCutFindsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, 2, 1<<30)
		first := s.mustJoin(true)
		s.writeFor(first, bodyWindow)
		start := time.Now()
		s.mustWrite(maxChunk)
		if waited := time.Since(start); waited != bodyStall {
			t.Fatalf("the writer waited %v, want %v", waited, bodyStall)
		}
		if s.join(t.Context(), true) != nil {
			t.Fatal("B2: a reader joined a body whose beginning is gone")
		}
		s.forfeit() // another that was cut: counts no more
		s.want(first, bodyWindow, maxChunk)
		first.Close()
		if s.abandoned.Load() != 1 {
			t.Fatalf("abandoned %d times, want once", s.abandoned.Load())
		}
	})
}

func TestAForfeitMakesRoomAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, 2, 1<<30)
		first := s.mustJoin(true)
		s.writeFor(first, bodyWindow)
		start := time.Now()
		done, waits := blocked(func() { s.mustWrite(1) })
		if !waits() {
			t.Fatal("the writer does not wait for a reader that is still to come")
		}
		s.forfeit()
		<-done
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the writer waited %v", waited)
		}
		s.wantHeld(maxChunk)
		first.Close()
	})
}

func TestAReaderThatMakesRoomAtTheLastMomentIsNotCut(t *testing.T) {
	s := newStream(t, false, 1, 1<<30)
	reader := s.mustJoin(true)
	s.mustWrite(bodyWindow)
	_, wait, err := s.add([]byte{1}, nil)
	if wait == nil || err != nil {
		t.Fatalf("add to a full window: got %v, %v", wait, err)
	}
	s.want(reader, 0, maxChunk)
	s.cut(wait) // the timer of that wait
	s.want(reader, maxChunk, maxChunk)
}

func TestAnExpectedReaderThatComesRestartsTheStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, 1, 1<<30)
		done, waits := blocked(func() { s.mustWrite(bodyWindow + 1) })
		time.Sleep(bodyStall - time.Nanosecond)
		late := s.mustJoin(true)
		time.Sleep(bodyStall - time.Nanosecond)
		if !waits() {
			t.Fatal("a reader that came late was cut before its time")
		}
		s.want(late, 0, bodyWindow+1)
		<-done
	})
}

func TestABodyForWhichThereIsNoMoreRoomGoesOnThroughAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 4 * maxChunk
		s := newStream(t, true, 1, limit)
		reader := s.mustJoin(true)
		s.mustWrite(limit)
		if !s.joinable() {
			t.Fatal("a kept body is not joinable")
		}
		done, waits := blocked(func() { s.mustWrite(10 * maxChunk) })
		if !waits() || s.joinable() || s.join(t.Context(), false) != nil {
			t.Fatal("B4: a body without room goes on, or takes readers")
		}
		s.wantHeld(limit)
		s.want(reader, 0, 14*maxChunk)
		<-done
		if _, whole := s.end(nil); whole {
			t.Fatal("a windowed body is whole")
		}
		s.wantEnd(reader, io.EOF)
		s.wantHeld(0)
		if s.account.peak > limit {
			t.Errorf("%d bytes were reserved of %d", s.account.peak, limit)
		}
	})
}

func TestABodyOverItsLargestGoesOnThroughAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			size int
			kept bool
		}{{99_999, true}, {100_000, true}, {100_001, false}} {
			s := newStream(t, true, 1, 1<<30)
			s.largest = 100_000
			reader := s.mustJoin(true)
			s.mustWrite(test.size)
			s.want(reader, 0, test.size)
			if _, whole := s.end(nil); whole != test.kept {
				t.Errorf("%d bytes: kept %v, want %v", test.size, whole, test.kept)
			}
			s.wantEnd(reader, io.EOF)
			if test.kept != (s.account.balance() > 0) || s.account.balance() > 100_000 {
				t.Errorf("%d bytes: %d are reserved", test.size, s.account.balance())
			}
		}
	})
}

func TestAWindowedBodyNeedsRoomForOneChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, 1, maxChunk)
		reader := s.mustJoin(true)
		go func() { s.mustWrite(50 * maxChunk); s.end(nil) }()
		if got, err := io.ReadAll(reader); err != nil || !bytes.Equal(got, s.data[:50*maxChunk]) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		s.wantHeld(0)
	})
}

func TestABodyIsOverloadedWhereNothingCanBeFreed(t *testing.T) {
	for name, test := range map[string]struct {
		kept     bool
		expected int
		reader   bool
	}{
		"kept, a refresh": {kept: true}, "kept, with a reader": {kept: true, expected: 1, reader: true},
		"windowed": {expected: 1, reader: true}, "windowed, reader to come": {expected: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStream(t, test.kept, test.expected, 1<<30)
				var reader *Body
				if test.reader {
					reader = s.mustJoin(true)
				}
				if test.kept || test.reader {
					s.mustWrite(maxChunk)
				}
				if reader != nil {
					s.want(reader, 0, maxChunk)
				}
				s.account.setLimit(0)
				start := time.Now()
				if n, err := s.write(1); n != 0 || !errors.Is(err, ErrOverloaded) || time.Since(start) != 0 {
					t.Fatalf("Write: got %d, %v after %v, want ErrOverloaded at once", n, err, time.Since(start))
				}
				s.account.setLimit(1 << 30)
				if n, err := s.write(1); n != 0 || !errors.Is(err, ErrOverloaded) {
					t.Fatalf("B2: Write after a refused one: got %d, %v, want the same error", n, err)
				}
				if _, whole := s.end(nil); whole { // by a tail that does not look at what Write says
					t.Fatal("B2: a body whose writer was refused is whole")
				}
				if reader == nil && test.expected > 0 {
					reader = s.mustJoin(true)
				}
				if reader != nil {
					s.wantEnd(reader, ErrBroken)
					s.wantEnd(reader, ErrOverloaded)
				}
				s.wantHeld(0)
			})
		})
	}
}

func TestABodyThatEndsBadlyIsBrokenForAllAndFreed(t *testing.T) {
	for _, kept := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(t, kept, 4, 1<<30)
			ahead, behind, never := s.mustJoin(true), s.mustJoin(true), s.mustJoin(true)
			s.mustWrite(100_000)
			s.want(ahead, 0, 100_000)
			s.want(behind, 0, 10)
			done, waits := blocked(func() { s.wantEnd(ahead, errTail) })
			if !waits() {
				t.Fatal("a reader does not wait for the end")
			}
			if _, whole := s.end(errTail); whole {
				t.Fatal("a broken body is whole")
			}
			<-done
			s.end(nil)
			if s.join(t.Context(), false) != nil || s.joinable() {
				t.Fatal("B4: a reader joined a broken body")
			}
			expected := s.mustJoin(true)
			if s.join(t.Context(), true) != nil {
				t.Fatal("B4: more readers joined than were expected")
			}
			s.want(behind, 10, 99_990)
			s.want(expected, 0, 100_000)
			for _, b := range []*Body{ahead, behind, expected} {
				s.wantEnd(b, ErrBroken)
				s.wantEnd(b, errTail)
				if _, whole := b.Len(); whole {
					t.Fatal("a broken body has a whole length")
				}
			}
			s.wantHeldFor(never)
			s.wantHeld(0)
		})
	}
}

// wantHeldFor checks that what a reader has not read is still there, until it leaves.
func (s *stream) wantHeldFor(b *Body) {
	s.t.Helper()
	if s.account.balance() == 0 {
		s.t.Fatal("what a reader has yet to read is freed")
	}
	b.Close()
	b.Close()
	s.wantEnd(b, io.ErrClosedPipe)
}

func TestABodyThatIsNotAsLongAsDeclaredIsBroken(t *testing.T) {
	for size, want := range map[int]bool{99: false, 100: true, 101: false} {
		s := newStream(t, true, 1, 1<<30)
		s.growing.want = 100
		reader := s.mustJoin(true)
		s.mustWrite(size)
		if _, whole := s.end(nil); whole != want {
			t.Errorf("%d bytes of 100 declared: whole %v, want %v", size, whole, want)
		}
		_, err := io.ReadAll(reader)
		if (err == nil) != want || err != nil && !errors.Is(err, ErrBroken) {
			t.Errorf("%d bytes of 100 declared: got %v", size, err)
		}
	}
}

func TestTheLastReaderThatLeavesAbandonsTheBodyWhileItArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kept := range []bool{true, false} {
			s := newStream(t, kept, 2, 1<<30)
			first := s.mustJoin(true)
			s.mustWrite(10)
			first.Close()
			if s.abandoned.Load() != 0 {
				t.Fatal("abandoned while a reader is still to come")
			}
			s.forfeit()
			if s.abandoned.Load() != 1 {
				t.Fatalf("abandoned %d times, want once", s.abandoned.Load())
			}
			s.cancel(errAbandoned)
			if n, err := s.write(1); n != 0 || !errors.Is(err, errAbandoned) {
				t.Fatalf("Write: got %d, %v, want errAbandoned", n, err)
			}
			s.end(errAbandoned)
			s.wantHeld(0)

			s = newStream(t, kept, 1, 1<<30)
			first = s.mustJoin(true)
			s.end(nil)
			first.Close()
			if s.abandoned.Load() != 0 {
				t.Fatal("a body that has ended was abandoned")
			}
		}
	})
}

func TestAWindowedBodyThatNobodyReadsIsWrittenNoFurther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, true, 0, 1<<30) // a refresh
		s.mustWrite(2 * maxChunk)
		s.window()
		s.wantHeld(0)
		if n, err := s.write(1); n != 0 || !errors.Is(err, errAbandoned) {
			t.Fatalf("Write: got %d, %v, want errAbandoned", n, err)
		}
		s.end(errAbandoned)
		s.wantHeld(0)
	})
}

func TestTheWriterIsWokenWhenTheLastReaderLeavesOrTheLoadEnds(t *testing.T) {
	for name, leave := range map[string]func(*stream, *Body){
		"Close": func(_ *stream, b *Body) { b.Close() }, "cancel": func(s *stream, _ *Body) { s.cancel(errAbandoned) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStream(t, false, 1, 1<<30)
				reader := s.mustJoin(true)
				start := time.Now()
				done, waits := blocked(func() {
					if _, err := s.write(2 * bodyWindow); !errors.Is(err, errAbandoned) || time.Since(start) != 0 {
						t.Errorf("Write: got %v after %v, want errAbandoned at once", err, time.Since(start))
					}
				})
				if !waits() {
					t.Fatal("the writer does not wait")
				}
				leave(s, reader)
				<-done
				reader.Close()
				s.end(errAbandoned)
				s.wantHeld(0)
			})
		})
	}
}

func TestAReadEndsWithItsReader(t *testing.T) {
	for _, kept := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(t, kept, 3, 1<<30)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTail)
			defer cancel()
			ends, closes, stays := s.join(ctx, true), s.mustJoin(true), s.mustJoin(true)
			start := time.Now()
			ended, _ := blocked(func() { s.wantEnd(ends, errTail) })
			closed, waits := blocked(func() { s.wantEnd(closes, io.ErrClosedPipe) })
			stayed, stayWaits := blocked(func() { s.want(stays, 0, 10) })
			if !waits() {
				t.Fatal("a reader does not wait")
			}
			closes.Close()
			if waits() {
				t.Fatal("Close did not wake a Read")
			}
			<-closed
			<-ended
			if took := time.Since(start); took != time.Second {
				t.Fatalf("a Read ended %v after its call, its context after 1s", took)
			}
			s.wantEnd(ends, errTail) // and stays ended
			if !stayWaits() || len(s.readers) != 1 {
				t.Fatalf("%d readers are left, want 1", len(s.readers))
			}
			s.mustWrite(10)
			<-stayed
			stays.Close()
			if s.abandoned.Load() != 1 {
				t.Errorf("abandoned %d times, want once", s.abandoned.Load())
			}
		})
	}
}

func TestWriteToHandsOverEveryByteAndStopsAtAWritersError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, 4, 1<<30)
		copied := s.mustJoin(true)
		var to bytes.Buffer
		done, _ := blocked(func() {
			if n, err := io.Copy(&to, copied); n != 3*bodyWindow || err != nil {
				t.Errorf("io.Copy: got %d, %v", n, err)
			}
		})
		for _, test := range []struct {
			took int
			err  error
			want error
		}{{3, errTail, errTail}, {3, nil, io.ErrShortWrite}, {-1, nil, nil}} {
			b := s.mustJoin(true)
			go func() {
				defer b.Close()
				n, err := b.WriteTo(writerFunc(func(p []byte) (int, error) { return test.took, test.err }))
				if n != int64(max(test.took, 0)) || err == nil || test.want != nil && !errors.Is(err, test.want) {
					t.Errorf("WriteTo a writer that answers %d, %v: got %d, %v", test.took, test.err, n, err)
				}
			}()
		}
		s.mustWrite(3 * bodyWindow)
		s.end(nil)
		<-done
		if !bytes.Equal(to.Bytes(), s.data[:3*bodyWindow]) {
			t.Error("B2: what was copied is not what was written")
		}
		synctest.Wait()
		s.wantHeld(0)
		if n, err := copied.Read(nil); n != 0 || err != nil {
			t.Errorf("Read of nothing: got %d, %v", n, err)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestABodyThatIsWholeAndReadByNobodyKeepsNothingOfItsArrival(t *testing.T) {
	s := newStream(t, true, 1, 1<<20)
	early := s.growing.join(context.Background(), false)
	s.write(5000)
	s.end(nil)
	s.settled()
	if s.arrival == nil {
		t.Fatal("B6: one reads and one is expected")
	}
	early.Close()
	if s.arrival == nil {
		t.Fatal("B6: one is expected")
	}
	s.forfeit()
	if s.arrival != nil {
		t.Fatal("nobody is left, and the arrival stays")
	}
	for range 2 {
		late := s.growing.join(context.Background(), false)
		if got, err := io.ReadAll(late); err != nil || !bytes.Equal(got, s.data[:5000]) {
			t.Fatalf("read %d bytes, error %v", len(got), err)
		}
		again := late.Again(context.Background())
		if n, err := again.Discard(4999); n != 4999 || err != nil {
			t.Fatalf("discarded %d, %v", n, err)
		}
		again.Close()
		if _, err := again.Read(make([]byte, 1)); err != io.ErrClosedPipe {
			t.Fatalf("read after Close: %v", err)
		}
	}
	s.forfeit() // of one who came too late to be expected
	s.window()
	if s.growing.join(context.Background(), false) != nil {
		t.Fatal("B4: joined a body that the cache has let go")
	}
}

func TestNothingIsWrittenAfterTheEnd(t *testing.T) {
	s := newStream(t, true, 0, 1<<30)
	s.mustWrite(100)
	reserved, _ := s.end(nil)
	s.settled()
	if n, err := s.write(1); n != 0 || !errors.Is(err, io.ErrClosedPipe) || s.size != 100 {
		t.Errorf("B1: Write after the end: got %d, %v, size %d", n, err, s.size)
	}
	if again, whole := s.end(errTail); !whole || again != 0 || s.account.balance() != reserved {
		t.Errorf("a second end: got %d, %v", again, whole)
	}
	reader := s.mustJoin(false)
	s.want(reader, 0, 100)
	s.wantEnd(reader, io.EOF)
	s.window() // the entry counts it: the ledger is not concerned
	if s.account.balance() != reserved {
		t.Errorf("the ledger has %d, want %d", s.account.balance(), reserved)
	}
}

func TestBytesOnceReadDoNotChange(t *testing.T) {
	s := newStream(t, false, 1, 1<<30)
	reader := s.mustJoin(true)
	p := []byte("abc")
	s.writer.Write(p)
	view, _ := reader.next()
	copy(p, "xyz") // the writer's own buffer
	reader.advance(3)
	for range 100 {
		s.writer.Write(bytes.Repeat([]byte{'x'}, maxChunk))
		data, _ := reader.next()
		reader.advance(len(data))
	}
	if string(view) != "abc" {
		t.Errorf("B1: bytes that were read have become %q", view)
	}
}

func TestMostlyHere(t *testing.T) {
	for _, test := range []struct {
		declared int64
		size     int
		kept     bool
		want     bool
	}{{0, 100, true, false}, {100, 49, true, false}, {100, 50, true, true}, {101, 50, true, false}, {100, 50, false, false}, {math.MaxInt64, 50, true, false}} {
		s := newStream(t, test.kept, 1, 1<<30)
		s.growing.want = test.declared
		s.mustWrite(test.size)
		if got := s.mostlyHereLocked(); got != test.want {
			t.Errorf("%d of %d bytes, kept %v: got %v, want %v", test.size, test.declared, test.kept, got, test.want)
		}
	}
}

// A read must cost the same among many readers as alone, or ten thousand of
// them stand still.
func TestTenThousandReadersOfAWindowedBody(t *testing.T) {
	const readers, size = 10_000, 3 * maxChunk
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, readers, 1<<30)
		var read atomic.Int64
		for range readers {
			go func() {
				n, err := io.Copy(io.Discard, s.join(t.Context(), true))
				if n != size || err != nil {
					t.Errorf("got %d bytes, %v", n, err)
				}
				read.Add(1)
			}()
		}
		s.mustWrite(size)
		s.end(nil)
		synctest.Wait()
		if read.Load() != readers {
			t.Errorf("%d readers came to the end, want %d", read.Load(), readers)
		}
		s.wantHeld(0)
	})
}

// A script drives a writer and several readers; whatever happens, each reader
// has what was written, from the beginning, and the ledger is even at the end.
func FuzzReadersGetWhatWasWrittenAndTheLedgerIsEven(f *testing.F) {
	random := rand.New(rand.NewPCG(6, 7))
	for seed := range uint64(24) {
		script := make([]byte, 20+10*seed)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(seed, script)
	}
	f.Fuzz(func(t *testing.T, seed uint64, script []byte) {
		synctest.Test(t, func(t *testing.T) { interleave(t, seed, script[:min(len(script), 300)]) })
	})
}

func interleave(t *testing.T, seed uint64, script []byte) {
	random := rand.New(rand.NewPCG(seed, 8))
	limit := []int64{1 << 30, 3 * bodyWindow, 5 * maxChunk, maxChunk, firstChunk, 0}[seed%6]
	s := newStream(t, seed%2 == 0, int(seed/2%4), limit)
	if seed%5 == 0 {
		s.largest = 300_000
	}
	if seed%7 == 0 {
		s.growing.want = 150_000 // whatever comes
	}
	var readers sync.WaitGroup
	var bodies []*Body
	read := func(b *Body, patience time.Duration, most int) {
		bodies = append(bodies, b)
		random := rand.New(rand.NewPCG(seed, uint64(len(bodies))))
		readers.Go(func() {
			defer b.Close()
			at, buffer := 0, make([]byte, most)
			for {
				n, err := b.Read(buffer[:1+random.IntN(most)])
				if !bytes.Equal(buffer[:n], s.data[at:at+n]) {
					t.Errorf("B2: what was read at %d is not what was written there", at)
				}
				at += n
				if err == io.EOF {
					if n, whole := b.Len(); !whole || n != int64(at) {
						t.Errorf("B2: the end was read at %d of %d, whole %v", at, n, whole)
					}
				}
				if err != nil {
					return
				}
				if random.IntN(4) == 0 {
					time.Sleep(patience)
				}
			}
		})
	}

	writes := make(chan int, len(script))
	var writer sync.WaitGroup
	fate := seed % 3 // of the writer: whole, broken, careless
	writer.Go(func() {
		at := 0
		for n := range writes {
			wrote, err := s.writer.Write(s.data[at : at+n])
			at += wrote
			if err != nil && fate != 2 {
				s.end(err)
				return
			}
		}
		if fate == 1 {
			s.end(errTail)
			return
		}
		if reserved, whole := s.end(nil); whole {
			if int(s.size) != at {
				t.Errorf("B1: a whole body has %d bytes, %d were written", s.size, at)
			}
			s.settled()
			s.account.Release(reserved) // as the entry, when it is evicted
		}
	})
	for _, step := range script {
		switch amount := 1 << (step >> 4); step & 0xf {
		case 0, 1, 2, 3:
			writes <- min(amount*random.IntN(16), 20_000)
		case 4, 5:
			if b := s.join(t.Context(), true); b != nil {
				read(b, time.Duration(amount)*time.Millisecond, 1+amount*8)
			}
		case 6:
			if b := s.join(t.Context(), false); b != nil {
				read(b, time.Duration(amount)*time.Millisecond, 1+amount*8)
			}
		case 7:
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(amount)*time.Millisecond)
			if b := s.join(ctx, true); b != nil {
				read(b, time.Second, 1000)
			}
			context.AfterFunc(t.Context(), cancel)
		case 8:
			s.forfeit()
		case 9:
			if len(bodies) > 0 {
				bodies[random.IntN(len(bodies))].Close()
			}
		case 10:
			if step>>4 > 10 {
				s.window()
			}
		case 11:
			s.account.setLimit(int64(amount) * 4096)
		case 12:
			if step>>4 > 13 {
				s.cancel(errAbandoned)
			}
		case 13, 14:
			time.Sleep(time.Duration(amount) * time.Millisecond)
		default:
			synctest.Wait()
		}
		s.checkCounts()
	}
	close(writes)
	for range s.expectedNow() {
		s.forfeit()
	}
	writer.Wait()
	readers.Wait()
	s.checkCounts()
	if balance := s.account.balance(); balance != 0 {
		t.Errorf("B3: at the end %d bytes are reserved", balance)
	}
}

func (s *stream) expectedNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrival == nil {
		return 0
	}
	return s.expected
}

// checkCounts checks B3 and B5.
func (s *stream) checkCounts() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.arrival == nil {
		return // whole, and nobody is counted
	}
	places := map[*int]int{}
	for b := range s.readers {
		places[s.placeLocked(b)]++
	}
	if s.atEnd != places[&s.atEnd] {
		s.t.Errorf("B5: %d readers are counted at the end, %d are there", s.atEnd, places[&s.atEnd])
	}
	chunks := int64(0)
	for c := s.head; c != nil; c = c.next {
		chunks += int64(cap(c.data))
		if c.readers != places[&c.readers] {
			s.t.Errorf("B5: %d readers are counted in a chunk, %d are there", c.readers, places[&c.readers])
		}
	}
	if !s.counted && (chunks != s.held || s.account.balance() != s.held) {
		s.t.Errorf("B3: held is %d, the chunks take %d, the ledger has %d", s.held, chunks, s.account.balance())
	}
}

// Under the race detector: readers on many processors, each at its own pace.
func TestManyReadersAtOnce(t *testing.T) {
	const manyBytes = bodyWindow * 3 / 2
	for _, kept := range []bool{true, false} {
		s := newStream(t, kept, 16, 1<<30)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				b := s.join(t.Context(), true)
				defer b.Close()
				var got bytes.Buffer
				var err error
				switch i % 4 {
				case 0:
					_, err = b.WriteTo(&got)
				case 1:
					_, err = got.ReadFrom(b)
				case 2:
					_, err = io.CopyBuffer(&got, struct{ io.Reader }{b}, make([]byte, 1000+i))
				case 3:
					io.CopyN(&got, b, int64(i)*10_000)
					go b.Close()
					return
				}
				if err != nil || !bytes.Equal(got.Bytes(), s.data[:manyBytes]) {
					t.Errorf("reader %d: got %d bytes, %v", i, got.Len(), err)
				}
			})
		}
		for at := 0; at < manyBytes; at += 10_000 {
			s.mustWrite(min(10_000, manyBytes-at))
		}
		s.end(nil)
		wg.Wait()
	}
}

func ExampleBody() {
	c, err := New(LoaderFunc[string](func(_ context.Context, key string, _ *Item[string]) (Item[string], error) {
		return Item[string]{Value: "header of " + key, Tail: func(_ context.Context, body io.Writer) error {
			_, err := io.WriteString(body, "and what follows it")
			return err
		}}, nil
	}), Options[string]{TTL: time.Minute, MaxBytes: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	item, _, err := c.GetItem(context.Background(), "a")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer item.Body.Close()
	body, err := io.ReadAll(item.Body)
	fmt.Println(item.Value, string(body), err)
	// Output: header of a and what follows it <nil>
}

func TestDiscardSkipsAndWaitsAsReadDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, true, 1, 1<<30)
		b := s.mustJoin(true)
		discard := func(n, want int64, target error) {
			t.Helper()
			if skipped, err := b.Discard(n); skipped != want || !errors.Is(err, target) {
				t.Fatalf("Discard(%d): got %d, %v; want %d, %v", n, skipped, err, want, target)
			}
			s.checkCounts()
		}
		discard(0, 0, nil) // and does not wait
		s.mustWrite(200_000)
		discard(1, 1, nil)
		s.want(b, 1, 10)
		discard(150_000, 150_000, nil) // over chunks
		s.want(b, 150_011, 10)
		skip, waits := blocked(func() { discard(60_000, 60_000, nil) })
		if !waits() {
			t.Fatal("Discard does not wait for bytes that are still to come")
		}
		s.mustWrite(20_000)
		<-skip
		s.want(b, 210_021, 1)
		s.end(nil)
		discard(1<<40, 220_000-210_022, io.EOF)
		discard(1, 0, io.EOF)
		discard(0, 0, nil)
		if n, err := b.Discard(-1); n != 0 || err == nil || errors.Is(err, io.EOF) {
			t.Fatalf("Discard(-1): got %d, %v, want an error of its own", n, err)
		}
	})
}

func TestDiscardMakesRoomAndEndsWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, false, 1, 1<<30)
		b := s.mustJoin(true)
		write, waits := blocked(func() { s.mustWrite(bodyWindow + 2*maxChunk) })
		if !waits() {
			t.Fatal("the writer does not wait at the window")
		}
		if n, err := b.Discard(3 * maxChunk); n != 3*maxChunk || err != nil {
			t.Fatalf("Discard: got %d, %v", n, err)
		}
		<-write
		ctx, cancel := context.WithCancelCause(t.Context())
		b.ctx = ctx
		skip, waits := blocked(func() {
			if n, err := b.Discard(1 << 40); n != bodyWindow-maxChunk || err != errTail {
				t.Errorf("Discard: got %d, %v; want %d and the cause of the context", n, err, bodyWindow-maxChunk)
			}
		})
		if !waits() {
			t.Fatal("Discard does not wait")
		}
		cancel(errTail)
		<-skip
		s.end(errTail)
		s.wantHeld(0)
	})
}

func TestABodyIsReadAgainFromItsBeginningWhereItMayBeJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, true, 2, 1<<30)
		first := s.mustJoin(true)
		s.mustWrite(100_000)
		s.want(first, 0, 100_000)
		second := first.Again(t.Context())
		if n := s.expectedNow(); n != 1 {
			t.Fatalf("%d readers are expected, want 1: it took the place of one", n)
		}
		s.forfeit()
		s.want(second, 0, 100_000)
		s.mustWrite(10)
		s.want(second, 100_000, 10)
		first.Close()
		third := first.Again(t.Context()) // the body is there, whoever has closed
		s.want(third, 0, 100_010)
		s.window()
		if second.Again(t.Context()) != nil {
			t.Fatal("B4: a windowed body was joined again")
		}
		s.checkCounts()
		second.Close()
		third.Close()
		s.end(nil)
		s.wantHeld(0)
	})
}
