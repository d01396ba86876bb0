package corral

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// versioned is a source of one value that only its requester may have: it
// confirms the version that it is asked about, and else gives the current one.
type versioned struct {
	source
	version int
	outcome Outcome // of a new version
	tags    []string
	passTTL time.Duration // of its items

	mu    sync.Mutex
	asked []string // the validators that came with prev, "-" for none
}

func newVersioned(outcome Outcome) *versioned {
	v := &versioned{outcome: outcome, version: 1}
	v.item = func(call int64, key string, prev *Item[string]) (Item[string], error) {
		validator := "-"
		if prev != nil {
			validator = prev.Validator
		}
		v.mu.Lock()
		v.asked = append(v.asked, validator)
		v.mu.Unlock()
		current := fmt.Sprint("e", v.version)
		if prev != nil && prev.Validator == current {
			item := prev.NotModified()
			item.PassTTL = v.passTTL
			return item, nil
		}
		return Item[string]{Value: fmt.Sprint("v", v.version), Outcome: v.outcome, Validator: current, PassTTL: v.passTTL, Tags: v.tags}, nil
	}
	return v
}

// wantAsked fails unless the source was asked with these validators since the
// last time.
func (v *versioned) wantAsked(t *testing.T, validators ...string) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Equal(v.asked, validators) {
		t.Fatalf("the source was asked with %q, want %q", v.asked, validators)
	}
	v.asked = nil
}

// answers is a loader that always comes to the same.
func answers(item Item[string], err error) LoaderFunc[string] {
	return func(context.Context, string, *Item[string]) (Item[string], error) { return item, err }
}

func TestValidateIsForItsLeaderOnlyAndGivesEveryLaterLoadSomethingToValidate(t *testing.T) {
	for _, test := range []struct {
		name    string
		passTTL time.Duration
		wait    time.Duration
	}{
		{"while the mark stays", time.Minute, time.Minute - 1},
		{"when the mark has ended", time.Minute, time.Minute},
		{"without a mark", -1, 0},
		{"long after", time.Minute, 100 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				v := newVersioned(Validate)
				v.passTTL = test.passTTL
				c := open(t, v, Options[string]{StaleFor: Forever, StaleOnError: Forever})
				g := get(c, t.Context(), "a")
				g.want(t, "v1", Loaded, 0)
				if g.info.Outcome != Validate || g.info.Kept {
					t.Fatalf("got outcome %v, kept %v; want validate, not kept", g.info.Outcome, g.info.Kept)
				}
				if _, _, ok := c.Peek("a"); ok {
					t.Fatal("Peek shows a value that is for validation only")
				}
				for _, e := range c.Entries() {
					if e.Value || !e.ForLoads {
						t.Fatalf("Entries shows %+v, want a value for loads only", e)
					}
				}
				time.Sleep(test.wait)
				for range 3 { // confirmed each time, and each time given to one
					g := get(c, t.Context(), "a", MaxStale(Forever))
					g.want(t, "v1", Loaded, 0)
					if g.info.Outcome != Validate {
						t.Fatalf("a value that is for validation only came back as %v", g.info.Outcome)
					}
				}
				v.wantAsked(t, "-", "e1", "e1", "e1")
				v.version = 2
				get(c, t.Context(), "a").want(t, "v2", Loaded, 0)
				get(c, t.Context(), "a").want(t, "v2", Loaded, 0)
				v.wantAsked(t, "e1", "e2")
				if s := c.Stats(); s.Hits+s.StaleHits != 0 || s.Passes != 6 || s.NotModified != 4 {
					t.Fatalf("got %d hits, %d stale hits, %d passes, %d not modified; want 0, 0, 6, 4", s.Hits, s.StaleHits, s.Passes, s.NotModified)
				}
				if want := int64(entryBytes + 1 + 2 + moreBytes + 2 + markBytes); c.Stats().Bytes != want {
					t.Fatalf("%d bytes are counted, want %d", c.Stats().Bytes, want)
				}
			})
		})
	}
}

func TestThoseWhoWaitWhenAValueIsForValidationOnlyLoadSideBySide(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		v := newVersioned(Validate)
		v.takes = time.Second
		c := open(t, v, Options[string]{})
		late := 0
		for _, g := range together(10, func(int) got { return get(c, t.Context(), "a") }) {
			if g.err != nil || g.info.Source != Loaded {
				t.Fatalf("got %+v", g)
			}
			if g.at == 2*time.Second {
				late++
			}
		}
		if late != 9 {
			t.Fatalf("%d callers were answered after two loads' time, want 9", late)
		}
		v.wantAsked(t, "-", "e1", "e1", "e1", "e1", "e1", "e1", "e1", "e1", "e1")
	})
}

