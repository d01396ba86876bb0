package corral

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAValueIsFreshToTheNanosecondOfItsTTL(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{}
		c := open(t, s, Options[string]{TTL: time.Minute})
		get(c, t.Context(), "a").want(t, "a#1", Loaded, 0)
		time.Sleep(time.Minute - 1)
		get(c, t.Context(), "a").want(t, "a#1", Hit, 0)
		time.Sleep(time.Nanosecond)
		get(c, t.Context(), "a").want(t, "a#2", Loaded, 0)
	})
}

func TestAnItemOverridesTheOptions(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(call int64, _ string, _ *Item[string]) (Item[string], error) {
			if call == 2 {
				return Item[string]{}, errSource
			}
			return Item[string]{Value: fmt.Sprint(call), TTL: time.Second, StaleFor: -1, StaleOnError: 10 * time.Second, Tags: []string{"x"}, Validator: "v1"}, nil
		}}
		c := open(t, s, Options[string]{TTL: time.Hour, StaleFor: time.Hour})
		g := get(c, t.Context(), "a")
		if it := g.item; it.TTL != time.Second || it.StaleFor != 0 || it.StaleOnError != 10*time.Second || !slices.Equal(it.Tags, []string{"x"}) || it.Validator != "v1" {
			t.Fatalf("got %+v", it)
		}
		time.Sleep(time.Second)
		g = get(c, t.Context(), "a") // not within StaleFor: loads, fails, is covered
		g.want(t, "1", Stale, 0)
		if !errors.Is(g.info.Err, errSource) {
			t.Fatalf("Info.Err is %v", g.info.Err)
		}
		s.expect(t, 2)
	})
}

func TestATTLBelowZeroLandsStale(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(call int64, _ string, prev *Item[string]) (Item[string], error) {
			if prev != nil {
				return prev.NotModified(), nil
			}
			return Item[string]{Value: "v", TTL: -1, Validator: "e"}, nil
		}}
		c := open(t, s, Options[string]{})
		get(c, t.Context(), "a").want(t, "v", Loaded, 0)
		get(c, t.Context(), "a").want(t, "v", Loaded, 0) // validated
		synctest.Wait()
		if n := c.Stats().NotModified; n != 1 {
			t.Fatalf("%d validations, want 1", n)
		}
	})
}

func TestStaleIsServedAtOnceWithOneRefreshBehindIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{StaleFor: 10 * time.Second})
		get(c, t.Context(), "a").want(t, "a#1", Loaded, time.Second)
		time.Sleep(time.Minute)
		for _, g := range together(100, func(int) got { return get(c, t.Context(), "a") }) {
			g.want(t, "a#1", Stale, 0)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "a#2", Hit, 0)
		s.expect(t, 2)
		if s := c.Stats(); s.Refreshes != 1 || s.StaleHits != 100 {
			t.Fatalf("got %d refreshes, %d stale hits; want 1 and 100", s.Refreshes, s.StaleHits)
		}
		// Past the window the caller waits.
		time.Sleep(70*time.Second - 1)
		get(c, t.Context(), "a").want(t, "a#2", Stale, 0)
		time.Sleep(71 * time.Second)
		get(c, t.Context(), "a").want(t, "a#4", Loaded, time.Second)
	})
}

func TestARefreshOutlivesTheCallerItWasBegunBehind(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{StaleFor: time.Hour})
		get(c, t.Context(), "a")
		time.Sleep(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		get(c, ctx, "a").want(t, "a#1", Stale, 0)
		cancel()
		// A waiter that joins the refresh and leaves does not cancel it either.
		ctx, cancel = context.WithCancel(t.Context())
		waiter := ask(c, ctx, "a", NoStale())
		cancel()
		(<-waiter).wantErr(t, context.Canceled, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "a#2", Hit, 0)
	})
}

