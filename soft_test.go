package corral

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// targets are the ways to concern the value under "a/1", which carries the tag x, and
// not the one under "b", which carries y.
var targets = map[string]Target{
	"key":      {Keys: []string{"a/1"}},
	"prefix":   {Prefixes: []string{"a/"}},
	"prefixes": {Prefixes: []string{"c", "a/1"}},
	"tag":      {Tags: []string{"z", "x"}},
	"all":      {All: true},
}

func softly(target Target) Target {
	target.Soft = true
	return target
}

// tagged is a source whose values carry the tag x under keys that begin with
// "a", and y under others.
func tagged() *source {
	s := &source{}
	s.item = func(call int64, key string, _ *Item[string]) (Item[string], error) {
		tag := "y"
		if strings.HasPrefix(key, "a") {
			tag = "x"
		}
		return Item[string]{Value: fmt.Sprintf("%s#%d", key, call), Tags: []string{tag}, Validator: "e"}, nil
	}
	return s
}

func TestPurgeReachesWhatItNames(t *testing.T) {
	for name, target := range targets {
		for _, soft := range []bool{false, true} {
			t.Run(fmt.Sprintf("by %s, soft %v", name, soft), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					c := open(t, tagged(), Options[string]{})
					get(c, t.Context(), "a/1")
					get(c, t.Context(), "b").want(t, "b#2", Loaded, 0)
					target.Soft = soft
					if err := c.Purge(t.Context(), target); err != nil {
						t.Fatal(err)
					}
					if _, info, ok := c.Peek("a/1"); ok != soft || ok && (info.Source != Stale || info.TTL != 0) {
						t.Fatalf("Peek: got %v, %+v; want a value that is stale, or none", ok, info)
					}
					get(c, t.Context(), "a/1").want(t, "a/1#3", Loaded, 0)
					if target.All {
						get(c, t.Context(), "b").want(t, "b#4", Loaded, 0)
					} else {
						get(c, t.Context(), "b").want(t, "b#2", Hit, 0)
					}
					get(c, t.Context(), "a/1").want(t, "a/1#3", Hit, 0) // what is computed after it is fresh
					if n := c.Stats().Invalidations; n != 1 {
						t.Fatalf("%d invalidations are counted, want 1", n)
					}
				})
			})
		}
	}
}

func TestPrefixesAreBytesAndTheEmptyOneIsAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, &source{}, Options[string]{})
		keys := []string{"a", "a/", "a/1", "a/1/2", "ab", "A/1", "b/a/", "\xc3\xa9", "\xc3"}
		for _, test := range []struct {
			prefixes []string
			gone     []string
		}{
			{nil, nil},
			{[]string{"a/"}, []string{"a/", "a/1", "a/1/2"}},
			{[]string{"a"}, []string{"a", "a/", "a/1", "a/1/2", "ab"}},
			{[]string{"a/1", "b"}, []string{"a/1", "a/1/2", "b/a/"}},
			{[]string{"\xc3"}, []string{"\xc3\xa9", "\xc3"}},
			{[]string{"a/1/2/3", "*", "%"}, nil},
			{[]string{""}, keys},
		} {
			for _, key := range keys {
				get(c, t.Context(), key)
			}
			if err := c.InvalidatePrefixes(t.Context(), test.prefixes...); err != nil {
				t.Fatal(err)
			}
			var gone []string
			for _, key := range keys {
				if _, _, ok := c.Peek(key); !ok {
					gone = append(gone, key)
				}
			}
			if !slices.Equal(gone, test.gone) {
				t.Errorf("InvalidatePrefixes(%q) took %q, want %q", test.prefixes, gone, test.gone)
			}
		}
	})
}

func TestAPrefixDetachesTheFlightsUnderIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: time.Second}
		c := open(t, s, Options[string]{})
		before := ask(c, t.Context(), "a/1")
		time.Sleep(time.Second / 2)
		c.InvalidatePrefixes(t.Context(), "a/")
		after := ask(c, t.Context(), "a/1")
		(<-before).want(t, "a/1#1", Loaded, time.Second)
		(<-after).want(t, "a/1#2", Loaded, time.Second)
		get(c, t.Context(), "a/1").want(t, "a/1#2", Hit, 0)
	})
}

