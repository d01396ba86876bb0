package corral

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// streaming is a loader of bodies that arrive a part a second.
func streaming(parts int, tail func(part int) error) LoaderFunc[string] {
	return func(_ context.Context, key string, _ *Item[string]) (Item[string], error) {
		return Item[string]{Value: "header of " + key, Tail: func(ctx context.Context, w io.Writer) error {
			for part := range parts {
				select {
				case <-time.After(time.Second):
				case <-ctx.Done():
					return ctx.Err()
				}
				if tail != nil {
					if err := tail(part); err != nil {
						return err
					}
				}
				if _, err := fmt.Fprintf(w, "part %d;", part); err != nil {
					return err
				}
			}
			return nil
		}}, nil
	}
}

// drain reads a body to its end.
func drain(g got) (string, error) {
	defer g.item.Body.Close()
	data, err := io.ReadAll(g.item.Body)
	return string(data), err
}

func TestWaitersReadABodyWhileItArrivesAndLateOnesFromItsBeginning(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, streaming(3, nil), Options[string]{})
		start := time.Now()
		for _, g := range together(10, func(i int) got {
			g := get(c, t.Context(), "a")
			if g.at != 0 || g.item.Value != "header of a" {
				t.Errorf("the header came after %v with %q", g.at, g.item.Value)
			}
			if i == 9 { // late: it joins what has begun
				time.Sleep(1500 * time.Millisecond)
				g.item.Body.Close()
				g = get(c, t.Context(), "a")
			}
			body, err := drain(g)
			if body != "part 0;part 1;part 2;" || err != nil || time.Since(start) != 3*time.Second {
				t.Errorf("got %q, %v after %v", body, err, time.Since(start))
			}
			return g
		}) {
			_ = g
		}
		synctest.Wait()
		g := get(c, t.Context(), "a")
		if body, err := drain(g); body != "part 0;part 1;part 2;" || err != nil || g.info.Source != Hit {
			t.Fatalf("got %q, %v, %v", body, err, g.info.Source)
		}
		if s := c.Stats(); s.Flights != 1 || s.BytesInFlight != 0 || s.Bytes != entryBytes+1+11+moreBytes+bodyBytes+21 {
			t.Fatalf("got %+v", s)
		}
	})
}

func TestABodyThatBreaksOffIsBrokenForAllAndKeptByNobody(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(int) error
		want error
	}{
		{"error", func(part int) error {
			if part == 1 {
				return errSource
			}
			return nil
		}, errSource},
		{"panic", func(part int) error {
			if part == 1 {
				panic("boom")
			}
			return nil
		}, ErrPanic},
		{"Goexit", func(part int) error {
			if part == 1 {
				runtime.Goexit()
			}
			return nil
		}, ErrBroken},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := open(t, streaming(3, test.end), Options[string]{})
				for _, g := range together(5, func(int) got {
					g := get(c, t.Context(), "a")
					var body string
					body, g.err = drain(g)
					if body != "part 0;" {
						t.Errorf("got %q", body)
					}
					return g
				}) {
					if !errors.Is(g.err, ErrBroken) || !errors.Is(g.err, test.want) {
						t.Fatalf("got %v, want ErrBroken and %v", g.err, test.want)
					}
				}
				synctest.Wait()
				if _, _, ok := c.Peek("a"); ok {
					t.Fatal("a broken body is kept")
				}
				if s := c.Stats(); s.Bytes != 0 || s.BytesInFlight != 0 || s.Running != 0 {
					t.Fatalf("left behind: %+v", s)
				}
			})
		})
	}
}

