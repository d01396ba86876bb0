package corral

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAThousandCallersShareOneLoad(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: 10 * time.Millisecond}
		c := open(t, s, Options[string]{})
		sources := map[Source]int{}
		for _, g := range together(1000, func(int) got { return get(c, t.Context(), "a") }) {
			if g.err != nil || g.item.Value != "a#1" || g.at != 10*time.Millisecond || g.info.Waiters != 1000 || !g.info.Kept {
				t.Fatalf("got %+v", g)
			}
			sources[g.info.Source]++
		}
		if sources[Loaded] != 1 || sources[Joined] != 999 {
			t.Fatalf("got %v, want 1 loaded and 999 joined", sources)
		}
		s.expect(t, 1)
		get(c, t.Context(), "a").want(t, "a#1", Hit, 0)
	})
}

func TestTheLeaderMayLeaveAndTheLoadGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{})
		ctx, leave := context.WithCancel(t.Context())
		leader := ask(c, ctx, "a")
		waiter := ask(c, t.Context(), "a")
		leave()
		(<-leader).wantErr(t, context.Canceled, 0)
		(<-waiter).want(t, "a#1", Joined, time.Second)
		s.expect(t, 1)
	})
}

func TestAWaiterLeavesAtItsOwnDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{})
		leader := ask(c, t.Context(), "a")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		get(c, ctx, "a").wantErr(t, context.DeadlineExceeded, 50*time.Millisecond)
		(<-leader).want(t, "a#1", Loaded, time.Second)
	})
}

func TestTheLastWaiterCancelsAndFreesTheKeyInOneStep(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		cause := make(chan error, 2)
		deaf := LoaderFunc[string](func(ctx context.Context, key string, _ *Item[string]) (Item[string], error) {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			time.Sleep(time.Second) // it takes its time to give up
			return Item[string]{Value: "late"}, nil
		})
		c := open(t, deaf, Options[string]{})
		ctx, leave := context.WithCancel(t.Context())
		first := ask(c, ctx, "a")
		leave()
		(<-first).wantErr(t, context.Canceled, 0)
		if err := <-cause; !errors.Is(err, errAbandoned) {
			t.Fatalf("the load's context ended by %v", err)
		}
		// The old loader still runs. A new caller has a flight of its own.
		ctx2, leave2 := context.WithCancel(t.Context())
		second := ask(c, ctx2, "a")
		if n := c.Stats().Flights; n != 2 {
			t.Fatalf("%d flights began, want 2", n)
		}
		time.Sleep(2 * time.Second) // the late result of the first has been dropped
		if _, _, ok := c.Peek("a"); ok {
			t.Fatal("the result of an abandoned load was kept")
		}
		leave2()
		<-second
		if s := c.Stats(); s.Abandoned != 2 || s.Waiters != 0 {
			t.Fatalf("got %d abandoned, %d waiters; want 2 and 0", s.Abandoned, s.Waiters)
		}
		time.Sleep(time.Second)
	})
}

func TestFinishAbandonedLetsAPaidLoadEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{FinishAbandoned: true})
		ctx, leave := context.WithCancel(t.Context())
		first := ask(c, ctx, "a")
		leave()
		<-first
		time.Sleep(time.Second)
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "a#1", Hit, 0)
	})
}

func TestADeadlineFreesTheKeyAndNotJustTheCaller(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int64
		hang := LoaderFunc[string](func(ctx context.Context, key string, _ *Item[string]) (Item[string], error) {
			if calls.Add(1) == 1 {
				<-release // it ignores its context
				return Item[string]{Value: "zombie"}, nil
			}
			return Item[string]{Value: "alive"}, nil
		})
		c := open(t, hang, Options[string]{LoadTimeout: 5 * time.Second, ErrorPause: -1})
		for _, g := range together(100, func(int) got { return get(c, t.Context(), "a") }) {
			g.wantErr(t, ErrLoadTimeout, 5*time.Second)
		}
		if s := c.Stats(); s.Zombies != 1 || s.Timeouts != 1 {
			t.Fatalf("got %d zombies, %d timeouts; want 1 and 1", s.Zombies, s.Timeouts)
		}
		get(c, t.Context(), "a").want(t, "alive", Loaded, 0)
		close(release)
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "alive", Hit, 0)
		if s := c.Stats(); s.Zombies != 0 || s.ZombieResults != 1 {
			t.Fatalf("got %d zombies, %d dropped results; want 0 and 1", s.Zombies, s.ZombieResults)
		}
	})
}