func TestAFailingRefreshPausesAndTheValueStays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(call int64, key string, _ *Item[string]) (Item[string], error) {
			if call > 1 {
				return Item[string]{}, errSource
			}
			return Item[string]{Value: "old"}, nil
		}}
		c := open(t, s, Options[string]{StaleFor: time.Hour})
		get(c, t.Context(), "a")
		time.Sleep(time.Minute)
		for range 10 {
			get(c, t.Context(), "a").want(t, "old", Stale, 0)
			synctest.Wait()
		}
		s.expect(t, 2) // one refresh, then the throttle
		time.Sleep(time.Second)
		get(c, t.Context(), "a").want(t, "old", Stale, 0)
		synctest.Wait()
		s.expect(t, 3)
	})
}

func TestStaleOnErrorCoversFailuresWithinItsWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		s.item = func(call int64, key string, _ *Item[string]) (Item[string], error) {
			if call > 1 {
				return Item[string]{}, errSource
			}
			return Item[string]{Value: "old"}, nil
		}
		c := open(t, s, Options[string]{StaleOnError: 10 * time.Second, ErrorPause: 2 * time.Second})
		get(c, t.Context(), "a")
		time.Sleep(time.Minute)
		for _, g := range together(100, func(int) got { return get(c, t.Context(), "a") }) {
			g.want(t, "old", Stale, time.Second)
			if !errors.Is(g.info.Err, errSource) {
				t.Fatalf("Info.Err is %v", g.info.Err)
			}
		}
		s.expect(t, 2)
		get(c, t.Context(), "a").want(t, "old", Stale, 0) // throttled: at once, no load
		s.expect(t, 2)
		get(c, t.Context(), "a", NoStale()).wantErr(t, errSource, 0)
		time.Sleep(2 * time.Second)
		get(c, t.Context(), "a").want(t, "old", Stale, time.Second) // one probe
		s.expect(t, 3)
		time.Sleep(6 * time.Second) // the window has ended
		get(c, t.Context(), "a").wantErr(t, errSource, time.Second)
	})
}

func TestTheSoftDeadlineAnswersWithAStaleValueAndTheLoadGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{StaleOnError: time.Hour, SoftTimeout: 100 * time.Millisecond})
		get(c, t.Context(), "a").want(t, "a#1", Loaded, time.Second) // nothing to cover with: waits
		time.Sleep(time.Minute)
		for _, g := range together(10, func(int) got { return get(c, t.Context(), "a") }) {
			g.want(t, "a#1", Stale, 100*time.Millisecond)
		}
		get(c, t.Context(), "a").want(t, "a#1", Stale, 0) // the load has run that long already
		time.Sleep(900 * time.Millisecond)
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "a#2", Hit, 0)
		s.expect(t, 2)
	})
}

func TestNoStaleAndMaxStaleBendWhatIsTaken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{StaleFor: 10 * time.Second})
		get(c, t.Context(), "a")
		time.Sleep(time.Minute)
		get(c, t.Context(), "a", NoStale()).want(t, "a#2", Loaded, time.Second)
		time.Sleep(time.Minute + 20*time.Second - 1)
		get(c, t.Context(), "a", MaxStale(20*time.Second)).want(t, "a#2", Stale, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "a#3", Hit, 0) // it was refreshed behind
		time.Sleep(time.Minute + 20*time.Second)
		get(c, t.Context(), "a", MaxStale(20*time.Second)).want(t, "a#4", Loaded, time.Second)
	})
}

func TestFreshTakesOnlyALoadThatBeganAfterTheCall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{})
		get(c, t.Context(), "a")
		get(c, t.Context(), "a", Fresh()).want(t, "a#2", Loaded, time.Second)
		first := ask(c, t.Context(), "b")
		time.Sleep(500 * time.Millisecond)
		var fresh []<-chan got
		for range 50 {
			fresh = append(fresh, ask(c, t.Context(), "b", Fresh()))
		}
		(<-first).want(t, "b#3", Loaded, time.Second)
		for _, answer := range fresh { // all of them share the one that began next
			if g := <-answer; g.err != nil || g.item.Value != "b#4" || g.at != 1500*time.Millisecond {
				t.Fatalf("got %q, %v after %v", g.item.Value, g.err, g.at)
			}
		}
		s.expect(t, 4)
	})
}

