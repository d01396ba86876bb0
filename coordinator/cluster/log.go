package cluster

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// counters are what Status shows beside the state.
type counters struct {
	values, leases, unsent, renewals, renewalsFailed, invalidations   atomic.Uint64
	holderLost, superseded, lateRejoins, voidOutcomes, buried, lapses atomic.Uint64
	lost, adopted, unreachable, fenced, silent, notAcknowledged       atomic.Uint64

	handedOver, takenOver atomic.Uint64 // values, on planned moves

	recoveries      atomic.Uint64
	recoveryTime    atomic.Int64 // nanoseconds, of all together
	recoveryLongest atomic.Int64
	heard           atomic.Int64 // when the watch last told something
}

// recovered counts a recovery. It is called with the node's mu held.
func (c *counters) recovered(took time.Duration) {
	c.recoveries.Add(1)
	c.recoveryTime.Add(int64(took))
	c.recoveryLongest.Store(max(c.recoveryLongest.Load(), int64(took)))
}

// marginWindow is over what time the least margin is looked for, and at most
// twice that.
const marginWindow = 30 * time.Second

// A margin is the least that was left of the lease when it was extended, in this
// window and the one before. It is guarded by the node's mu.
type margin struct {
	until core.Time
	began core.Time // of the window
	least time.Duration
	prior time.Duration // least of the window before
}

// unknownMargin is that of a window without an extension.
const unknownMargin = time.Duration(math.MaxInt64)

// extend notes that the lease ends at until, as of now.
func (m *margin) extend(now, until core.Time) {
	if until == m.until {
		return
	}
	before := m.until
	m.until = until
	m.turn(now)
	if before == 0 || until < before {
		return // it begins, or is given up
	}
	m.least = min(m.least, max(before.Sub(now), 0))
}

// turn begins another window when the present one is over.
func (m *margin) turn(now core.Time) {
	switch age := now.Sub(m.began); {
	case m.began == 0 || age >= 2*marginWindow:
		m.began, m.least, m.prior = now, unknownMargin, unknownMargin
	case age >= marginWindow:
		m.began, m.least, m.prior = now, unknownMargin, m.least
	}
}

// seen is the least margin, as of now; present is what is left at this moment,
// which counts too: an extension that does not come has none.
func (m *margin) seen(now core.Time, present time.Duration) time.Duration {
	m.turn(now)
	return min(m.least, m.prior, present)
}

// tell counts what the core notes, and logs what an operator may want to know.
func (n *Node) tell(note core.Note) {
	switch note.What {
	case core.NoteLapsed:
		if n.leaving {
			return // it is given up
		}
		n.n.lapses.Add(1)
		n.say(saysLapsed)
	case core.NoteRestored:
		n.log.Info("this node has a lease", "after", note.Took.String())
	case core.NoteBuried:
		n.n.buried.Add(1)
		n.say(saysBuried, "node", note.Node.String())
	case core.NoteTookOver:
		n.log.Info("keys have come to this node")
	case core.NoteActive:
		n.n.recovered(note.Took)
		n.log.Info("they are served", "after", note.Took.String())
	case core.NoteAdopted:
		n.n.adopted.Add(1)
	case core.NoteHolderLost:
		n.n.holderLost.Add(1)
	case core.NoteSuperseded:
		n.n.superseded.Add(1)
	case core.NoteLateRejoin:
		n.n.lateRejoins.Add(1)
	case core.NoteVoidOutcome:
		n.n.voidOutcomes.Add(1)
	case core.NoteUnreachable:
		n.n.unreachable.Add(1)
		n.quietly.say(saysUnreachable, errUnreachable, "node", note.Node.Name)
	case core.NoteOldTable:
		n.quietly.say(saysOldTable, errMalformed)
	case core.NoteInvalidation:
		n.n.silent.Add(1)
		n.quietly.say(saysSilent, errSilent, "node", note.Node.Name)
	case core.NoteFenced:
		if n.leaving {
			return // by its own tombstone
		}
		n.n.fenced.Add(1)
		n.say(saysFenced, "node", n.self.String())
	}
}
