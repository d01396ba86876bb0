package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// silence is how long a stream lives without a sign of the other side.
const silence = 1500 * time.Millisecond

// A network holds at most one stream for each pair of machines. What is lost,
// doubled or put out of order on the way is found by the stream's numbering and
// ends the stream; its two sides learn that at different times.
type network struct {
	world *world
	pairs [][]*pair // pairs[a][b] == pairs[b][a]
}

// A pair is two machines: side 0 has the smaller index, and dials.
type pair struct {
	world   *world
	ends    [2]*machine
	random  *rand.Rand
	numbers uint64
	stream  *stream          // nil: none, or it is ending
	blocked [2]time.Duration // what goes out from side i waits until then
	lossy   time.Duration    // messages are lost until then
	down    []interval       // when there was no stream, or nothing went through one of them
	since   time.Duration    // there has been none since then; negative: there is one
	dialing bool
}

// A stream is one session of a pair.
type stream struct {
	pair   *pair
	number uint64
	ends   [2]*process
	opened [2]time.Duration
	last   [2]time.Duration // the latest delivery at side i
	broken bool
	lost   [2]bool // of what side i sent, one was lost
	gone   [2]bool // and something was to arrive after that
}

func newNetwork(w *world) *network {
	n := &network{world: w, pairs: make([][]*pair, len(w.machines))}
	for a := range w.machines {
		n.pairs[a] = make([]*pair, len(w.machines))
		for b := 0; b < a; b++ {
			p := &pair{world: w, ends: [2]*machine{w.machines[b], w.machines[a]}, random: w.random("pair", b, a)}
			n.pairs[a][b], n.pairs[b][a] = p, p
			p.redial(0)
		}
	}
	return n
}

// redial dials after a while, again and again until there is a stream.
func (p *pair) redial(after time.Duration) {
	if p.dialing {
		return
	}
	p.dialing = true
	p.world.after(after, func() {
		p.dialing = false
		if p.stream == nil && !p.dial() {
			p.redial(between(p.random, 20*time.Millisecond, 150*time.Millisecond))
		}
	})
}

// dial opens a stream, if the dialer knows the other and nothing is in the way.
func (p *pair) dial() bool {
	w := p.world
	x, y := p.ends[0].process, p.ends[1].process
	if x == nil || y == nil || !x.joined || !y.joined || p.ends[0].paused() || p.ends[1].paused() ||
		p.blocked[0] > w.now || p.blocked[1] > w.now || x.peers[y.node.Name] != y.node || y.peers[x.node.Name] != x.node {
		return false
	}
	p.numbers++
	s := &stream{pair: p, number: p.numbers, ends: [2]*process{x, y}}
	p.stream = s
	s.opened[1] = w.now + w.plan.delay(p.random)
	s.opened[0] = s.opened[1] + w.plan.delay(p.random)
	for side := range 2 {
		s.last[side] = s.opened[side]
		me, other := s.ends[side], s.ends[1-side]
		w.at(s.opened[side], func() {
			if s.broken {
				return // it ended before this side had it
			}
			me.do(source{'p', other.machine.index}, func() { me.opened(other.node, s.number) })
		})
	}
	w.at(s.opened[0], func() {
		if !s.broken {
			p.down = append(p.down, interval{p.since, w.now})
			p.since = -1
		}
	})
	return true
}

// send carries a message on a stream that its sender believes to be open.
func (n *network) send(from *process, action core.Send) {
	w := n.world
	m := w.machine(action.To.Name)
	if m == nil || m == from.machine {
		w.judge.fail("shell", "%v sends to %v, which is nobody else", from.node, action.To)
		return
	}
	p := n.pairs[from.machine.index][m.index]
	s := p.stream
	side := p.side(from.machine)
	if s == nil || s.broken || s.number != action.Session || s.ends[1-side].node != action.To || from.sessions[m.index] != s.number {
		return
	}
	w.traffic.Messages++
	if p.lossy > w.now && chance(p.random, w.plan.Loss) {
		w.after(w.plan.delay(p.random), func() { s.end("a message was lost", 5*time.Millisecond) })
		s.lost[side] = true
		return
	}
	t := max(w.now+w.plan.delay(p.random), s.last[1-side], p.blocked[side])
	s.last[1-side] = t
	message, after := action.Message, s.lost[side]
	w.at(t, func() { s.deliver(side, message, after) })
}

