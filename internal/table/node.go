package table

import "sync/atomic"

// maxFreq is how many hits since the policy last looked a node remembers.
// Three are enough to tell one reuse from many, and a hot node stops being
// written after three hits.
const maxFreq = 3

// A Node is the table's part of an entry E. Its owner embeds one in E and calls
// Key and Touch; everything else is the table's.
//
// A node is in one of five states. "value" means that the entry has weight and
// is on a list, which are the same thing (T2).
//
//	state       | in the index | pinned | value | becomes
//	new         | no           | no     | no    | loading, by GetOrAdd
//	loading     | yes          | yes    | no    | refreshing, by Put · kept, by Put with Unpin · dead, by Unpin
//	kept        | yes          | no     | yes   | refreshing, by Pin · dead, by Drop or eviction
//	refreshing  | yes          | yes    | yes   | kept, by Unpin · loading, by Drop or eviction
//	dead        | no           | no     | no    | nothing, ever
type Node[E any] struct {
	key        string // written before the entry is in the index, never after
	prev, next *E     // of the list that the entry is on; guarded by Table.mu
	weight     int64  // bytes; 0: no value; guarded by Table.mu
	freq       atomic.Uint32
	stamp      uint16 // when it came to its list, in the policy's ticks; guarded by Table.mu
	list       listID // guarded by Table.mu
	pinned     bool   // guarded by Table.mu once the entry is in the index
}

// Key returns the key that the entry was added under.
func (n *Node[E]) Key() string { return n.key }

// Touch notes a hit. It takes no lock, allocates nothing, and writes only while
// the counter has not reached its end, so a hot entry's cache line stays shared.
func (n *Node[E]) Touch() {
	if f := n.freq.Load(); f < maxFreq {
		n.freq.CompareAndSwap(f, f+1)
	}
}

// Weight returns the bytes of the entry's value, 0 if it has none. It may be
// called where the table calls out (Config.Evict, Put.Publish, Drop, Update) and by
// whoever knows that no other goroutine uses the table.
func (n *Node[E]) Weight() int64 { return n.weight }