func TestWhatIsKeptForValidationCoversNoFailureAndOutlivesIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		v := newVersioned(Validate)
		answer, down := v.item, false
		v.item = func(call int64, key string, prev *Item[string]) (Item[string], error) {
			if down {
				return Item[string]{}, RetryAfter(Outage(errSource), time.Minute)
			}
			return answer(call, key, prev)
		}
		c := open(t, v, Options[string]{StaleFor: Forever, StaleOnError: Forever, SoftTimeout: time.Millisecond, PassTTL: time.Second})
		get(c, t.Context(), "a")
		for range 2 { // by a load apart, which lets the key rest, and by the key's own
			down = true
			get(c, t.Context(), "a", MaxStale(Forever)).wantErr(t, errSource, 0)
			get(c, t.Context(), "a", MaxStale(Forever)).wantErr(t, errSource, 0)
			time.Sleep(time.Minute)
		}
		down = false
		get(c, t.Context(), "a").want(t, "v1", Loaded, 0)
		v.wantAsked(t, "-", "e1")
	})
}

func TestWhatTheSourceThenGivesToAllIsKeptForAll(t *testing.T) {
	for _, ttl := range []time.Duration{time.Hour, -1} {
		inBubble(t, func(t *testing.T) {
			v := newVersioned(Validate)
			v.passTTL = ttl
			c := open(t, v, Options[string]{})
			get(c, t.Context(), "a")
			v.version, v.outcome = 2, Keep
			g := get(c, t.Context(), "a")
			g.want(t, "v2", Loaded, 0)
			if !g.info.Kept {
				t.Fatal("Info.Kept is false")
			}
			get(c, t.Context(), "a").want(t, "v2", Hit, 0)
			if s := c.Stats(); s.Bytes != entryBytes+1+2+moreBytes+2 {
				t.Fatalf("%d bytes are counted, want %d", s.Bytes, entryBytes+1+2+moreBytes+2)
			}
			v.wantAsked(t, "-", "e1")
		})
	}
}

func TestWhatIsKeptForValidationGoesWithItsKey(t *testing.T) {
	for _, test := range []struct {
		name string
		act  func(c *Cache[string], ctx context.Context)
		want string // what the next load is given
		told []string
	}{
		{"nothing", func(*Cache[string], context.Context) {}, "e1", nil},
		{"Expire", func(c *Cache[string], ctx context.Context) { c.Expire(ctx, "a") }, "e1", nil},
		{"Invalidate", func(c *Cache[string], ctx context.Context) { c.Invalidate(ctx, "a") }, "-", []string{"v1 invalidated"}},
		{"InvalidateTags", func(c *Cache[string], ctx context.Context) { c.InvalidateTags(ctx, "x") }, "-", nil},
		{"InvalidateTags of another", func(c *Cache[string], ctx context.Context) { c.InvalidateTags(ctx, "y") }, "e1", nil},
		{"InvalidateAll", func(c *Cache[string], ctx context.Context) { c.InvalidateAll(ctx) }, "-", []string{"v1 invalidated"}},
		{"eviction", func(c *Cache[string], ctx context.Context) {
			for i := range 100 {
				c.Set(ctx, fmt.Sprint("other", i), Item[string]{Value: strings.Repeat("x", 1000)})
			}
		}, "-", []string{"v1 evicted"}},
		{"a Share", func(c *Cache[string], ctx context.Context) {
			c.GetWith(ctx, "a", answers(Item[string]{Outcome: Share}, nil))
		}, "-", []string{"v1 replaced"}},
		{"a Pass beside it", func(c *Cache[string], ctx context.Context) {
			c.GetWith(ctx, "a", answers(Item[string]{Outcome: Pass}, nil))
		}, "e1", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				v := newVersioned(Validate)
				v.tags = []string{"x"}
				var told []string
				c := open(t, v, Options[string]{MaxBytes: 8 << 10, OnRemove: func(key, value string, cause RemovalCause) {
					if key == "a" {
						told = append(told, value+" "+cause.String())
					}
				}})
				get(c, t.Context(), "a")
				test.act(c, t.Context())
				get(c, t.Context(), "a")
				v.wantAsked(t, "-", test.want)
				if test.want == "e1" && test.told == nil {
					test.told = []string{"v1 replaced"} // by its own confirmation
				}
				if test.name == "InvalidateTags" { // seen only when it is used
					test.told = []string{"v1 replaced"}
				}
				synctest.Wait() // OnRemove is told behind the answer
				if !slices.Equal(told, test.told) {
					t.Fatalf("OnRemove was told %q, want %q", told, test.told)
				}
			})
		})
	}
}