func TestTheLastReaderThatLeavesStopsTheFetchUnlessMostOfItHasCome(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration
		kept  bool
	}{{"early", 1500 * time.Millisecond, false}, {"late", 2500 * time.Millisecond, true}} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				load := streaming(4, nil)
				c := open(t, LoaderFunc[string](func(ctx context.Context, key string, prev *Item[string]) (Item[string], error) {
					item, err := load(ctx, key, prev)
					item.TailSize = int64(len("part 0;") * 4)
					return item, err
				}), Options[string]{})
				one, two := get(c, t.Context(), "a"), get(c, t.Context(), "a")
				one.item.Body.Close()
				time.Sleep(test.after)
				two.item.Body.Close()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if _, _, ok := c.Peek("a"); ok != test.kept {
					t.Fatalf("kept: %v, want %v", ok, test.kept)
				}
				if s := c.Stats(); s.BytesInFlight != 0 || s.Running != 0 {
					t.Fatalf("left behind: %+v", s)
				}
			})
		})
	}
}

func TestASourceThatHangsInTheMiddleOfABodyIsCutOff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, LoaderFunc[string](func(context.Context, string, *Item[string]) (Item[string], error) {
			return Item[string]{Tail: func(ctx context.Context, w io.Writer) error {
				io.WriteString(w, "begun")
				<-ctx.Done()
				return ctx.Err()
			}}, nil
		}), Options[string]{TailTimeout: 5 * time.Second})
		g := get(c, t.Context(), "a")
		start := time.Now()
		body, err := drain(g)
		if body != "begun" || !errors.Is(err, ErrBroken) || !errors.Is(err, ErrLoadTimeout) || time.Since(start) != 5*time.Second {
			t.Fatalf("got %q, %v after %v", body, err, time.Since(start))
		}
	})
}

func TestAStreamLongerThanTheLoadTimeoutGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, streaming(10, nil), Options[string]{LoadTimeout: 2 * time.Second})
		body, err := drain(get(c, t.Context(), "a"))
		if err != nil || strings.Count(body, ";") != 10 {
			t.Fatalf("got %q, %v", body, err)
		}
	})
}

func TestAnInvalidationWhileABodyArrivesLeavesItsReadersAlone(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, streaming(3, nil), Options[string]{})
		before := get(c, t.Context(), "a")
		time.Sleep(1500 * time.Millisecond)
		c.Invalidate(t.Context(), "a")
		after := get(c, t.Context(), "a")
		after.want(t, "header of a", Loaded, 0)
		if body, err := drain(before); body != "part 0;part 1;part 2;" || err != nil {
			t.Fatalf("got %q, %v", body, err)
		}
		if body, err := drain(after); body != "part 0;part 1;part 2;" || err != nil {
			t.Fatalf("got %q, %v", body, err)
		}
		synctest.Wait()
		if s := c.Stats(); s.Flights != 2 || s.BytesInFlight != 0 {
			t.Fatalf("got %+v", s)
		}
	})
}

func TestASharedBodyReachesWhoWaitedAndAPassedOneItsLeader(t *testing.T) {
	for _, outcome := range []Outcome{Share, Pass} {
		t.Run(outcome.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				load := streaming(2, nil)
				c := open(t, LoaderFunc[string](func(ctx context.Context, key string, prev *Item[string]) (Item[string], error) {
					time.Sleep(time.Second) // time for others to park
					item, err := load(ctx, key, prev)
					item.Outcome = outcome
					return item, err
				}), Options[string]{})
				for range together(5, func(int) got {
					g := get(c, t.Context(), "a")
					if body, err := drain(g); body != "part 0;part 1;" || err != nil {
						t.Errorf("got %q, %v", body, err)
					}
					return g
				}) {
				}
				synctest.Wait()
				want := uint64(1)
				if outcome == Pass {
					want = 5
				}
				if s := c.Stats(); s.Flights != want || s.BytesInFlight != 0 || s.Running != 0 {
					t.Fatalf("got %d flights, want %d; %+v", s.Flights, want, s)
				}
			})
		})
	}
}

