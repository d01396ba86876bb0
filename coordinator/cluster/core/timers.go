package core

import (
	"container/heap"
	"math"
)

// timers wake the core. A timer that is not wanted any more fires and finds
// nothing to do; one whose instant has moved on is set again when it fires.
type timers struct {
	heap  timerHeap
	count uint64
}

type timerKind uint8

const (
	renewTimer    timerKind = iota // the next renewal
	lapseTimer                     // the lease may be out
	takerTimer                     // a node may be dead: name and incarnation
	proposeTimer                   // the table may want a change
	recoveryTimer                  // a recovery has waited long enough: id
	flightTimer                    // a lease that was granted may be void: flight
	heldTimer                      // a lease that is held may be void: flight
	beatTimer                      // leases that are held are extended
	askTimer                       // an owner may be out of reach for too long: id
	markTimer                      // a mark may have ended
	ackTimer                       // an invalidation has waited long enough: id
)

// A timer is what is to be looked at, at its instant.
type timer struct {
	at     Time
	order  uint64 // of setting: equal instants fire in this order
	kind   timerKind
	id     uint64
	name   string
	flight Flight
}

func (t *timers) set(at Time, what timer) {
	t.count++
	what.at, what.order = at, t.count
	heap.Push(&t.heap, what)
}

func (t *timers) next() Time {
	if len(t.heap) == 0 {
		return math.MaxInt64
	}
	return t.heap[0].at
}

// due takes the first timer that has come.
func (t *timers) due(now Time) (timer, bool) {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return timer{}, false
	}
	return heap.Pop(&t.heap).(timer), true
}

type timerHeap []timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)   { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = timer{}
	*h = (*h)[:last]
	return x
}

// expire looks at what the clock has brought. Timers that are set meanwhile for
// an instant that has come wait for the next Step, so that it ends.
func (c *Core) expire() {
	last := c.timers.count
	for !c.fenced {
		if len(c.timers.heap) > 0 && c.timers.heap[0].order > last {
			return
		}
		t, ok := c.timers.due(c.now)
		if !ok {
			return
		}
		switch t.kind {
		case renewTimer:
			c.renewDue()
		case lapseTimer: // Step has looked already
		case takerTimer:
			c.takerDue(t.name, t.id)
		case proposeTimer:
			c.propose()
		case recoveryTimer:
			c.recoveryDue(t.id)
		case flightTimer:
			c.flightDue(t.flight)
		case heldTimer:
			c.heldDue(t.flight)
		case beatTimer:
			c.beat()
		case askTimer:
			c.askDue(t.id)
		case markTimer:
			c.marks.expire(c)
		case ackTimer:
			c.ackDue(t.id)
		}
	}
}
