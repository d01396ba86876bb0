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
//	under way HandOver was said                           waits for HandedOver, for Times.Handover
//	over      either has come                             goes out
type handover struct {
	round uint64
	began Time // 0: none
	until Time // under way; 0: waiting
	over  bool
}

// handOver leads a table that gives partitions away through their handover, and
// reports whether its write has to wait. A burial does not: what is dead owns
// nothing.
func (c *Core) handOver(next *Table, gives []uint32, bury []Burial) (wait bool) {
	h := &c.handover
	if len(gives) == 0 || len(bury) > 0 {
		h.began, h.until = 0, 0
		return false
	}
	if h.began == 0 {
		h.began = c.now
	}
	if h.until == 0 {
		gifts, apart := c.gifts(next, gives)
		if patience := h.began.Add(c.Times.Silence); apart && c.now < patience {
			c.timers.set(patience, timer{kind: proposeTimer})
			return true
		}
		if len(gifts) > 0 {
			h.round++
			h.until, h.over = c.now.Add(c.Times.Handover), false
			c.act(HandOver{h.round, gifts})
			c.timers.set(h.until, timer{kind: proposeTimer})
		}
	}
	if !h.over && c.now < h.until && !broken(GiveWithoutHandover) {
		return true
	}
	h.began, h.until = 0, 0
	return false
}

// gifts is who is given what, as far as they can be reached, and whether there
// are others.
func (c *Core) gifts(next *Table, gives []uint32) (gifts []Gift, apart bool) {
	for _, p := range gives {
		switch to := c.alive(next.OwnerOf(int(p))); {
		case to == nil:
		case to.session == 0:
			apart = true
		default:
			gifts = append(gifts, Gift{p, to.Node})
		}
	}
	return gifts, apart
}

// handOverSoon looks again for a handover that has waited for a stream.
func (c *Core) handOverSoon() {
	if h := &c.handover; h.began != 0 && h.until == 0 {
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