func TestWhoHasTheAnswerOfALoadForAllFindsTheMarkGone(t *testing.T) {
	for _, test := range []struct {
		name string
		tail func(ctx context.Context, w io.Writer) error
	}{
		{"a value", nil},
		{"a header", func(ctx context.Context, w io.Writer) error { return nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				v := newVersioned(Validate)
				c := open(t, v, Options[string]{PassTTL: time.Hour})
				_, stop := c.Subscribe(1)
				defer stop()
				listener := (*c.events.list.Load())[0]
				get(c, t.Context(), "a")
				item, _, err := c.GetWith(t.Context(), "a", LoaderFunc[string](func(context.Context, string, *Item[string]) (Item[string], error) {
					listener.mu.Lock() // holds the load up as soon as it has settled
					return Item[string]{Outcome: Share, Tail: test.tail}, nil
				}))
				entries := maps.Collect(c.Entries())
				listener.mu.Unlock()
				if err != nil || len(entries) != 0 {
					t.Fatalf("got %v, and the cache has %+v; want nothing", err, entries)
				}
				if item.Body != nil {
					item.Body.Close()
				}
				get(c, t.Context(), "a").want(t, "v1", Loaded, 0)
				v.wantAsked(t, "-", "-")
			})
		})
	}
}

func TestWhatALapsedProcessIsGivenElsewhereLeavesTheMark(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		v := newVersioned(Validate)
		c := open(t, v, Options[string]{PassTTL: time.Hour})
		get(c, t.Context(), "a")
		f := c.makeFlight(&query[string]{ctx: t.Context(), key: "a"}, new(entry[string]), nil)
		f.alone, f.lapsed = true, true
		f.e.land(c, f, &record[string]{}, 0, false)
		get(c, t.Context(), "a")
		v.wantAsked(t, "-", "e1")
	})
}

// I13.
func TestALoadApartWritesOnlyUnderTheMarkItBeganUnder(t *testing.T) {
	for _, test := range []struct {
		name string
		act  func(c *Cache[string], ctx context.Context)
		kept bool
	}{
		{"nothing", func(*Cache[string], context.Context) {}, true},
		{"Expire", func(c *Cache[string], ctx context.Context) { c.Expire(ctx, "a") }, false},
		{"Invalidate", func(c *Cache[string], ctx context.Context) { c.Invalidate(ctx, "a") }, false},
		{"Invalidate of another", func(c *Cache[string], ctx context.Context) { c.Invalidate(ctx, "b") }, true},
		{"InvalidateTags", func(c *Cache[string], ctx context.Context) { c.InvalidateTags(ctx, "x") }, false},
		{"InvalidateAll", func(c *Cache[string], ctx context.Context) { c.InvalidateAll(ctx) }, false},
		{"Set, then gone", func(c *Cache[string], ctx context.Context) {
			c.Set(ctx, "a", Item[string]{Value: "set"})
			c.Invalidate(ctx, "a")
		}, false},
		{"a Set that does not fit", func(c *Cache[string], ctx context.Context) {
			c.Set(ctx, "a", Item[string]{Value: strings.Repeat("x", 10_000)})
		}, false},
		{"eviction", func(c *Cache[string], ctx context.Context) {
			for i := range 100 {
				c.Set(ctx, fmt.Sprint("other", i), Item[string]{Value: strings.Repeat("x", 1000)})
			}
		}, false},
		{"a newer mark", func(c *Cache[string], ctx context.Context) {
			time.Sleep(time.Minute) // the mark ends
			c.GetWith(ctx, "a", answers(Item[string]{Outcome: Pass}, nil))
		}, false},
		{"a failure, under which the mark goes on", func(c *Cache[string], ctx context.Context) {
			c.GetWith(ctx, "a", answers(Item[string]{}, RetryAfter(errSource, time.Second)))
		}, true},
	} {
		for _, outcome := range []Outcome{Validate, Keep} {
			t.Run(fmt.Sprintf("%s, %v", test.name, outcome), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					v := newVersioned(Pass)
					v.tags = []string{"x"}
					c := open(t, v, Options[string]{MaxBytes: 8 << 10, PassTTL: time.Minute, LoadTimeout: time.Hour})
					get(c, t.Context(), "a") // leaves the mark
					v.outcome, v.version, v.takes = outcome, 2, 2*time.Minute
					slow := ask(c, t.Context(), "a")
					test.act(c, t.Context())
					if g := <-slow; g.err != nil || g.item.Value != "v2" || g.info.Kept != (test.kept && outcome == Keep) {
						t.Fatalf("got %+v", g)
					}
					_, _, shown := c.Peek("a")
					if want := test.kept && outcome == Keep; shown != want {
						t.Fatalf("Peek shows a value: %v, want %v", shown, want)
					}
					if shown {
						return
					}
					v.asked = nil
					v.takes = 0
					get(c, t.Context(), "a")
					if test.kept {
						v.wantAsked(t, "e2")
					} else {
						v.wantAsked(t, "-")
					}
				})
			})
		}
	}
}

