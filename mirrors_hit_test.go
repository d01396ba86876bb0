package corral_test

import (
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/corraltest"
)

// mirroring is a cache that has key "a" as a mirror.
func mirroring(t testing.TB) *corral.Cache[[]byte] {
	domain := corraltest.NewDomain()
	domain.Owner = func(string) string { return "owner" }
	other := domain.Keeper("other")
	c := hitting(t, other)
	if err := c.Invalidate(t.Context(), "b"); err != nil { // until its watch has begun
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Get(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Mirrors != 1 {
		t.Fatalf("%d mirrors, want one", s.Mirrors)
	}
	return c
}

func hitting(t testing.TB, coordinator corral.Coordinator) *corral.Cache[[]byte] {
	c, err := corral.New(corraltest.Value([]byte("value")), corral.Options[[]byte]{
		Unbounded: true, TTL: time.Hour, Codec: codec.Bytes{}, Coordinator: coordinator,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestAHitOfAMirrorAllocatesNothing(t *testing.T) {
	c := mirroring(t)
	before := c.Stats().Hits
	if n := testing.AllocsPerRun(100, func() { c.Get(t.Context(), "a") }); n != 0 {
		t.Fatalf("%v allocations, want none", n)
	}
	if hits := c.Stats().Hits - before; hits != 101 {
		t.Fatalf("%d hits, want 101", hits)
	}
}

// BenchmarkHit compares a hit of a cache that is alone with one of a mirror,
// whose Standing here reads no clock.
func BenchmarkHit(b *testing.B) {
	for _, row := range []struct {
		name string
		open func(testing.TB) *corral.Cache[[]byte]
	}{
		{"alone", func(b testing.TB) *corral.Cache[[]byte] { return hitting(b, nil) }},
		{"mirror", mirroring},
	} {
		b.Run(row.name, func(b *testing.B) {
			c, ctx := row.open(b), b.Context()
			c.Get(ctx, "a")
			b.ReportAllocs()
			for b.Loop() {
				c.Get(ctx, "a")
			}
		})
	}
}
