package faults_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// F12. Everything that is read, at all nodes, is what a register may give, while
// keys are changed and invalidated by key, tag and all, or set, in the middle of
// flights, and while owners are killed, stand still and are cut off.
func TestEveryKeyIsARegisterWhateverFails(t *testing.T) {
	c, cuts := startWherePartitionsAre(t)
	c.origin.slow, c.origin.uneven = 2*time.Millisecond, 20*time.Millisecond
	r := newReport(t, "F12")
	wanted, rate := 20_000, 500.0
	if soak {
		wanted, rate = 1_000_000, 1500
	}
	for round := 0; r.operations < wanted && !t.Failed(); round++ {
		c.trials(r, 1, func(t testing.TB, _ int) {
			g := c.newGame(rate)
			g.begin()
			time.Sleep(time.Second)
			g.kill(c.anyone(), round%2 == 0)
			g.pause(c.anyone(), briefly())
			g.pause(c.anyone(), long())
			if cuts {
				all := partitions()
				g.part(all[(2*round)%len(all)])
				g.part(all[(2*round+3)%len(all)])
			}
			g.end()
			r.operations += g.judge(t, r)
		})
	}
	r.note("%d operations; acknowledged were %v, unknown %d", r.operations, r.acked, r.unknown)
	for _, word := range []string{faults.Invalidate, faults.InvalidateTag, faults.InvalidateAll, faults.Set} {
		if r.acked[word] == 0 {
			t.Errorf("acknowledged were %v: no %q", r.acked, word)
		}
	}
}

// startWherePartitionsAre is five nodes in namespaces, or on loopback, where they
// cannot be cut off.
func startWherePartitionsAre(t testing.TB, options ...func(*cluster)) (c *cluster, cuts bool) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil || os.Getuid() != 0 {
		t.Log("without root and nftables: nodes are killed and stopped, and not cut off")
		return start(t, 5, onLoopback, options...), false
	}
	return start(t, 5, bridged(t).host, options...), true
}

// anyone is a node by chance.
func (c *cluster) anyone() *node { return c.nodes[rand.N(len(c.nodes))] }

// kill is F1 for one node, restarted at once or when it has been buried.
func (g *game) kill(n *node, atOnce bool) {
	n.process.kill()
	if !atOnce {
		time.Sleep(lease + 2*guard)
	}
	n.begin()
	g.c.awaitWhole()
	g.play(n)
	time.Sleep(500 * time.Millisecond)
}

// pause is F5.
func (g *game) pause(n *node, lasts time.Duration) {
	n.signal(syscall.SIGSTOP)
	time.Sleep(lasts)
	n.signal(syscall.SIGCONT)
	time.Sleep(500 * time.Millisecond)
	g.c.awaitWhole()
}

// briefly is a pause from which a node wakes with a lease, and with invalidations
// and requests in its mailbox; long is one after which it may have been buried.
func briefly() time.Duration { return 200*time.Millisecond + rand.N(1200*time.Millisecond) }
func long() time.Duration    { return lease + rand.N(2*time.Second) }

// part is F6.
func (g *game) part(p partition) {
	defer g.c.awaitWhole()
	for _, n := range p.cut(g.c) {
		defer n.drop()
	}
	time.Sleep(lease + time.Second + rand.N(time.Second))
}