func TestDeadlinesOfOverlappingLoadsAreExact(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Hour}
		c := open(t, s, Options[string]{LoadTimeout: 5 * time.Second})
		first := ask(c, t.Context(), "a")
		time.Sleep(3*time.Second + 1)
		second := ask(c, t.Context(), "b")
		(<-first).wantErr(t, ErrLoadTimeout, 5*time.Second)
		(<-second).wantErr(t, ErrLoadTimeout, 5*time.Second)
	})
}

func TestZombiesAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		c := open(t, Func(func(context.Context, string) (string, error) { <-release; return "", nil }),
			Options[string]{LoadTimeout: time.Second, MaxZombies: 2})
		a, b := ask(c, t.Context(), "a"), ask(c, t.Context(), "b")
		(<-a).wantErr(t, ErrLoadTimeout, time.Second)
		(<-b).wantErr(t, ErrLoadTimeout, time.Second)
		g := get(c, t.Context(), "c")
		g.wantErr(t, ErrOverloaded, 0)
		if !strings.Contains(g.err.Error(), "MaxZombies 2") {
			t.Fatalf("the error %q does not name the limit", g.err)
		}
		close(release)
		synctest.Wait()
		get(c, t.Context(), "c").want(t, "", Loaded, 0)
	})
}

func TestOneHungKeyDelaysNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		hang := make(chan struct{})
		c := open(t, Func(func(ctx context.Context, key string) (string, error) {
			if key == "hung" {
				<-hang
			}
			return key, nil
		}), Options[string]{LoadTimeout: time.Second, ErrorPause: -1})
		hung := ask(c, t.Context(), "hung")
		for _, g := range together(10_000, func(i int) got { return get(c, t.Context(), "k"+time.Duration(i).String()) }) {
			if g.err != nil || g.at != 0 {
				t.Fatalf("a healthy key answered %v after %v", g.err, g.at)
			}
		}
		(<-hung).wantErr(t, ErrLoadTimeout, time.Second)
		close(hang)
		get(c, t.Context(), "hung").want(t, "hung", Loaded, 0)
	})
}

func TestAPanicIsAnErrorForAllAndTheKeyWorksAgain(t *testing.T) {
	for _, test := range []struct {
		name   string
		end    func()
		goexit bool
	}{
		{"panic", func() { panic("boom") }, false},
		{"Goexit", runtime.Goexit, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := &source{takes: time.Second}
				s.item = func(call int64, key string, _ *Item[string]) (Item[string], error) {
					if call == 1 {
						test.end()
					}
					return Item[string]{Value: "well"}, nil
				}
				c := open(t, s, Options[string]{ErrorPause: -1})
				for _, g := range together(10, func(int) got { return get(c, t.Context(), "a") }) {
					g.wantErr(t, ErrPanic, time.Second)
					var p *PanicError
					if !errors.As(g.err, &p) || p.Goexit != test.goexit || !strings.Contains(string(p.Stack), "flight_test.go") {
						t.Fatalf("the error %v does not say what happened where", g.err)
					}
				}
				get(c, t.Context(), "a").want(t, "well", Loaded, time.Second)
				if n := c.Stats().Panics; n != 1 {
					t.Fatalf("%d panics counted, want 1", n)
				}
			})
		})
	}
}

func TestAFailureIsSharedAndThenPauses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		s.item = func(call int64, key string, _ *Item[string]) (Item[string], error) {
			if call <= 3 {
				return Item[string]{}, errSource
			}
			return Item[string]{Value: "well"}, nil
		}
		c := open(t, s, Options[string]{})
		for _, g := range together(100, func(int) got { return get(c, t.Context(), "a") }) {
			g.wantErr(t, errSource, time.Second)
		}
		s.expect(t, 1)

		// The pause: nobody loads, and the error says for how long.
		time.Sleep(400 * time.Millisecond)
		g := get(c, t.Context(), "a")
		g.wantErr(t, errSource, 0)
		var failure *LoadError
		if !errors.As(g.err, &failure) || failure.RetryAfter != 600*time.Millisecond || failure.Key != "a" || failure.Cache != "test" {
			t.Fatalf("got %+v, want 600ms left", failure)
		}
		time.Sleep(600*time.Millisecond - 1)
		get(c, t.Context(), "a").wantErr(t, errSource, 0)
		s.expect(t, 1)

		// Then one probe, and the pause doubles.
		time.Sleep(time.Nanosecond)
		for _, g := range together(100, func(int) got { return get(c, t.Context(), "a") }) {
			g.wantErr(t, errSource, time.Second)
		}
		s.expect(t, 2)
		time.Sleep(2*time.Second - 1)
		get(c, t.Context(), "a").wantErr(t, errSource, 0)
		time.Sleep(time.Nanosecond)
		get(c, t.Context(), "a").wantErr(t, errSource, time.Second)
		time.Sleep(4 * time.Second)
		get(c, t.Context(), "a").want(t, "well", Loaded, time.Second)
		if s := c.Stats(); s.Failures != 3 || s.Paused != 3 {
			t.Fatalf("got %d failures, %d paused; want 3 and 3", s.Failures, s.Paused)
		}
	})
}

