package corral

import (
	"container/list"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// mirrorWindow is within which time a second ask of a key that this process does
// not own earns the key's value a mirror.
const mirrorWindow = time.Second

// askSlots is of how many keys the last ask is remembered, by a hash. A key that
// shares its slot with others may earn a mirror later, and one that shares
// askTag with the one before it may earn it too early: that costs or spares a
// message to the owner, and nothing else.
const askSlots = 1 << 14

// mirrorBytes is what a mirror costs beside its entry: its place in the order.
const mirrorBytes = 96

// mirrors are the values that are kept here and that another process owns, by
// the word of the Keeper. They are kept, and answer, as any value; they are
// apart only in what makes room for them.
//
// A value whose key this process does not own becomes a mirror once the key has
// been asked for twice within mirrorWindow here: callers who join a flight count,
// hits do not. A refresh of a mirror is one again. Any other is given to those
// who wait for it and leaves no entry behind: it is unmirrored. Its owner and
// the stores are given it all the same.
//
//	M1. Nothing unmirrored is in an entry, but a body that was computed here,
//	    while it arrives: whoever waits elsewhere fetches it from here. It is let
//	    go when it has ended, unless somebody here has asked again.
//	M2. bytes is what all mirrors weigh and what is admitted, and never above
//	    limit: there is room before a value can be read.
//	M3. Each mirror stands once in order, the one kept longest ago in front, which
//	    is the first to go. What an entry lets go of for any reason has left order
//	    by then.
//	M4. What the Keeper puts on the shelf is owned, whatever Owns says: a Keeper
//	    keeps what it owns.
//
// What Validate keeps and what a load was given to be validated stays until the
// load has landed, for no owner has the one and a failing load needs the other;
// the second counts as a mirror. A value that was kept while its key was owned
// stays when the key moves, until it leaves as any other.
type mirrors[V any] struct {
	limit int64                    // Options.MirrorBytes
	asks  *[askSlots]atomic.Uint64 // nil without a Keeper

	mu    sync.Mutex // taken last: after an entry's and the table's
	bytes int64
	order list.List // of mirror[V]
	at    map[*entry[V]]*list.Element

	kept, passedBy, outgrown counter
}

func (m *mirrors[V]) open(limit int64) {
	m.limit, m.asks, m.at = limit, new([askSlots]atomic.Uint64), map[*entry[V]]*list.Element{}
}

type mirror[V any] struct {
	e      *entry[V]
	weight int64
}

// Of a slot, the upper bits are a part of the key's hash and the lower ones the
// time of its last ask, in microseconds, which come round every twelve days.
const askTimeBits = 40

// asked notes that a key was asked for and reports whether it was before, within
// mirrorWindow.
func (m *mirrors[V]) asked(hash uint64, now int64) bool {
	const times = 1<<askTimeBits - 1
	at := uint64(now/int64(time.Microsecond)) & times
	tag := hash >> askTimeBits << askTimeBits
	before := m.asks[hash%askSlots].Swap(tag | at)
	const window = uint64(mirrorWindow / time.Microsecond)
	return before != 0 && before&^times == tag && (at-before+window)&times <= 2*window // two at once may come in either order
}

// earns notes the ask of a caller who was not answered by a fresh value, and
// reports whether it earns a mirror for what comes. A caller counts once.
func (c *Cache[V]) earns(q *query[V]) bool {
	if q.noted || c.owns(q.key) {
		return q.earned
	}
	q.noted, q.earned = true, c.mirrors.asked(maphash.String(c.rules.seed, q.key), c.now())
	return q.earned
}

// stampMirror marks a record that no entry has yet as one of a key that this
// process does not own, and reports whether it is (M4).
func (c *Cache[V]) stampMirror(key string, r *record[V]) bool {
	if r.is(unasked) || c.owns(key) {
		return false
	}
	r.stamp |= mirrored
	return true
}

// passBy counts a value that is not kept because it has earned no mirror, or has
// no room among them.
func (m *mirrors[V]) passBy(unmirrored bool) bool {
	if unmirrored {
		m.passedBy.inc()
	}
	return unmirrored
}

// admitMirror makes room for an entry's mirror (M2). If it reports true,
// enterLocked or refuse follows. What the entry has been counted for before is
// not any more: the new value takes its place.
func (c *Cache[V]) admitMirror(e *entry[V], weight int64) bool {
	m := &c.mirrors
	for {
		oldest, admitted := m.admit(e, weight)
		if oldest == nil {
			return admitted
		}
		other := oldest.Value.(mirror[V]).e
		var left *record[V]
		c.table.DropIf(other, func() bool {
			if !m.stands(other, oldest) {
				return false // somebody was faster
			}
			left = other.swap(c, nil, nil)
			return true
		})
		if left != nil {
			m.outgrown.inc()
			c.removeLater(other.node.Key(), left, Evicted)
		}
	}
}

// admit counts a mirror that is to come, or names the one that has to go first.
func (m *mirrors[V]) admit(e *entry[V], weight int64) (oldest *list.Element, admitted bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeLocked(e)
	if weight > m.limit {
		return nil, false
	}
	if m.bytes > m.limit-weight && m.order.Len() > 0 {
		return m.order.Front(), false
	}
	if m.bytes > m.limit-weight { // by what is admitted and has not come yet
		return nil, false
	}
	m.bytes += weight
	return nil, true
}

func (m *mirrors[V]) stands(e *entry[V], at *list.Element) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at[e] == at
}

// enter says that what was admitted can be read now. Called under the table's lock.
func (m *mirrors[V]) enter(e *entry[V], weight int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at[e] = m.order.PushBack(mirror[V]{e, weight})
	m.kept.inc()
}

// refuse says that what was admitted does not come.
func (m *mirrors[V]) refuse(weight int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes -= weight
}

// leave says that an entry's mirror cannot be read any more (M3). Called under
// the table's lock.
func (m *mirrors[V]) leave(e *entry[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.removeLocked(e)
}

func (m *mirrors[V]) removeLocked(e *entry[V]) {
	if at := m.at[e]; at != nil {
		m.bytes -= m.order.Remove(at).(mirror[V]).weight
		delete(m.at, e)
	}
}

// held is how many mirrors there are, and what they weigh.
func (m *mirrors[V]) held() (n int, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.order.Len(), m.bytes
}
