package cluster

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// counters are what Status shows beside the state.
type counters struct {
	values, leases, unsent, renewals, renewalsFailed, writes, invalidations atomic.Uint64
	holderLost, superseded, lateRejoins, voidOutcomes, buried, lapses       atomic.Uint64
}

// logEvery is how often the same complaint is repeated.
const logEvery = 10 * time.Second

// once says the same thing once in logEvery.
type once struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]time.Time // by message: as many as there are in this package, and nodes
}

func (o *once) say(message string, cause error) {
	o.mu.Lock()
	now := time.Now()
	recent := now.Sub(o.last[message]) < logEvery && !o.last[message].IsZero()
	if !recent {
		if o.last == nil || len(o.last) > maxQuiet {
			o.last = map[string]time.Time{}
		}
		o.last[message] = now
	}
	o.mu.Unlock()
	if !recent {
		o.log.Warn(message, "cause", cause)
	}
}

// tell counts what the core notes, and logs what an operator may want to know.
func (n *Node) tell(note core.Note) {
	switch note.What {
	case core.NoteLapsed:
		n.n.lapses.Add(1)
		n.log.Warn("the lease of this node has run out: it answers and grants nothing until it is renewed")
	case core.NoteRestored:
		n.log.Info("this node has a lease", "after", note.Took)
	case core.NoteBuried:
		n.n.buried.Add(1)
		n.log.Warn("a node is silent: its partitions are given to others", "node", note.Node.String())
	case core.NoteTookOver:
		n.log.Info("partitions have come to this node")
	case core.NoteActive:
		n.log.Info("they are served", "after", note.Took)
	case core.NoteHolderLost:
		n.n.holderLost.Add(1)
	case core.NoteSuperseded:
		n.n.superseded.Add(1)
	case core.NoteLateRejoin:
		n.n.lateRejoins.Add(1)
	case core.NoteVoidOutcome:
		n.n.voidOutcomes.Add(1)
	case core.NoteUnreachable:
		n.quietly.say("the owner of keys cannot be reached: node "+note.Node.Name, errUnreachable)
	case core.NoteMalformed:
		n.quietly.say("what makes no sense was passed over, from node "+note.Node.Name, errMalformed)
	case core.NoteInvalidation:
		n.quietly.say("an invalidation was acknowledged only once the lease had run out of node "+note.Node.Name, errSilent)
	case core.NoteFenced:
		n.log.Warn("this node was taken for dead, and begins anew", "incarnation", n.self.Incarnation)
	}
}

// rates compares the other nodes' clocks with this one's.
type rates struct {
	mu sync.Mutex
	of map[core.Node]rate
}

// A rate is the first reading in a window, of both clocks.
type rate struct {
	theirs, ours core.Time
	said         bool
}

// rateWindow is over what time clocks are compared: what messages are delayed by
// is little in it.
const rateWindow = 60 * time.Second

// look compares a node's clock with this one's since the window began. Leases are
// safe as long as rates differ by less than g/L, 5 %; from half of that on it is
// said.
func (r *rates) look(n *Node, record core.NodeRecord) {
	if record.Clock == 0 || record.State == core.Tombstone {
		return
	}
	ours := boottime()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil || len(r.of) > maxQuiet {
		r.of = map[core.Node]rate{}
	}
	first, known := r.of[record.Node]
	if !known {
		r.of[record.Node] = rate{theirs: record.Clock, ours: ours}
		return
	}
	passed := ours.Sub(first.ours)
	if passed < rateWindow {
		return
	}
	drift := float64(record.Clock.Sub(first.theirs))/float64(passed) - 1
	if tolerated := float64(n.times.Guard) / float64(n.times.Lease); drift > tolerated/2 || drift < -tolerated/2 {
		n.quietly.say("the clock of a node runs at another rate than this one's: look at both machines: node "+record.Name, errClock)
	}
	r.of[record.Node] = rate{theirs: record.Clock, ours: ours}
}
