package faults_test

import (
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// F8, in figures: all nodes restart, one after the other, under load. With etcd in
// them, a member restarts too.
func TestARollingRestartUnderLoadAddsLittleToAnyRequest(t *testing.T) {
	for _, where := range []struct {
		name    string
		options []func(*cluster)
	}{{"etcd in the nodes", nil}, {"etcd elsewhere", []func(*cluster){withEtcd}}} {
		t.Run(where.name, func(t *testing.T) {
			c := start(t, 3, onLoopback, where.options...)
			r := newReport(t, "F8, under load, "+where.name)
			c.trials(r, rounds(1, 10), func(t testing.TB, _ int) {
				warm, s := c.warm(r), c.steady()
				time.Sleep(500 * time.Millisecond)
				for _, n := range c.nodes {
					n.rest()
					n.send(faults.Command{Do: faults.Close}).must(t)
					<-n.ended
					n.begin()
					c.awaitWhole()
					s.play(n)
					c.stillWarm(r, warm)
				}
				time.Sleep(500 * time.Millisecond)
				s.end(t, r)
			})
			r.wantNoErrors()
			r.wantWithin("added to a request", generously(time.Second))
		})
	}
}

// generously is a bound for machines that have something else to do as well;
// the full form holds the nodes to their own.
func generously(bound time.Duration) time.Duration {
	if soak {
		return bound
	}
	return 3 * bound
}

// F9. A node more, a node less, and one that is drained and owns again.
func TestPlannedMovesCostNothingAndMoveLittle(t *testing.T) {
	c := start(t, 3, onLoopback, withEtcd)
	r := newReport(t, "F9")
	c.trials(r, rounds(1, 10), func(t testing.TB, _ int) {
		before, warm, s := c.owners(), c.warm(r), c.steady()
		joins := c.add()
		joins.begin()
		c.awaitWhole()
		s.play(joins)
		r.moved(before, c.owners(), len(before)/len(c.nodes))
		time.Sleep(300 * time.Millisecond)

		c.stillWarm(r, warm)
		c.drained(r, joins)
		c.stillWarm(r, warm)

		before = c.owners()
		joins.rest()
		joins.send(faults.Command{Do: faults.Close}).must(t)
		<-joins.ended
		c.nodes = c.others(joins)
		c.awaitWhole()
		r.moved(before, c.owners(), owned(before, joins))
		c.stillWarm(r, warm)
		time.Sleep(300 * time.Millisecond)
		s.end(t, r)
	})
	r.wantNoErrors()
	r.wantWithin("added to a request", generously(300*time.Millisecond))
	r.note("%d partitions moved, the least is %d", r.moves, r.leastMoves)
	if float64(r.moves) > 1.1*float64(r.leastMoves) {
		t.Errorf("%d partitions moved, want at most 1.1 × %d", r.moves, r.leastMoves)
	}
}

// drained lets one node have another drained, and own again.
func (c *cluster) drained(r *report, n *node) {
	c.t.Helper()
	by, before := c.nodes[0], c.owners()
	by.send(faults.Command{Do: faults.Drain, Key: n.name}).must(c.t)
	await(c.t, "a drained node owns nothing", func() bool { return owned(c.owners(), n) == 0 })
	without := c.owners()
	r.moved(before, without, owned(before, n))
	time.Sleep(300 * time.Millisecond)
	by.send(faults.Command{Do: faults.Undrain, Key: n.name}).must(c.t)
	c.awaitWhole()
	r.moved(without, c.owners(), len(before)/len(c.nodes))
}

// owners are the nodes by partition, as the first one knows them.
func (c *cluster) owners() []string {
	return c.nodes[0].send(faults.Command{Do: faults.Owners}).must(c.t).Owners
}

func owned(owners []string, n *node) (count int) {
	for _, name := range owners {
		if name == n.name {
			count++
		}
	}
	return count
}

// moved counts partitions that have another owner, beside the least that must.
func (r *report) moved(before, after []string, least int) {
	for p := range before {
		if before[p] != after[p] {
			r.moves++
		}
	}
	r.leastMoves += least
}
