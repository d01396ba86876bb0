package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
)

// within is a context that ends the test's waiting.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	t.Cleanup(cancel)
	return ctx
}

// wait is what a channel brings.
func wait[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(soon):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// keyOwnedBy is a key that a node owns, as all the others know.
func keyOwnedBy(t testing.TB, nodes []*Node, owner *Node) string {
	t.Helper()
	ctx := within(t)
	for i := 0; ; i++ {
		key := fmt.Sprintf("key %d", i)
		agreed := true
		for _, n := range nodes {
			agreed = agreed && n.OwnerOf("test", key) == owner.config.Name
		}
		if agreed {
			return key
		}
		if i%1000 == 999 && pause(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("no key is owned by node %s", owner.config.Name)
		}
	}
}

// gated is an origin whose loads wait for a gate.
func gated() (o *origin, began chan string, gate chan struct{}) {
	began, gate = make(chan string, 100), make(chan struct{})
	o = &origin{load: func(ctx context.Context, key string, call int64) (corral.Item[[]byte], error) {
		began <- key
		select {
		case <-gate:
			return corral.Item[[]byte]{Value: fmt.Appendf(nil, "%s#%d", key, call)}, nil
		case <-ctx.Done():
			return corral.Item[[]byte]{}, context.Cause(ctx)
		}
	}}
	return o, began, gate
}

type got struct {
	value string
	err   error
}

func ask(c *corral.Cache[[]byte], ctx context.Context, key string) <-chan got {
	answer := make(chan got, 1)
	go func() {
		value, err := c.Get(ctx, key)
		answer <- got{string(value), err}
	}()
	return answer
}

// parked waits until so many callers of other nodes wait at the owner.
func parked(t testing.TB, owner *Node, want int) {
	t.Helper()
	ctx := within(t)
	for owner.Status().Waiting != want {
		if pause(ctx, time.Millisecond) != nil {
			t.Fatalf("%d callers wait at node %s, want %d", owner.Status().Waiting, owner.config.Name, want)
		}
	}
}

func TestAFlightGoesOnWhenTheOwnerOfItsKeyLeaves(t *testing.T) {
	nodes := joinAll(t, 3)
	o, began, gate := gated()
	caches := openAll(t, nodes, o)
	key := keyOwnedBy(t, nodes, nodes[2])
	first := ask(caches[0], t.Context(), key)
	wait(t, began, "the load")
	second := ask(caches[1], t.Context(), key)
	parked(t, nodes[2], 1)
	caches[2].Close()
	if err := nodes[2].Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	close(gate)
	for i, answer := range []<-chan got{first, second} {
		if g := wait(t, answer, "an answer"); g.err != nil || g.value != key+"#1" {
			t.Errorf("caller %d got %q, %v; want %q", i, g.value, g.err, key+"#1")
		}
	}
	if calls := o.calls.Load(); calls != 1 {
		t.Errorf("%d loads, want 1", calls)
	}
	var adopted, recoveries, lost uint64
	for _, n := range nodes[:2] {
		s := n.Status()
		adopted, recoveries, lost = adopted+s.Adopted, recoveries+s.Recoveries, lost+s.Lost+s.HolderLost
		if (s.RecoveryTime > 0) != (s.Recoveries > 0) || s.RecoveryLongest > s.RecoveryTime {
			t.Errorf("%d recoveries took %v, the longest %v", s.Recoveries, s.RecoveryTime, s.RecoveryLongest)
		}
	}
	if adopted != 1 || recoveries == 0 || lost != 0 {
		t.Errorf("%d leases were adopted in %d recoveries, %d were lost; want 1, some, and none", adopted, recoveries, lost)
	}
}

func TestALoadGoesOnWhenItsFirstCallerLeavesAndAnotherNodeWaits(t *testing.T) {
	nodes := joinAll(t, 3)
	o, began, gate := gated()
	caches := openAll(t, nodes, o)
	key := keyOwnedBy(t, nodes, nodes[2])
	ctx, leave := context.WithCancel(t.Context())
	first := ask(caches[0], ctx, key)
	wait(t, began, "the load")
	second := ask(caches[1], t.Context(), key)
	parked(t, nodes[2], 1)
	leave()
	if g := wait(t, first, "the end of the first call"); !errors.Is(g.err, context.Canceled) {
		t.Fatalf("who left got %q, %v", g.value, g.err)
	}
	close(gate)
	if g := wait(t, second, "an answer"); g.err != nil || g.value != key+"#1" {
		t.Fatalf("got %q, %v; want %q", g.value, g.err, key+"#1")
	}
}

func TestALoadThatNobodyAnywhereWaitsForIsCancelled(t *testing.T) {
	nodes := joinAll(t, 2)
	ended := make(chan error, 1)
	began := make(chan struct{})
	o := &origin{load: func(ctx context.Context, _ string, _ int64) (corral.Item[[]byte], error) {
		close(began)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return corral.Item[[]byte]{}, context.Cause(ctx)
	}}
	caches := openAll(t, nodes, o)
	key := keyOwnedBy(t, nodes, nodes[1])
	ctx, leave := context.WithCancel(t.Context())
	ask(caches[0], ctx, key)
	wait(t, began, "the load")
	other, leaveToo := context.WithCancel(t.Context())
	ask(caches[1], other, key)
	parked(t, nodes[1], 1)
	leave()
	leaveToo()
	wait(t, ended, "the end of the load")
}

func TestAnErrorKeepsItsMeaningOnOtherNodes(t *testing.T) {
	nodes := joinAll(t, 2)
	began, gate := make(chan struct{}), make(chan struct{})
	o := &origin{load: func(context.Context, string, int64) (corral.Item[[]byte], error) {
		close(began)
		<-gate
		return corral.Item[[]byte]{}, fmt.Errorf("row 7: %w", corral.ErrNotFound)
	}}
	caches := openAll(t, nodes, o)
	key := keyOwnedBy(t, nodes, nodes[0])
	ask(caches[0], t.Context(), key)
	wait(t, began, "the load")
	second := ask(caches[1], t.Context(), key)
	parked(t, nodes[0], 1)
	close(gate)
	if g := wait(t, second, "an answer"); !errors.Is(g.err, corral.ErrNotFound) || !strings.Contains(g.err.Error(), "row 7") {
		t.Fatalf("got %q, %v; want ErrNotFound with its text", g.value, g.err)
	}
	if calls := o.calls.Load(); calls != 1 {
		t.Fatalf("%d loads, want 1", calls)
	}
}

func TestLoadsThatWaitForEachOtherOnTwoNodesAreACycle(t *testing.T) {
	nodes := joinAll(t, 2)
	var caches []*corral.Cache[[]byte]
	both := make(chan struct{}, 2)
	o := &origin{}
	var one, two string
	o.load = func(ctx context.Context, key string, _ int64) (corral.Item[[]byte], error) {
		both <- struct{}{}
		for len(both) < 2 { // both have begun
			if err := pause(ctx, time.Millisecond); err != nil {
				return corral.Item[[]byte]{}, err
			}
		}
		cache, next := caches[0], two
		if key == two {
			cache, next = caches[1], one
		}
		value, err := cache.Get(ctx, next)
		return corral.Item[[]byte]{Value: value}, err
	}
	caches = openAll(t, nodes, o)
	one, two = keyOwnedBy(t, nodes, nodes[1]), keyOwnedBy(t, nodes, nodes[0])
	first, second := ask(caches[0], t.Context(), one), ask(caches[1], t.Context(), two)
	for _, answer := range []<-chan got{first, second} {
		if g := wait(t, answer, "an answer"); !errors.Is(g.err, corral.ErrCycle) {
			t.Errorf("got %q, %v; want ErrCycle", g.value, g.err)
		}
	}
}

func TestLargeValuesAndBodiesReachOtherNodesWhole(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		name        string
		value, body int
		outcome     corral.Outcome
	}{
		{"as much as travels in a message", inlineBytes, 0, corral.Keep},
		{"one byte more", inlineBytes + 1, 0, corral.Keep},
		{"a large value, shared", 3 * mib, 0, corral.Share},
		{"an empty body", 10, -1, corral.Keep},
		{"a body", 10, 5*mib + 1, corral.Keep},
		{"a body that is shared", 10, 2*mib + 1, corral.Share},
		{"a large value and a body", 2 * mib, 3 * mib, corral.Keep},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			nodes := joinAll(t, 3)
			value, body := pattern(test.value), pattern(max(test.body, 0))
			began, gate := make(chan struct{}), make(chan struct{})
			o := &origin{load: func(ctx context.Context, _ string, call int64) (corral.Item[[]byte], error) {
				if call == 1 {
					close(began)
					<-gate
				}
				item := corral.Item[[]byte]{Value: value, Outcome: test.outcome}
				if test.body != 0 {
					item.Tail = func(_ context.Context, w io.Writer) error {
						_, err := w.Write(body)
						return err
					}
				}
				return item, nil
			}}
			caches := openAll(t, nodes, o)
			key := keyOwnedBy(t, nodes, nodes[2])
			results := make(chan error, 3)
			read := func(c *corral.Cache[[]byte]) {
				item, _, err := c.GetItem(within(t), key)
				if err != nil {
					results <- err
					return
				}
				var all []byte
				if item.Body != nil {
					defer item.Body.Close()
					all, err = io.ReadAll(item.Body)
				}
				if err == nil && (!bytes.Equal(item.Value, value) || sha256.Sum256(all) != sha256.Sum256(body)) {
					err = fmt.Errorf("got a value of %d bytes and a body of %d, want %d and %d", len(item.Value), len(all), len(value), len(body))
				}
				results <- err
			}
			go read(caches[0])
			wait(t, began, "the load")
			go read(caches[1])
			go read(caches[2])
			parked(t, nodes[2], 2)
			close(gate)
			for range 3 {
				if err := wait(t, results, "an answer"); err != nil {
					t.Error(err)
				}
			}
			want := int64(1)
			if test.outcome == corral.Share && test.body > 0 {
				want = 3 // a body that nobody keeps is each node's own
			}
			if calls := o.calls.Load(); calls != want {
				t.Errorf("%d loads, want %d", calls, want)
			}
			if test.outcome == corral.Keep { // and once it is kept
				o.calls.Store(1)
				for _, c := range caches {
					go read(c)
					if err := wait(t, results, "an answer"); err != nil {
						t.Error(err)
					}
				}
				if calls := o.calls.Load(); calls != 1 {
					t.Errorf("%d loads once it was kept, want none", calls-1)
				}
			}
		})
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func TestANodeThatIsTakenForDeadComesBackAsAnother(t *testing.T) {
	nodes := joinAll(t, 3)
	o := &origin{}
	caches := openAll(t, nodes, o)
	if _, err := caches[0].Get(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	key := etcd.NodeKey("a")
	for { // between two renewals
		snapshot, err := nodes[1].client.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		record := etcd.Node{NodeRecord: core.NodeRecord{Node: core.Node{Name: "a", Incarnation: 1}, State: core.Tombstone}}
		data, err := record.Encode()
		if err != nil {
			t.Fatal(err)
		}
		result, err := nodes[1].client.Write(t.Context(), etcd.Txn{Require: map[string]uint64{key: snapshot.Keys[key].Revision}, Put: map[string][]byte{key: data}})
		if err != nil {
			t.Fatal(err)
		}
		if result.OK {
			break
		}
	}
	ctx := within(t)
	for {
		s := nodes[1].Status()
		if s.Nodes[0].Incarnation == 2 && s.Nodes[0].Stream && s.Nodes[0].Owned > 0 && nodes[0].tenure.standing() {
			break
		}
		if pause(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("node a did not come back: %+v", s.Nodes)
		}
	}
	if s := nodes[0].Status(); s.Fenced != 1 || s.Nodes[0].Incarnation != 2 {
		t.Errorf("node a was declared dead %d times, and is %+v", s.Fenced, s.Nodes[0])
	}
	if err := caches[1].Invalidate(ctx, "k"); err != nil {
		t.Fatalf("Invalidate: %v", err)
	}
	before := o.calls.Load()
	for i, c := range caches {
		if got, err := c.Get(ctx, "k"); err != nil || string(got) != fmt.Sprintf("k#%d", before+1) {
			t.Fatalf("node %d got %q, %v; want load %d", i, got, err, before+1)
		}
	}
}
