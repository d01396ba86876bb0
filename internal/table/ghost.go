package table

// ghosts remembers hashes of keys that have lost their value, the youngest ones.
type ghosts struct {
	ring []uint64
	next int
	in   map[uint64]int
}

func (g *ghosts) take(h uint64) bool {
	i, ok := g.in[h]
	if ok {
		delete(g.in, h)
		g.ring[i] = 0
	}
	return ok
}

func (g *ghosts) add(h uint64, size int) {
	if g.in == nil {
		g.in = map[uint64]int{}
	}
	if size = max(size, 64); len(g.ring) < size {
		g.ring = append(g.ring, h)
		g.in[h] = len(g.ring) - 1
		return
	}
	g.next = (g.next + 1) % len(g.ring)
	if old := g.ring[g.next]; old != 0 {
		delete(g.in, old)
	}
	g.ring[g.next] = h
	g.in[h] = g.next
}
