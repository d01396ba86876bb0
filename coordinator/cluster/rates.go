package cluster

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// rateWindow is over what time clocks are compared: what records are delayed by
// on their way is little in it.
const rateWindow = time.Minute

// rates compares the rates of the other nodes' clocks with this one's. Leases are
// safe as long as they differ by less than the tolerance, g/L. Which of two clocks
// is wrong nobody can tell; of three, the one that differs from both others.
//
// Its zero value has seen nothing. It is for one goroutine at a time.
type rates struct {
	mu sync.Mutex
	of map[core.Node]rate
}

// A rate is the beginning of a window, on both clocks, and by how much the other
// clock was faster in the window before.
type rate struct {
	theirs, ours core.Time
	drift        float64
	known        bool
}

// look takes in a record that shows its node's clock, at ours on this one's. It
// reports whether a window has ended with it.
func (r *rates) look(record core.NodeRecord, ours core.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.of, func(n core.Node, _ rate) bool {
		return n.Name == record.Name && (n != record.Node || record.State == core.Tombstone)
	})
	if record.Clock == 0 || record.State == core.Tombstone {
		return false
	}
	if r.of == nil {
		r.of = map[core.Node]rate{}
	}
	begun, known := r.of[record.Node]
	if !known {
		r.of[record.Node] = rate{theirs: record.Clock, ours: ours}
		return false
	}
	passed := ours.Sub(begun.ours)
	if passed < rateWindow {
		return false
	}
	drift := float64(record.Clock.Sub(begun.theirs)-passed) / float64(passed)
	r.of[record.Node] = rate{theirs: record.Clock, ours: ours, drift: drift, known: true}
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
		if !rate.known {
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
		n.quietly.say("the clock of a node runs at another rate than this one's, by more than leases tolerate: look at both machines: "+strings.Join(names, ", "), errClock)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if doubted != n.doubted {
		n.doubted = doubted
		if doubted {
			n.log.Error("this machine's clock runs at another rate than most others', by more than leases tolerate: the node gives its lease up until it is mended", "others", names)
		} else {
			n.log.Info("this machine's clock runs as the others' do again")
		}
		n.stepLocked(core.Doubted{Clock: doubted})
	}
}
