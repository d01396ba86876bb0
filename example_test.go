package corral_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// open makes a cache for an example.
func open(load corral.Loader[string], change func(*corral.Options[string])) *corral.Cache[string] {
	options := corral.Options[string]{TTL: time.Minute, MaxBytes: 1 << 20}
	if change != nil {
		change(&options)
	}
	cache, err := corral.New(load, options)
	if err != nil {
		panic(err)
	}
	return cache
}

// However many ask for a cold key, one computes it.
func Example() {
	var loads atomic.Int64
	cache := open(corral.Func(func(ctx context.Context, key string) (string, error) {
		loads.Add(1)
		time.Sleep(20 * time.Millisecond) // a slow query
		return "value of " + key, nil
	}), nil)
	defer cache.Close()

	var callers sync.WaitGroup
	for range 1000 {
		callers.Go(func() { cache.Get(context.Background(), "sku-42") })
	}
	callers.Wait()
	value, err := cache.Get(context.Background(), "sku-42")
	fmt.Println(value, err, "after", loads.Load(), "load")
	// Output: value of sku-42 <nil> after 1 load
}

// A hung loader costs its callers their wait, and the key nothing.
func Example_deadline() {
	release := make(chan struct{})
	var calls atomic.Int64
	cache := open(corral.Func(func(ctx context.Context, key string) (string, error) {
		if calls.Add(1) == 1 {
			<-release // deaf to its context
		}
		return "well again", nil
	}), func(o *corral.Options[string]) {
		o.LoadTimeout = 10 * time.Millisecond
		o.ErrorPause = -1
	})
	_, err := cache.Get(context.Background(), "k")
	fmt.Println(errors.Is(err, corral.ErrLoadTimeout))
	value, err := cache.Get(context.Background(), "k")
	fmt.Println(value, err)
	close(release)
	cache.Close()
	// Output:
	// true
	// well again <nil>
}

// A failure is shared by all who wait, and then pauses.
func Example_failure() {
	var loads atomic.Int64
	down := errors.New("database is down")
	cache := open(corral.Func(func(ctx context.Context, key string) (string, error) {
		loads.Add(1)
		return "", down
	}), nil)
	defer cache.Close()
	for range 100 {
		if _, err := cache.Get(context.Background(), "k"); !errors.Is(err, down) {
			fmt.Println("unexpected:", err)
		}
	}
	fmt.Println(loads.Load(), "load for 100 calls")
	// Output: 1 load for 100 calls
}

// An invalidation during a load: those who asked before get that load's value,
// those who ask after a newer one.
func ExampleCache_Invalidate() {
	price := atomic.Int64{}
	price.Store(100)
	reading, written := make(chan struct{}), make(chan struct{})
	var loads atomic.Int64
	cache := open(corral.Func(func(ctx context.Context, key string) (string, error) {
		p := price.Load()
		if loads.Add(1) == 1 { // a slow query that has read the old price
			close(reading)
			<-written
		}
		return fmt.Sprint(p), nil
	}), nil)
	defer cache.Close()

	before := make(chan string)
	go func() { p, _ := cache.Get(context.Background(), "price"); before <- p }()
	<-reading
	price.Store(120)
	err := cache.Invalidate(context.Background(), "price")
	after, _ := cache.Get(context.Background(), "price")
	close(written)
	fmt.Println("asked before:", <-before, "asked after:", after, err)
	// Output: asked before: 100 asked after: 120 <nil>
}

// Memory is bounded, and what does not fit is delivered all the same.
func Example_bounded() {
	cache := open(corral.Func(func(ctx context.Context, key string) (string, error) {
		return string(make([]byte, 1000)), nil
	}), func(o *corral.Options[string]) { o.MaxBytes = 64 << 10 })
	defer cache.Close()
	for i := range 1000 {
		cache.Get(context.Background(), fmt.Sprint(i))
	}
	stats := cache.Stats()
	fmt.Println(stats.Bytes <= 64<<10, stats.Evictions > 900)
	// Output: true true
}

// A waiter leaves alone.
func Example_leaving() {
	begun, finish := make(chan struct{}), make(chan struct{})
	cache := open(corral.Func(func(ctx context.Context, key string) (string, error) {
		close(begun)
		<-finish
		return "v", nil
	}), nil)
	defer cache.Close()
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan error)
	go func() { _, err := cache.Get(ctx, "k"); left <- err }()
	<-begun
	stayed := make(chan string)
	go func() { v, _ := cache.Get(context.Background(), "k"); stayed <- v }()
	for cache.Stats().Waiters < 2 {
		time.Sleep(time.Millisecond)
	}
	leave()
	fmt.Println(<-left)
	close(finish)
	fmt.Println(<-stayed, cache.Stats().Loads)
	// Output:
	// context canceled
	// v 1
}

