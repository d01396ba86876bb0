package corral

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhoHasAnotherWayIsToldInsteadOfLoadingApart(t *testing.T) {
	for _, test := range []struct {
		outcome Outcome
		told    int    // of the two who waited
		want    error  // of one who comes later
		loads   uint64 // those apart included
	}{
		{Pass, 2, ErrPassed, 1},
		{Validate, 0, nil, 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, err := New(LoaderFunc[string](func(ctx context.Context, key string, _ *Item[string]) (Item[string], error) {
				time.Sleep(time.Second)
				return Item[string]{Value: "v", Outcome: test.outcome, Validator: "1"}, nil
			}), Options[string]{MaxBytes: 1 << 20, TTL: time.Minute, Now: time.Now})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ended := make(chan error, 3)
			for range 3 { // one begins the load, two wait for it
				go func() {
					_, _, err := c.GetItem(context.Background(), "k", OrPassed())
					ended <- err
				}()
				synctest.Wait()
			}
			told := 0
			for range 3 {
				if err := <-ended; errors.Is(err, ErrPassed) {
					told++
				} else if err != nil {
					t.Error(err)
				}
			}
			if told != test.told {
				t.Errorf("%v: %d were told, want %d", test.outcome, told, test.told)
			}
			if _, _, err := c.GetItem(context.Background(), "k", OrPassed()); !errors.Is(err, test.want) {
				t.Errorf("%v: under the mark: %v, want %v", test.outcome, err, test.want)
			}
			if loads := c.Stats().Loads; loads != test.loads {
				t.Errorf("%v: %d loads, want %d", test.outcome, loads, test.loads)
			}
			if _, _, err := c.GetItem(context.Background(), "k"); err != nil {
				t.Errorf("%v: without the option: %v", test.outcome, err)
			}
		})
	}
}
