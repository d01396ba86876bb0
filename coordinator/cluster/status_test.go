package cluster

import (
	"reflect"
	"testing"
	"time"
)

func TestTheOwnerOfAKeySaysWhoComputesItAndHowManyWait(t *testing.T) {
	nodes := joinAll(t, 3)
	o, began, gate := gated()
	caches := openAll(t, nodes, o)
	owner, holder := nodes[0], nodes[1]
	key := keyOwnedBy(t, nodes, owner)
	ownership := func(n *Node) KeyStatus {
		p := n.partition("test" + separator + key)
		return KeyStatus{Partition: p, Owner: "a", Incarnation: 1, Generation: n.Table()[p].Generation}
	}
	idle := ownership(owner)
	if got := owner.Find("test", key); got != idle {
		t.Errorf("before: %+v, want %+v", got, idle)
	}
	first := ask(caches[1], within(t), key)
	wait(t, began, "the load")
	second := ask(caches[2], within(t), key)
	parked(t, owner, 1)
	busy := idle
	busy.Loading, busy.Holder, busy.Waiters = true, "b", 1
	if got := owner.Find("test", key); got != busy {
		t.Errorf("at the owner: %+v, want %+v", got, busy)
	}
	if got := holder.Find("test", key); got != idle {
		t.Errorf("at another node: %+v, want %+v", got, idle)
	}
	close(gate)
	wait(t, first, "an answer")
	wait(t, second, "an answer")
	eventually(t, "the flight to end", func() bool { return owner.Find("test", key) == idle })
}

func TestANodeShowsTheMembersOfItsEtcd(t *testing.T) {
	n := join(t, startEtcd(t), "a", nil)
	members, err := n.EtcdMembers(within(t))
	if err != nil || len(members) != 1 {
		t.Fatalf("%d members, %v", len(members), err)
	}
	m := members[0]
	if m.Took <= 0 || m.Took > time.Second || m.Bytes == 0 || m.Version == "" || m.Peer == "" || m.Client == "" {
		t.Errorf("the member is %+v", m)
	}
	m.Took, m.Bytes, m.Version, m.Peer, m.Client = 0, 0, "", "", ""
	if want := (EtcdMember{Name: "m", Reachable: true, Leader: true, Led: true}); !reflect.DeepEqual(m, want) {
		t.Errorf("the member is %+v, want %+v", m, want)
	}
}
