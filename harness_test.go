package corral

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// open makes a cache for a test in virtual time: an exact clock, no jitter,
// and a minute's TTL unless the options say otherwise. It is closed with the
// test, and every goroutine of it must be gone then.
func open(t *testing.T, loader Loader[string], o Options[string]) *Cache[string] {
	t.Helper()
	if o.Name == "" {
		o.Name = "test"
	}
	if o.TTL == 0 {
		o.TTL = time.Minute
	}
	if o.MaxBytes == 0 && !o.Unbounded {
		o.MaxBytes = 1 << 20
	}
	if o.Jitter == 0 {
		o.Jitter = -1
	}
	o.Now = time.Now
	c, err := New(loader, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// source is a loader that counts its calls and takes a time for each.
type source struct {
	calls atomic.Int64
	takes time.Duration
	item  func(call int64, key string, prev *Item[string]) (Item[string], error) // nil: "key#call"
}

func (s *source) Load(ctx context.Context, key string, prev *Item[string]) (Item[string], error) {
	call := s.calls.Add(1)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return Item[string]{}, context.Cause(ctx)
	}
	if s.item != nil {
		return s.item(call, key, prev)
	}
	return Item[string]{Value: fmt.Sprintf("%s#%d", key, call)}, nil
}

func (s *source) expect(t *testing.T, calls int64) {
	t.Helper()
	if got := s.calls.Load(); got != calls {
		t.Fatalf("the loader was called %d times, want %d", got, calls)
	}
}

// got is what one call came to and when.
type got struct {
	item Item[string]
	info Info
	err  error
	at   time.Duration // since the call
}

func get(c *Cache[string], ctx context.Context, key string, options ...GetOption) got {
	start := time.Now()
	item, info, err := c.GetItem(ctx, key, options...)
	return got{item, info, err, time.Since(start)}
}

// ask is get on a goroutine of its own, which has parked, or ended, when ask
// returns.
func ask(c *Cache[string], ctx context.Context, key string, options ...GetOption) <-chan got {
	answer := make(chan got, 1)
	go func() { answer <- get(c, ctx, key, options...) }()
	synctest.Wait()
	return answer
}

func (g got) want(t *testing.T, value string, source Source, at time.Duration) {
	t.Helper()
	if g.err != nil || g.item.Value != value || g.info.Source != source || g.at != at {
		t.Fatalf("got %q, %v, %v after %v; want %q, %v after %v", g.item.Value, g.info.Source, g.err, g.at, value, source, at)
	}
}

func (g got) wantErr(t *testing.T, target error, at time.Duration) {
	t.Helper()
	if !errors.Is(g.err, target) || g.at != at {
		t.Fatalf("got %q, %v after %v; want the error %v after %v", g.item.Value, g.err, g.at, target, at)
	}
}

// together runs n calls at once and returns what they came to.
func together(n int, call func(i int) got) []got {
	all := make([]got, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { all[i] = call(i) })
	}
	wg.Wait()
	return all
}

var errSource = errors.New("the source is down")
