package corral

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// loaderBy gives each key its own function; keys without one load at once.
type loaderBy map[string]func(ctx context.Context) (string, error)

func (l loaderBy) Load(ctx context.Context, key string, _ *Item[string]) (Item[string], error) {
	if load, ok := l[key]; ok {
		v, err := load(ctx)
		return Item[string]{Value: v}, err
	}
	return Item[string]{Value: key}, nil
}

func TestTheBulkheadLetsLoadsInByTurns(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{MaxLoads: 2})
		for i, g := range together(6, func(i int) got {
			time.Sleep(time.Duration(i)) // in this order
			return get(c, t.Context(), fmt.Sprint(i))
		}) {
			if want := time.Duration(i/2+1)*time.Second - time.Duration(i-i%2); g.err != nil || g.at != want {
				t.Fatalf("call %d: %v after %v, want %v", i, g.err, g.at, want)
			}
		}
	})
}

func TestALoadThatWaitsForItsTurnPastTheDeadlineIsOverload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Hour}
		c := open(t, s, Options[string]{MaxLoads: 1, LoadTimeout: 10 * time.Second})
		first := ask(c, t.Context(), "a")
		time.Sleep(time.Second)
		second := ask(c, t.Context(), "b")
		(<-first).wantErr(t, ErrLoadTimeout, 10*time.Second)
		synctest.Wait()
		s.expect(t, 2) // the seat was given on
		(<-second).wantErr(t, ErrLoadTimeout, 10*time.Second)
	})
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		c := open(t, Func(func(context.Context, string) (string, error) { <-release; return "", nil }), Options[string]{MaxLoads: 1, LoadTimeout: 10 * time.Second})
		first := ask(c, t.Context(), "a")
		second := ask(c, t.Context(), "b")
		(<-first).wantErr(t, ErrLoadTimeout, 10*time.Second)
		(<-second).wantErr(t, ErrOverloaded, 10*time.Second)
		if n := c.Stats().Zombies; n != 1 { // b's loader was never called
			t.Fatalf("%d zombies, want 1", n)
		}
		close(release)
	})
}

func TestARefreshGivesWayToMisses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{MaxLoads: 1, StaleFor: time.Hour})
		get(c, t.Context(), "a")
		time.Sleep(time.Minute)
		miss := ask(c, t.Context(), "b")
		get(c, t.Context(), "a").want(t, "a#1", Stale, 0)
		if n := c.Stats().Refreshes; n != 0 {
			t.Fatalf("%d refreshes began beside a miss, want 0", n)
		}
		<-miss
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "a#1", Stale, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		get(c, t.Context(), "a").want(t, "a#3", Hit, 0)
	})
}

func TestNestedLoadsUseTheirParentsSeat(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var c *Cache[string]
		c = open(t, LoaderFunc[string](func(ctx context.Context, key string, _ *Item[string]) (Item[string], error) {
			if strings.HasPrefix(key, "parent") {
				v, err := c.Get(ctx, "child of "+key)
				return Item[string]{Value: v}, err
			}
			time.Sleep(time.Second)
			return Item[string]{Value: key}, nil
		}), Options[string]{MaxLoads: 3})
		for _, g := range together(3, func(i int) got { return get(c, t.Context(), fmt.Sprint("parent", i)) }) {
			if g.err != nil || g.at != time.Second {
				t.Fatalf("got %v after %v", g.err, g.at)
			}
		}
	})
}

func TestALoadThatParentsWaitForIsLentASeat(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var c *Cache[string]
		start := make(chan struct{})
		c = open(t, LoaderFunc[string](func(ctx context.Context, key string, _ *Item[string]) (Item[string], error) {
			if key == "parent" {
				<-start
				v, err := c.Get(ctx, "shared")
				return Item[string]{Value: v}, err
			}
			return Item[string]{Value: key}, nil
		}), Options[string]{MaxLoads: 1})
		parent := ask(c, t.Context(), "parent")
		other := ask(c, t.Context(), "shared") // queued behind the parent, who will wait for it
		close(start)
		(<-parent).want(t, "shared", Loaded, 0)
		(<-other).want(t, "shared", Loaded, 0)
		synctest.Wait()
		if n := c.bulkhead.free; n != 1 {
			t.Fatalf("%d seats are free, want 1", n)
		}
	})
}

func TestCyclesAreFoundAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var c *Cache[string]
		l := loaderBy{}
		c = open(t, l, Options[string]{ErrorPause: -1})
		l["self"] = func(ctx context.Context) (string, error) { return c.Get(ctx, "self") }
		l["a"] = func(ctx context.Context) (string, error) { return c.Get(ctx, "b") }
		l["b"] = func(ctx context.Context) (string, error) { return c.Get(ctx, "c") }
		l["c"] = func(ctx context.Context) (string, error) { return c.Get(ctx, "a") }
		get(c, t.Context(), "self").wantErr(t, ErrCycle, 0)
		get(c, t.Context(), "a").wantErr(t, ErrCycle, 0)
	})
}

func TestTwoCallersThatWaitForEachOthersKeysAreACycle(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var c *Cache[string]
		l := loaderBy{}
		c = open(t, l, Options[string]{ErrorPause: -1})
		for key, other := range map[string]string{"a": "b", "b": "a"} {
			l[key] = func(ctx context.Context) (string, error) {
				time.Sleep(time.Second)
				v, err := c.Get(ctx, other)
				if errors.Is(err, ErrCycle) {
					return "without " + other, nil
				}
				return v, err
			}
		}
		answers := together(2, func(i int) got { return get(c, t.Context(), []string{"a", "b"}[i]) })
		cycles := 0
		for _, g := range answers {
			if g.err != nil || g.at != time.Second {
				t.Fatalf("got %v after %v", g.err, g.at)
			}
			if strings.HasPrefix(g.item.Value, "without") {
				cycles++
			}
		}
		// Both loads see it or one does and the other gets that one's value.
		if n := c.Stats().Cycles; n != 1 || cycles != 2 {
			t.Fatalf("%d cycles were found, %d values without the other; want 1, and both from the one that was told", n, cycles)
		}
	})
}

func TestACycleThroughTwoCachesIsFound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var a, b *Cache[string]
		a = open(t, Func(func(ctx context.Context, key string) (string, error) { return b.Get(ctx, key) }), Options[string]{ErrorPause: -1})
		b = open(t, Func(func(ctx context.Context, key string) (string, error) { return a.Get(ctx, key) }), Options[string]{ErrorPause: -1})
		get(a, t.Context(), "x").wantErr(t, ErrCycle, 0)
	})
}

func TestARateSpacesLoadsOut(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{}
		c := open(t, s, Options[string]{LoadsPerSecond: 2, Burst: 3, LoadTimeout: 2 * time.Second})
		var at []time.Duration
		var refused int
		for _, g := range together(10, func(i int) got {
			time.Sleep(time.Duration(i))
			g := get(c, t.Context(), fmt.Sprint(i))
			g.at += time.Duration(i)
			return g
		}) {
			if errors.Is(g.err, ErrOverloaded) && g.at < 10 {
				refused++
				continue
			}
			at = append(at, g.at.Truncate(100*time.Millisecond))
		}
		want := []time.Duration{0, 0, 0, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond}
		if fmt.Sprint(at[:6]) != fmt.Sprint(want) || refused != 10-len(at) || refused < 3 {
			t.Fatalf("loads ended after %v, %d were refused; want %v first and the rest refused at once", at, refused, want)
		}
	})
}

// bulkSource loads keys together, and counts its calls.
type bulkSource struct {
	source
	bulks atomic.Int64
	mu    sync.Mutex
	keys  [][]string
	many  func(ctx context.Context, keys []string) (map[string]Item[string], error)
}

func (s *bulkSource) LoadMany(ctx context.Context, keys []string) (map[string]Item[string], error) {
	s.bulks.Add(1)
	s.mu.Lock()
	s.keys = append(s.keys, keys)
	s.mu.Unlock()
	if s.many != nil {
		return s.many(ctx, keys)
	}
	items := map[string]Item[string]{}
	for _, key := range keys {
		if key != "absent" {
			items[key] = Item[string]{Value: "bulk " + key}
		}
	}
	time.Sleep(s.takes)
	return items, nil
}

