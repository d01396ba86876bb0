package cluster

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
	"github.com/corralcache/corral/internal/ramdir"
)

// soon is how long a test waits for what must come; it fails after that.
const soon = 60 * time.Second

// logged is a log that is shown when the test has failed.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func logFor(t testing.TB, name string) *slog.Logger {
	l := new(logged)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, l)
		}
	})
	return slog.New(slog.NewTextHandler(l, nil))
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startEtcd begins an etcd with one member and returns its endpoint.
func startEtcd(t testing.TB) string {
	t.Helper()
	peer := freeAddress(t)
	s, err := etcd.Start(t.Context(), etcd.Embedded{
		Dir: ramdir.Dir(t, ramdir.Member), Name: "m", Peer: peer, Client: freeAddress(t),
		Members: map[string]string{"m": peer}, New: true, Token: "test", Log: logFor(t, "etcd"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s.Client()
}

// join begins a node, with an etcd that is there.
func join(t testing.TB, endpoint, name string, change func(*Config)) *Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	config := Config{Name: name, Listen: "127.0.0.1:0", Etcd: []string{endpoint}, New: true, Partitions: 32, Log: logFor(t, "node "+name)}
	if change != nil {
		change(&config)
	}
	n, err := Join(ctx, config)
	if err != nil {
		t.Fatalf("Join %s: %v", name, err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// joinAll begins nodes a, b, c … at the same time.
func joinAll(t testing.TB, count int) []*Node {
	t.Helper()
	endpoint := startEtcd(t)
	nodes := make([]*Node, count)
	var all sync.WaitGroup
	for i := range nodes {
		all.Go(func() { nodes[i] = join(t, endpoint, string(rune('a'+i)), nil) })
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	connected(t, nodes)
	return nodes
}

// connected waits until every node has a stream to every other and the table is
// balanced.
func connected(t testing.TB, nodes []*Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for _, n := range nodes {
		for {
			s := n.Status()
			owners := map[string]int{}
			for _, p := range n.Table() {
				owners[p.Owner]++
			}
			least, most := len(n.Table()), 0
			for _, owned := range owners {
				least, most = min(least, owned), max(most, owned)
			}
			if s.Streams() == len(nodes)-1 && len(owners) == len(nodes) && most-least <= 1 {
				break // and nothing moves any more
			}
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				t.Fatalf("node %s has %d streams, and partitions are owned like this: %v", n.config.Name, s.Streams(), owners)
			}
		}
	}
}

// origin counts loads.
type origin struct {
	calls atomic.Int64
	load  func(ctx context.Context, key string, call int64) (corral.Item[[]byte], error)
}

func (o *origin) Load(ctx context.Context, key string, _ *corral.Item[[]byte]) (corral.Item[[]byte], error) {
	call := o.calls.Add(1)
	if o.load != nil {
		return o.load(ctx, key, call)
	}
	return corral.Item[[]byte]{Value: fmt.Appendf(nil, "%s#%d", key, call)}, nil
}

// open makes a cache on a node.
func open(t testing.TB, n *Node, o *origin) *corral.Cache[[]byte] {
	t.Helper()
	c, err := corral.New(corral.LoaderFunc[[]byte](o.Load), corral.Options[[]byte]{
		Name: "test", TTL: time.Hour, Jitter: -1, ErrorPause: -1, MaxBytes: 64 << 20,
		Codec: codec.Bytes{}, Coordinator: n.Cache("test"), Logger: logFor(t, "cache "+n.config.Name),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func openAll(t testing.TB, nodes []*Node, o *origin) []*corral.Cache[[]byte] {
	t.Helper()
	caches := make([]*corral.Cache[[]byte], len(nodes))
	for i, n := range nodes {
		caches[i] = open(t, n, o)
	}
	watching(t, nodes)
	return caches
}

// watching waits until every cache hears of invalidations.
func watching(t testing.TB, nodes []*Node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for _, n := range nodes {
		for !n.openKeeper("test").Standing() {
			if err := pause(ctx, time.Millisecond); err != nil {
				t.Fatalf("the cache of node %s does not watch", n.config.Name)
			}
		}
	}
}