// R4.
func TestWindowsCountFromASoftInvalidation(t *testing.T) {
	for name, target := range targets {
		for _, ended := range []bool{false, true} { // the value's TTL, before
			for _, row := range []struct {
				after  time.Duration
				source Source // of the answer: Stale, or Loaded
				down   bool
			}{
				{0, Stale, false}, {time.Minute - 1, Stale, false}, {time.Minute, Loaded, false},
				{time.Minute, Stale, true}, {time.Hour - 1, Stale, true},
			} {
				if ended && row.down {
					continue
				}
				t.Run(fmt.Sprintf("by %s, %v after, ended %v, down %v", name, row.after, ended, row.down), func(t *testing.T) {
					inBubble(t, func(t *testing.T) {
						down := false
						s := tagged()
						item := s.item
						s.item = func(call int64, key string, prev *Item[string]) (Item[string], error) {
							if down {
								return Item[string]{}, errSource
							}
							return item(call, key, prev)
						}
						c := open(t, s, Options[string]{TTL: 10 * time.Minute, StaleFor: time.Minute, StaleOnError: time.Hour})
						get(c, t.Context(), "a/1")
						time.Sleep(5 * time.Minute)
						if ended { // then the soft invalidation changes nothing
							time.Sleep(5 * time.Minute)
						}
						c.Purge(t.Context(), softly(target))
						time.Sleep(row.after)
						down = row.down
						g := get(c, t.Context(), "a/1")
						if row.source == Stale {
							g.want(t, "a/1#1", Stale, 0)
							if g.info.TTL != -row.after {
								t.Fatalf("Info.TTL is %v, want %v", g.info.TTL, -row.after)
							}
						} else {
							g.want(t, "a/1#2", Loaded, 0)
						}
						synctest.Wait()
					})
				})
			}
		}
	}
}

func TestWhatASoftInvalidationExpiredIsValidated(t *testing.T) {
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := tagged()
				item := s.item
				s.item = func(call int64, key string, prev *Item[string]) (Item[string], error) {
					if prev != nil && prev.Validator == "e" {
						return prev.NotModified(), nil
					}
					return item(call, key, prev)
				}
				c := open(t, s, Options[string]{})
				get(c, t.Context(), "a/1")
				c.Purge(t.Context(), softly(target))
				get(c, t.Context(), "a/1").want(t, "a/1#1", Loaded, 0)
				get(c, t.Context(), "a/1").want(t, "a/1#1", Hit, 0)
				s.expect(t, 2)
			})
		})
	}
}

// R5.
func TestAFlightThatBeganBeforeASoftInvalidationLandsExpired(t *testing.T) {
	for name, target := range targets {
		for _, staleFor := range []time.Duration{0, time.Minute} {
			for _, outcome := range []Outcome{Keep, Share} {
				t.Run(fmt.Sprintf("by %s, StaleFor %v, %v", name, staleFor, outcome), func(t *testing.T) {
					inBubble(t, func(t *testing.T) {
						s := tagged()
						item := s.item
						s.item = func(call int64, key string, prev *Item[string]) (Item[string], error) {
							answer, err := item(call, key, prev)
							answer.Outcome = outcome
							return answer, err
						}
						s.takes = time.Second
						c := open(t, s, Options[string]{StaleFor: staleFor})
						before := ask(c, t.Context(), "a/1")
						time.Sleep(time.Second / 2)
						c.Purge(t.Context(), softly(target))
						after := ask(c, t.Context(), "a/1")
						g := <-before
						g.want(t, "a/1#1", Loaded, time.Second)
						if g.info.TTL > 0 {
							t.Fatalf("it landed fresh for %v", g.info.TTL)
						}
						g = <-after
						if staleFor > 0 && outcome == Keep {
							g.want(t, "a/1#1", Stale, time.Second/2) // with a refresh behind it
						} else {
							g.want(t, "a/1#2", Loaded, 3*time.Second/2)
						}
						time.Sleep(2 * time.Second)
						if outcome == Keep {
							get(c, t.Context(), "a/1").want(t, "a/1#2", Hit, 0)
							s.expect(t, 2)
						}
					})
				})
			}
		}
	}
}

func TestABodyThatBeganBeforeASoftInvalidationGrowsExpired(t *testing.T) {
	for name, target := range targets {
		for _, early := range []bool{true, false} { // before the header, or after it
			t.Run(fmt.Sprintf("by %s, before the header %v", name, early), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					calls := 0
					c := open(t, LoaderFunc[string](func(context.Context, string, *Item[string]) (Item[string], error) {
						calls++
						time.Sleep(time.Second)
						return Item[string]{Value: "h", Tags: []string{"x"}, Tail: func(_ context.Context, w io.Writer) error {
							time.Sleep(time.Second)
							_, err := io.WriteString(w, "body")
							return err
						}}, nil
					}), Options[string]{})
					first := ask(c, t.Context(), "a/1")
					if !early {
						time.Sleep(time.Second + 1)
					}
					c.Purge(t.Context(), softly(target))
					if body, err := drain(<-first); body != "body" || err != nil {
						t.Fatalf("who asked before got %q, %v", body, err)
					}
					synctest.Wait()
					if _, info, ok := c.Peek("a/1"); !ok || info.Source != Stale {
						t.Fatalf("Peek: got %v, %+v; want a stale value", ok, info)
					}
					drain(get(c, t.Context(), "a/1"))
					if calls != 2 {
						t.Fatalf("the loader was called %d times, want 2", calls)
					}
				})
			})
		}
	}
}