func TestGetManyLoadsWhatIsMissingInOneCallAndSharesFlights(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &bulkSource{source: source{takes: time.Second}}
		c := open(t, s, Options[string]{})
		get(c, t.Context(), "kept")
		flying := ask(c, t.Context(), "flying")
		time.Sleep(500 * time.Millisecond)
		single := make(chan got, 1)
		go func() {
			time.Sleep(100 * time.Millisecond)
			single <- get(c, t.Context(), "x") // joins the bulk load's flight
		}()
		start := time.Now()
		values, err := c.GetMany(t.Context(), []string{"kept", "flying", "x", "y", "x", "absent", ""})
		var many *ManyError
		if !errors.As(err, &many) || len(many.Errors) != 2 || !errors.Is(many.Errors["absent"], ErrNotFound) || !errors.Is(many.Errors[""], ErrInvalidKey) {
			t.Fatalf("got %v", err)
		}
		want := map[string]string{"kept": "kept#1", "flying": "flying#2", "x": "bulk x", "y": "bulk y"}
		if fmt.Sprint(values) != fmt.Sprint(want) || time.Since(start) != time.Second {
			t.Fatalf("got %v after %v", values, time.Since(start))
		}
		(<-flying).want(t, "flying#2", Loaded, time.Second)
		(<-single).want(t, "bulk x", Joined, 900*time.Millisecond)
		if n := s.bulks.Load(); n != 1 || fmt.Sprint(s.keys[0]) != "[x y absent]" {
			t.Fatalf("%d bulk calls with %v", n, s.keys)
		}
		s.expect(t, 2)
		if v, err := c.GetMany(t.Context(), []string{"x", "y"}); err != nil || len(v) != 2 || s.bulks.Load() != 1 {
			t.Fatalf("got %v, %v", v, err)
		}
	})
}

func TestGetManyRefreshesWhatIsStaleInOneCallBehind(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &bulkSource{}
		c := open(t, s, Options[string]{StaleFor: time.Hour})
		keys := []string{"a", "b", "c"}
		c.GetMany(t.Context(), keys)
		time.Sleep(time.Minute)
		s.takes = time.Second
		start := time.Now()
		if v, err := c.GetMany(t.Context(), append(keys, "new")); err != nil || len(v) != 4 || time.Since(start) != time.Second {
			t.Fatalf("got %v, %v after %v", v, err, time.Since(start))
		}
		synctest.Wait()
		if n := s.bulks.Load(); n != 3 || s.source.calls.Load() != 0 {
			t.Fatalf("%d bulk calls %v, %d single ones; want 3 and 0", n, s.keys, s.source.calls.Load())
		}
		for _, key := range keys {
			get(c, t.Context(), key).want(t, "bulk "+key, Hit, 0)
		}
	})
}

func TestABulkLoadThatFailsPanicsOrHangsEndsForAllItsKeys(t *testing.T) {
	for _, test := range []struct {
		name  string
		many  func(ctx context.Context, keys []string) (map[string]Item[string], error)
		want  error
		after time.Duration
	}{
		{"fails", func(context.Context, []string) (map[string]Item[string], error) { return nil, errSource }, errSource, 0},
		{"panics", func(context.Context, []string) (map[string]Item[string], error) { panic("boom") }, ErrPanic, 0},
		{"hangs", func(ctx context.Context, _ []string) (map[string]Item[string], error) {
			<-ctx.Done()
			time.Sleep(time.Minute)
			return nil, nil
		}, ErrLoadTimeout, 30 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := &bulkSource{many: test.many}
				c := open(t, s, Options[string]{ErrorPause: -1})
				start := time.Now()
				_, err := c.GetMany(t.Context(), []string{"a", "b"})
				var many *ManyError
				if !errors.As(err, &many) || !errors.Is(many.Errors["a"], test.want) || !errors.Is(many.Errors["b"], test.want) || time.Since(start) != test.after {
					t.Fatalf("got %v after %v", err, time.Since(start))
				}
				get(c, t.Context(), "a").want(t, "a#1", Loaded, 0)
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if s := c.Stats(); s.Running != 0 || s.Zombies != 0 {
					t.Fatalf("left behind: %+v", s)
				}
			})
		})
	}
}

