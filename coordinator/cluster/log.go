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
	values, leases, unsent, renewals, renewalsFailed, invalidations   atomic.Uint64
	holderLost, superseded, lateRejoins, voidOutcomes, buried, lapses atomic.Uint64
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
		if n.leaving {
			return // it is given up
		}
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
	case core.NoteOldTable:
		n.quietly.say("a table that is not newer than the one in force was passed over: was etcd put back from a backup?", errMalformed)
	case core.NoteInvalidation:
		n.quietly.say("an invalidation was acknowledged only once the lease had run out of node "+note.Node.Name, errSilent)
	case core.NoteFenced:
		if n.leaving {
			return // by its own tombstone
		}
		n.log.Warn("this node was taken for dead, and begins anew", "incarnation", n.self.Incarnation)
	}
}