func TestSoftInvalidationsAreToldAsExpired(t *testing.T) {
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				c := open(t, tagged(), Options[string]{})
				get(c, t.Context(), "a/1")
				synctest.Wait() // it has been told that it landed
				events, stop := c.Subscribe(10)
				defer stop()
				c.Purge(t.Context(), softly(target))
				for range 2 {
					get(c, t.Context(), "a/1")
				}
				if e := <-events; e.Kind != EventExpired || e.Key != "a/1" {
					t.Fatalf("got %+v, want that a/1 has expired", e)
				}
				if e := <-events; e.Kind != EventLoadStarted {
					t.Fatalf("got %+v, want the load", e)
				}
			})
		})
	}
}

func TestASoftInvalidationLeavesWhatIsForValidation(t *testing.T) {
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				v := newVersioned(Validate)
				v.tags = []string{"x"}
				c := open(t, v, Options[string]{})
				get(c, t.Context(), "a/1")
				c.Purge(t.Context(), softly(target))
				get(c, t.Context(), "a/1")
				v.wantAsked(t, "-", "e1")
			})
		})
	}
}

func TestATargetOfNothingInvalidatesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, &source{}, Options[string]{})
		for _, target := range []Target{{}, {Soft: true}} {
			if err := c.Purge(t.Context(), target); err != nil || c.Stats().Invalidations != 0 {
				t.Fatalf("Purge of %+v: %v, %d counted", target, err, c.Stats().Invalidations)
			}
		}
		c.Close()
		if err := c.Purge(t.Context(), Target{All: true}); err != ErrClosed {
			t.Fatalf("after Close: got %v, want %v", err, ErrClosed)
		}
	})
}

func TestAPlainHitLooksAtInvalidationsOfEverything(t *testing.T) {
	for _, soft := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			c := open(t, &source{}, Options[string]{})
			for _, want := range []string{"a#1", "a#2"} {
				for range 2 {
					if value, err := c.Get(t.Context(), "a"); value != want || err != nil {
						t.Fatalf("soft %v: got %q, %v; want %q", soft, value, err, want)
					}
				}
				c.Purge(t.Context(), Target{All: true, Soft: soft})
			}
		})
	}
}

func TestAValueThatASoftInvalidationExpiredWhileItsCallerWaitedCoversByItsWindows(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		s := &source{takes: 10 * time.Second, item: func(int64, string, *Item[string]) (Item[string], error) {
			return Item[string]{}, errSource
		}}
		c := open(t, s, Options[string]{})
		answer := ask(c, t.Context(), "a")
		time.Sleep(time.Second)
		c.Set(t.Context(), "a", Item[string]{Value: "set"})
		c.Purge(t.Context(), Target{All: true, Soft: true})
		(<-answer).wantErr(t, errSource, 10*time.Second)
	})
}

func TestAValueCountsAsExpiredFromTheFirstOfItsTagsOn(t *testing.T) {
	for _, order := range [][]string{{"x", "y"}, {"y", "x"}} {
		now := int64(0)
		r := newRevisions(0, func() int64 { now += 10; return now })
		r.apply(Invalidation{Target: Target{Tags: order[:1], Soft: true}})
		r.apply(Invalidation{Target: Target{Tags: order[1:], Soft: true}})
		r.apply(Invalidation{Target: Target{All: true, Soft: true}})
		for v, want := range []int64{10, 20, 30} {
			if at, expired := r.soft.since(r.slots([]string{"x", "y"}), uint64(v)); at != want || !expired {
				t.Errorf("a value of %d after %q: expired %v, since %d; want since %d", v, order, expired, at, want)
			}
		}
		if _, expired := r.soft.since(r.slots([]string{"x", "y"}), 3); expired {
			t.Error("a value that began after all of them is expired")
		}
	}
}

func TestOfTwoSoftInvalidationsTheFirstDecidesWhoAsksAgain(t *testing.T) {
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := tagged()
				s.takes = time.Second
				c := open(t, s, Options[string]{})
				before := ask(c, t.Context(), "a/1")
				c.Purge(t.Context(), softly(target))
				between := ask(c, t.Context(), "a/1")
				c.Purge(t.Context(), softly(target))
				(<-before).want(t, "a/1#1", Loaded, time.Second)
				(<-between).want(t, "a/1#2", Loaded, 2*time.Second)
			})
		})
	}
}

func TestASoftInvalidationDuringARetryConcernsOnlyWhatBeganBefore(t *testing.T) {
	for name, target := range targets {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				s := tagged()
				item := s.item
				s.item = func(call int64, key string, prev *Item[string]) (Item[string], error) {
					if call == 1 {
						return Item[string]{}, errSource
					}
					return item(call, key, prev)
				}
				s.takes = time.Second
				c := open(t, s, Options[string]{Retries: 1, RetryDelay: time.Second})
				answer := ask(c, t.Context(), "a/1")
				c.Purge(t.Context(), softly(target))
				if g := <-answer; g.err != nil || g.item.Value != "a/1#2" || g.info.TTL != time.Minute {
					t.Fatalf("got %+v, want a value fresh for a minute", g)
				}
			})
		})
	}
}
