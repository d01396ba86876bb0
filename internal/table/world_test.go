package table

import (
	"fmt"
	"testing"
)

// A thing is the entry of these tests: a node and, where a cache has a value,
// the weight under which that value was published; 0: no value.
type thing struct {
	node  Node[thing]
	value int64
}

// A world is a table whose owner keeps its own books. Everything but table is
// guarded by the table's lock: it is read and written only where the table
// calls out, or while no other goroutine is at work.
type world struct {
	testing.TB
	table    *Table[thing]
	live     map[*thing]int64 // values that are visible
	sum      int64
	taken    int64 // calls of Evict
	evicted  []*thing
	evictLog bool
}

func newWorld(t testing.TB, maxBytes int64) *world {
	w := &world{TB: t, live: map[*thing]int64{}, evictLog: true}
	w.table = New(Config[thing]{
		MaxBytes: maxBytes,
		Node:     func(e *thing) *Node[thing] { return &e.node },
		Evict:    w.evict,
	})
	return w
}

func (w *world) evict(e *thing) {
	if e.value == 0 {
		w.Errorf("Evict(%q): it has no value", e.node.Key())
	}
	w.clear(e)
	w.taken++
	if w.evictLog {
		w.evicted = append(w.evicted, e)
	}
}

func (w *world) clear(e *thing) {
	w.sum -= e.value
	e.value = 0
	delete(w.live, e)
}

// publish makes a value visible and checks T1 against the books.
func (w *world) publish(e *thing, weight int64) {
	w.clear(e)
	e.value = weight
	w.live[e] = weight
	w.sum += weight
	if got, bound := w.sum+w.table.reserved.Load(), w.table.maxBytes; got > bound {
		w.Errorf("publish(%q, %d): %d bytes live and reserved, want at most %d", e.node.Key(), weight, got, bound)
	}
}

// add returns the entry of key, pinned if it is new.
func (w *world) add(key string) (*thing, bool) {
	return w.table.GetOrAdd(key, func() *thing { return new(thing) })
}

func (w *world) put(e *thing, weight int64, unpin bool) bool {
	return w.table.Put(e, Put{Weight: weight, Unpin: unpin, Publish: func() { w.publish(e, weight) }})
}

// keep adds key with a value and no pin.
func (w *world) keep(key string, weight int64) *thing {
	w.Helper()
	e, _ := w.add(key)
	if !w.put(e, weight, true) {
		w.Fatalf("Put(%q, %d) = false, want true", key, weight)
	}
	return e
}

func (w *world) drop(e *thing) bool { return w.table.Drop(e, func() { w.clear(e) }) }

// check compares the table with the books and with its invariants. No other
// goroutine may be at work.
func (w *world) check() {
	w.Helper()
	t := w.table
	if got := t.Bytes(); got != w.sum {
		w.Errorf("Bytes() = %d, want %d, the sum of the live values", got, w.sum)
	}
	if got := t.Evicted(); got != w.taken {
		w.Errorf("T8: Evicted() = %d, want %d, the calls of Evict", got, w.taken)
	}
	if got := t.Bytes() + t.Reserved(); got > t.MaxBytes() {
		w.Errorf("T1: %d bytes kept and reserved, want at most %d", got, t.MaxBytes())
	}
	listed := map[*thing]bool{}
	for _, l := range []*list[thing]{&t.policy.small, &t.policy.main} {
		var bytes int64
		var length int
		var prev *thing
		for e := l.head; e != nil; prev, e = e, e.node.next {
			if prev != nil && int16(prev.node.stamp-e.node.stamp) < 0 {
				w.Errorf("P2: %q on list %d came at %d, after the one before it, at %d", e.node.key, l.id, e.node.stamp, prev.node.stamp)
			}
			if listed[e] || e.node.list != l.id || e.node.prev != prev || e.node.weight < 1 {
				w.Errorf("T2: %q on list %d: twice %v, list %d, weight %d", e.node.key, l.id, listed[e], e.node.list, e.node.weight)
			}
			listed[e] = true
			bytes += e.node.weight
			length++
		}
		if l.tail != prev || bytes != l.bytes || length != l.len {
			w.Errorf("T2: list %d has %d entries, %d bytes; it says %d, %d", l.id, length, bytes, l.len, l.bytes)
		}
	}
	if s := t.policy.share; s < minShare || s > maxShare {
		w.Errorf("P1: share is %v", s)
	}
	indexed := 0
	for e := range t.All() {
		indexed++
		n := &e.node
		if n.list == dead || t.Get(n.key) != e {
			w.Errorf("T3: %q in the index: dead %v, found %v", n.key, n.list == dead, t.Get(n.key) == e)
		}
		if (n.weight > 0) != listed[e] || (n.weight > 0) != (e.value > 0) || n.weight != e.value {
			w.Errorf("T2: %q: weight %d, listed %v, value %d", n.key, n.weight, listed[e], e.value)
		}
		if !n.pinned && n.weight == 0 {
			w.Errorf("T4: %q is in the index without pin or weight", n.key)
		}
		delete(listed, e)
	}
	if len(listed) > 0 {
		w.Errorf("T4: %d entries have weight and are not in the index", len(listed))
	}
	if got := t.Len(); got != indexed {
		w.Errorf("Len() = %d, want %d", got, indexed)
	}
}

func key(i int) string { return fmt.Sprintf("key-%d", i) }
