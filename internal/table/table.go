package table

import (
	"iter"
	"sync"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v4"
)

// Config says what a Table needs to know of its entries.
type Config[E any] struct {
	// MaxBytes bounds the weights of all values plus what is reserved. It must
	// be above 0; math.MaxInt64 stands for no bound.
	MaxBytes int64
	// Node returns the node inside an entry. It must be the same one at every call.
	Node func(*E) *Node[E]
	// Evict clears the value of an entry that the policy takes. It is called
	// under the table's lock, before the bytes are given to another value, and
	// must not call the table or take an entry's lock.
	Evict func(*E)
}

// A Table maps keys to entries and bounds the bytes of their values.
//
// Invariants, while mu is free unless they say more:
//
//	T1. kept + reserved <= MaxBytes, also at every call of Put.Publish, which makes a
//	    value of the new weight visible: room is made, and Evict has cleared what
//	    was there, before weight is added.
//	T2. An entry has weight above 0 if and only if it is on exactly one list, and
//	    kept is the sum of those weights.
//	T3. At most one entry that is not dead has a given key, and it is the one in the index.
//	T4. An entry that was added is in the index if and only if it is pinned or has weight.
//	T5. Eviction takes values, never pinned entries: a pinned entry stays in the index.
//	T6. A dead entry is never in the index again and never has weight again.
//	T7. Put does not evict the value of the entry that it is for, and a Put that
//	    reports false leaves that value as it was.
//	T8. Evict is called exactly once for each value that the policy takes, and
//	    never for one that Put replaces or Drop clears.
//	T9. Get, Touch and All take no lock; Get and Touch do not allocate.
type Table[E any] struct {
	node     func(*E) *Node[E]
	onEvict  func(*E)
	maxBytes int64
	index    *xsync.Map[string, *E]

	// mu guards what is not a hit. The order of locks is: an entry's own, mu,
	// a bucket of the index.
	mu     sync.Mutex
	policy policy[E]

	// Written under mu, read anywhere.
	kept, reserved, evicted atomic.Int64
}

// New returns an empty table.
func New[E any](c Config[E]) *Table[E] {
	if c.MaxBytes < 1 {
		panic("table: Config.MaxBytes is below 1")
	}
	t := &Table[E]{
		node:     c.Node,
		onEvict:  c.Evict,
		maxBytes: c.MaxBytes,
		index:    xsync.NewMap[string, *E](),
	}
	t.policy.init(c.Node)
	return t
}

// Get returns the entry of key, nil if there is none. It is not a hit until
// the caller says so with Touch.
func (t *Table[E]) Get(key string) *E {
	e, _ := t.index.Load(key)
	return e
}

// GetOrAdd returns the entry of key. If there is none it takes one from add
// and reports so; that one is pinned and has no value. Add is called under a
// lock of the index, must not panic and must not call the table.
func (t *Table[E]) GetOrAdd(key string, add func() *E) (e *E, added bool) {
	e, found := t.index.LoadOrCompute(key, func() (*E, bool) {
		e := add()
		n := t.node(e)
		n.key, n.pinned = key, true
		return e, false
	})
	return e, !found
}

// Pin keeps e in the index until Unpin, whether or not it loses its value. It
// reports false if e is dead. Pins are not counted: an entry has at most one
// flight, and that is what pins it.
func (t *Table[E]) Pin(e *E) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.node(e)
	if n.list == dead {
		return false
	}
	n.pinned = true
	return true
}

// Unpin ends Pin and GetOrAdd's pin. If e has no value it dies.
func (t *Table[E]) Unpin(e *E) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unpinLocked(e)
}

// A Put is a value on its way into the table.
type Put struct {
	// Weight is the value's size in bytes. Below 1 counts as 1.
	Weight int64
	// Release is what of the reserved bytes the value takes with it, as by Release.
	Release int64
	// Unpin ends the entry's pin as well.
	Unpin bool
	// Publish makes the value visible. It is called once, under the table's
	// lock, and must not call the table.
	Publish func()
}

// Put gives e the value that p publishes, in place of the one that it has, and
// evicts values of others until it fits. It reports false, and publishes
// nothing, if e is dead or if Weight and what remains reserved exceed MaxBytes.
//
// Release and Unpin are carried out whatever the answer: the flight is over
// either way, and one call settles it.
func (t *Table[E]) Put(e *E, p Put) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.releaseLocked(p.Release)
	kept := t.putLocked(e, max(p.Weight, 1), p.Publish)
	if p.Unpin {
		t.unpinLocked(e)
	}
	return kept
}

