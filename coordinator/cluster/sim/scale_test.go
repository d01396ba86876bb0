//go:build sim

package sim

import (
	"fmt"
	"testing"
	"time"
)

// still is a plan of so many nodes to which nothing happens.
func still(nodes, keys int) Plan {
	return Plan{
		Seed: 1, Theme: "still", Nodes: nodes, Start: nodes, Partitions: 1024, Keys: keys, Locks: true,
		Latency: 100 * time.Microsecond, Jitter: 100 * time.Microsecond, EtcdTakes: 2 * time.Millisecond, Lag: time.Millisecond,
		LoadTime: 10 * time.Second, LoadTakes: 10 * time.Millisecond, Fresh: time.Hour, Rates: make([]float64, nodes),
	}
}

// TestTrafficAsNodesGrow measures what a cluster says to itself: at rest, for a
// get of a value that its owner has, and for one that has to be computed. A get
// costs the same whatever the number of nodes; at rest the nodes are silent but
// for their renewals at etcd, each of which every node's watch tells it.
func TestTrafficAsNodesGrow(t *testing.T) {
	t.Logf("%6s %18s %18s %18s %14s %14s", "nodes", "at rest, msg/s", "etcd writes/s", "watch events/s", "msg/cold get", "msg/warm get")
	t.Logf("%6s %18s %18s %18s %14s %14s", "", "per node", "per node", "per node", "", "")
	for _, nodes := range []int{10, 30, 100} {
		const keys = 200
		w := newWorld(still(nodes, keys), nil)
		for i, m := range w.machines {
			w.at(time.Duration(i)*10*time.Millisecond, m.start)
		}
		during := func(d time.Duration) Traffic {
			before := w.traffic
			w.run(w.now + d)
			after := w.traffic
			return Traffic{Messages: after.Messages - before.Messages, Writes: after.Writes - before.Writes, Changes: after.Changes - before.Changes, Gets: after.Gets - before.Gets}
		}
		idle := func() { w.at(w.now+time.Minute, func() {}) } // so that time passes
		idle()
		during(6 * time.Second)
		rest := during(4 * time.Second)
		each := float64(nodes) * 4
		for k, key := range w.plan.keys() {
			w.after(time.Duration(k)*5*time.Millisecond, func() { w.caller(w.machines[k%nodes].process, &get{key: key}, time.Second) })
		}
		cold := during(2 * time.Second)
		for k, key := range w.plan.keys() {
			for i := 1; i < 6; i++ {
				w.after(time.Duration(k)*5*time.Millisecond, func() { w.caller(w.machines[(k+i)%nodes].process, &get{key: key}, time.Second) })
			}
		}
		warm := during(2 * time.Second)
		if w.judge.verdict != nil {
			t.Fatalf("%d nodes: %v", nodes, w.judge.verdict)
		}
		perCold, perWarm := float64(cold.Messages)/float64(cold.Gets), float64(warm.Messages)/float64(warm.Gets)
		t.Logf("%6d %18.2f %18.2f %18.1f %14.2f %14.2f", nodes, float64(rest.Messages)/each, float64(rest.Writes)/each, float64(rest.Changes)/each, perCold, perWarm)
		if rest.Messages != 0 {
			t.Errorf("%d nodes send %d messages in 4 s at rest, want none", nodes, rest.Messages)
		}
		if loads := fmt.Sprint(len(w.origin.loads)); loads != fmt.Sprint(keys) {
			t.Errorf("%d nodes: %s loads of %d keys", nodes, loads, keys)
		}
		if perCold > 8 || perWarm > 2 {
			t.Errorf("%d nodes: %.2f messages a cold get and %.2f a warm one, want at most 8 and 2", nodes, perCold, perWarm)
		}
	}
}