func TestRefreshLoadsAnewWhileOthersHaveTheOldValue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{})
		get(c, t.Context(), "a")
		done := make(chan error, 1)
		go func() { done <- c.Refresh(t.Context(), "a") }()
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "a#1", Hit, 0)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		get(c, t.Context(), "a").want(t, "a#2", Hit, 0)
	})
}

func TestAnInvalidationDetachesTheFlight(t *testing.T) {
	for _, test := range []struct {
		name       string
		invalidate func(c *Cache[string], ctx context.Context) error
	}{
		{"by key", func(c *Cache[string], ctx context.Context) error { return c.Invalidate(ctx, "a") }},
		{"by tag", func(c *Cache[string], ctx context.Context) error { return c.InvalidateTags(ctx, "red") }},
		{"all", func(c *Cache[string], ctx context.Context) error { return c.InvalidateAll(ctx) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := &source{takes: time.Second}
				s.item = func(call int64, key string, _ *Item[string]) (Item[string], error) {
					return Item[string]{Value: fmt.Sprintf("%s#%d", key, call), Tags: []string{"red"}}, nil
				}
				c := open(t, s, Options[string]{})
				before := ask(c, t.Context(), "a")
				time.Sleep(500 * time.Millisecond)
				if err := test.invalidate(c, t.Context()); err != nil {
					t.Fatal(err)
				}
				after := ask(c, t.Context(), "a")
				old := <-before
				old.want(t, "a#1", Loaded, time.Second)
				if old.info.Kept {
					t.Fatal("a value that was invalidated while it was computed is kept")
				}
				if g := get(c, t.Context(), "a"); g.err != nil || g.item.Value != "a#2" {
					t.Fatalf("after the invalidation: got %q, %v", g.item.Value, g.err)
				}
				if g := <-after; g.err != nil || g.item.Value != "a#2" {
					t.Fatalf("after the invalidation: got %q, %v", g.item.Value, g.err)
				}
				s.expect(t, 2)
				// And what is kept goes too.
				if err := test.invalidate(c, t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, _, ok := c.Peek("a"); ok {
					t.Fatal("Peek shows an invalidated value")
				}
				get(c, t.Context(), "a").want(t, "a#3", Loaded, time.Second)
			})
		})
	}
}

func TestALoadThatBeginsAfterAnInvalidationIsKeptThoughItsFlightWaitedSinceBefore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		s.item = func(call int64, key string, _ *Item[string]) (Item[string], error) {
			return Item[string]{Value: key, Tags: []string{"red"}}, nil
		}
		c := open(t, s, Options[string]{MaxLoads: 1})
		first := ask(c, t.Context(), "a")
		second := ask(c, t.Context(), "b") // waits for its turn
		if err := c.InvalidateTags(t.Context(), "red"); err != nil {
			t.Fatal(err)
		}
		<-first
		<-second
		if _, _, ok := c.Peek("a"); ok {
			t.Fatal("a was being loaded when its tag was invalidated, and is kept")
		}
		if _, _, ok := c.Peek("b"); !ok {
			t.Fatal("b was loaded after its tag was invalidated, and is not kept")
		}
	})
}

func TestAnInvalidationEndsThePauseOfAFailure(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(call int64, key string, _ *Item[string]) (Item[string], error) {
			if call == 1 {
				return Item[string]{}, errSource
			}
			return Item[string]{Value: "well"}, nil
		}}
		c := open(t, s, Options[string]{})
		get(c, t.Context(), "a").wantErr(t, errSource, 0)
		c.Invalidate(t.Context(), "a")
		get(c, t.Context(), "a").want(t, "well", Loaded, 0)
	})
}

func TestSetWinsOverAFlightThatBeganBefore(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{})
		waiter := ask(c, t.Context(), "a")
		if err := c.Set(t.Context(), "a", Item[string]{Value: "set"}); err != nil {
			t.Fatal(err)
		}
		get(c, t.Context(), "a").want(t, "set", Hit, 0)
		(<-waiter).want(t, "a#1", Loaded, time.Second)
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "set", Hit, 0)
	})
}

