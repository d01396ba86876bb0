package corral

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSmoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int64
		c, err := New(Func(func(ctx context.Context, key string) (string, error) {
			loads.Add(1)
			time.Sleep(10 * time.Millisecond)
			return "v-" + key, nil
		}), Options[string]{TTL: time.Minute, MaxBytes: 1 << 20, Now: time.Now, Jitter: -1})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				v, err := c.Get(t.Context(), "a")
				if err != nil || v != "v-a" {
					t.Errorf("got %q, %v", v, err)
				}
			})
		}
		wg.Wait()
		if n := loads.Load(); n != 1 {
			t.Fatalf("%d loads", n)
		}
		time.Sleep(time.Minute)
		c.Get(t.Context(), "a")
		if n := loads.Load(); n != 2 {
			t.Fatalf("%d loads", n)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkHit(b *testing.B) {
	c, _ := New(Func(func(ctx context.Context, key string) (string, error) { return "v", nil }), Options[string]{TTL: time.Hour, MaxBytes: 1 << 20})
	defer c.Close()
	ctx := context.Background()
	c.Get(ctx, "a")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Get(ctx, "a")
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	c, _ := New(Func(func(ctx context.Context, key string) (string, error) { return "v", nil }), Options[string]{TTL: time.Hour, MaxBytes: 1 << 20})
	defer c.Close()
	ctx := context.Background()
	keys := make([]string, 1<<16)
	for i := range keys {
		keys[i] = "key-" + string(rune('a'+i%26)) + time.Duration(i).String()
	}
	var n atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := int(n.Add(1)) * 30011
		for pb.Next() {
			i++
			c.Get(ctx, keys[i%len(keys)])
		}
	})
}
