package redis

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
	"github.com/corralcache/corral/internal/redisconn"
)

func TestAFailoverOfSentinelIsFollowed(t *testing.T) {
	sentinel := localserver.RedisSentinel(t)
	s := at(t, "", func(o *Options) {
		o.Redis = Config{Addresses: []string{sentinel.Addr()}, SentinelMaster: localserver.MasterName}
		o.WaitReplicas = 1
	})
	put(t, s, "a", rec("v", 1, "x"))
	invalidate(t, s, 2, corral.Target{Keys: []string{"b"}, Tags: []string{"x"}}) // and the replica has it
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := sentinel.Failover(ctx); err != nil {
		t.Fatal(err)
	}
	r := rec("new", 2, "x")
	r.TTL, r.BodySize = time.Hour, -1
	next := at(t, "", func(o *Options) {
		o.Redis = Config{Addresses: []string{sentinel.Addr()}, SentinelMaster: localserver.MasterName}
	})
	eventually(t, "both are at the new master", func() bool { // what the old one took last is lost with it
		if s.Put(ctx, "a", &r) != nil {
			return false
		}
		got, err := next.Get(ctx, "a")
		return err == nil && got != nil
	})
	want(t, next, "a", "new")
	put(t, next, "a", rec("late", 1, "x"))
	want(t, next, "a", "new")
}

func TestADeleteThatReplicasDoNotHaveFails(t *testing.T) {
	server := localserver.Redis(t)
	s := at(t, server.Addr(), func(o *Options) { o.WaitReplicas, o.HardTimeout, o.SoftTimeout = 1, 2*time.Second, time.Second })
	err := s.Delete(t.Context(), corral.Invalidation{Revision: 1, Target: corral.Target{Keys: []string{"a"}}})
	if !errors.Is(err, redisconn.ErrReplicas) {
		t.Fatalf("Delete: %v", err)
	}
}

func TestASlotThatMovesIsFollowed(t *testing.T) {
	cluster := localserver.Cluster(t)
	s := at(t, cluster.Addrs()[0])
	put(t, s, "{a}", rec("v", 1))
	put(t, s, "{a}2", rec("v", 1))
	slot := command(t, cluster.Nodes[0], "CLUSTER", "KEYSLOT", "{a}")
	from, to := -1, -1
	ids := make([]string, len(cluster.Nodes))
	for i, node := range cluster.Nodes {
		ids[i] = command(t, node, "CLUSTER", "MYID")
		if command(t, node, "CLUSTER", "COUNTKEYSINSLOT", slot) != "0" {
			from = i
		} else {
			to = i
		}
	}
	host, port, _ := strings.Cut(cluster.Nodes[to].Addr(), ":")
	command(t, cluster.Nodes[to], "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[from])
	command(t, cluster.Nodes[from], "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[to])
	command(t, cluster.Nodes[from], "MIGRATE", host, port, "corral:v:{a}", "0", "5000")
	want(t, s, "{a}", "v") // ASK
	want(t, s, "{a}2", "v")
	invalidate(t, s, 2, corral.Target{Keys: []string{"{a}"}})
	want(t, s, "{a}", "-")
	put(t, s, "{a}", rec("new", 2))
	command(t, cluster.Nodes[from], "MIGRATE", host, port, "corral:v:{a}2", "0", "5000")
	for _, i := range []int{to, from} {
		command(t, cluster.Nodes[i], "CLUSTER", "SETSLOT", slot, "NODE", ids[to])
	}
	want(t, s, "{a}", "new") // MOVED
	invalidate(t, s, 3, corral.Target{Keys: []string{"{a}2"}, Prefixes: []string{"{a}"}})
	want(t, s, "{a}", "-")
	want(t, s, "{a}2", "-")
}
