package cluster

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// rateWindow is over what time clocks are compared.
const rateWindow = time.Minute

// rateGap is how long nothing may be heard of a node within a window that counts.
// Records come every 400 ms; after a longer gap, on whichever side, they are late.
const rateGap = 2 * time.Second

// rates compares the rates of the other nodes' clocks with this one's. Leases are
// safe as long as they differ by less than the tolerance, g/L. Which of two clocks
// is wrong nobody can tell; of three, the one that differs from both others.
//
// A record shows its node's clock as of when it was sent, and is late by what it
// took to come here: never early. The one that was least late in a window is
// compared with that of the window before.
//
// Its zero value has seen nothing.
type rates struct {
	mu sync.Mutex
	of map[core.Node]*rate
}

// A rate is what is known of one node's clock. Ahead is by how much this node's
// clock is ahead of it.
type rate struct {
	began, last core.Time // of the window, and the last record in it, on this node's clock
	least       time.Duration
	before      time.Duration // least of the window before
	windows     int           // whole ones, one after another
	drift       float64       // known from the second on: how much faster the other clock is
}

// look takes in a record that shows its node's clock, at ours on this one's. It
// reports whether a window has ended with it.
func (r *rates) look(record core.NodeRecord, ours core.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.of, func(n core.Node, _ *rate) bool {
		return n.Name == record.Name && (n != record.Node || record.State == core.Tombstone)
	})
	if record.Clock == 0 || record.State == core.Tombstone {
		return false
	}
	if r.of == nil {
		r.of = map[core.Node]*rate{}
	}
	ahead := ours.Sub(record.Clock)
	c := r.of[record.Node]
	if c == nil || ours.Sub(c.last) > rateGap {
		r.of[record.Node] = &rate{began: ours, last: ours, least: ahead}
		return false
	}
	c.last = ours
	if ours.Sub(c.began) < rateWindow {
		c.least = min(c.least, ahead)
		return false
	}
	if c.windows > 0 {
		c.drift = float64(c.before-c.least) / float64(rateWindow)
	}
	c.before, c.windows = c.least, c.windows+1
	c.began, c.least = ours, ahead
	return true
}

// differ is the nodes whose clocks run at a rate that differs by more than the
// tolerance, and whether this node's own is to be doubted: it differs from more
// than half of the others, and from two at least.
func (r *rates) differ(tolerance float64) (names []string, doubted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	compared := 0
	for node, rate := range r.of {
		if rate.windows < 2 {
			continue
		}
		compared++
		if rate.drift > tolerance || rate.drift < -tolerance {
			names = append(names, node.Name)
		}
	}
	slices.Sort(names)
	return names, len(names) >= 2 && 2*len(names) > compared
}

// compare looks at a node's clock and says what is to be said.
func (n *Node) compare(record core.NodeRecord) {
	if record.Name == n.config.Name || !n.rates.look(record, boottime()) {
		return
	}
	names, doubted := n.rates.differ(float64(n.times.Guard) / float64(n.times.Lease))
	if len(names) > 0 && !doubted {
		n.quietly.say(saysClocks, errClock, "nodes", names)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if doubted != n.doubted {
		n.doubted = doubted
		if doubted {
			n.say(saysClock, "others", names)
		} else {
			n.log.Info("this machine's clock runs as the others' do again")
		}
		n.stepLocked(core.Doubted{Clock: doubted})
	}
}
