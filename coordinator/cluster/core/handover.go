package core

// A handover comes before a write that gives partitions away: what this node has
// kept of them is given to their next owners, so that a planned move costs no
// computation. It decides nothing: what the others are given they keep by the
// rule of revisions, as a mirror, and own it once the table says so. What lands
// here while it is under way, or does not fit into its time, is computed again
// when it is asked for.
//
//	it is     when                                        the write
//	none      nothing is to be given away
//	waiting   a next owner has no stream to this node     waits for it, for Times.Silence: it has just come
//	under way HandOver was said                           waits for HandedOver, for Times.Handover; what the table
//	                                                      gives away by then, and did not, is handed over next
//	over      either has come                             goes out
type handover struct {
	round uint64
	began Time // 0: none
	until Time // under way; 0: waiting
	over  bool
	given map[Gift]bool // what has been handed over, or is
}

// handOver leads a table that gives partitions away through their handover, and
// reports whether its write has to wait. A burial does not: what is dead owns
// nothing.
func (c *Core) handOver(next *Table, gives []uint32, bury []Burial) (wait bool) {
	h := &c.handover
	if len(gives) == 0 || len(bury) > 0 {
		h.end()
		return false
	}
	if h.until != 0 && !h.over && c.now < h.until && !broken(GiveWithoutHandover) {
		return true
	}
	if h.began == 0 {
		h.began, h.given = c.now, map[Gift]bool{}
	}
	gifts, apart := c.gifts(next, gives)
	if patience := h.began.Add(c.Times.Silence); apart && c.now < patience {
		c.timers.set(patience, timer{kind: proposeTimer})
		return true
	}
	if h.until == 0 {
		h.until = c.now.Add(c.Times.Handover)
		c.timers.set(h.until, timer{kind: proposeTimer})
	}
	if len(gifts) > 0 && c.now < h.until { // also those that are new since the first
		h.round++
		h.over = false
		for _, g := range gifts {
			h.given[g] = true
		}
		c.act(HandOver{h.round, gifts})
		return !broken(GiveWithoutHandover)
	}
	h.end()
	return false
}

// end is when the write goes out, or nothing is to be given away any more.
func (h *handover) end() { h.began, h.until, h.given = 0, 0, nil }

// gifts is who is still to be given what, as far as they can be reached, and
// whether there are others.
func (c *Core) gifts(next *Table, gives []uint32) (gifts []Gift, apart bool) {
	for _, p := range gives {
		switch to := c.alive(next.OwnerOf(int(p))); {
		case to == nil:
		case to.session == 0:
			apart = true
		case !c.handover.given[Gift{p, to.Node}]:
			gifts = append(gifts, Gift{p, to.Node})
		}
	}
	return gifts, apart
}

// handOverSoon looks again for a handover that has waited for a stream.
func (c *Core) handOverSoon() {
	if h := &c.handover; h.began != 0 && (h.until == 0 || h.over) {
		c.timers.set(c.now, timer{kind: proposeTimer})
	}
}

// handedOver goes on with the write.
func (c *Core) handedOver(e HandedOver) {
	if h := &c.handover; h.until != 0 && e.Round == h.round {
		h.over = true
		c.propose()
	}
}
