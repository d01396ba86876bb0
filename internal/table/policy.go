package table

import "hash/maphash"

// A policy chooses whose value goes. It knows entries that have weight, each on
// one of two queues, and ghosts of those whose value it has taken. Guarded by
// Table.mu; the counters of the nodes are written by hits at any time.
//
// Invariants:
//
//	P1. share stays between minShare and maxShare.
//	P2. The stamps on a queue never grow younger from head to tail.
//	P3. One eviction looks at no more than sweepLimit entries of main, so the time
//	    under the lock is bounded however hot the cache is.
type policy[E any] struct {
	node   func(*E) *Node[E]
	seed   maphash.Seed
	small  list[E]
	main   list[E]
	ghosts ghosts

	share               float64 // of the room that small is entitled to
	smallEdge, mainEdge edge
	now                 uint16 // in ticks
	sinceTick           int    // values added since now began
}

const (
	// ticksPerTurn is how finely stamps tell time: a turn, in which as many
	// values are added as there are, has so many ticks, or one for each value
	// if there are fewer.
	ticksPerTurn = 128
	// patience is for how many turns a value in main may go without being looked at.
	patience = 16
	// sweepLimit is how many values in main are spared before one goes although it was hit.
	sweepLimit = 1024

	firstShare, minShare, maxShare = 0.05, 0.01, 0.5
)

func (p *policy[E]) init(node func(*E) *Node[E]) {
	p.node = node
	p.seed = maphash.MakeSeed()
	p.small = list[E]{id: small, node: node}
	p.main = list[E]{id: main, node: node}
	p.share = firstShare
}

// recall says whether a value of key, which has none, has earned main: it had
// one, and the time since it came is shorter than the time since main's oldest
// was last looked at. That is the test of LIRS. It also learns, from a value that was taken
// at the edge of its queue and would be here had the queue been a little longer.
func (p *policy[E]) recall(key string) bool {
	g := p.ghosts.take(maphash.String(p.seed, key))
	if g == 0 {
		return false
	}
	age := g.age(p.now)
	step := 1 / float64(p.len()+1)
	if g.fromMain() {
		if p.mainEdge.covers(age, p.now) {
			p.share = max(minShare, p.share-step)
		}
		return false
	}
	if p.smallEdge.covers(age, p.now) {
		p.share = min(maxShare, p.share+step)
	}
	return p.main.tail == nil || age <= p.age(p.main.tail)
}

// add takes in e, which has just been given a weight that fits into room. A
// main queue that is not full takes what comes.
func (p *policy[E]) add(e *E, earned bool, room int64) {
	p.tick()
	p.node(e).freq.Store(0)
	own := p.smallRoom(room)
	if earned || p.small.bytes >= own && p.main.bytes+p.node(e).weight <= room-own {
		p.enter(&p.main, e)
	} else {
		p.enter(&p.small, e)
	}
}

// resize gives e, which has weight, another, and leaves it where it is.
func (p *policy[E]) resize(e *E, weight int64) {
	n := p.node(e)
	p.listOf(n).bytes += weight - n.weight
	n.weight = weight
}

// remove lets go of e, which has weight, without remembering it.
func (p *policy[E]) remove(e *E) { p.listOf(p.node(e)).remove(e) }

// evict unlinks and returns the entry whose value goes. There must be one other
// than spared.
func (p *policy[E]) evict(spared *E, room int64) *E {
	own := p.smallRoom(room)
	for {
		s, m := p.small.oldest(spared), p.main.oldest(spared)
		if s == nil || m != nil && p.small.bytes < own {
			return p.evictMain(m, spared)
		}
		if p.node(s).freq.Swap(0) > 0 {
			p.move(s, &p.main)
			continue
		}
		if m == nil || p.age(m) <= patience*p.turn() {
			return p.evictSmall(s)
		}
		if p.node(m).freq.Swap(0) > 0 {
			p.move(m, &p.main)
			return p.evictSmall(s)
		}
		p.move(s, &p.main)
		return p.take(m, &p.mainEdge)
	}
}

func (p *policy[E]) evictSmall(e *E) *E { return p.take(e, &p.smallEdge) }

// evictMain passes over values that were hit, at the price of one hit each.
func (p *policy[E]) evictMain(e, spared *E) *E {
	for range sweepLimit {
		n := p.node(e)
		f := n.freq.Load()
		if f == 0 {
			break
		}
		n.freq.CompareAndSwap(f, f-1)
		p.move(e, &p.main)
		e = p.main.oldest(spared)
	}
	return p.take(e, &p.mainEdge)
}

// take unlinks e and leaves its ghost.
func (p *policy[E]) take(e *E, edge *edge) *E {
	n := p.node(e)
	hash := maphash.String(p.seed, n.key)
	p.ghosts.add(hash, n.list == main, p.age(e), p.now, p.len())
	edge.evicted(n.stamp, p.len())
	p.remove(e)
	return e
}

// move puts e at the head of l as if it had come just now.
func (p *policy[E]) move(e *E, l *list[E]) {
	p.remove(e)
	p.enter(l, e)
}

func (p *policy[E]) enter(l *list[E], e *E) {
	p.node(e).stamp = p.now
	l.pushHead(e)
}

func (p *policy[E]) tick() {
	if p.sinceTick++; p.sinceTick*ticksPerTurn >= p.len() {
		p.now++
		p.sinceTick = 0
	}
}

// turn is how many ticks pass while as many values are added as there are.
func (p *policy[E]) turn() uint16 { return uint16(min(p.len(), ticksPerTurn)) }

// age is how many ticks ago e came to its queue, or was last looked at there.
func (p *policy[E]) age(e *E) uint16 { return p.now - p.node(e).stamp }

func (p *policy[E]) len() int { return p.small.len + p.main.len }

// smallRoom is what small is entitled to. Never nothing: main would be all there
// is, with no newcomer to compare.
func (p *policy[E]) smallRoom(room int64) int64 { return max(1, int64(p.share*float64(room))) }

func (p *policy[E]) listOf(n *Node[E]) *list[E] {
	if n.list == small {
		return &p.small
	}
	return &p.main
}

// An edge is a queue's last evictions, about a sixteenth of a turn of them. A
// ghost that returns from there would have been a hit had the queue had a
// sixteenth more room.
type edge struct {
	marks [edgeMarks]uint16 // stamps of evicted values, one in every ticksPerTurn-th of a turn
	next  int               // the oldest mark
	since int               // evictions since the youngest mark
}

const edgeMarks = ticksPerTurn / 16

// evicted notes that a value with this stamp went, one of so many.
func (d *edge) evicted(stamp uint16, values int) {
	if d.since++; d.since*ticksPerTurn >= values {
		d.marks[d.next] = stamp
		d.next = (d.next + 1) % edgeMarks
		d.since = 0
	}
}

// covers says whether a ghost of this age is among the last evictions.
func (d *edge) covers(age, now uint16) bool { return age <= now-d.marks[d.next] }
