package core

import "time"

// marks are the keys that rest after a failure, or pass: who comes is answered
// without a load. Only owners have them.
type marks struct {
	of    map[string]mark
	queue []marked // in the order of setting
}

// A mark answers for a key until it ends or the key is invalidated.
type mark struct {
	until   Time
	since   uint64
	kind    Kind // KindPass or KindError
	failure Failure
	order   uint64
}

type marked struct {
	key   string
	order uint64
}

// put marks a key. The oldest mark makes room.
func (m *marks) put(c *Core, key string, at mark, lasts time.Duration) {
	if lasts <= 0 {
		return
	}
	if m.of == nil {
		m.of = map[string]mark{}
	}
	for len(m.of) >= c.Limits.Marks && len(m.queue) > 0 {
		m.dropFirst()
	}
	if len(m.queue) > 2*c.Limits.Marks {
		m.tidy()
	}
	c.timers.count++
	at.order, at.until = c.timers.count, c.now.Add(lasts)
	m.of[key] = at
	m.queue = append(m.queue, marked{key, at.order})
	c.timers.set(at.until, timer{kind: markTimer})
}

func (m *marks) dropFirst() {
	first := m.queue[0]
	m.queue = m.queue[1:]
	if m.of[first.key].order == first.order {
		delete(m.of, first.key)
	}
}

// tidy drops what marks that were replaced have left in the queue.
func (m *marks) tidy() {
	kept := m.queue[:0]
	for _, q := range m.queue {
		if m.of[q.key].order == q.order {
			kept = append(kept, q)
		}
	}
	m.queue = kept
}

// find is the mark of a key that answers a caller who arrived at since.
func (m *marks) find(c *Core, key string, since uint64) (mark, bool) {
	at, ok := m.of[key]
	if !ok || c.now >= at.until || !c.Shelf.Untouched(key, nil, at.since, since) {
		return mark{}, false
	}
	at.failure.RetryAfter = at.until.Sub(c.now)
	return at, true
}

// expire drops the marks that have ended, as far as they are the oldest.
func (m *marks) expire(c *Core) {
	for len(m.queue) > 0 {
		first := m.queue[0]
		at, ok := m.of[first.key]
		if ok && at.order == first.order && c.now < at.until {
			return
		}
		m.dropFirst()
	}
	m.queue = nil
}

// drop forgets the marks of partitions that are not ours any more.
func (m *marks) drop(c *Core, parts map[uint32]bool) {
	for key := range m.of {
		if parts[c.part(key)] {
			delete(m.of, key)
		}
	}
}

func (c *Core) replyMark(w *waiter, m mark) {
	switch {
	case m.kind == KindError:
		c.reply(w, Reply{Kind: KindError, Failure: m.failure})
	case w.Lapsed:
		c.reply(w, Reply{Kind: KindUnavailable})
	default:
		c.reply(w, Reply{Kind: KindPass})
	}
}