func TestExpireMakesStaleNotGone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{StaleFor: 10 * time.Second})
		get(c, t.Context(), "a")
		c.Expire(t.Context(), "a")
		get(c, t.Context(), "a").want(t, "a#1", Stale, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "a#2", Hit, 0)

		// During a load: what lands is stale at once.
		waiter := ask(c, t.Context(), "b")
		c.Expire(t.Context(), "b")
		(<-waiter).want(t, "b#3", Loaded, time.Second)
		get(c, t.Context(), "b").want(t, "b#3", Stale, 0)
	})
}

func TestAValueThatDoesNotFitIsDeliveredAndNotKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		big := strings.Repeat("x", 5000)
		s := &source{item: func(call int64, key string, _ *Item[string]) (Item[string], error) {
			if call == 2 {
				return Item[string]{Value: big}, nil
			}
			return Item[string]{Value: "small"}, nil
		}}
		c := open(t, s, Options[string]{MaxBytes: 5000})
		get(c, t.Context(), "a").want(t, "small", Loaded, 0)
		time.Sleep(time.Minute)
		g := get(c, t.Context(), "a")
		g.want(t, big, Loaded, 0)
		if g.info.Kept {
			t.Fatal("Info says that it was kept")
		}
		if s := c.Stats(); s.Bytes != 0 || s.Shares != 1 { // nor is the value that it replaced
			t.Fatalf("%d bytes are kept, %d shared; want 0 and 1", s.Bytes, s.Shares)
		}
		get(c, t.Context(), "a").want(t, "small", Loaded, 0)
	})
}

func TestShareReachesWhoWaitsAndNobodyElse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		s.item = func(call int64, key string, _ *Item[string]) (Item[string], error) {
			return Item[string]{Value: fmt.Sprint(call), Outcome: Share}, nil
		}
		c := open(t, s, Options[string]{})
		for _, g := range together(100, func(int) got { return get(c, t.Context(), "a") }) {
			if g.err != nil || g.item.Value != "1" || g.info.Kept || g.info.Outcome != Share {
				t.Fatalf("got %+v", g)
			}
		}
		get(c, t.Context(), "a").want(t, "2", Loaded, time.Second)
	})
}

func TestPassIsForItsLeaderOnly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		private := true
		s.item = func(call int64, key string, _ *Item[string]) (Item[string], error) {
			if private {
				return Item[string]{Value: fmt.Sprint(call), Outcome: Pass}, nil
			}
			return Item[string]{Value: "public"}, nil
		}
		c := open(t, s, Options[string]{PassTTL: 10 * time.Second})
		answers := together(100, func(int) got { return get(c, t.Context(), "a") })
		seen := map[string]bool{}
		late := 0
		for _, g := range answers {
			if g.err != nil || seen[g.item.Value] || g.info.Source != Loaded || g.info.Outcome != Pass {
				t.Fatalf("got %+v: an answer for one was given to two", g)
			}
			seen[g.item.Value] = true
			if g.at == 2*time.Second { // released together, not one after another
				late++
			}
		}
		if late != 99 {
			t.Fatalf("%d callers were answered after two loads' time, want 99", late)
		}
		// While the mark stays nobody parks.
		for _, g := range together(10, func(int) got { return get(c, t.Context(), "a") }) {
			if g.at != time.Second {
				t.Fatalf("a caller parked for nothing: answered after %v", g.at)
			}
		}
		s.expect(t, 110)
		// An answer for everybody ends the mark early.
		private = false
		get(c, t.Context(), "a").want(t, "public", Loaded, time.Second)
		for _, g := range together(10, func(int) got { return get(c, t.Context(), "a") }) {
			g.want(t, "public", Hit, 0)
		}
		s.expect(t, 111)
	})
}

