package cluster

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// warm asks for keys at one node, so that their owners keep them.
func warm(t *testing.T, c *corral.Cache[[]byte], keys []string) {
	t.Helper()
	for _, key := range keys {
		if _, err := c.Get(within(t), key); err != nil {
			t.Fatal(err)
		}
	}
}

func someKeys(count int) (keys []string) {
	for i := range count {
		keys = append(keys, fmt.Sprintf("warm %d", i))
	}
	return keys
}

// wantKept asks all nodes for keys, each of which was loaded once, and never again.
func wantKept(t *testing.T, when string, o *origin, caches []*corral.Cache[[]byte], keys []string) {
	t.Helper()
	for i, c := range caches {
		for n, key := range keys {
			if got, err := c.Get(within(t), key); err != nil || string(got) != fmt.Sprintf("%s#%d", key, n+1) {
				t.Fatalf("%s node %d gives %q, %v for %q", when, i, got, err, key)
			}
		}
	}
	if calls := o.calls.Load(); calls != int64(len(keys)) {
		t.Errorf("%s: %d loads of %d keys", when, calls, len(keys))
	}
}

func TestAPlannedMoveCostsNoLoad(t *testing.T) {
	endpoint := startEtcd(t)
	nodes := []*Node{join(t, endpoint, "a", nil), join(t, endpoint, "b", nil)}
	connected(t, nodes)
	o := &origin{}
	caches := openAll(t, nodes, o)
	keys := someKeys(300)
	warm(t, caches[0], keys)

	t.Log("one more")
	c := join(t, endpoint, "c", nil)
	caches = append(caches, open(t, c, o))
	nodes = append(nodes, c)
	connected(t, nodes)
	watching(t, nodes)
	wantKept(t, "after one has come", o, caches, keys)

	t.Log("one is drained")
	if err := nodes[0].Drain(within(t), "b"); err != nil {
		t.Fatal(err)
	}
	owning(t, nodes, 16, 0, 16)
	wantKept(t, "after one was drained", o, caches, keys)

	t.Log("one leaves")
	if err := nodes[0].Leave(within(t)); err != nil {
		t.Fatal(err)
	}
	owning(t, nodes, 0, 0, 32)
	caches[0].Close()
	nodes[0].Close()
	wantKept(t, "after one has left", o, caches[1:], keys)
	if s := c.Status(); s.TakenOver == 0 {
		t.Errorf("node c says that it has taken nothing over")
	}
}

func TestWhatIsInvalidatedIsNotHandedOver(t *testing.T) {
	endpoint := startEtcd(t)
	a := join(t, endpoint, "a", nil)
	o := &origin{}
	ca := open(t, a, o)
	watching(t, []*Node{a})
	warm(t, ca, []string{"old"})
	if err := ca.Invalidate(within(t), "old"); err != nil {
		t.Fatal(err)
	}
	b := join(t, endpoint, "b", nil)
	cb := open(t, b, o)
	connected(t, []*Node{a, b})
	watching(t, []*Node{a, b})
	for i, c := range []*corral.Cache[[]byte]{ca, cb} {
		if got, err := c.Get(within(t), "old"); err != nil || string(got) != "old#2" {
			t.Errorf("node %d gives %q, %v", i, got, err)
		}
	}
}

func TestNodesThatAllLeaveAtOnceDoNotWaitForEachOther(t *testing.T) {
	nodes := joinAll(t, 3)
	openAll(t, nodes, &origin{})
	began := time.Now()
	var leaving sync.WaitGroup
	for _, n := range nodes {
		leaving.Go(func() {
			if err := n.Leave(within(t)); err != nil {
				t.Errorf("Leave = %v", err)
			}
		})
	}
	leaving.Wait()
	if took := time.Since(began); took > leaveTimeout/2 {
		t.Errorf("they took %v", took)
	}
}

func TestALastNodeLeavesAtOnce(t *testing.T) {
	n := joinAll(t, 1)[0]
	warm(t, openAll(t, []*Node{n}, &origin{})[0], someKeys(3))
	began := time.Now()
	if err := n.Leave(within(t)); err != nil || time.Since(began) > n.times.Handover {
		t.Errorf("Leave = %v after %v", err, time.Since(began))
	}
}