func TestALoadApartThatEndedBeforeItsResultWritesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		v := newVersioned(Validate)
		c := open(t, v, Options[string]{LoadTimeout: time.Second, PassTTL: time.Hour})
		get(c, t.Context(), "a")
		deaf := LoaderFunc[string](func(context.Context, string, *Item[string]) (Item[string], error) {
			<-release
			return Item[string]{Value: "zombie", Outcome: Validate, Validator: "zombie"}, nil
		})
		_, _, err := c.GetWith(t.Context(), "a", deaf)
		got{err: err}.wantErr(t, ErrLoadTimeout, 0)
		close(release)
		synctest.Wait()
		get(c, t.Context(), "a")
		v.wantAsked(t, "-", "e1")
	})
}

func TestOfWhatIsKeptForValidationTheLatestLoadWins(t *testing.T) {
	for _, outcome := range []Outcome{Validate, Keep, Share} {
		inBubble(t, func(t *testing.T) {
			v := newVersioned(Validate)
			c := open(t, v, Options[string]{PassTTL: time.Hour})
			get(c, t.Context(), "a")
			slow := make(chan got, 1)
			go func() {
				item, info, err := c.GetWith(t.Context(), "a", LoaderFunc[string](func(context.Context, string, *Item[string]) (Item[string], error) {
					time.Sleep(time.Second)
					return Item[string]{Value: "slow", Outcome: outcome, Validator: "slow"}, nil
				}))
				slow <- got{item: item, info: info, err: err}
			}()
			synctest.Wait()
			v.version = 2
			get(c, t.Context(), "a").want(t, "v2", Loaded, 0)
			(<-slow).want(t, "slow", Loaded, 0)
			get(c, t.Context(), "a").want(t, "v2", Loaded, 0)
			v.wantAsked(t, "-", "e1", "e2")
		})
	}
}

func TestAValueThatDoesNotFitIsNotKeptForValidation(t *testing.T) {
	for _, size := range []int64{0, 1} {
		inBubble(t, func(t *testing.T) {
			fits := int64(entryBytes + 1 + 2 + moreBytes + 2 + markBytes)
			v := newVersioned(Validate)
			c := open(t, v, Options[string]{MaxValueBytes: fits - size})
			get(c, t.Context(), "a").want(t, "v1", Loaded, 0)
			get(c, t.Context(), "a").want(t, "v1", Loaded, 0)
			if size == 0 {
				v.wantAsked(t, "-", "e1")
			} else {
				v.wantAsked(t, "-", "-")
			}
		})
	}
}

// bodied is a source of a body of one part a second, whose second load and on
// answers again with the body that it is given.
func bodied(outcome, again Outcome) LoaderFunc[string] {
	stream := streaming(3, nil)
	return func(ctx context.Context, key string, prev *Item[string]) (Item[string], error) {
		if prev != nil && prev.Body != nil {
			n, whole := prev.Body.Len()
			return Item[string]{Value: fmt.Sprintf("again %d %v", n, whole), Outcome: again, Body: prev.Body, Validator: "e"}, nil
		}
		item, err := stream(ctx, key, prev)
		item.Outcome, item.Validator = outcome, "e"
		return item, err
	}
}