// Drop takes e's value, which clear makes invisible under the table's lock. If
// e is not pinned it dies. Drop reports false, without calling clear, if e is
// dead already.
func (t *Table[E]) Drop(e *E, clear func()) bool {
	return t.DropIf(e, func() bool {
		clear()
		return true
	})
}

// DropIf is Drop, unless clear reports that it has let the value stay.
func (t *Table[E]) DropIf(e *E, clear func() bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.node(e)
	if n.list == dead || !clear() {
		return false
	}
	if n.weight > 0 {
		t.policy.remove(e)
		t.unweighLocked(e)
	}
	t.buryLocked(e)
	return true
}

// Update runs f under the table's lock, for changes to a value that leave its
// weight alone. It reports false, without calling f, if e is dead.
func (t *Table[E]) Update(e *E, f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.node(e).list == dead {
		return false
	}
	f()
	return true
}

// Reserve counts n bytes, at least 0, against MaxBytes that are in flight, and
// evicts values to make room. It reports false, and reserves nothing, if
// reservations alone would exceed MaxBytes.
func (t *Table[E]) Reserve(n int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n > t.room() {
		return false
	}
	t.makeRoomLocked(n, 0, nil)
	t.reserved.Add(n)
	return true
}

// Release gives back n bytes of what is reserved.
func (t *Table[E]) Release(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.releaseLocked(n)
}

// All yields the entries, those without a value too, in no particular order. It
// takes no lock: what comes or goes meanwhile may be missed, or seen twice.
func (t *Table[E]) All() iter.Seq[*E] {
	return func(yield func(*E) bool) {
		t.index.RangeRelaxed(func(_ string, e *E) bool { return yield(e) })
	}
}

// Len returns the number of entries, those without a value too.
func (t *Table[E]) Len() int { return t.index.Size() }

// Bytes returns the sum of the weights of all values.
func (t *Table[E]) Bytes() int64 { return t.kept.Load() }

// Reserved returns the bytes in flight.
func (t *Table[E]) Reserved() int64 { return t.reserved.Load() }

// MaxBytes returns the bound on Bytes and Reserved together.
func (t *Table[E]) MaxBytes() int64 { return t.maxBytes }

// Evicted returns how many values the policy has taken.
func (t *Table[E]) Evicted() int64 { return t.evicted.Load() }

func (t *Table[E]) releaseLocked(n int64) {
	if n > t.reserved.Load() {
		panic("table: more bytes are released than were reserved")
	}
	t.reserved.Add(-n)
}

func (t *Table[E]) putLocked(e *E, weight int64, publish func()) bool {
	n := t.node(e)
	if n.list == dead || weight > t.room() {
		return false
	}
	if old := n.weight; old > 0 {
		t.kept.Add(-old)
		t.makeRoomLocked(weight, t.policy.growth(e, weight), e)
		t.policy.resize(e, weight)
	} else {
		earned := t.policy.recall(n.key)
		forSmall := weight
		if earned {
			forSmall = 0
		}
		t.makeRoomLocked(weight, forSmall, nil)
		n.weight = weight
		t.policy.add(e, earned, t.room())
	}
	t.kept.Add(weight)
	publish()
	return true
}

// room is what values may weigh together.
func (t *Table[E]) room() int64 { return t.maxBytes - t.reserved.Load() }

// makeRoomLocked evicts others than spared, whose weight kept does not contain
// at the moment, until need more bytes fit (T1, T7), of which forSmall are for
// the policy's small queue. Need is at most room, so while it does not fit
// others have weight.
func (t *Table[E]) makeRoomLocked(need, forSmall int64, spared *E) {
	for t.kept.Load() > t.room()-need {
		e := t.policy.evict(spared, forSmall, t.room())
		t.onEvict(e)
		t.unweighLocked(e)
		t.evicted.Add(1)
		t.buryLocked(e)
	}
}

// unweighLocked takes the weight of e, which is on no list any more.
func (t *Table[E]) unweighLocked(e *E) {
	n := t.node(e)
	t.kept.Add(-n.weight)
	n.weight = 0
}

func (t *Table[E]) unpinLocked(e *E) {
	t.node(e).pinned = false
	t.buryLocked(e)
}

// buryLocked takes e out of the index unless it is pinned or has a value (T4).
func (t *Table[E]) buryLocked(e *E) {
	n := t.node(e)
	if n.list == dead || n.pinned || n.weight > 0 {
		return
	}
	n.list = dead
	t.index.Delete(n.key)
}
