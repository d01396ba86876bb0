package redislock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/internal/localserver"
)

// cache is a cache whose coordinator is c.
func cache(t testing.TB, c *Coordinator, load corral.LoaderFunc[string]) *corral.Cache[string] {
	t.Helper()
	made, err := corral.New(load, corral.Options[string]{
		Name: "test", MaxBytes: 64 << 20, TTL: time.Minute, Jitter: -1, Codec: codec.String{}, Coordinator: c,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.Close() })
	return made
}

// processes are caches that share a Redis, as so many processes would.
func processes(t testing.TB, n int, conf Config, load corral.LoaderFunc[string]) ([]*corral.Cache[string], []*Coordinator) {
	t.Helper()
	caches, all := make([]*corral.Cache[string], n), make([]*Coordinator, n)
	for i := range caches {
		all[i] = open(t, conf)
		caches[i] = cache(t, all[i], load)
	}
	return caches, all
}

func TestAThousandCallersInFourProcessesCostOneCallAndFewCommands(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	var calls atomic.Int32
	fails := errors.New("no such table")
	caches, _ := processes(t, 4, Config{Redis: Redis{Addresses: []string{server.Addr()}}}, func(_ context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
		calls.Add(1)
		time.Sleep(120 * time.Millisecond)
		if strings.HasPrefix(key, "bad") {
			return corral.Item[string]{}, fails
		}
		return corral.Item[string]{Value: "of " + key}, nil
	})
	for i, c := range caches { // connections, scripts
		if _, err := c.Get(t.Context(), fmt.Sprint("warm", i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"good", "bad"} {
		var spent []int64
		for round := range 3 { // a process says each second that it is there
			spent = append(spent, stampede(t, server, caches, &calls, fmt.Sprint(kind, round)))
		}
		slices.Sort(spent)
		if t.Logf("%s: %d commands", kind, spent); spent[1] > 40 {
			t.Errorf("%s: %d commands, want at most 40", kind, spent)
		}
	}
}

// stampede lets a thousand callers ask at once, and reports what it cost Redis.
func stampede(t *testing.T, server *localserver.RedisServer, caches []*corral.Cache[string], calls *atomic.Int32, key string) int64 {
	t.Helper()
	calls.Store(0)
	before := commands(t, server)
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			value, err := caches[i%len(caches)].Get(t.Context(), key)
			if strings.HasPrefix(key, "good") && (err != nil || value != "of "+key) || strings.HasPrefix(key, "bad") && !containsText(err, "no such table") {
				t.Errorf("Get(%q) gave %q, %v", key, value, err)
			}
		})
	}
	all.Wait()
	if calls.Load() != 1 {
		t.Errorf("%s: %d calls, want 1", key, calls.Load())
	}
	return commands(t, server) - before
}

func commands(t *testing.T, server *localserver.RedisServer) (total int64) {
	t.Helper()
	by, err := server.Commands(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range by {
		total += n
	}
	return total
}
