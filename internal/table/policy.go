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
//	P3. One eviction moves at most sweepLimit entries of either queue, so the time
//	    under the lock is bounded however hot the cache is.
//	P4. Ghosts are found by a hash with a secret seed, so nobody can choose keys
//	    that collide.
type policy[E any] struct {
	node   func(*E) *Node[E]
	seed   maphash.Seed
	small  list[E]
	main   list[E]
	ghosts ghosts

	share               float64 // of the room that small is entitled to
	smallEdge, mainEdge edge
	now                 uint16 // in ticks; comes round after 512 turns or more, see age
	sinceTick           int    // values added since now began
}

const (
	// ticksPerTurn is how finely stamps tell time: a turn, in which as many
	// values are added as there are, has so many ticks, or one for each value
	// if there are fewer.
	ticksPerTurn = 128
	// patience is for how many turns a value in main may go without being looked at.
	patience = 16
	// sweepLimit is how many values are spared before one goes although it was hit.
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

// recall says whether a value of key, which has none, has earned main. It has if
// it had one before, and the time since that one came is shorter than the time since
// main's oldest was looked at, which is the test of LIRS; and if that oldest
// was not hit since. If it was, it is spared at the price of one hit, so of
// those who return only as many get in as main has to spare.
//
// Recall also learns how to share the room: each queue has a vote for a value
// that would be here still had the queue been longer. Main's counts twice,
// because what it lost had earned its place.
func (p *policy[E]) recall(key string) bool {
	g := p.ghosts.take(p.hash(key))
	if g == 0 {
		return false
	}
	age := g.age(p.now)
	if g.fromMain() {
		p.learn(-2 * p.mainEdge.vote(age, p.now, p.turn()))
		return false
	}
	p.learn(p.smallEdge.vote(age, p.now, p.turn()))
	oldest := p.main.tail
	return oldest == nil || age <= p.age(oldest) && !p.spare(oldest)
}

// learn moves the share by the room of so many values of mean weight.
func (p *policy[E]) learn(values float64) {
	p.share = min(max(p.share+values/float64(p.len()+1), minShare), maxShare)
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

// growth is how many bytes come to small if e, which has weight, gets another.
func (p *policy[E]) growth(e *E, weight int64) int64 {
	if n := p.node(e); n.list == small {
		return weight - n.weight
	}
	return 0
}

// resize gives e, which has weight, another, and leaves it where it is.
func (p *policy[E]) resize(e *E, weight int64) {
	n := p.node(e)
	p.listOf(n).bytes += weight - n.weight
	n.weight = weight
}

// remove lets go of e, which has weight, without remembering it.
func (p *policy[E]) remove(e *E) { p.listOf(p.node(e)).remove(e) }

// evict unlinks and returns the entry whose value goes, to make room of which
// coming bytes are for small. There must be an entry other than spared.
func (p *policy[E]) evict(spared *E, coming, room int64) *E {
	for moved := 0; ; moved++ {
		s, m := p.small.oldest(spared), p.main.oldest(spared)
		if s == nil || m != nil && p.small.bytes <= p.smallRoom(room)-coming {
			return p.evictMain(m, spared)
		}
		if moved == sweepLimit || p.node(s).freq.Swap(0) == 0 {
			return p.evictSmall(s, m)
		}
		p.move(s, &p.main)
	}
}

// evictSmall takes s, unless m, main's oldest, has not been looked at for so
// long that it has to prove itself: if it was not hit, it goes and s has its place.
func (p *policy[E]) evictSmall(s, m *E) *E {
	if m == nil || p.age(m) <= patience*p.turn() {
		return p.take(s, &p.smallEdge)
	}
	if p.node(m).freq.Swap(0) > 0 {
		p.move(m, &p.main)
		return p.take(s, &p.smallEdge)
	}
	p.move(s, &p.main)
	return p.take(m, &p.mainEdge)
}

func (p *policy[E]) evictMain(e, spared *E) *E {
	for n := 0; n < sweepLimit && p.spare(e); n++ {
		e = p.main.oldest(spared)
	}
	return p.take(e, &p.mainEdge)
}

// spare takes one hit from e, main's oldest, and moves it to the head. It
// reports false if e was not hit.
func (p *policy[E]) spare(e *E) bool {
	n := p.node(e)
	f := n.freq.Load()
	if f == 0 {
		return false
	}
	n.freq.CompareAndSwap(f, f-1)
	p.move(e, &p.main)
	return true
}

// take unlinks e and leaves its ghost.
func (p *policy[E]) take(e *E, edge *edge) *E {
	n := p.node(e)
	p.ghosts.add(p.hash(n.key), n.list == main, p.age(e), p.now, p.len())
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

func (p *policy[E]) hash(key string) uint64 { return maphash.String(p.seed, key) }

func (p *policy[E]) tick() {
	if p.sinceTick++; p.sinceTick*ticksPerTurn >= p.len() {
		p.now++
		p.sinceTick = 0
	}
}

// turn is how many ticks pass while as many values are added as there are.
func (p *policy[E]) turn() uint16 { return uint16(min(p.len(), ticksPerTurn)) }

// age is how many ticks ago e came to its queue, or was last looked at there.
// While values go, patience keeps it far below the end of the clock. In a table
// that was long not full it may come out too low, and a decision or two be worse.
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

// An edge is when a queue's last evictions were stamped, those of half a turn.
type edge struct {
	marks [edgeMarks]uint16 // of the last that was taken in each tick's worth of evictions
	next  int               // the oldest mark
	since int               // evictions since the youngest mark
}

const edgeMarks = ticksPerTurn / 2

// evicted notes that a value with this stamp went, one of so many.
func (d *edge) evicted(stamp uint16, values int) {
	if d.since++; d.since*ticksPerTurn >= values {
		d.marks[d.next] = stamp
		d.next = (d.next + 1) % edgeMarks
		d.since = 0
	}
}

// vote is 1 if a ghost of this age is among the last evictions of a sixteenth
// of a turn: that much more room is soon given, and the hit is sure. It is an eighth
// as far as half a turn, eight times the room, so that the share also finds a
// good that lies beyond a stretch of nothing; and 0 beyond.
func (d *edge) vote(age, now, turn uint16) float64 {
	switch {
	case age <= now-d.mark(max(1, turn/16)):
		return 1
	case age <= now-d.mark(max(1, turn/2)):
		return 1.0 / 8
	}
	return 0
}

// mark returns the mark so many before the next, at most edgeMarks.
func (d *edge) mark(back uint16) uint16 {
	return d.marks[(d.next+edgeMarks-int(back))%edgeMarks]
}
