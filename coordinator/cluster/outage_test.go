package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
	"github.com/corralcache/corral/internal/ramdir"
)

// startMember is startEtcd, of a member that can be stopped and started again.
func startMember(t testing.TB, quota int64) (endpoint string, stop, start func()) {
	t.Helper()
	peer := freeAddress(t)
	config := etcd.Embedded{
		Dir: ramdir.Dir(t, ramdir.Member), Name: "m", Peer: peer, Client: freeAddress(t),
		Members: map[string]string{"m": peer}, New: true, Token: "test", Log: logFor(t, "etcd"), Quota: quota,
	}
	var s *etcd.Server
	start = func() {
		t.Helper()
		var err error
		if s, err = etcd.Start(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	start()
	t.Cleanup(func() { s.Stop() })
	return config.Client, func() { s.Stop() }, start
}

func TestWithoutEtcdANodeAnswersNothingAndComesBack(t *testing.T) {
	endpoint, stop, start := startMember(t, 0)
	var log logged
	n := join(t, endpoint, "a", logTo(&log))
	o := new(origin)
	c := open(t, n, o)
	watching(t, []*Node{n})
	serves(t, c, "k")
	stop()
	eventually(t, "the lease to run out", func() bool { return !n.Status().Standing })
	if _, err := c.Get(within(t), "k"); !errors.Is(err, corral.ErrUnavailable) {
		t.Errorf("Get of what is there: %v, want ErrUnavailable", err)
	}
	if _, err := c.Get(within(t), "new"); !errors.Is(err, corral.ErrUnavailable) {
		t.Errorf("Get of what is not: %v, want ErrUnavailable", err)
	}
	if err := c.Invalidate(within(t), "k"); !errors.Is(err, corral.ErrNotAcknowledged) {
		t.Errorf("Invalidate: %v, want ErrNotAcknowledged", err)
	}
	if calls := o.calls.Load(); calls != 1 {
		t.Errorf("%d loads, want the one before", calls)
	}
	if s := n.Status(); s.NotAcknowledged != 1 || s.Lapses != 1 || s.Lease != 0 || s.LeaseLeast != 0 || s.Heard < n.times.Lease-n.times.Guard-n.times.Renew {
		t.Errorf("the status is %+v", s)
	}
	if members, err := n.EtcdMembers(within(t)); err == nil {
		t.Errorf("the members of an etcd that is gone: %+v", members)
	}
	saysOnce(t, &log, saysLapsed.what)
	saysOnce(t, &log, saysNotRenewed.what)
	start()
	eventually(t, "the node to come back", func() bool { return n.Status().Standing })
	serves(t, c, "new")
}

func TestWithAFullEtcdANodeAnswersNothingAndSaysWhy(t *testing.T) {
	endpoint, _, _ := startMember(t, 4<<20)
	var log logged
	n := join(t, endpoint, "a", logTo(&log))
	c := open(t, n, new(origin))
	watching(t, []*Node{n})
	by := operator(t, endpoint, "/other/")
	for range 100 {
		if _, err := by.Write(t.Context(), etcd.Txn{Put: map[string][]byte{"a": make([]byte, 1<<19)}}); errors.Is(err, etcd.ErrFull) {
			break
		}
	}
	if err := c.Invalidate(within(t), "k"); !errors.Is(err, corral.ErrNotAcknowledged) || !strings.Contains(err.Error(), "raise its quota") {
		t.Errorf("Invalidate: %v, want ErrNotAcknowledged and a remedy", err)
	}
	eventually(t, "the lease to run out", func() bool { return !n.Status().Standing })
	if _, err := c.Get(within(t), "k"); !errors.Is(err, corral.ErrUnavailable) {
		t.Errorf("Get: %v, want ErrUnavailable", err)
	}
	saysOnce(t, &log, "etcd is full")
}

func TestWhatIsOverALimitIsRefusedAndLessIsServed(t *testing.T) {
	nodes := joinAll(t, 2)
	large := strings.Repeat("v", 1<<20+1)
	o := &origin{}
	caches := make([]*corral.Cache[[]byte], 2)
	for i, n := range nodes {
		var err error
		caches[i], err = corral.New(corral.LoaderFunc[[]byte](o.Load), corral.Options[[]byte]{
			Name: "test", TTL: time.Hour, Jitter: -1, MaxBytes: 64 << 20, MaxKeyLen: 4 << 20, Codec: codec.Bytes{}, Coordinator: n.Cache("test"),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer caches[i].Close()
	}
	watching(t, nodes)
	at := large[:maxKeyBytes-len("test")-1]
	for i := range 8 { // of both nodes' keys
		serves(t, caches[0], fmt.Sprint(i, at))
		if _, err := caches[0].Get(within(t), fmt.Sprint(i, at, "v")); !errors.Is(err, corral.ErrInvalidKey) || !strings.Contains(err.Error(), "at most 65536") {
			t.Errorf("Get of a key over the limit: %v, want ErrInvalidKey", err)
		}
	}
	if err := caches[0].Invalidate(within(t), large[:maxBatchBytes-8-len("test")]); err != nil {
		t.Errorf("Invalidate at the limit: %v", err)
	}
	err := caches[0].Invalidate(within(t), large[:maxBatchBytes-8-len("test")+1])
	if !errors.Is(err, corral.ErrNotAcknowledged) || !strings.Contains(err.Error(), "262132 are allowed") {
		t.Errorf("Invalidate over the limit: %v", err)
	}
	for _, c := range caches {
		serves(t, c, "k")
	}
}

func TestAValueThatNobodyTakesIsComputedByEachNode(t *testing.T) {
	nodes := joinAll(t, 2)
	var log logged
	nodes[0].quietly.log = slog.New(slog.NewTextHandler(&log, nil))
	holder, waiter := nodes[0].Cache("test").(corral.Keeper), nodes[1].Cache("test").(corral.Keeper)
	for _, row := range []struct {
		what   string
		record corral.Record
	}{
		{"256 MiB and a byte", corral.Record{Value: make([]byte, maxValueBytes+1)}},
		{"too many tags", corral.Record{Tags: []string{strings.Repeat("t", maxHeadBytes)}}},
		{"a validator of 1 MiB", corral.Record{Validator: strings.Repeat("v", 1<<20)}},
	} {
		request := corral.Request{Key: keyOwnedBy(t, nodes, nodes[1]) + row.what, Wait: time.Minute}
		answer, err := holder.Join(within(t), request)
		if err != nil || answer.Kind != corral.AnswerLease {
			t.Fatalf("%s: got %v, %v; want a lease", row.what, answer.Kind, err)
		}
		told := make(chan corral.Answer, 1)
		go func() {
			a, _ := waiter.Join(within(t), request)
			told <- a
		}()
		eventually(t, "another to wait", func() bool { return nodes[0].Status().Waiting+nodes[1].Status().Waiting == 1 })
		row.record.TTL, row.record.Outcome, row.record.Revision = time.Hour, corral.Keep, nodes[0].Status().Revision
		if err := answer.Lease.Fill(within(t), &row.record); !errors.Is(err, errTooLarge) {
			t.Errorf("%s: Fill: %v, want errTooLarge", row.what, err)
		}
		if got := wait(t, told, "an answer"); got.Kind != corral.AnswerPass {
			t.Errorf("%s: who waits is told %v, want a pass", row.what, got.Kind)
		}
	}
	saysOnce(t, &log, saysNotShared.what)
}

func TestAPeerThatFloodsIsToldSoAndOthersAreServed(t *testing.T) {
	endpoint := startEtcd(t)
	a := join(t, endpoint, "a", nil)
	b := join(t, endpoint, "b", func(c *Config) { c.Limits = core.Limits{ParkedOnKey: 100, Parked: 200, Flights: 50} })
	nodes := []*Node{a, b}
	connected(t, nodes)
	o, began, gate := gated()
	caches := openAll(t, nodes, o)
	key := keyOwnedBy(t, nodes, b)
	first := ask(caches[1], t.Context(), key)
	wait(t, began, "the load")
	a.mu.Lock()
	transport := a.peers
	a.mu.Unlock()
	session := uint64(1)
	for ; !transport.Send("b", session, core.Join{Ask: 1 << 40, Key: "test" + separator + key, Wait: time.Minute}); session++ {
		if session > 100 {
			t.Fatal("no session is found")
		}
	}
	for i := range uint64(100_000) {
		for !transport.Send("b", session, core.Join{Ask: 1<<40 + i + 1, Key: "test" + separator + key, Wait: time.Minute}) {
			t.Fatalf("the session ended at Join %d", i)
		}
	}
	// What is asked after the flood is answered after it.
	other, err := a.Cache("flood").(corral.Keeper).Join(within(t), corral.Request{Key: "k", Wait: time.Minute})
	if err != nil || other.Kind != corral.AnswerLease {
		t.Errorf("Join beside the flood: %v, %v; want a lease", other.Kind, err)
	}
	if waiting := b.Status().Waiting; waiting != 100 {
		t.Errorf("%d wait at b, want 100", waiting)
	}
	close(gate)
	if got := wait(t, first, "the value"); got.err != nil {
		t.Errorf("who asked before the flood got %v", got.err)
	}
	serves(t, caches[0], "k")
}

func TestInvalidationsWaitForASlowCacheInTheirOrder(t *testing.T) {
	n := join(t, startEtcd(t), "a", nil)
	k := n.Cache("slow").(corral.Keeper)
	told, goOn := make(chan corral.Invalidation, 100), make(chan struct{})
	go k.Watch(t.Context(), func(inv corral.Invalidation) {
		if len(inv.Target.Keys) > 0 {
			told <- inv
			<-goOn
		}
	})
	eventually(t, "the watch", func() bool {
		n.deliver.Lock()
		defer n.deliver.Unlock()
		return n.openKeeper("slow").apply != nil
	})
	acknowledged := make(chan string, 2)
	var all sync.WaitGroup
	invalidated := func(key string) corral.Invalidation {
		all.Go(func() {
			if err := k.Invalidate(within(t), corral.Target{Keys: []string{key}}); err != nil {
				t.Errorf("Invalidate %s: %v", key, err)
			}
			acknowledged <- key
		})
		inv := wait(t, told, "the word of "+key)
		select {
		case key := <-acknowledged:
			t.Errorf("%s is acknowledged while the cache applies %v", key, inv.Keys)
		default:
		}
		return inv
	}
	first := invalidated("1")
	goOn <- struct{}{}
	wait(t, acknowledged, "the acknowledgement")
	second := invalidated("2")
	goOn <- struct{}{}
	all.Wait()
	if first.Revision >= second.Revision || first.Keys[0] != "1" || second.Keys[0] != "2" {
		t.Errorf("told of %+v and then of %+v", first, second)
	}
}

func TestAfterAGapEverythingIsInvalidatedAndTheTableKeepsItsRevision(t *testing.T) {
	endpoint := startEtcd(t)
	n := join(t, endpoint, "a", nil)
	o := new(origin)
	c := open(t, n, o)
	watching(t, []*Node{n})
	serves(t, c, "k")
	by := operator(t, endpoint, "")
	s := read(t, by)
	written := s.Keys[etcd.TableKey]
	n.deliver.Lock() // as if the table had been written in the gap
	table := *n.agreed.Table
	table.Epoch++
	s.Revision = n.agreed.Revision + 1000
	s.Keys[etcd.TableKey] = etcd.KV{Value: encoded(etcd.EncodeTable(&table)), Revision: n.agreed.Revision + 500}
	n.records["gone"] = core.NodeChange{Name: "gone", Revision: 1, Record: &core.NodeRecord{Node: core.Node{Name: "gone", Incarnation: 1}}}
	n.deliver.Unlock()
	n.resume(s)
	n.deliver.Lock()
	defer n.deliver.Unlock()
	if got, want := n.agreed.TableRevision, s.Keys[etcd.TableKey].Revision; got != want || got == written.Revision {
		t.Errorf("the table's revision is %d, want %d", got, want)
	}
	if n.agreed.Revision != s.Revision || n.records["gone"].Record != nil {
		t.Errorf("revision %d, want %d; gone is %+v", n.agreed.Revision, s.Revision, n.records["gone"])
	}
	if v := s.Revision; n.openKeeper("test").shelf.Untouched("k", nil, v-1, v) {
		t.Error("what was there counts as up to date")
	}
}

func descriptors(t testing.TB) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

func TestANodeThatHasLeftLeavesNothing(t *testing.T) {
	endpoint := startEtcd(t)
	keep := join(t, endpoint, "keep", nil)
	var log logged
	before, open0 := goleak.IgnoreCurrent(), 0
	for i := range 20 {
		n := join(t, endpoint, "z", func(c *Config) { c.Dir = t.TempDir(); logTo(&log)(c) })
		c := open(t, n, new(origin))
		watching(t, []*Node{n})
		if _, err := c.Get(within(t), "k"); err != nil {
			t.Errorf("round %d: %v", i, err)
		}
		c.Close()
		if err := n.Close(); err != nil {
			t.Errorf("round %d: Close: %v", i, err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("round %d: Close again: %v", i, err)
		}
		if i == 2 {
			open0 = descriptors(t)
		}
	}
	if now := descriptors(t); now > open0+3 {
		t.Errorf("%d descriptors, and %d after the third round", now, open0)
	}
	if strings.Contains(log.String(), "taken for dead") || strings.Contains(log.String(), "has run out") {
		t.Errorf("nodes that left complain:\n%s", &log)
	}
	keep.Close()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
