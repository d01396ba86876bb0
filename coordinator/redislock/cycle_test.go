package redislock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
)

// Three processes; the load of each key asks for the next, in another process
// that began its own at the same time.
func TestARingOfLoadsOverProcessesIsFound(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	conf := Config{Redis: Redis{Addresses: []string{server.Addr()}}}
	next := map[string]string{"a": "b", "b": "c", "c": "a"}
	began := make(chan string, 3)
	start := make(chan struct{})
	var caches [3]*corral.Cache[string]
	for i := range caches {
		caches[i] = cache(t, open(t, conf), func(ctx context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
			began <- key
			<-start
			got, err := caches[i].Get(ctx, next[key])
			return corral.Item[string]{Value: key + got}, err
		})
	}
	came := make(chan error, 3)
	for i, key := range []string{"a", "b", "c"} {
		go func() {
			_, err := caches[i].Get(t.Context(), key)
			came <- err
		}()
		<-began
	}
	close(start)
	for range caches {
		select {
		case err := <-came:
			if !errors.Is(err, corral.ErrCycle) {
				t.Errorf("Get gave %v, want %v", err, corral.ErrCycle)
			}
		case <-time.After(4 * time.Second):
			t.Fatal("still waiting, in a ring")
		}
	}
}