func TestABulkLoadIsCancelledWhenNobodyWaitsForAnyOfItsKeys(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		ended := make(chan error, 1)
		s := &bulkSource{many: func(ctx context.Context, _ []string) (map[string]Item[string], error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, ctx.Err()
		}}
		c := open(t, s, Options[string]{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.GetMany(ctx, []string{"a", "b"})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if err := <-ended; !errors.Is(err, errAbandoned) {
			t.Fatalf("the call's context ended by %v", err)
		}
	})
}

func TestGetManyWithoutABulkLoaderLoadsSideBySide(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{})
		start := time.Now()
		values, err := c.GetMany(t.Context(), []string{"a", "b", "c"})
		if err != nil || len(values) != 3 || time.Since(start) != time.Second {
			t.Fatalf("got %v, %v after %v", values, err, time.Since(start))
		}
	})
}

func TestACycleThroughABulkLoadIsFound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var c *Cache[string]
		s := &bulkSource{}
		s.many = func(ctx context.Context, keys []string) (map[string]Item[string], error) {
			v, err := c.Get(ctx, keys[0])
			return map[string]Item[string]{keys[0]: {Value: v}}, err
		}
		c = open(t, s, Options[string]{ErrorPause: -1})
		if _, err := c.GetMany(t.Context(), []string{"a", "b"}); !errors.Is(err, ErrCycle) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestEveryTailOfABulkLoadIsCalledOnceAlsoWhenNobodyWantsItsBody(t *testing.T) {
	for _, test := range []struct {
		name   string
		err    error
		panics bool
		leave  bool // whoever waits for "left" does so before the call ends
	}{
		{"all are wanted but what was not asked for", nil, false, false},
		{"one has left", nil, false, true},
		{"an error for all", errSource, false, false},
		{"a tail that panics", nil, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var mu sync.Mutex
				ends := map[string]string{}
				s := &bulkSource{}
				s.many = func(_ context.Context, keys []string) (map[string]Item[string], error) {
					items := map[string]Item[string]{}
					for _, key := range append(keys, "unasked") {
						items[key] = Item[string]{Value: key, Tail: func(ctx context.Context, w io.Writer) error {
							_, err := io.WriteString(w, "body")
							mu.Lock()
							defer mu.Unlock()
							ends[key] += fmt.Sprintf("ended %v, written %v;", ctx.Err() != nil, err == nil)
							if test.panics && err != nil {
								panic("boom")
							}
							return err
						}}
					}
					time.Sleep(10 * time.Second)
					return items, test.err
				}
				c := open(t, s, Options[string]{ErrorPause: -1})
				// What joins the flight of "left" is gone before its call ends;
				// GetMany itself gives up then and waits for nothing more.
				ctx, cancel := context.WithCancel(t.Context())
				answer := make(chan error, 1)
				go func() {
					_, err := c.GetMany(ctx, []string{"left", "stays"})
					answer <- err
				}()
				synctest.Wait()
				stays := ask(c, t.Context(), "stays")
				if time.Sleep(time.Second); test.leave {
					cancel()
				} else { // GetMany lets bodies go, and an unread one may end before it is written
					ask(c, t.Context(), "left")
				}
				<-answer
				(<-stays).wantErr(t, test.err, 10*time.Second)
				synctest.Wait()
				wanted, unwanted := "ended false, written true;", "ended true, written false;"
				want := map[string]string{"left": wanted, "stays": wanted, "unasked": unwanted}
				if test.leave {
					want["left"] = unwanted
				}
				if test.err != nil {
					want["left"], want["stays"] = unwanted, unwanted
				}
				mu.Lock()
				defer mu.Unlock()
				if fmt.Sprint(ends) != fmt.Sprint(want) {
					t.Fatalf("the tails were called like this: %q; want %q", ends, want)
				}
				cancel()
			})
		})
	}
}
