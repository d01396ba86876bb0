package redis

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/internal/localserver"
)

func TestAStoreOnRedisHonoursTheContract(t *testing.T) {
	server := localserver.Redis(t)
	suite(t, server.Addr())
}

func TestAStoreOnAClusterHonoursTheContract(t *testing.T) {
	cluster := localserver.Cluster(t)
	suite(t, cluster.Addrs()[0])
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
		corraltest.Reopening(func(t *testing.T, store corral.Store) corral.Store {
			was := store.(*Store)
			was.Close()
			return open(t, was.o.Prefix)
		}),
	)
}