func TestAPassMarkEndsWithPassTTL(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		s.item = func(call int64, key string, _ *Item[string]) (Item[string], error) {
			if call == 1 {
				return Item[string]{Outcome: Pass}, nil
			}
			return Item[string]{Value: "v", Outcome: Share}, nil
		}
		c := open(t, s, Options[string]{PassTTL: 10 * time.Second})
		get(c, t.Context(), "a")
		time.Sleep(10 * time.Second)
		together(10, func(int) got { return get(c, t.Context(), "a") })
		s.expect(t, 2)
	})
}

func TestNotModifiedKeepsThePreviousValue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(call int64, key string, prev *Item[string]) (Item[string], error) {
			if prev != nil && prev.Validator == "e1" {
				item := prev.NotModified()
				item.TTL = time.Hour
				return item, nil
			}
			return Item[string]{Value: "body", Validator: "e1"}, nil
		}}
		c := open(t, s, Options[string]{})
		get(c, t.Context(), "a").want(t, "body", Loaded, 0)
		time.Sleep(time.Minute)
		g := get(c, t.Context(), "a")
		g.want(t, "body", Loaded, 0)
		if g.info.TTL != time.Hour || g.item.Validator != "e1" {
			t.Fatalf("got %+v", g)
		}
		get(c, t.Context(), "a").want(t, "body", Hit, 0)
	})
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(int64, string, *Item[string]) (Item[string], error) {
			return Item[string]{Outcome: NotModified}, nil
		}}
		c := open(t, s, Options[string]{})
		if g := get(c, t.Context(), "a"); g.err == nil || !strings.Contains(g.err.Error(), "prev was nil") {
			t.Fatalf("got %v", g.err)
		}
	})
}

func TestXFetchRefreshesBehindAHitByItsDraw(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{EarlyRefresh: 1})
		draw := 1.0 // −ln 1 = 0: never early
		c.draw = func() float64 { return draw }
		get(c, t.Context(), "a").want(t, "a#1", Loaded, time.Second)
		time.Sleep(58 * time.Second) // 2 s and 2 Δ before expiry
		get(c, t.Context(), "a").want(t, "a#1", Hit, 0)
		draw = 0.1354 // −ln u = 1.9995 Δ: just not
		get(c, t.Context(), "a").want(t, "a#1", Hit, 0)
		synctest.Wait()
		s.expect(t, 1)
		draw = 0.1353 // 2.0003 Δ
		for range 10 {
			get(c, t.Context(), "a").want(t, "a#1", Hit, 0)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		s.expect(t, 2)
		get(c, t.Context(), "a").want(t, "a#2", Hit, 0)
	})
}

func TestPeekNeverLoadsAndNeverClaims(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{}
		c := open(t, s, Options[string]{})
		if _, _, ok := c.Peek("a"); ok {
			t.Fatal("Peek found what was never there")
		}
		get(c, t.Context(), "a")
		item, info, ok := c.Peek("a")
		if !ok || item.Value != "a#1" || info.Source != Hit {
			t.Fatalf("got %q, %v, %v", item.Value, info.Source, ok)
		}
		time.Sleep(2 * time.Minute)
		if _, info, ok := c.Peek("a"); !ok || info.Source != Stale || info.TTL != -time.Minute || info.Age != 2*time.Minute {
			t.Fatalf("got %+v, %v", info, ok)
		}
		s.expect(t, 1)
	})
}

func TestCloneGivesEachCallerItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		fail := errors.New("cannot copy")
		mode := "copy"
		c, err := New(Func(func(context.Context, string) ([]byte, error) { return []byte("abc"), nil }), Options[[]byte]{
			TTL: time.Minute, MaxBytes: 1 << 20, Now: time.Now,
			Clone: func(v []byte) ([]byte, error) {
				switch mode {
				case "fail":
					return nil, fail
				case "panic":
					panic("no")
				}
				return slices.Clone(v), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		v, _ := c.Get(t.Context(), "a")
		v[0] = 'X'
		if v, _ := c.Get(t.Context(), "a"); string(v) != "abc" {
			t.Fatalf("a caller changed the shared value to %q", v)
		}
		mode = "fail"
		if _, err := c.Get(t.Context(), "a"); !errors.Is(err, fail) {
			t.Fatalf("got %v", err)
		}
		mode = "panic"
		if _, err := c.Get(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "Options.Clone panicked") {
			t.Fatalf("got %v", err)
		}
	})
}