func TestALoaderMaySayHowLongToPause(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(int64, string, *Item[string]) (Item[string], error) {
			return Item[string]{}, RetryAfter(errSource, 7*time.Second)
		}}
		c := open(t, s, Options[string]{})
		get(c, t.Context(), "a").wantErr(t, errSource, 0)
		time.Sleep(7*time.Second - 1)
		get(c, t.Context(), "a")
		s.expect(t, 1)
		time.Sleep(time.Nanosecond)
		get(c, t.Context(), "a")
		s.expect(t, 2)
	})
}

func TestRetriesStayWithinTheDeadlineAndTheBudget(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(call int64, key string, _ *Item[string]) (Item[string], error) {
			if call < 3 {
				return Item[string]{}, errSource
			}
			return Item[string]{Value: "third"}, nil
		}}
		c := open(t, s, Options[string]{Retries: 3, RetryDelay: 100 * time.Millisecond})
		c.draw = func() float64 { return 1 }
		get(c, t.Context(), "a").want(t, "third", Loaded, 300*time.Millisecond)
		if n := c.Stats().Retries; n != 2 {
			t.Fatalf("%d retries, want 2", n)
		}
	})
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(int64, string, *Item[string]) (Item[string], error) { return Item[string]{}, errSource }}
		c := open(t, s, Options[string]{Retries: 1, ErrorPause: -1})
		for range 1000 {
			get(c, t.Context(), "a")
		}
		// 10 to begin with and a tenth of a thousand loads.
		if n := c.Stats().Retries; n < 105 || n > 110 {
			t.Fatalf("%d retries of 1000 loads, want what the budget allows: about 110", n)
		}
	})
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(int64, string, *Item[string]) (Item[string], error) { return Item[string]{}, NoRetry(errSource) }}
		c := open(t, s, Options[string]{Retries: 5})
		g := get(c, t.Context(), "a")
		g.wantErr(t, errSource, 0)
		s.expect(t, 1)
	})
}

func TestNothingOfACallerReachesTheLoadButWhatIsLetThrough(t *testing.T) {
	type secret struct{}
	type locale struct{}
	inBubble(t, func(t *testing.T) {
		c := open(t, LoaderFunc[string](func(ctx context.Context, key string, _ *Item[string]) (Item[string], error) {
			if v := ctx.Value(secret{}); v != nil {
				t.Errorf("the load sees %v", v)
			}
			if v := ctx.Value(locale{}); v != "fr" {
				t.Errorf("the load sees the locale %v, want fr", v)
			}
			deadline, ok := ctx.Deadline()
			if left := time.Until(deadline); !ok || left != 30*time.Second {
				t.Errorf("the load has %v, want 30s", left)
			}
			return Item[string]{}, nil
		}), Options[string]{ContextValues: []any{locale{}}})
		ctx := context.WithValue(context.WithValue(t.Context(), secret{}, "mine"), locale{}, "fr")
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		get(c, ctx, "a").want(t, "", Loaded, 0)
	})
}

func TestLimitsOnWaitersRefuseAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{MaxWaiters: 5, MaxWaitersPerKey: 3})
		for range 3 {
			defer func(answer <-chan got) { <-answer }(ask(c, t.Context(), "a"))
		}
		g := get(c, t.Context(), "a")
		g.wantErr(t, ErrOverloaded, 0)
		if !strings.Contains(g.err.Error(), "MaxWaitersPerKey 3") {
			t.Fatalf("the error %q does not name the limit", g.err)
		}
		for range 2 {
			defer func(answer <-chan got) { <-answer }(ask(c, t.Context(), "b"))
		}
		for _, key := range []string{"b", "c"} {
			g := get(c, t.Context(), key)
			g.wantErr(t, ErrOverloaded, 0)
			if !strings.Contains(g.err.Error(), "MaxWaiters 5") {
				t.Fatalf("the error %q does not name the limit", g.err)
			}
		}
		s.expect(t, 2)
	})
}

func TestFlightsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{MaxFlights: 2})
		a, b := ask(c, t.Context(), "a"), ask(c, t.Context(), "b")
		get(c, t.Context(), "c").wantErr(t, ErrOverloaded, 0)
		<-a
		<-b
		synctest.Wait()
		get(c, t.Context(), "c").want(t, "c#3", Loaded, time.Second)
	})
}

func TestBadKeysAndNoLoaderAreClearErrors(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, nil, Options[string]{MaxKeyLen: 4})
		get(c, t.Context(), "").wantErr(t, ErrInvalidKey, 0)
		get(c, t.Context(), "12345").wantErr(t, ErrInvalidKey, 0)
		get(c, t.Context(), "1234").wantErr(t, ErrNoLoader, 0)
		item, info, err := c.GetWith(t.Context(), "1234", &source{})
		if err != nil || item.Value != "1234#1" || info.Source != Loaded {
			t.Fatalf("GetWith: %q, %v, %v", item.Value, info.Source, err)
		}
		if v, err := c.Get(t.Context(), "1234"); err != nil || v != "1234#1" {
			t.Fatalf("Get of what is there needs no loader: %q, %v", v, err)
		}
	})
}

func TestCloseEndsEveryLoadAndForgetsEveryValue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Hour}
		c := open(t, s, Options[string]{})
		if err := c.Set(t.Context(), "kept", Item[string]{Value: "v"}); err != nil {
			t.Fatal(err)
		}
		waiter := ask(c, t.Context(), "a")
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		(<-waiter).wantErr(t, ErrClosed, 0)
		get(c, t.Context(), "kept").wantErr(t, ErrClosed, 0)
		if err := c.Set(t.Context(), "b", Item[string]{}); !errors.Is(err, ErrClosed) {
			t.Fatalf("Set: %v", err)
		}
		if err := c.Invalidate(t.Context(), "b"); !errors.Is(err, ErrClosed) {
			t.Fatalf("Invalidate: %v", err)
		}
		if s := c.Stats(); s.Bytes != 0 || s.BytesInFlight != 0 || s.Entries != 0 || s.Running != 0 {
			t.Fatalf("left behind: %+v", s)
		}
	})
}

func TestCloseNamesLoadersThatIgnoreTheirContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		c, err := New(Func(func(context.Context, string) (string, error) { <-release; return "", nil }),
			Options[string]{TTL: time.Minute, MaxBytes: 1 << 20, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		waiter := ask(c, t.Context(), "deaf")
		start := time.Now()
		err = c.Close()
		if err == nil || !strings.Contains(err.Error(), `"deaf"`) || time.Since(start) != closeGrace {
			t.Fatalf("Close after %v: %v", time.Since(start), err)
		}
		(<-waiter).wantErr(t, ErrClosed, 0)
		close(release)
	})
}

func TestShutdownWaitsForRunningLoadsAndBeginsNone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{})
		if err := c.Set(t.Context(), "kept", Item[string]{Value: "v"}); err != nil {
			t.Fatal(err)
		}
		waiter := ask(c, t.Context(), "a")
		ended := make(chan error, 1)
		start := time.Now()
		go func() { ended <- c.Shutdown(t.Context()) }()
		synctest.Wait()
		get(c, t.Context(), "b").wantErr(t, ErrClosed, 0)
		get(c, t.Context(), "kept").want(t, "v", Hit, 0)
		(<-waiter).want(t, "a#1", Loaded, time.Second)
		if err := <-ended; err != nil || time.Since(start) != time.Second {
			t.Fatalf("Shutdown after %v: %v", time.Since(start), err)
		}
	})
	inBubble(t, func(t *testing.T) {
		c := open(t, &source{takes: time.Minute}, Options[string]{LoadTimeout: time.Hour})
		waiter := ask(c, t.Context(), "a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Shutdown: %v", err)
		}
		(<-waiter).want(t, "a#1", Loaded, time.Minute)
	})
}
