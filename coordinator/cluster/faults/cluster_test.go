package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
	"github.com/corralcache/corral/internal/ramdir"
)

const (
	// patience is for how long callers wait, if a test says nothing else.
	patience = 20 * time.Second
	// soon is for how long a test waits for what must come.
	soon = 60 * time.Second
	// lease is L, of nodes with an embedded etcd; guard is g.
	lease = 2 * time.Second
	guard = 100 * time.Millisecond
)

// soakFor is how long the full form may take, about; zero is the short form.
var soakFor = func() time.Duration {
	text := os.Getenv("CORRAL_SOAK")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		panic(fmt.Sprintf("CORRAL_SOAK is %q: write a duration, such as 30m", text))
	}
	return d
}()

var soak = soakFor > 0

// rounds is how often a fault is met: in the full form so often that quantiles
// can be told where it may take an hour, and in proportion where it may not.
func rounds(short, full int) int {
	if !soak {
		return short
	}
	return max(short, int(float64(full)*soakFor.Hours()))
}

// A cluster is real processes and their origin.
type cluster struct {
	t       testing.TB
	dir     string
	on      func(t testing.TB, name string) hosts
	origin  *origin
	nodes   []*node
	voters  int
	etcd    string // the endpoint of one that is there; empty: it runs in the first nodes
	stores  bool   // nodes keep values on disk
	program string // of nodes; empty: this version's
	keys    int    // made so far
	undo    func() // ends what a round that is given up has begun; nil: nothing
}

// A node stays the same over its lives.
type node struct {
	*process
	living  sync.Mutex // held while process is replaced, and by those who send to it meanwhile
	cluster *cluster
	name    string
	dir     string
	log     string
	votes   bool   // etcd runs in it
	program string // its next life's; empty: the cluster's
	host    hosts
	struck  atomic.Bool // in this round it was killed, stopped, cut off or closed
}

// hosts is where nodes run: on loopback, or each in a network namespace.
type hosts interface {
	enter() []string            // the words before a command
	address(node string) string // where the node listens
	etcd(node string) string    // HOST:PEERPORT,CLIENTPORT
}

// start begins a cluster of a, b, c … and waits until it is whole.
func start(t testing.TB, count int, on func(t testing.TB, name string) hosts, options ...func(*cluster)) *cluster {
	t.Helper()
	if testing.Short() || underRace {
		t.Skip("real processes: they have a line of their own in make test, with no other tests beside them and nothing here for the race detector to see")
	}
	c := &cluster{t: t, dir: ramdir.Dir(t, 6*ramdir.Member), on: on, origin: newOrigin(t), voters: 3}
	for _, option := range options {
		option(c)
	}
	for range count {
		c.add()
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, n := range c.nodes {
				t.Logf("the end of the log of %s:\n%s", n.name, n.logTail(60))
			}
		}
	})
	for _, n := range c.nodes {
		n.begin()
	}
	c.awaitWhole()
	return c
}

// withStores lets nodes keep values on disk.
func withStores(c *cluster) { c.stores = true }

// add makes one more node, which has not begun.
func (c *cluster) add() *node {
	c.t.Helper()
	i := len(c.nodes)
	name := string(rune('a' + i))
	n := &node{
		cluster: c, name: name, dir: filepath.Join(c.dir, name), log: filepath.Join(c.dir, name+".log"),
		votes: i < c.voters && c.etcd == "", host: c.on(c.t, name), program: c.program,
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	c.nodes = append(c.nodes, n)
	return n
}

func (c *cluster) peers() string {
	var all []string
	for _, n := range c.nodes {
		all = append(all, n.host.address(n.name))
	}
	return strings.Join(all, ",")
}

// awaitServing waits until the node's process serves.
func (n *node) awaitServing() {
	n.cluster.t.Helper()
	select {
	case <-n.served:
	case <-n.ended:
		n.cluster.t.Fatalf("node %s has ended before it served", n.name)
	case <-time.After(2 * soon):
		n.cluster.t.Fatalf("node %s does not serve", n.name)
	}
}

// awaitWhole waits until every node serves, has a lease and streams to all
// others, and has its share of partitions.
func (c *cluster) awaitWhole() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.awaitServing()
	}
	for deadline := time.Now().Add(soon); !c.whole(c.nodes); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, n := range c.nodes {
				c.t.Logf("node %s: %+v", n.name, *n.look())
			}
			c.t.Fatalf("the cluster is not whole within %v", soon)
		}
	}
}

// whole reports whether these nodes are all there is, and in order.
func (c *cluster) whole(nodes []*node) bool {
	least, most := 1<<20, 0
	for _, n := range nodes {
		a, ok := n.send(faults.Command{Do: faults.Look}).wait()
		if !ok || a.Status == nil {
			return false
		}
		s := a.Status
		if !s.Standing || s.Ownerless != 0 || s.Streams != len(nodes)-1 || len(s.Nodes) != len(nodes) {
			return false
		}
		least, most = min(least, s.Owned), max(most, s.Owned)
	}
	return most-least <= 2*len(nodes) // nobody has more than the share, rounded up, and one
}

// others are all nodes but these.
func (c *cluster) others(but ...*node) (rest []*node) {
	for _, n := range c.nodes {
		found := false
		for _, b := range but {
			found = found || b == n
		}
		if !found {
			rest = append(rest, n)
		}
	}
	return rest
}

// leads reports whether the member of etcd in a node leads.
func (n *node) leads() bool {
	a, ok := n.send(faults.Command{Do: faults.Leads}).wait()
	return ok && a.Leads
}

// leader is the node whose member of etcd leads.
func (c *cluster) leader() (leads *node) {
	c.t.Helper()
	await(c.t, "a leader of etcd", func() bool {
		for _, n := range c.nodes {
			if n.leads() {
				leads = n
				return true
			}
		}
		return false
	})
	return leads
}

// follower is a voting node that does not lead.
func (c *cluster) follower() *node {
	c.t.Helper()
	leads := c.leader()
	for _, n := range c.nodes {
		if n != leads {
			return n
		}
	}
	panic("a cluster of one")
}

// keysOf makes keys that nobody has asked for and that a node owns.
func (c *cluster) keysOf(owner *node, count int) (keys []string) {
	c.t.Helper()
	return c.keysBelow("", owner, count)
}

// keysBelow are keysOf that begin with a prefix, such as a tag.
func (c *cluster) keysBelow(prefix string, owner *node, count int) (keys []string) {
	c.t.Helper()
	for try := 0; len(keys) < count; try++ {
		var tried []string
		for range 64 {
			c.keys++
			tried = append(tried, fmt.Sprintf("%sk%d.", prefix, c.keys))
		}
		a := owner.send(faults.Command{Do: faults.Look, Keys: tried}).must(c.t)
		for i, name := range a.Owners {
			if name == owner.name && len(keys) < count {
				keys = append(keys, tried[i])
			}
		}
		if try == 100 {
			c.t.Fatalf("node %s owns none of 6,400 keys", owner.name)
		}
	}
	return keys
}

func (c *cluster) keyOf(owner *node) string { return c.keysOf(owner, 1)[0] }

// get asks a node for a key.
func (n *node) get(key string, callers int) *pending {
	return n.send(faults.Command{Do: faults.Get, Key: key, Callers: callers})
}

// await waits until something holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, soon)
		}
	}
}