// Nothing stale is given unless an option asks for it.
func ExampleOptions_staleFor() {
	var loads atomic.Int64
	cache := open(corral.Func(func(ctx context.Context, key string) (string, error) {
		return fmt.Sprint("load ", loads.Add(1)), nil
	}), func(o *corral.Options[string]) { o.StaleFor = time.Hour })
	defer cache.Close()
	cache.Get(context.Background(), "k")
	cache.Expire(context.Background(), "k")
	item, info, _ := cache.GetItem(context.Background(), "k")
	fmt.Println(item.Value, info.Source)
	// Output: load 1 stale
}

// A value whose body still arrives is handed out at once, and every caller
// reads the body from its beginning.
func ExampleItem_tail() {
	cache := open(corral.LoaderFunc[string](func(ctx context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
		return corral.Item[string]{Value: "text/plain", Tail: func(ctx context.Context, body io.Writer) error {
			for _, word := range []string{"tokens ", "as ", "they ", "come"} {
				if _, err := io.WriteString(body, word); err != nil {
					return err
				}
			}
			return nil
		}}, nil
	}), nil)
	defer cache.Close()
	for range 2 {
		item, _, _ := cache.GetItem(context.Background(), "completion")
		body, err := io.ReadAll(item.Body)
		item.Body.Close()
		fmt.Println(item.Value, string(body), err)
	}
	fmt.Println(cache.Stats().Loads, "load")
	// Output:
	// text/plain tokens as they come <nil>
	// text/plain tokens as they come <nil>
	// 1 load
}

// A loader that answers NotModified keeps the value that it was given.
func ExampleItem_NotModified() {
	cache := open(corral.LoaderFunc[string](func(ctx context.Context, key string, prev *corral.Item[string]) (corral.Item[string], error) {
		if prev != nil && prev.Validator == `"v1"` { // as with If-None-Match
			return prev.NotModified(), nil
		}
		return corral.Item[string]{Value: "large", Validator: `"v1"`}, nil
	}), nil)
	defer cache.Close()
	cache.Get(context.Background(), "k")
	cache.Refresh(context.Background(), "k")
	value, _ := cache.Get(context.Background(), "k")
	fmt.Println(value, cache.Stats().NotModified)
	// Output: large 1
}

// An answer for one caller is never handed to another.
func ExampleOutcome_pass() {
	var n atomic.Int64
	cache := open(corral.LoaderFunc[string](func(ctx context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
		return corral.Item[string]{Value: fmt.Sprint("private ", n.Add(1)), Outcome: corral.Pass}, nil
	}), nil)
	defer cache.Close()
	for range 2 {
		value, _ := cache.Get(context.Background(), "account")
		fmt.Println(value)
	}
	// Output:
	// private 1
	// private 2
}

// Virtual time: freshness follows the bubble's clock.
func TestExampleOfVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache, err := corral.New(corral.Func(func(ctx context.Context, key string) (time.Time, error) { return time.Now(), nil }),
			corral.Options[time.Time]{TTL: time.Hour, Jitter: -1, MaxBytes: 1 << 20, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer cache.Close()
		first, _ := cache.Get(t.Context(), "k")
		time.Sleep(time.Hour)
		second, _ := cache.Get(t.Context(), "k")
		if second.Sub(first) != time.Hour {
			t.Fatalf("loaded again after %v, want 1h", second.Sub(first))
		}
	})
}

// A load sees nothing of the caller who began it, but what is let through by name.
func ExampleOptions_contextValues() {
	type user struct{}
	type locale struct{}
	cache := open(corral.Func(func(ctx context.Context, key string) (string, error) {
		return fmt.Sprint(ctx.Value(user{}), " ", ctx.Value(locale{})), nil
	}), func(o *corral.Options[string]) { o.ContextValues = []any{locale{}} })
	defer cache.Close()
	ctx := context.WithValue(context.WithValue(context.Background(), user{}, "alice"), locale{}, "fr")
	value, _ := cache.Get(ctx, "page, fr")
	fmt.Println(value)
	// Output: <nil> fr
}
