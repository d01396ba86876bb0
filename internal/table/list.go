package table

// A listID names the queue of the policy that an entry is on, if any.
type listID uint8

const (
	unlisted listID = iota
	small
	main
	dead // on none and never again
)

// A list is a queue of entries, linked through their nodes so that any of them
// can leave in constant time. Guarded by Table.mu.
type list[E any] struct {
	id         listID
	node       func(*E) *Node[E]
	head, tail *E    // youngest, oldest
	bytes      int64 // sum of the weights of its entries
	len        int
}

// oldest returns the entry at the tail, or the next to it if that is spared; nil
// if there is none.
func (l *list[E]) oldest(spared *E) *E {
	if l.tail == spared && spared != nil {
		return l.node(spared).prev
	}
	return l.tail
}

// pushHead links e, which is on no list, as the youngest.
func (l *list[E]) pushHead(e *E) {
	n := l.node(e)
	n.list, n.prev, n.next = l.id, nil, l.head
	if l.head != nil {
		l.node(l.head).prev = e
	} else {
		l.tail = e
	}
	l.head = e
	l.bytes += n.weight
	l.len++
}

// remove unlinks e, which is on l.
func (l *list[E]) remove(e *E) {
	n := l.node(e)
	if n.prev != nil {
		l.node(n.prev).next = n.next
	} else {
		l.head = n.next
	}
	if n.next != nil {
		l.node(n.next).prev = n.prev
	} else {
		l.tail = n.prev
	}
	n.list, n.prev, n.next = unlisted, nil, nil
	l.bytes -= n.weight
	l.len--
}
