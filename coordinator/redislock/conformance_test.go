package redislock

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/internal/localserver"
)

func TestACoordinatorOnRedisConforms(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	conforms(t, Redis{Addresses: []string{server.Addr()}})
}

func TestACoordinatorOnARedisClusterConforms(t *testing.T) {
	t.Parallel()
	servers := localserver.Cluster(t)
	conforms(t, Redis{Addresses: servers.Addrs()})
}

func conforms(t *testing.T, redis Redis) {
	cases := 0
	corraltest.TestCoordinator(t, func(t *testing.T, n int) []corral.Coordinator {
		cases++
		all := make([]corral.Coordinator, n)
		for i := range all {
			all[i] = open(t, Config{Redis: redis, Prefix: fmt.Sprintf("case%d:", cases), Lease: minLease})
		}
		return all
	})
}

// open is a Coordinator that is closed with the test.
func open(t testing.TB, conf Config) *Coordinator {
	t.Helper()
	conf.Log = slog.New(slog.DiscardHandler)
	c, err := Open(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// watched is one whose Watch goes on, as a cache's does.
func watched(t testing.TB, conf Config) *Coordinator {
	c := open(t, conf)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.Watch(ctx, func(corral.Invalidation) {}) }()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}
