package core

import (
	"slices"
	"time"
)

// A renewal is what a node knows of its own lease.
type renewal struct {
	nonce   uint64          // the last one sent
	nonces  map[uint64]Time // of those whose answers may still come: t0
	pending []pendingLease
	last    Time   // t0 of the last that succeeded
	waiting bool   // for Renewed
	read    uint64 // the newest revision that the last that succeeded has read
}

// A pendingLease extends the lease once applied has caught up with what its
// renewal read (C2).
type pendingLease struct {
	t0   Time
	need uint64
}

// maxGap is how many times H may lie between two renewals of a taker before its
// timers begin anew. The others have seen no more than it of an outage of that
// length, 3 H and one H before it, and have renewed before L + g is over. An
// election of etcd is shorter, and must not make a dead node live longer.
const maxGap = 3

// maxRenewals is how many renewals without an answer are remembered.
const maxRenewals = 16

// renewDue sends a renewal: the instant of this Step is its t0.
func (c *Core) renewDue() {
	r := &c.renewal
	if r.waiting || c.leaving {
		return
	}
	r.waiting = true
	r.nonce++
	r.nonces[r.nonce] = c.now
	for nonce := range r.nonces {
		if nonce+maxRenewals <= r.nonce {
			delete(r.nonces, nonce)
		}
	}
	c.act(Renew{Nonce: r.nonce, Draining: c.draining})
}

// renewed takes in the answer to a renewal. The record may show the nonce of an
// earlier one, whose answer was lost: then the lease counts from that one's t0.
func (c *Core) renewed(e Renewed) {
	r := &c.renewal
	r.waiting = false
	if !e.OK {
		c.timers.set(c.now.Add(c.Times.Retry), timer{kind: renewTimer})
		return
	}
	if e.Gone {
		c.fence()
		return
	}
	if self := c.nodes[c.Self.Name]; self != nil && self.Node == c.Self {
		self.revision = max(self.revision, e.Record)
	}
	if c.draining {
		c.proposeSoon()
	}
	t0, known := r.nonces[e.Nonce]
	if e.Nonce != r.nonce || !known {
		c.timers.set(c.now, timer{kind: renewTimer})
	} else {
		c.timers.set(t0.Add(c.Times.Renew), timer{kind: renewTimer})
	}
	if !known {
		return
	}
	for nonce := range r.nonces {
		if nonce <= e.Nonce {
			delete(r.nonces, nonce)
		}
	}
	if t0.Sub(r.last) > maxGap*c.Times.Renew && !broken(TimersNotRestarted) {
		for _, n := range c.nodes {
			n.seen = c.now // an outage of ours says nothing about the others
		}
	}
	r.last, r.read = t0, max(e.Table, e.Inv, e.Record)
	if broken(LeaseFromAnswer) {
		t0 = c.now
	}
	r.pending = append(r.pending, pendingLease{t0, max(e.Table, e.Inv)})
	c.extendLease()
}

// extendLease extends the lease as far as what has been applied allows.
func (c *Core) extendLease() {
	r := &c.renewal
	if c.leaving || c.doubted {
		return
	}
	before := c.until
	r.pending = slices.DeleteFunc(r.pending, func(p pendingLease) bool {
		if p.need > c.applied && !broken(LeaseBeforeApplied) {
			return false
		}
		c.until = max(c.until, p.t0.Add(c.Times.Lease-c.Times.Guard))
		return true
	})
	if len(r.pending) > maxRenewals {
		r.pending = slices.Delete(r.pending, 0, len(r.pending)-maxRenewals)
	}
	if c.until == before {
		return
	}
	c.timers.set(c.until, timer{kind: lapseTimer})
	if c.restored != 0 && c.standing() {
		c.note(Note{What: NoteRestored, Took: c.now.Sub(c.restored)})
		c.restored = 0
		c.readmit()
		c.confirm()
		c.proposeSoon()
	}
}

// giveUpLease is the end of a node that leaves: before its tombstone is on its
// way, for then the others do not wait for it any more.
func (c *Core) giveUpLease() {
	c.leaving, c.until, c.renewal.pending = true, 0, nil
	c.lapse()
}

// lapse notices that the lease has run out. Who asked before it did keeps
// waiting where another node may answer; here nobody may.
func (c *Core) lapse() {
	if c.restored != 0 || c.standing() {
		return
	}
	c.restored = c.now
	if !c.leaving {
		c.note(Note{What: NoteLapsed})
	}
	for _, id := range inOrder(c.asks) {
		a := c.asks[id]
		if a.sent == (Node{}) || a.sent == c.Self && a.on == (Flight{}) {
			if a.sent == c.Self {
				c.send(c.Self, Leave{a.ID})
			}
			c.answer(a, Answered{Kind: KindUnavailable})
		}
	}
}

// fence ends this incarnation: the others take it for dead.
func (c *Core) fence() {
	if c.fenced {
		return
	}
	if !c.leaving {
		c.note(Note{What: NoteFenced})
	}
	for _, id := range inOrder(c.asks) {
		c.answer(c.asks[id], Answered{Kind: KindUnavailable})
	}
	for _, id := range flightsInOrder(c.held) {
		c.lose(c.held[id])
	}
	c.fenced = true
	if c.draining && !c.staying {
		c.act(Drained{})
	}
	c.act(Fenced{})
}

// watchOver sets the timer that buries a node which does not renew.
func (c *Core) watchOver(n *node) {
	if n.timed || n.dead() || n.Node == c.Self {
		return
	}
	n.timed = true
	c.timers.set(n.seen.Add(c.patience()), timer{kind: takerTimer, name: n.Name, id: n.Incarnation})
}

// takerDue buries a node of which one revision has been seen for L + g, by a
// node that renews itself.
func (c *Core) takerDue(name string, incarnation uint64) {
	n := c.nodes[name]
	if n.Incarnation != incarnation || n.dead() {
		return
	}
	n.timed = false
	silent := c.now.Sub(n.seen)
	switch {
	case silent < c.patience():
		c.watchOver(n)
	case !c.silent(n) || c.write != nil || c.draining && !c.staying:
		n.timed = true
		c.timers.set(c.now.Add(c.Times.Retry), timer{kind: takerTimer, name: name, id: incarnation})
	default:
		n.timed = true
		c.timers.set(c.now.Add(c.Times.Renew), timer{kind: takerTimer, name: name, id: incarnation}) // if this write fails
		c.propose()
	}
}

// silent reports whether a node is to be buried. A node that does not renew
// itself, or whose watch is behind, cannot tell.
func (c *Core) silent(n *node) bool {
	if n.dead() || n.Node == c.Self || c.now.Sub(n.seen) < c.patience() || !c.standing() {
		return false
	}
	renews := c.now.Sub(c.renewal.last) <= 2*c.Times.Renew && c.renewal.read <= c.applied
	return renews || broken(TimersNotRestarted)
}

// patience is for how long one revision of a record is seen before its node is
// buried: the lease that it stands for is over by then, on any clock.
func (c *Core) patience() time.Duration {
	if broken(TakerTooEarly) {
		return c.Times.Lease / 2
	}
	return c.Times.Lease + c.Times.Guard
}