// deliver hands a message over, unless one before it was lost. A few of a stream
// that its receiver knows to have ended arrive all the same, under its number, so
// that he must drop them.
func (s *stream) deliver(from int, message core.Message, afterLoss bool) {
	me, other := s.ends[1-from], s.ends[from]
	if afterLoss || s.broken && !chance(s.pair.random, 0.3) {
		s.gone[from] = true
	}
	if s.gone[from] && (me.sessions[other.machine.index] == s.number || !chance(s.pair.random, 0.3)) {
		return
	}
	me.do(source{'p', other.machine.index}, func() { me.received(other.node, s.number, message) })
}

func (p *pair) side(m *machine) int {
	if p.ends[0] == m {
		return 0
	}
	return 1
}

// end breaks a stream; each side learns it within spread.
func (s *stream) end(why string, spread time.Duration) {
	w, p := s.pair.world, s.pair
	if s.broken {
		return
	}
	s.broken = true
	w.say("network", "%s-%s session %d ends: %s", p.ends[0].name, p.ends[1].name, s.number, why)
	if p.since < 0 {
		p.since = w.now
	}
	soonest := spread
	for side := range 2 {
		me, other := s.ends[side], s.ends[1-side]
		learns := max(between(p.random, 0, spread+1), s.opened[side]-w.now)
		soonest = min(soonest, learns)
		w.after(learns, func() {
			me.do(source{'p', other.machine.index}, func() { me.closed(other.node, s.number) })
		})
	}
	if p.stream == s {
		p.stream = nil
		p.redial(soonest + between(p.random, 10*time.Millisecond, 100*time.Millisecond))
	}
}

// cut stops what goes from one machine to another. A stream survives what is
// shorter than silence.
func (n *network) cut(from, to *machine, d time.Duration) {
	p := n.pairs[from.index][to.index]
	side := p.side(from)
	p.blocked[side] = max(p.blocked[side], n.world.now+d)
	p.down = append(p.down, interval{n.world.now, n.world.now + d})
	p.endSilent(d, "silence")
}

// endSilent ends the pair's stream after silence, if it is silent for that long.
func (p *pair) endSilent(d time.Duration, why string) {
	if s := p.stream; s != nil && d > silence {
		p.world.after(silence+between(p.random, 0, 100*time.Millisecond), func() { s.end(why, 400*time.Millisecond) })
	}
}

// paused ends the streams of a machine that is paused for too long.
func (n *network) paused(m *machine, d time.Duration) {
	for _, p := range n.pairs[m.index] {
		if p != nil {
			p.endSilent(d, "a pause")
		}
	}
}

// crashed ends the streams of a process that is dead: at once, or by silence.
func (n *network) crashed(dead *process) {
	for _, p := range n.pairs[dead.machine.index] {
		if p == nil || p.stream == nil {
			continue
		}
		spread := 3 * time.Millisecond
		if chance(p.random, 0.2) {
			spread = silence
		}
		p.stream.end("a crash", spread)
	}
}

// hangUp ends a process's stream to one that is dead to it.
func (n *network) hangUp(from *process, to core.Node) {
	m := n.world.machine(to.Name)
	if m == from.machine {
		return
	}
	p := n.pairs[from.machine.index][m.index]
	if s := p.stream; s != nil && s.ends[p.side(from.machine)] == from && s.ends[p.side(m)].node == to {
		s.end("a tombstone", 5*time.Millisecond)
	}
}

// reset ends a stream for no reason.
func (n *network) reset(a, b *machine) {
	if s := n.pairs[a.index][b.index].stream; s != nil {
		s.end("a reset", 50*time.Millisecond)
	}
}

// outages are when two machines could not speak: they had no stream, or something
// was in its way.
func (n *network) outages(a, b *machine) []interval {
	if a == b {
		return nil
	}
	p := n.pairs[a.index][b.index]
	if p.since < 0 {
		return p.down
	}
	return append(slices.Clip(p.down), interval{p.since, n.world.now})
}
