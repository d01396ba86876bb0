package marker

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/internal/localserver"
)

// weak is what a marker does not promise: the table of the package comment.
var weak = corraltest.Weak(
	corraltest.TwoLeases, corraltest.Unfenced, corraltest.KeepsLateFills, corraltest.Unheard, corraltest.KeysOnly,
	corraltest.NeverUnwanted, corraltest.NeverLapsed,
)

func TestMarkersConformAsFarAsTheyPromise(t *testing.T) {
	open := func(t *testing.T, n int) []corral.Coordinator { return processes(t, &Memory{}, "", n) }
	corraltest.TestCoordinator(t, open, corraltest.VirtualTime(), weak)
	corraltest.TestCoordinatorFaults(t, open, corraltest.VirtualTime(), weak)
}

func TestMarkersInRedisConformAsFarAsTheyPromise(t *testing.T) {
	server := localserver.Redis(t)
	kv, err := OpenRedis(RedisConfig{Addresses: []string{server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kv.Close)
	var cases atomic.Int64
	open := func(t *testing.T, n int) []corral.Coordinator {
		return processes(t, kv, fmt.Sprintf("case %d:", cases.Add(1)), n)
	}
	corraltest.TestCoordinator(t, open, weak)
	corraltest.TestCoordinatorFaults(t, open, weak)
}

// processes are n that share a KV.
func processes(t testing.TB, kv KV, prefix string, n int) []corral.Coordinator {
	t.Helper()
	all := make([]corral.Coordinator, n)
	for i := range all {
		all[i] = open(t, Config{KV: kv, Prefix: prefix})
	}
	return all
}

func open(t testing.TB, conf Config) *Coordinator {
	t.Helper()
	c, err := Open(conf)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
