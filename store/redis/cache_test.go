package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/internal/localserver"
	"github.com/corralcache/corral/store/redis"
)

// source gives each key its version, and counts the loads.
type source struct {
	mu    sync.Mutex
	now   map[string]int
	loads atomic.Int64
}

func (s *source) load(_ context.Context, key string) (string, error) {
	s.loads.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%s@%d", key, s.now[key]), nil
}

func (s *source) change(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now[key]++
}

func (s *source) want(t *testing.T, c *corral.Cache[string], key string) {
	t.Helper()
	s.mu.Lock()
	value := fmt.Sprintf("%s@%d", key, s.now[key])
	s.mu.Unlock()
	if got, err := c.Get(t.Context(), key); err != nil || got != value {
		t.Fatalf("Get %q: got %q, %v; want %q", key, got, err, value)
	}
}

// process is a cache with a store on the Redis of an address.
func process(t *testing.T, s *source, address string, change func(*redis.Options)) *corral.Cache[string] {
	t.Helper()
	o := redis.Options{Redis: redis.Config{Addresses: []string{address}}, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	store, err := redis.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	c, err := corral.New(corral.Func(s.load), corral.Options[string]{
		TTL: time.Hour, MaxBytes: 1 << 20, Store: store, Codec: corraltest.Text(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 20 s not yet: %s", what)
		}
	}
}

func patient(o *redis.Options) { o.SoftTimeout, o.HardTimeout = 5*time.Second, 5*time.Second }

// leave ends a process in order: its values are in the store.
func leave(t *testing.T, c *corral.Cache[string]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestARestartIsNotAStampede(t *testing.T) {
	server := localserver.Redis(t)
	s := &source{now: map[string]int{}}
	first := process(t, s, server.Addr(), patient)
	for i := range 100 {
		s.want(t, first, fmt.Sprint(i))
	}
	s.change("7")
	if err := first.Invalidate(t.Context(), "7"); err != nil {
		t.Fatal(err)
	}
	leave(t, first)
	second := process(t, s, server.Addr(), patient)
	for i := range 100 {
		s.want(t, second, fmt.Sprint(i))
	}
	if got := s.loads.Load(); got != 101 {
		t.Errorf("%d loads, want 100 and one for what was invalidated", got)
	}
}

// F16: Redis gone and back.
func TestServingGoesOnWithoutRedisAndNothingInvalidatedComesBackWithIt(t *testing.T) {
	server := localserver.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	s := &source{now: map[string]int{}}
	c := process(t, s, server.Addr(), patient)
	keys := []string{"a", "b", "c"}
	for _, key := range keys {
		s.want(t, c, key)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stat := func() corral.Stats { return c.Stats() }
	eventually(t, "all is in Redis", func() bool {
		n, err := server.Do(ctx, "DBSIZE")
		return err == nil && n == "4" // and the generations
	})
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	s.want(t, c, "another")
	s.change("a")
	short, end := context.WithTimeout(ctx, 200*time.Millisecond)
	err := c.Invalidate(short, "a")
	end()
	if !errors.Is(err, corral.ErrStorePending) {
		t.Fatalf("Invalidate while Redis is gone: %v", err)
	}
	s.want(t, c, "a") // it is in force here
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the store is told", func() bool { return stat().StorePending == 0 })
	s.change("b")
	if err := c.Invalidate(ctx, "b"); err != nil {
		t.Fatalf("Invalidate when Redis is back: %v", err)
	}
	c.Close()
	next := process(t, s, server.Addr(), patient)
	before := s.loads.Load()
	for _, key := range keys {
		s.want(t, next, key)
	}
	if got := s.loads.Load() - before; got > 2 {
		t.Errorf("%d loads by the next process, want those of a and b at most", got)
	}
}

func TestARedisThatHangsCostsAMissNoMoreThanTheSoftTimeout(t *testing.T) {
	server := localserver.Redis(t)
	s := &source{now: map[string]int{}}
	c := process(t, s, server.Addr(), nil)
	s.want(t, c, "warm")
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	defer server.Resume()
	for i := range 5 { // until the breaker is open
		s.want(t, c, fmt.Sprint("first", i))
	}
	var slow int
	for i := range 1000 {
		began := time.Now()
		s.want(t, c, fmt.Sprint(i))
		if time.Since(began) > redis.DefaultSoftTimeout {
			slow++
		}
	}
	if slow > 50 { // of a machine that has other things to do
		t.Errorf("%d of 1000 misses took longer than %v", slow, redis.DefaultSoftTimeout)
	}
}

// What was computed is there for the next process. (This one finds nothing at
// its address: the cache serves all the same.)
func ExampleOpen() {
	nobody, _ := net.Listen("tcp", "127.0.0.1:0")
	nobody.Close()

	store, err := redis.Open(redis.Options{
		Redis:  redis.Config{URL: "redis://" + nobody.Addr().String()},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	load := corral.Func(func(ctx context.Context, key string) (string, error) { return strings.ToUpper(key), nil })
	cache, err := corral.New(load, corral.Options[string]{
		TTL: time.Minute, MaxBytes: 1 << 20, Store: store, Codec: codec.JSON[string]{}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	defer cache.Close()
	fmt.Println(cache.Get(context.Background(), "post/1"))
	// Output: POST/1 <nil>
}
