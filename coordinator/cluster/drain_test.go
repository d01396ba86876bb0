package cluster

import (
	"errors"
	"testing"
	"time"
)

// owning waits until the nodes own so many partitions each, as the first sees it.
func owning(t *testing.T, nodes []*Node, want ...int) {
	t.Helper()
	ctx := within(t)
	for {
		got := map[string]int{}
		for _, p := range nodes[0].Table() {
			got[p.Owner]++
		}
		right := true
		for i, n := range nodes {
			right = right && got[n.config.Name] == want[i] && n.Status().Owned == want[i]
		}
		if right {
			return
		}
		if pause(ctx, 5*time.Millisecond) != nil {
			t.Fatalf("partitions are owned like this: %v, want %v", got, want)
		}
	}
}

func TestADrainedNodeOwnsNothingAndServesAsBefore(t *testing.T) {
	nodes := joinAll(t, 3)
	o, began, gate := gated()
	caches := openAll(t, nodes, o)
	key := keyOwnedBy(t, nodes, nodes[2])
	first := ask(caches[0], t.Context(), key) // across the move
	wait(t, began, "the load")
	if err := nodes[0].Drain(within(t), "c"); err != nil {
		t.Fatal(err)
	}
	owning(t, nodes, 16, 16, 0)
	close(gate)
	if g := wait(t, first, "an answer"); g.err != nil || g.value != key+"#1" {
		t.Errorf("got %q, %v", g.value, g.err)
	}
	if g := wait(t, ask(caches[2], t.Context(), key), "an answer"); g.err != nil || g.value != key+"#1" {
		t.Errorf("the drained node answers %q, %v", g.value, g.err)
	}
	if g := wait(t, ask(caches[2], t.Context(), "another"), "an answer"); g.err != nil || g.value != "another#2" {
		t.Errorf("the drained node answers %q, %v", g.value, g.err)
	}
	for _, s := range nodes[1].Status().Nodes {
		if want := map[string]string{"a": "live", "b": "live", "c": "draining"}[s.Name]; s.State != want {
			t.Errorf("node %s is %s, want %s", s.Name, s.State, want)
		}
	}
	if err := nodes[1].Undrain(within(t), "c"); err != nil {
		t.Fatal(err)
	}
	connected(t, nodes)
	if calls := o.calls.Load(); calls != 2 {
		t.Errorf("%d loads, want 2", calls)
	}
}

func TestTheLastNodeThatOwnsKeysIsNotDrained(t *testing.T) {
	nodes := joinAll(t, 2)
	if err := nodes[0].Drain(within(t), ""); err != nil {
		t.Fatal(err)
	}
	owning(t, nodes, 0, 32)
	for i, drain := range []func() error{
		func() error { return nodes[0].Drain(within(t), "b") },
		func() error { return nodes[1].Drain(within(t), "b") },
	} {
		if err := drain(); !errors.Is(err, ErrLastOwner) {
			t.Errorf("drain %d = %v, want %v", i, err, ErrLastOwner)
		}
	}
	if err := nodes[0].Drain(within(t), "x"); !errors.Is(err, ErrUnknownNode) {
		t.Errorf("Drain of nobody = %v, want %v", err, ErrUnknownNode)
	}
	owning(t, nodes, 0, 32)
	if err := nodes[0].Close(); err != nil {
		t.Errorf("Close of a drained node = %v", err)
	}
}

func TestAnOrderIsForOneLifeOfANodeOfOneCluster(t *testing.T) {
	nodes := joinAll(t, 2)
	for _, theirs := range []string{
		`{"order":"drain","cluster":"another","node":"a","incarnation":1}`,
		`{"order":"drain","cluster":"` + nodes[0].cluster.UUID + `","node":"a","incarnation":7}`,
		`{"order":"drain","cluster":"` + nodes[0].cluster.UUID + `","node":"b","incarnation":1}`,
	} {
		if answer, err := nodes[0].contact(t.Context(), []byte(theirs)); err != nil || string(answer) != `{"refused":"unknown-node"}` {
			t.Errorf("%s is answered by %s, %v", theirs, answer, err)
		}
	}
	if answer, err := nodes[0].contact(t.Context(), []byte(`{"order":"halt"}`)); err != nil || string(answer) != `{"refused":"this node does not know the order \"halt\": update it"}` {
		t.Errorf("an order that is not known is answered by %s, %v", answer, err)
	}
}
