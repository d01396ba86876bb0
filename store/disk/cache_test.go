package disk_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/store/disk"
)

// A program of one run: a cache over a store in a directory, and what it loads.
type program struct {
	*corral.Cache[string]
	store *disk.Store
	loads atomic.Int64
}

func run(t *testing.T, dir string, ttl time.Duration) *program {
	t.Helper()
	store, err := disk.Open(disk.Options{Dir: dir, MaxBytes: 64 << 20, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	p := &program{store: store}
	load := func(_ context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
		p.loads.Add(1)
		return corral.Item[string]{Value: "value of " + key, TTL: ttl, Tags: []string{"t" + key}}, nil
	}
	p.Cache, err = corral.New(corral.LoaderFunc[string](load), corral.Options[string]{
		Name: "test", TTL: time.Hour, StaleFor: time.Hour, MaxBytes: 64 << 20, Jitter: -1, Codec: corraltest.Text(), Store: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *program) end(t *testing.T) {
	t.Helper()
	p.Shutdown(t.Context())
	if err := p.store.Close(); err != nil {
		t.Error(err)
	}
}

func TestARestartIsNoStampede(t *testing.T) {
	const keys = 200
	dir := t.TempDir()
	p := run(t, dir, time.Hour)
	for i := range keys {
		if _, err := p.Get(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Invalidate(t.Context(), "0"); err != nil {
		t.Fatal(err)
	}
	if err := p.InvalidateTags(t.Context(), "t1"); err != nil {
		t.Fatal(err)
	}
	p.end(t)

	p = run(t, dir, time.Hour)
	defer p.end(t)
	for i := 2; i < keys; i++ {
		value, err := p.Get(t.Context(), fmt.Sprint(i))
		if err != nil || value != fmt.Sprint("value of ", i) {
			t.Fatalf("%d has %q, %v", i, value, err)
		}
	}
	if n := p.loads.Load(); n != 0 {
		t.Errorf("%d loads after a restart, want 0", n)
	}
	for _, key := range []string{"0", "1"} {
		if _, err := p.Get(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.loads.Load(); n != 2 {
		t.Errorf("%d loads of two keys that were invalidated, want 2", n)
	}
}

func TestWhatIsStaleAfterARestartIsServedWhileItIsLoaded(t *testing.T) {
	dir := t.TempDir()
	p := run(t, dir, time.Nanosecond)
	if _, err := p.Get(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	p.end(t)
	p = run(t, dir, time.Hour)
	defer p.end(t)
	item, info, err := p.GetItem(t.Context(), "a")
	if err != nil || item.Value != "value of a" || info.Source != corral.Stored {
		t.Errorf("got %q from %v, %v", item.Value, info.Source, err)
	}
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "corral")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for run := range 2 {
		store, err := disk.Open(disk.Options{Dir: dir, MaxBytes: 1 << 30})
		if err != nil {
			fmt.Println(err)
			return
		}
		load := func(_ context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
			fmt.Println("run", run, "loads", key)
			return corral.Item[string]{Value: strings.ToUpper(key)}, nil
		}
		cache, err := corral.New(corral.LoaderFunc[string](load), corral.Options[string]{
			Name: "example", TTL: time.Hour, MaxBytes: 1 << 20, Codec: corraltest.Text(), Store: store,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		value, err := cache.Get(context.Background(), "a")
		fmt.Println("run", run, "has", value, err)
		cache.Shutdown(context.Background()) // the store has all values then
		store.Close()
	}
	// Output:
	// run 0 loads a
	// run 0 has A <nil>
	// run 1 has A <nil>
}
