package redislock

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
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

func TestACacheOnACoordinatorWhoseCallsGoWrongRecovers(t *testing.T) {
	if os.Getenv("CORRAL_SOAK") == "" {
		t.Skip("it opens two processes for each call that may go wrong, in three ways: with CORRAL_SOAK only")
	}
	server := localserver.Redis(t)
	corraltest.TestCoordinatorFaults(t, opener(Redis{Addresses: []string{server.Addr()}}))
}

func conforms(t *testing.T, redis Redis) { corraltest.TestCoordinator(t, opener(redis)) }

// opener opens processes that share what nobody else does.
func opener(redis Redis) func(t *testing.T, n int) []corral.Coordinator {
	var cases atomic.Int32
	return func(t *testing.T, n int) []corral.Coordinator {
		prefix := fmt.Sprintf("case%d:", cases.Add(1))
		all := make([]corral.Coordinator, n)
		for i := range all {
			all[i] = open(t, Config{Redis: redis, Prefix: prefix, Timeout: DefaultLease / 2}) // a slow machine
		}
		return all
	}
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