func TestASizeFunctionThatFailsIsAClearError(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, &source{}, Options[string]{Size: func(string) int64 { return -1 }, ErrorPause: -1})
		if g := get(c, t.Context(), "a"); g.err == nil || !strings.Contains(g.err.Error(), "Options.Size gave -1") {
			t.Fatalf("got %v", g.err)
		}
		c2 := open(t, &source{}, Options[string]{Size: func(string) int64 { panic("no") }, ErrorPause: -1})
		if g := get(c2, t.Context(), "a"); g.err == nil || !strings.Contains(g.err.Error(), "Options.Size panicked") {
			t.Fatalf("got %v", g.err)
		}
	})
}

func TestOnRemoveIsToldOfEachValueAndWhy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var left []string
		s := &source{}
		c := open(t, s, Options[string]{MaxBytes: 2 * (entryBytes + 1 + 4), OnRemove: func(key, value string, cause RemovalCause) {
			left = append(left, fmt.Sprintf("%s %s %v", key, value, cause))
		}})
		get(c, t.Context(), "a")
		c.Set(t.Context(), "a", Item[string]{Value: "set1"})
		c.Invalidate(t.Context(), "a")
		get(c, t.Context(), "b")
		get(c, t.Context(), "c")
		get(c, t.Context(), "d")
		synctest.Wait() // it is told on the load's goroutine
		evicted := 0
		for _, l := range left[2:] {
			if strings.HasSuffix(l, "evicted") {
				evicted++
			}
		}
		if !slices.Equal(left[:2], []string{"a a#1 replaced", "a set1 invalidated"}) || evicted != 1 || len(left) != 3 {
			t.Fatalf("got %q", left)
		}
		c.Close()
		if len(left) != 5 {
			t.Fatalf("Close released %d values, want 2: %q", len(left)-3, left)
		}
	})
}

func TestEveryTransitionIsAnEvent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		s.item = func(call int64, key string, _ *Item[string]) (Item[string], error) {
			if key == "bad" {
				return Item[string]{}, errSource
			}
			return Item[string]{Value: "v"}, nil
		}
		c := open(t, s, Options[string]{StaleFor: time.Hour})
		events, stop := c.Subscribe(100)
		a := ask(c, t.Context(), "a")
		<-ask(c, t.Context(), "a")
		<-a
		time.Sleep(time.Minute)
		get(c, t.Context(), "a")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		get(c, t.Context(), "bad")
		c.Invalidate(t.Context(), "a")
		stop()
		var kinds []string
		for e := range events {
			kinds = append(kinds, e.Key+" "+e.Kind.String())
		}
		want := []string{"a load started", "a joined", "a landed", "a stale served", "a load started", "a refreshed",
			"bad load started", "bad failed", "a invalidated"}
		slices.Sort(kinds[3:5])
		slices.Sort(want[3:5])
		if !slices.Equal(kinds, want) {
			t.Fatalf("got  %q\nwant %q", kinds, want)
		}
	})
}

func TestFlightsAndEntriesShowWhatIsThere(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{MaxLoads: 1})
		get(c, t.Context(), "kept")
		a, b := ask(c, t.Context(), "a"), ask(c, t.Context(), "b")
		a2 := ask(c, t.Context(), "a")
		time.Sleep(100 * time.Millisecond)
		flights := slices.Collect(c.Flights())
		if len(flights) != 2 {
			t.Fatalf("got %d flights, want 2", len(flights))
		}
		if f := flights[0]; f.Key != "a" || f.State != FlightLoading || f.Waiters != 2 || f.Age != 100*time.Millisecond || f.Deadline != 29900*time.Millisecond {
			t.Fatalf("got %+v", f)
		}
		if f := flights[1]; f.Key != "b" || f.State != FlightQueued || f.Waiters != 1 {
			t.Fatalf("got %+v", f)
		}
		entries := map[string]EntryInfo{}
		for key, info := range c.Entries() {
			entries[key] = info
		}
		if e := entries["kept"]; len(entries) != 3 || !e.Value || e.Loading || e.Bytes != entryBytes+4+6 || e.Age != 100*time.Millisecond {
			t.Fatalf("got %+v", entries)
		}
		if e := entries["a"]; e.Value || !e.Loading || e.Bytes != 0 {
			t.Fatalf("got %+v", e)
		}
		<-a
		<-a2
		<-b
	})
}

