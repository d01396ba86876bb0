package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
)

// logTo makes a node log where the test can read it.
func logTo(l *logged) func(*Config) {
	return func(c *Config) { c.Log = slog.New(slog.NewTextHandler(l, nil)) }
}

// saysOnce waits until a log has a line with a text, and fails if it has two.
func saysOnce(t testing.TB, l *logged, text string) {
	t.Helper()
	eventually(t, "the log to say "+text, func() bool { return strings.Contains(l.String(), text) })
	if n := strings.Count(l.String(), text); n != 1 {
		t.Errorf("the log says %q %d times, want once:\n%s", text, n, l)
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx := within(t)
	for !is() {
		if pause(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// operator is a client of the nodes' etcd that writes by hand.
func operator(t testing.TB, endpoint, prefix string) *etcd.Client {
	t.Helper()
	c, err := etcd.Dial(within(t), etcd.Config{Endpoints: []string{endpoint}, Prefix: prefix, Log: logFor(t, "operator")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func putByHand(t testing.TB, c *etcd.Client, key string, value []byte) {
	t.Helper()
	if _, err := c.Write(within(t), etcd.Txn{Put: map[string][]byte{key: value}}); err != nil {
		t.Fatalf("write %s by hand: %v", key, err)
	}
}

func read(t testing.TB, c *etcd.Client) etcd.Snapshot {
	t.Helper()
	s, err := c.Read(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// encoded is what a record's Encode gives, if it is right.
func encoded(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// refusedJoin is the error of a Join that must fail, and must leave nothing.
func refusedJoin(t testing.TB, endpoint, name string, wait time.Duration, change func(*Config)) error {
	t.Helper()
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	config := Config{Name: name, Listen: freeAddress(t), Dir: t.TempDir(), Etcd: []string{endpoint}, Partitions: 32, Log: logFor(t, "refused "+name)}
	if change != nil {
		change(&config)
	}
	n, err := Join(ctx, config)
	if err == nil {
		n.Close()
		t.Fatalf("Join %s succeeded", name)
	}
	if err := goleak.Find(before); err != nil {
		t.Errorf("Join %s left behind: %v", name, err)
	}
	l, err2 := net.Listen("tcp", config.Listen)
	if err2 != nil {
		t.Errorf("Join %s left its port in use: %v", name, err2)
	} else {
		l.Close()
	}
	if unlock, _, err := etcd.LockDir(config.Dir); err != nil {
		t.Errorf("Join %s left its directory locked: %v", name, err)
	} else {
		unlock()
	}
	return err
}

func says(t testing.TB, err error, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got the error %v, want it to say %q", err, want)
		}
	}
}

func serves(t testing.TB, c *corral.Cache[[]byte], key string) {
	t.Helper()
	if _, err := c.Get(within(t), key); err != nil {
		t.Errorf("Get %q: %v", key, err)
	}
}

func TestTheSecondNodeOfANameRefusesAndTheFirstGoesOn(t *testing.T) {
	endpoint := startEtcd(t)
	first := join(t, endpoint, "a", nil)
	c := open(t, first, new(origin))
	watching(t, []*Node{first})
	before := first.Status()
	err := refusedJoin(t, endpoint, "a", soon, nil)
	if !errors.Is(err, errName) {
		t.Errorf("got %v, want errName", err)
	}
	says(t, err, `"a"`, "Config.Name", first.Status().Nodes[0].Address)
	if after := first.Status(); !after.Standing || after.Lapses != before.Lapses || after.Nodes[0].Incarnation != before.Nodes[0].Incarnation {
		t.Errorf("the first node was %+v and is %+v", before, after)
	}
	serves(t, c, "k")
}

func TestTwoProcessesOfOneDirectoryDoNotTakeTurnsAtBeingOneNode(t *testing.T) {
	endpoint := startEtcd(t)
	var log logged
	first := join(t, endpoint, "a", logTo(&log))
	first.dirID = "COPIED" // as it would be of a directory that was copied
	by := operator(t, endpoint, "")
	node := etcd.Node{Version: version, NodeRecord: core.NodeRecord{
		Node: core.Node{Name: "a", Incarnation: first.self.Incarnation + 1}, State: core.Live, Weight: 1, Address: "127.0.0.1:1", Dir: "COPIED",
	}}
	for range 30 { // the other one renews
		node.Nonce++
		putByHand(t, by, etcd.NodeKey("a"), encoded(node.Encode()))
		pause(t.Context(), 100*time.Millisecond)
	}
	if got, err := etcd.DecodeNode(read(t, by).Keys[etcd.NodeKey("a")].Value); err != nil || got.Incarnation != node.Incarnation {
		t.Errorf("the record is of incarnation %d, %v: the first node took it back from %d", got.Incarnation, err, node.Incarnation)
	}
	if first.Status().Standing {
		t.Error("the first node has a lease")
	}
	saysOnce(t, &log, "another node of this name is alive")
	eventually(t, "the first node to come back", func() bool { return first.Status().Standing }) // the other is silent
}

func TestTwoClustersThatMeetRefuseEachOtherAndServe(t *testing.T) {
	endpoint := startEtcd(t)
	var logA, logB logged
	a := join(t, endpoint, "a", func(c *Config) { c.EtcdPrefix = "/one/"; logTo(&logA)(c) })
	b := join(t, endpoint, "b", func(c *Config) { c.EtcdPrefix = "/two/"; logTo(&logB)(c) })
	ca, cb := open(t, a, new(origin)), open(t, b, new(origin))
	watching(t, []*Node{a, b})
	astray := b.record
	astray.Node.Incarnation = b.self.Incarnation
	putByHand(t, operator(t, endpoint, "/one/"), etcd.NodeKey("b"), encoded(astray.Encode()))
	saysOnce(t, &logA, "two clusters meet")
	saysOnce(t, &logB, "two clusters meet")
	eventually(t, "node b to be given up in a's cluster", func() bool { return a.Status().Buried == 1 })
	saysOnce(t, &logA, "two clusters meet")
	if a.Status().Streams()+b.Status().Streams() != 0 {
		t.Error("there is a stream between two clusters")
	}
	serves(t, ca, "k")
	serves(t, cb, "k")
}

func TestAnOlderTableIsPassedOverAndWrittenOver(t *testing.T) {
	endpoint := startEtcd(t)
	var log logged
	n := join(t, endpoint, "a", logTo(&log))
	c := open(t, n, new(origin))
	watching(t, []*Node{n})
	by := operator(t, endpoint, "")
	old, err := etcd.DecodeTable(read(t, by).Keys[etcd.TableKey].Value)
	if err != nil {
		t.Fatal(err)
	}
	epoch := n.Status().Epoch
	old.Epoch--
	old.Owner = make([]uint16, len(old.Owner))
	putByHand(t, by, etcd.TableKey, encoded(etcd.EncodeTable(old)))
	saysOnce(t, &log, "a table of owners that is older than the one in force")
	eventually(t, "the table in force to be written again", func() bool {
		s := n.Status()
		table, err := etcd.DecodeTable(read(t, by).Keys[etcd.TableKey].Value)
		return err == nil && table.Epoch == epoch+1 && table.OwnerOf(31) == n.self && s.Epoch == epoch+1 && s.Owned == 32
	})
	serves(t, c, "k")
}

// ofFormat2 is a record as a newer version might write it.
func ofFormat2(t testing.TB, data []byte) []byte {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	fields["format"] = 2
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestANodeDoesNotJoinWhatItCannotRead(t *testing.T) {
	endpoint := startEtcd(t)
	cluster := etcd.Cluster{UUID: "u", Partitions: 32, Version: version}
	newer := cluster
	newer.Version = version + 1
	table := core.Table{Epoch: 1, Owner: make([]uint16, 32), Gen: make([]uint64, 32)}
	other := core.Table{Epoch: 1, Owner: make([]uint16, 16), Gen: make([]uint64, 16)}
	node := etcd.Node{Version: version, NodeRecord: core.NodeRecord{Node: core.Node{Name: "a", Incarnation: 1}, State: core.Tombstone}}
	for i, row := range []struct {
		what string
		keys map[string][]byte
		want []string
	}{
		{"no cluster", nil, []string{"there is no cluster", "Config.New"}},
		{"a cluster's record of format 2", map[string][]byte{etcd.ClusterKey: ofFormat2(t, encoded(cluster.Encode()))}, []string{"the cluster's record", "format 2", "update this node"}},
		{"a cluster of a newer version", map[string][]byte{etcd.ClusterKey: encoded(newer.Encode())}, []string{"version 2 of the protocol", "this node speaks 1", "update it"}},
		{"its own record of format 2", map[string][]byte{
			etcd.ClusterKey: encoded(cluster.Encode()), etcd.NodeKey("a"): ofFormat2(t, encoded(node.Encode())),
		}, []string{`the record of node "a"`, "format 2", "upgrade this node"}},
		{"a table of format 2", map[string][]byte{
			etcd.ClusterKey: encoded(cluster.Encode()), etcd.TableKey: ofFormat2(t, encoded(etcd.EncodeTable(&table))),
		}, []string{"read the table", "format 2", "upgrade this node"}},
		{"a table of another P", map[string][]byte{
			etcd.ClusterKey: encoded(cluster.Encode()), etcd.TableKey: encoded(etcd.EncodeTable(&other)),
		}, []string{"read the table", "it has 16 partitions, and the cluster 32"}},
	} {
		prefix := fmt.Sprintf("/%d/", i)
		by := operator(t, endpoint, prefix)
		for key, value := range row.keys {
			putByHand(t, by, key, value)
		}
		t.Log(row.what)
		says(t, refusedJoin(t, endpoint, "a", soon, func(c *Config) { c.EtcdPrefix = prefix }), row.want...)
	}
}

func TestANodeLeavesWhenATableComesThatItCannotRead(t *testing.T) {
	endpoint := startEtcd(t)
	for i, row := range []struct {
		what  string
		table func([]byte) []byte
		want  string
	}{
		{"format 2", func(now []byte) []byte { return ofFormat2(t, now) }, "format 2"},
		{"another P", func([]byte) []byte {
			return encoded(etcd.EncodeTable(&core.Table{Epoch: 99, Owner: make([]uint16, 16), Gen: make([]uint64, 16)}))
		}, "it has 16 partitions, and the cluster 32"},
	} {
		prefix := fmt.Sprintf("/%d/", i)
		var log logged
		n := join(t, endpoint, "a", func(c *Config) { c.EtcdPrefix = prefix; logTo(&log)(c) })
		o, began, _ := gated()
		c := open(t, n, o)
		watching(t, []*Node{n})
		loading := ask(c, t.Context(), "loading")
		wait(t, began, "the load")
		by := operator(t, endpoint, prefix)
		putByHand(t, by, etcd.TableKey, row.table(read(t, by).Keys[etcd.TableKey].Value))
		saysOnce(t, &log, saysNoTable.what)
		if _, err := c.Get(t.Context(), "k"); !errors.Is(err, corral.ErrUnavailable) {
			t.Errorf("%s: Get of a node that has left: %v, want ErrUnavailable", row.what, err)
		}
		_, err := n.Cache("other").(corral.Keeper).Join(t.Context(), corral.Request{Key: "k", Wait: time.Minute})
		if !errors.Is(err, ErrLeft) {
			t.Errorf("%s: Join: %v, want ErrLeft", row.what, err)
		}
		says(t, err, row.want)
		c.Close()
		wait(t, loading, "an end of the load")
		says(t, n.Close(), row.want)
	}
}

func TestAnotherNodesRecordThatCannotBeReadIsPassedOver(t *testing.T) {
	endpoint := startEtcd(t)
	var log logged
	n := join(t, endpoint, "a", logTo(&log))
	c := open(t, n, new(origin))
	watching(t, []*Node{n})
	by := operator(t, endpoint, "")
	node := etcd.Node{Version: version, NodeRecord: core.NodeRecord{Node: core.Node{Name: "b", Incarnation: 1}, State: core.Live, Weight: 1}}
	for range 3 {
		putByHand(t, by, etcd.NodeKey("b"), ofFormat2(t, encoded(node.Encode())))
	}
	eventually(t, "the node to have applied it", func() bool { return n.Status().Revision >= read(t, by).Keys[etcd.NodeKey("b")].Revision })
	saysOnce(t, &log, saysBadRecord.what)
	if s := n.Status(); len(s.Nodes) != 1 || s.Owned != 32 || !s.Standing {
		t.Errorf("the node is %+v", s)
	}
	serves(t, c, "k")
}

func TestAnInvalidationThatCannotBeReadConcernsEverything(t *testing.T) {
	endpoint := startEtcd(t)
	var log logged
	n := join(t, endpoint, "a", logTo(&log))
	o := new(origin)
	c := open(t, n, o)
	watching(t, []*Node{n})
	serves(t, c, "k")
	by := operator(t, endpoint, "")
	for range 3 {
		putByHand(t, by, etcd.InvalidationsKey, ofFormat2(t, encoded(etcd.EncodeInvalidations(nil))))
	}
	eventually(t, "the node to have applied it", func() bool { return n.Status().Revision >= read(t, by).Keys[etcd.InvalidationsKey].Revision })
	saysOnce(t, &log, "everything counts as invalidated")
	if got, err := c.Get(within(t), "k"); err != nil || string(got) != "k#2" {
		t.Errorf("got %q, %v; want k#2", got, err)
	}
}

func TestJoinEndsWithItsContextWhereEtcdIsAbsent(t *testing.T) {
	nobody := freeAddress(t)
	err := refusedJoin(t, nobody, "a", 300*time.Millisecond, nil)
	says(t, err, nobody, "is etcd running")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	alone := freeAddress(t)
	err = refusedJoin(t, "", "a", 300*time.Millisecond, func(c *Config) {
		c.Listen, c.Etcd, c.Peers = alone, nil, []string{alone, nobody, freeAddress(t)}
	})
	says(t, err, nobody)
}
