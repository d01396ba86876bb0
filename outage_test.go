package corral

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnOutageIsSeenThroughWhateverIsAroundIt(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"a plain failure", errSource, false},
		{"an outage", Outage(errSource), true},
		{"advice outside", RetryAfter(Outage(errSource), time.Minute), true},
		{"advice inside", Outage(RetryAfter(errSource, time.Minute)), true},
		{"no retry outside", NoRetry(Outage(errSource)), true},
		{"no retry inside", Outage(NoRetry(errSource)), true},
		{"all of them", Outage(NoRetry(RetryAfter(errSource, time.Minute))), true},
		{"text around it", fmt.Errorf("get: %w", Outage(errSource)), true},
		{"a load that timed out", ErrLoadTimeout, true},
		{"a limit", ErrOverloaded, false},
	} {
		if got := errors.Is(test.err, ErrOutage); got != test.want {
			t.Errorf("%s: errors.Is(err, ErrOutage) is %v, want %v", test.name, got, test.want)
		}
		bare := unwrapAdvice(test.err)
		if got := errors.Is(bare, ErrOutage); got != test.want {
			t.Errorf("%s, advice taken off: errors.Is(err, ErrOutage) is %v, want %v", test.name, got, test.want)
		}
		var advice *retryAfter
		if errors.As(bare, &advice) {
			t.Errorf("%s: advice is left after it was taken off", test.name)
		}
	}
	if err := Outage(errSource); !errors.Is(err, errSource) || err.Error() != errSource.Error() {
		t.Errorf("Outage hides its error: %v", err)
	}
	if Outage(nil) != nil {
		t.Error("Outage(nil) is an error")
	}
}

func TestAnOutageHasAWindowOfItsOwn(t *testing.T) {
	const ttl, onError, onOutage = time.Minute, 10 * time.Minute, 20 * time.Minute
	down, refused := Outage(errSource), errSource
	for _, test := range []struct {
		name             string
		options          Options[string]
		item             Item[string]
		err              error
		covered, uncover time.Duration // the last instant at which it is covered, and the first at which not; from expiry
	}{
		{"an outage by its own window", Options[string]{StaleOnError: onError, StaleOnOutage: onOutage}, Item[string]{}, down, onOutage - 1, onOutage},
		{"another failure by StaleOnError", Options[string]{StaleOnError: onError, StaleOnOutage: onOutage}, Item[string]{}, refused, onError - 1, onError},
		{"an outage by the shorter window", Options[string]{StaleOnError: onOutage, StaleOnOutage: onError}, Item[string]{}, down, onError - 1, onError},
		{"unset, it is StaleOnError", Options[string]{StaleOnError: onError}, Item[string]{}, down, onError - 1, onError},
		{"none", Options[string]{StaleOnError: onError, StaleOnOutage: -1}, Item[string]{}, down, -1, 0},
		{"none, and a refusal", Options[string]{StaleOnError: onError, StaleOnOutage: -1}, Item[string]{}, refused, onError - 1, onError},
		{"without StaleOnError", Options[string]{StaleOnOutage: onOutage}, Item[string]{}, down, onOutage - 1, onOutage},
		{"without StaleOnError, a refusal", Options[string]{StaleOnOutage: onOutage}, Item[string]{}, refused, -1, 0},
		{"the item's own", Options[string]{StaleOnError: 1, StaleOnOutage: 2}, Item[string]{StaleOnOutage: onOutage}, down, onOutage - 1, onOutage},
		{"the item's none", Options[string]{StaleOnOutage: onOutage}, Item[string]{StaleOnOutage: -1}, down, -1, 0},
		{"the item's StaleOnError in its place", Options[string]{StaleOnOutage: onOutage}, Item[string]{StaleOnError: onError}, down, onError - 1, onError},
		{"the item's StaleOnError of none in its place", Options[string]{StaleOnOutage: onOutage}, Item[string]{StaleOnError: -1}, down, -1, 0},
		{"forever", Options[string]{StaleOnOutage: Forever}, Item[string]{}, down, 100 * 365 * 24 * time.Hour, -1},
		{"StaleFor covers whatever the failure", Options[string]{StaleFor: onError, StaleOnOutage: -1}, Item[string]{}, down, onError - 1, onError},
	} {
		for _, at := range []time.Duration{test.covered, test.uncover} {
			if at < 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s, %v after expiry", test.name, at), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					test.options.TTL, test.options.ErrorPause = ttl, -1
					c := open(t, &source{item: func(call int64, _ string, _ *Item[string]) (Item[string], error) {
						if call > 1 {
							return Item[string]{}, test.err
						}
						item := test.item
						item.Value = "old"
						return item, nil
					}}, test.options)
					get(c, t.Context(), "a").want(t, "old", Loaded, 0)
					time.Sleep(ttl + at)
					g := get(c, t.Context(), "a")
					if covered := at == test.covered; covered {
						g.want(t, "old", Stale, 0)
					} else {
						g.wantErr(t, errSource, 0)
					}
					synctest.Wait()
				})
			})
		}
	}
}

func TestTheMarkOfAFailureRemembersWhetherItWasAnOutage(t *testing.T) {
	for _, test := range []struct {
		err     error
		covered bool
	}{{RetryAfter(Outage(errSource), time.Hour), true}, {Outage(RetryAfter(errSource, time.Hour)), true}, {RetryAfter(errSource, time.Hour), false}} {
		inBubble(t, func(t *testing.T) {
			s := &source{item: func(call int64, _ string, _ *Item[string]) (Item[string], error) {
				if call > 1 {
					return Item[string]{}, test.err
				}
				return Item[string]{Value: "old"}, nil
			}}
			c := open(t, s, Options[string]{StaleOnOutage: Forever})
			get(c, t.Context(), "a")
			time.Sleep(time.Minute)
			for range 3 { // the load that fails, and two that its mark answers
				g := get(c, t.Context(), "a")
				if test.covered {
					g.want(t, "old", Stale, 0)
					if !errors.Is(g.info.Err, ErrOutage) {
						t.Fatalf("Info.Err is %v, want an outage", g.info.Err)
					}
				} else {
					g.wantErr(t, errSource, 0)
				}
				time.Sleep(time.Minute)
			}
			s.expect(t, 2)
		})
	}
}

func TestALoadThatTimesOutIsAnOutageAndOneThatIsSlowIsNot(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		hang := false
		c := open(t, LoaderFunc[string](func(ctx context.Context, _ string, _ *Item[string]) (Item[string], error) {
			if hang {
				<-ctx.Done()
			}
			return Item[string]{Value: "old"}, ctx.Err()
		}), Options[string]{StaleOnError: time.Minute, StaleOnOutage: Forever, SoftTimeout: time.Second, LoadTimeout: 5 * time.Second})
		get(c, t.Context(), "a")
		hang = true
		time.Sleep(time.Minute)
		get(c, t.Context(), "a").want(t, "old", Stale, time.Second) // SoftTimeout, within StaleOnError
		time.Sleep(time.Hour)
		get(c, t.Context(), "a").want(t, "old", Stale, 5*time.Second)
	})
}

func TestAnItemSaysWhichWindowItHasForOutages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, &source{}, Options[string]{StaleOnError: time.Minute, StaleOnOutage: time.Hour})
		if g := get(c, t.Context(), "a"); g.item.StaleOnError != time.Minute || g.item.StaleOnOutage != time.Hour {
			t.Fatalf("got %v and %v, want 1m and 1h", g.item.StaleOnError, g.item.StaleOnOutage)
		}
	})
}
