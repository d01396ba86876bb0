package table

import "hash/maphash"

// A policy chooses whose value goes. Guarded by Table.mu.
type policy[E any] struct {
	node     func(*E) *Node[E]
	maxBytes int64
	small    list[E]
	main     list[E]
	seed     maphash.Seed
	ghosts   ghosts
}

func (p *policy[E]) init(node func(*E) *Node[E], maxBytes int64) {
	p.node, p.maxBytes = node, maxBytes
	p.small = list[E]{id: small, node: node}
	p.main = list[E]{id: main, node: node}
	p.seed = maphash.MakeSeed()
}

// add takes in e, which has just been given a weight.
func (p *policy[E]) add(e *E) {
	n := p.node(e)
	n.freq.Store(0)
	if p.ghosts.take(maphash.String(p.seed, n.key)) {
		p.main.pushHead(e)
	} else {
		p.small.pushHead(e)
	}
}

// resize gives e, which has weight, another.
func (p *policy[E]) resize(e *E, weight int64) {
	n := p.node(e)
	p.listOf(n).bytes += weight - n.weight
	n.weight = weight
}

// remove lets go of e, which has weight, without remembering it.
func (p *policy[E]) remove(e *E) { p.listOf(p.node(e)).remove(e) }

// evict unlinks the entry whose value is to go. There must be one other than spared.
func (p *policy[E]) evict(spared *E) *E {
	for {
		l := &p.main
		if p.small.tail != nil && (p.main.tail == nil || p.small.bytes >= p.maxBytes/10) {
			l = &p.small
		}
		e := l.tail
		n := p.node(e)
		l.remove(e)
		switch f := n.freq.Load(); {
		case e == spared:
			l.pushHead(e)
			if l.len == 1 {
				e := p.other(l).tail
				p.other(l).remove(e)
				return e
			}
		case l == &p.small && f > 1:
			n.freq.Store(0)
			p.main.pushHead(e)
		case l == &p.small:
			p.ghosts.add(maphash.String(p.seed, n.key), p.main.len)
			return e
		case f > 0:
			n.freq.Store(f - 1)
			p.main.pushHead(e)
		default:
			return e
		}
	}
}

func (p *policy[E]) other(l *list[E]) *list[E] {
	if l == &p.small {
		return &p.main
	}
	return &p.small
}

func (p *policy[E]) listOf(n *Node[E]) *list[E] {
	if n.list == small {
		return &p.small
	}
	return &p.main
}