func TestABodyIsKeptForValidationOnceItIsWhole(t *testing.T) {
	const whole = "part 0;part 1;part 2;"
	for _, passTTL := range []time.Duration{time.Hour, -1} {
		for _, again := range []Outcome{Validate, Keep, Share, Pass} {
			t.Run(fmt.Sprintf("PassTTL %v, then %v", passTTL, again), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					c := open(t, bodied(Validate, again), Options[string]{PassTTL: passTTL})
					first := get(c, t.Context(), "a")
					if body, err := drain(first); body != whole || err != nil || first.info.Kept {
						t.Fatalf("got %q, %v, kept %v", body, err, first.info.Kept)
					}
					synctest.Wait()
					base := int64(entryBytes + 1 + 11 + moreBytes + 1 + bodyBytes + 21 + markBytes)
					if s := c.Stats(); s.Bytes != base || s.BytesInFlight != 0 {
						t.Fatalf("%d bytes, %d in flight; want %d and 0", s.Bytes, s.BytesInFlight, base)
					}
					g := get(c, t.Context(), "a")
					g.want(t, "again 21 true", Loaded, 0)
					if body, err := drain(g); body != whole || err != nil {
						t.Fatalf("the body came again as %q, %v", body, err)
					}
					g = get(c, t.Context(), "a")
					if again == Keep {
						g.want(t, "again 21 true", Hit, 0)
					} else if body, err := drain(g); body != whole || err != nil {
						t.Fatalf("the body came the third time as %q, %v", body, err)
					}
				})
			})
		}
	}
}

func TestABodyThatArrivesApartReplacesWhatWasKeptForValidation(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		part := 0
		c := open(t, LoaderFunc[string](func(ctx context.Context, key string, prev *Item[string]) (Item[string], error) {
			part++
			text, seen := fmt.Sprint("body ", part), "-"
			if prev != nil {
				data, err := io.ReadAll(prev.Body)
				seen = fmt.Sprint(string(data), err)
			}
			return Item[string]{Value: seen, Outcome: Validate, Tail: func(_ context.Context, w io.Writer) error {
				time.Sleep(time.Second)
				_, err := io.WriteString(w, text)
				return err
			}}, nil
		}), Options[string]{PassTTL: time.Hour})
		for i, want := range []string{"-", "body 1<nil>", "body 2<nil>"} {
			g := get(c, t.Context(), "a")
			g.want(t, want, Loaded, 0)
			if body, err := drain(g); body != fmt.Sprint("body ", i+1) || err != nil {
				t.Fatalf("got %q, %v", body, err)
			}
			synctest.Wait()
			if s := c.Stats(); s.BytesInFlight != 0 || s.Bytes != entryBytes+1+int64(len(want))+moreBytes+bodyBytes+6+markBytes {
				t.Fatalf("got %d bytes, %d in flight", s.Bytes, s.BytesInFlight)
			}
		}
	})
}

func TestABodyThatIsNotWholeOrNotWantedIsNotKeptForValidation(t *testing.T) {
	for _, test := range []struct {
		name string
		part func(part int) error
		act  func(c *Cache[string], ctx context.Context, body *Body)
	}{
		{"broken", func(part int) error {
			if part == 2 {
				return errSource
			}
			return nil
		}, nil},
		{"invalidated", nil, func(c *Cache[string], ctx context.Context, _ *Body) { c.Invalidate(ctx, "a") }},
		{"all invalidated", nil, func(c *Cache[string], ctx context.Context, _ *Body) { c.InvalidateAll(ctx) }},
		{"set", nil, func(c *Cache[string], ctx context.Context, _ *Body) {
			c.Set(ctx, "a", Item[string]{})
			c.Invalidate(ctx, "a")
		}},
		{"left", nil, func(_ *Cache[string], _ context.Context, body *Body) { body.Close() }},
	} {
		for _, apart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, apart %v", test.name, apart), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					stream := streaming(3, test.part)
					mark, calls := apart, 0
					var prev *Item[string]
					c := open(t, LoaderFunc[string](func(ctx context.Context, key string, given *Item[string]) (Item[string], error) {
						calls++
						if prev = given; mark {
							mark = false
							return Item[string]{Outcome: Pass}, nil
						}
						item, err := stream(ctx, key, given)
						item.Outcome = Validate
						return item, err
					}), Options[string]{PassTTL: time.Hour})
					if apart {
						get(c, t.Context(), "a")
					}
					g := get(c, t.Context(), "a")
					time.Sleep(1500 * time.Millisecond)
					if test.act != nil {
						test.act(c, t.Context(), g.item.Body)
					}
					drain(g)
					synctest.Wait()
					if s := c.Stats(); s.BytesInFlight != 0 || s.Running != 0 {
						t.Fatalf("%d bytes in flight, %d loads running; want none", s.BytesInFlight, s.Running)
					}
					before := calls
					get(c, t.Context(), "a").item.Body.Close()
					if calls != before+1 || prev != nil {
						t.Fatalf("the next load was given %+v, want nothing", prev)
					}
				})
			})
		}
	}
}
