package sim

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A world is one run of one plan: its machines, their network, their etcd, their
// origin and the judges. Everything in it happens one after another, in the order
// of the queue; the same plan is the same transcript.
//
// Invariants:
//
//	W1. What happens is decided by the plan and by random streams that are drawn
//	    from its seed and from who draws; never by the order of a map.
//	W2. True time never goes back; a machine's clock follows it at its own rate.
//	W3. The first violation ends the run.
type world struct {
	plan     Plan
	now      time.Duration // true time since the beginning
	queue    queue
	count    uint64
	machines []*machine
	etcd     *etcd
	network  *network
	origin   *origin
	judge    *judge
	out      *transcript
	times    core.Times
	hashKey  [16]byte
	traffic  Traffic
}

// Traffic counts what a run sent.
type Traffic struct {
	Messages      int // control messages handed to the network
	Gets          int
	Invalidations int
	Sets          int
	Given         int // values that were handed over on planned moves
	Loads         int
	Writes        int // transactions at etcd
	Changes       int // watch events at nodes
}

type happening struct {
	at    time.Duration
	order uint64
	do    func()
}

type queue []happening

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(happening)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	h := (*q)[last]
	(*q)[last] = happening{}
	*q = (*q)[:last]
	return h
}

// at makes something happen at a true time, now if that is past.
func (w *world) at(t time.Duration, do func()) {
	w.count++
	heap.Push(&w.queue, happening{max(t, w.now), w.count, do})
}

// after makes something happen d from now.
func (w *world) after(d time.Duration, do func()) { w.at(w.now+d, do) }

// run lets everything happen that happens before the end.
func (w *world) run(end time.Duration) {
	for len(w.queue) > 0 && w.judge.verdict == nil {
		h := heap.Pop(&w.queue).(happening)
		if h.at > end {
			heap.Push(&w.queue, h)
			return
		}
		w.now = h.at
		h.do()
	}
}

// random is the random stream of whoever is named: it does not depend on what
// the others draw, so that a plan which is shrunk stays like itself.
func (w *world) random(who string, n ...int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprint(h, who, n)
	return rand.New(rand.NewPCG(w.plan.Seed, h.Sum64()))
}

// between draws a duration in [low, high).
func between(r *rand.Rand, low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(r.Int64N(int64(high-low)))
}

// chance is true with probability p.
func chance(r *rand.Rand, p float64) bool { return r.Float64() < p }

// say writes a line of the transcript.
func (w *world) say(who string, format string, args ...any) {
	if w.out != nil {
		w.out.line(w.now, who, fmt.Sprintf(format, args...))
	}
}
