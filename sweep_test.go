package corral_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/corraltest"
)

// swept is a cache of a process among others, whose loads fail while told to.
func swept(t *testing.T) (c *corral.Cache[string], fail *bool) {
	t.Helper()
	fail = new(bool)
	c, err := corral.New(corral.Func(func(_ context.Context, key string) (string, error) {
		if *fail {
			return "", errPort
		}
		return key, nil
	}), corral.Options[string]{
		MaxBytes: 1 << 20, TTL: time.Hour, Jitter: -1, Codec: codec.String{}, Coordinator: corraltest.NewDomain().Keeper("a"), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // its Watch has begun
	return c, fail
}

func TestWhatAnInvalidationOfEverythingHasEndedIsLetGoBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := swept(t)
		defer c.Close()
		for round := range 3 {
			for i := range 100 {
				if _, err := c.Get(t.Context(), fmt.Sprint(round, i)); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := c.InvalidateAll(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 {
				t.Errorf("round %d: %d entries of %d bytes are left", round, s.Entries, s.Bytes)
			}
		}
	})
}

func TestAnInvalidationOfEverythingEndsPausesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, fail := swept(t)
		defer c.Close()
		*fail = true
		if _, err := c.Get(t.Context(), "k"); !errors.Is(err, errPort) {
			t.Fatalf("Get = %v", err)
		}
		*fail = false
		if err := c.InvalidateAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(t.Context(), "k"); got != "k" || err != nil {
			t.Errorf("Get = %q, %v; want a load", got, err)
		}
	})
}