func TestAValueOverMaxValueBytesIsDeliveredAndTheOthersStay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{item: func(_ int64, key string, _ *Item[string]) (Item[string], error) {
			switch key {
			case "value":
				return Item[string]{Value: strings.Repeat("x", 9000)}, nil
			case "body", "sized body":
				item := Item[string]{Tail: func(_ context.Context, w io.Writer) error {
					for range 20 {
						if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
							return err
						}
					}
					return nil
				}}
				if key == "sized body" {
					item.TailSize = 20_000
				}
				return item, nil
			}
			return Item[string]{Value: "small"}, nil
		}}
		c := open(t, s, Options[string]{MaxBytes: 64 << 10, MaxValueBytes: 8 << 10})
		get(c, t.Context(), "small")
		for _, key := range []string{"value", "body", "sized body"} {
			g := get(c, t.Context(), key)
			if g.err != nil {
				t.Fatal(g.err)
			}
			if g.item.Body != nil {
				if body, err := drain(g); len(body) != 20_000 || err != nil {
					t.Fatalf("%s: %d bytes, %v", key, len(body), err)
				}
			}
			synctest.Wait()
			if _, _, ok := c.Peek(key); ok {
				t.Fatalf("%s was kept", key)
			}
		}
		get(c, t.Context(), "small").want(t, "small", Hit, 0)
		if s := c.Stats(); s.BytesInFlight != 0 || s.Evictions != 0 {
			t.Fatalf("got %+v", s)
		}
	})
}

func TestARefreshingEntryMayLoseItsValueButNotItsFlight(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{MaxBytes: 3 * (entryBytes + 8), StaleFor: time.Hour})
		get(c, t.Context(), "a")
		time.Sleep(time.Minute)
		get(c, t.Context(), "a").want(t, "a#1", Stale, 0) // and is refreshed behind
		e := c.table.Get("a")
		if err := c.Set(t.Context(), "big", Item[string]{Value: strings.Repeat("x", 2*entryBytes)}); err != nil {
			t.Fatal(err)
		}
		if e.value.Load() != nil {
			t.Fatal("the value of a was not evicted: the test needs more pressure")
		}
		get(c, t.Context(), "a").want(t, "a#2", Joined, time.Second)
		s.expect(t, 2)

		// The same for a spent value whose caller waits.
		time.Sleep(2 * time.Hour)
		leader := ask(c, t.Context(), "a")
		if err := c.Set(t.Context(), "big", Item[string]{Value: strings.Repeat("x", 2*entryBytes)}); err != nil {
			t.Fatal(err)
		}
		get(c, t.Context(), "a").want(t, "a#3", Joined, time.Second)
		(<-leader).want(t, "a#3", Loaded, time.Second)
		s.expect(t, 3)
	})
}

func TestWhatIsEvictedCannotBeRead(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, &source{}, Options[string]{MaxBytes: 3 * (entryBytes + 8)})
		var entries []*entry[string]
		for i := range 20 {
			get(c, t.Context(), fmt.Sprint(i))
			if e := c.table.Get(fmt.Sprint(i)); e != nil {
				entries = append(entries, e)
			}
		}
		readable := 0
		for _, e := range entries {
			if e.value.Load() != nil {
				readable++
			}
		}
		if len(entries) < 10 || readable != c.table.Len() || readable > 3 {
			t.Fatalf("of %d entries %d can be read, %d are in the table", len(entries), readable, c.table.Len())
		}
	})
}