func TestGetOfAValueWithABodyHoldsNothingUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		big := strings.Repeat("x", 64<<10)
		c := open(t, LoaderFunc[string](func(context.Context, string, *Item[string]) (Item[string], error) {
			return Item[string]{Value: "h", Outcome: Share, Tail: func(ctx context.Context, w io.Writer) error {
				for range 100 {
					if _, err := io.WriteString(w, big); err != nil {
						return err
					}
				}
				return nil
			}}, nil
		}), Options[string]{})
		reader := ask(c, t.Context(), "a")
		if v, err := c.Get(t.Context(), "a"); v != "h" || err != nil {
			t.Fatalf("got %q, %v", v, err)
		}
		n, err := io.Copy(io.Discard, (<-reader).item.Body)
		if n != 100*64<<10 || err != nil {
			t.Fatalf("got %d bytes, %v", n, err)
		}
		synctest.Wait()
		if s := c.Stats(); s.BytesInFlight != 0 || s.Running != 0 {
			t.Fatalf("left behind: %+v", s)
		}
	})
}

func TestABodyLargerThanTheCacheStreamsThroughAWindow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		big := strings.Repeat("x", 32<<10)
		var peak int64
		var c *Cache[string]
		c = open(t, LoaderFunc[string](func(context.Context, string, *Item[string]) (Item[string], error) {
			return Item[string]{Tail: func(ctx context.Context, w io.Writer) error {
				for range 1000 {
					if _, err := io.WriteString(w, big); err != nil {
						return err
					}
					s := c.Stats()
					peak = max(peak, s.Bytes+s.BytesInFlight)
				}
				return nil
			}}, nil
		}), Options[string]{MaxBytes: 4 << 20})
		g := get(c, t.Context(), "a")
		n, err := io.Copy(io.Discard, g.item.Body)
		if n != 1000*32<<10 || err != nil {
			t.Fatalf("got %d bytes, %v", n, err)
		}
		if peak > 4<<20 || peak < 1<<20 {
			t.Fatalf("at most %d bytes were counted, the limit is %d", peak, 4<<20)
		}
		synctest.Wait()
		if _, _, ok := c.Peek("a"); ok {
			t.Fatal("a body over MaxBytes was kept")
		}
	})
}

func TestTheBodyOfAPreviousValueIsKeptWithANewHeader(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		first := streaming(2, nil)
		c := open(t, LoaderFunc[string](func(ctx context.Context, key string, prev *Item[string]) (Item[string], error) {
			if prev != nil {
				return Item[string]{Value: "head anew..", Body: prev.Body}, nil
			}
			return first(ctx, key, prev)
		}), Options[string]{})
		drain(get(c, t.Context(), "a"))
		before := c.Stats().Bytes
		time.Sleep(time.Minute)
		g := get(c, t.Context(), "a")
		g.want(t, "head anew..", Loaded, 0)
		if body, err := drain(g); body != "part 0;part 1;" || err != nil {
			t.Fatalf("got %q, %v", body, err)
		}
		if after := c.Stats().Bytes; after != before {
			t.Fatalf("%d bytes are counted, before it were %d", after, before)
		}
	})
}

func TestTheTailOfAnItemThatIsNotTakenIsCalledAllTheSame(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var refused error
		c := open(t, LoaderFunc[string](func(context.Context, string, *Item[string]) (Item[string], error) {
			return Item[string]{Tags: []string{"a", "b"}, Tail: func(ctx context.Context, w io.Writer) error {
				if ctx.Err() == nil {
					t.Error("the context of a tail that nobody wants has not ended")
				}
				_, refused = io.WriteString(w, "x")
				return refused
			}}, nil
		}), Options[string]{MaxTags: 1})
		if g := get(c, t.Context(), "a"); g.err == nil || !strings.Contains(g.err.Error(), "MaxTags is 1") {
			t.Fatalf("got %v", g.err)
		}
		if refused == nil {
			t.Fatal("the tail was not called, or could write")
		}
	})
}
