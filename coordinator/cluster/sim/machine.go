package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A machine has a clock, and one process or none.
type machine struct {
	world    *world
	index    int
	name     string
	random   *rand.Rand
	offset   core.Time // of its clock at the beginning
	rate     float64   // how much faster than true time its clock is: 0.01 is one per cent
	lives    uint64    // processes that were started
	process  *process
	awake    time.Duration // true time when its pause ends; it is paused before that
	stopped  time.Duration // how long it was paused, of pauses that are over
	pauses   []interval
	isolated time.Duration      // from etcd, until then
	deaf     []interval         // when its watch stood still
	unlucky  []interval         // when what it asked of etcd was lost
	stalled  time.Duration      // its watch stands still until then
	leaving  bool               // it is to drain
	store    map[string]*record // on its disk, or everybody's
	earlier  *cell              // of a process that was taken for dead and is to go on
	gone     bool               // drained: it is not started again
}

// An interval of true time.
type interval struct{ from, to time.Duration }

// overlap is how much of the time between from and to lies in some of the
// intervals.
func overlap(all []interval, from, to time.Duration) time.Duration {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b interval) int { return cmp.Compare(a.from, b.from) })
	var sum time.Duration
	for _, i := range all {
		from = max(from, i.from)
		if end := min(i.to, to); end > from {
			sum += end - from
			from = end
		}
	}
	return sum
}

// boottime is the machine's CLOCK_BOOTTIME, which goes on while it is suspended.
func (m *machine) boottime() core.Time {
	return m.offset + core.Time(float64(m.world.now)*(1+m.rate))
}

// clock is what a process on the machine reads.
func (m *machine) clock() core.Time {
	if broken(core.ClockStopsWhilePaused) {
		return m.boottime() - core.Time(float64(m.stopped)*(1+m.rate))
	}
	return m.boottime()
}

// until is the true time that passes until the machine's clock reads t.
func (m *machine) until(t core.Time) time.Duration {
	left := t.Sub(m.clock())
	if left <= 0 {
		return 0
	}
	return time.Duration(float64(left)/(1+m.rate)) + 1
}

func (m *machine) paused() bool { return m.world.now < m.awake }

// pause stops the machine; what reaches it waits, and is then handled in any
// order that keeps the order of each source.
func (m *machine) pause(d time.Duration) {
	w := m.world
	if m.paused() {
		return
	}
	w.say(m.name, "paused for %v", d)
	m.awake = w.now + d
	m.pauses = append(m.pauses, interval{w.now, m.awake})
	w.network.paused(m, d)
	w.after(d, func() {
		m.stopped += d
		w.say(m.name, "awake")
		if m.process != nil {
			m.process.wake()
		}
	})
}

// weight is the share of partitions that its node is to have.
func (m *machine) weight() int {
	if m.world.plan.Client && m.index == len(m.world.machines)-1 {
		return 0
	}
	return 1
}

// crash ends the machine's process. Its loads die with it.
func (m *machine) crash(why string) {
	p := m.process
	if p == nil {
		return
	}
	m.world.say(m.name, "%s", why)
	p.dead = true
	m.leaving = false
	m.process = nil
	m.world.origin.died(p)
	m.world.network.crashed(p)
	m.world.judge.died(p)
}

// A source is one ordered sequence of happenings at a process.
type source struct {
	kind  byte // 't'ick, 'w'atch, 'e'tcd, 'p'eer, 'l'oad, 'g'et, 's'et, 'd'eletion, 'h'andover
	index int
}

type waiting struct {
	source source
	do     func()
}

// do hands a process something to handle, at once or when it is awake.
func (p *process) do(s source, do func()) {
	switch {
	case p.dead:
	case p.machine.paused() || len(p.inbox) > 0:
		p.inbox = append(p.inbox, waiting{s, do})
	default:
		do()
	}
}

// wake handles what has come during a pause.
func (p *process) wake() {
	for len(p.inbox) > 0 && !p.dead && !p.machine.paused() {
		pick := p.inbox[p.machine.random.IntN(len(p.inbox))].source
		if i := slices.IndexFunc(p.inbox, func(x waiting) bool { return x.source.kind == 't' }); i >= 0 && chance(p.machine.random, 0.5) {
			pick = p.inbox[i].source
		}
		i := slices.IndexFunc(p.inbox, func(x waiting) bool { return x.source == pick })
		do := p.inbox[i].do
		p.inbox = slices.Delete(p.inbox, i, i+1)
		do()
	}
}
