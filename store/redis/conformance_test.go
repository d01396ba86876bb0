package redis

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/internal/localserver"
	"github.com/corralcache/corral/internal/redisconn"
)

func TestAStoreOnRedisHonoursTheContract(t *testing.T) {
	server := localserver.Redis(t)
	suite(t, server.Addr())
}

func TestAStoreOnAClusterHonoursTheContract(t *testing.T) {
	cluster := localserver.Cluster(t)
	suite(t, cluster.Addrs()[0])
}

// The stores share a client: hundreds of connections made at once are not what
// is tested.
func TestACacheLivesWithEveryCallOfAStoreThatGoesWrong(t *testing.T) {
	if os.Getenv("CORRAL_SOAK") == "" {
		t.Skip("hundreds of whole caches at once, each on timeouts of 100 ms, want a machine to themselves: set CORRAL_SOAK=1m")
	}
	client, err := redisconn.Open(Config{Addresses: []string{localserver.Redis(t).Addr()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var cases atomic.Int64
	open := func(t *testing.T, prefix string) corral.Store {
		o := patient.withDefaults()
		o.Prefix = prefix
		s := over(client, o, func() {})
		t.Cleanup(func() { s.Close() })
		return s
	}
	corraltest.TestStoreFaults(t,
		func(t *testing.T) corral.Store { return open(t, fmt.Sprintf("case%d:", cases.Add(1))) },
		corraltest.Reopening(func(t *testing.T, store corral.Store) corral.Store {
			was := store.(*Store)
			was.Close()
			return open(t, was.o.Prefix)
		}),
	)
}

// suite runs corraltest's, each case under a prefix of its own.
func suite(t *testing.T, address string) {
	var cases atomic.Int64
	open := func(t *testing.T, prefix string) corral.Store {
		return at(t, address, func(o *Options) { o.Prefix = prefix })
	}
	corraltest.TestStore(t,
		func(t *testing.T) corral.Store { return open(t, fmt.Sprintf("case%d:", cases.Add(1))) },
		corraltest.LargestBody(DefaultMaxValueBytes-1024),
		corraltest.Records(2000),
		corraltest.Reopening(func(t *testing.T, store corral.Store) corral.Store {
			was := store.(*Store)
			was.Close()
			return open(t, was.o.Prefix)
		}),
	)
}
