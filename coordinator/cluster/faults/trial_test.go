package faults_test

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// A trial is one round of a fault. What it finds is held back to its end, for a
// machine that has neither processors nor a disk to spare takes leases away as
// well as any fault does, and then the round has tested the machine. Such a round
// is void, and is made again.
//
// Invariants:
//
//	T1. A round in which something was found is void only if the nodes say that
//	    one of them lost its lease, or was taken for dead, which the round had not
//	    killed, stopped or cut off, and there are signs of want besides: this
//	    process was late, or etcd was.
//	T2. A round in which somebody was given a stale or a foreign answer is never
//	    void: nothing excuses it.
//	T3. A test has at least one round that counts, and makes no more than twice as
//	    many as it should, and two.
type trial struct {
	testing.TB
	mu       sync.Mutex
	findings []string
	grave    bool
}

func (tr *trial) Error(arguments ...any) { tr.find(fmt.Sprint(arguments...)) }
func (tr *trial) Errorf(format string, arguments ...any) {
	tr.find(fmt.Sprintf(format, arguments...))
}
func (tr *trial) Fail() { tr.find("failed") }
func (tr *trial) Fatal(arguments ...any) {
	tr.find(fmt.Sprint(arguments...))
	runtime.Goexit()
}
func (tr *trial) Fatalf(format string, arguments ...any) {
	tr.find(fmt.Sprintf(format, arguments...))
	runtime.Goexit()
}
func (tr *trial) FailNow() {
	tr.find("failed")
	runtime.Goexit()
}

func (tr *trial) Failed() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.findings) > 0 || tr.TB.Failed()
}

func (tr *trial) find(what string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.findings = append(tr.findings, what)
}

// gravely fails a test for something that no want of processors excuses (T2).
func gravely(t testing.TB, format string, arguments ...any) {
	t.Helper()
	if tr, is := t.(*trial); is {
		tr.mu.Lock()
		tr.grave = true
		tr.mu.Unlock()
	}
	t.Errorf(format, arguments...)
}

// trials makes rounds of a fault, until as many count as are asked for.
func (c *cluster) trials(r *report, count int, round func(t testing.TB, round int)) {
	t := c.t
	t.Helper()
	for sound, made, most := 0, 0, 2*count+2; sound < count && !t.Failed(); made++ {
		if made == most {
			if sound == 0 {
				t.Errorf("%s: in none of %d rounds could the nodes keep their leases on this machine: it is too slow, or they are", r.row, made)
			}
			break
		}
		if c.trial(r, made, round) {
			sound++
		}
	}
}

// trial is one round, and reports whether it counts.
func (c *cluster) trial(r *report, number int, round func(t testing.TB, round int)) bool {
	t := c.t
	tr := &trial{TB: t}
	lives, kept := c.lives(), r.tally.clone()
	r.machine.begin()
	c.t, r.t = tr, tr
	done := make(chan struct{})
	go func() {
		defer close(done)
		round(tr, number)
	}()
	<-done
	c.t, r.t = t, t
	want := r.machine.spoiled(lives)
	found := tr.findings
	for text, count := range r.errorTexts {
		if more := count - kept.errorTexts[text]; more > 0 {
			found = append(found, fmt.Sprintf("%d callers were told: %s", more, text))
		}
	}
	switch {
	case want == "":
	case len(found) == 0:
		r.times, r.names = kept.times, kept.names // of the machine, not of the nodes
	case !tr.grave:
		t.Logf("round %d is void and is made again: %s. It had found:\n%s", number, want, strings.Join(found, "\n"))
		kept.void++
		r.tally = kept
		c.mend()
		return false
	}
	for _, what := range tr.findings {
		t.Error(what)
	}
	return true
}

// A life is a node's as it was when a round began.
type life struct {
	node    *node
	process *process
	status  faults.Status
	said    int64 // bytes of its log
}

// lives are those of all nodes, to which nothing has been done yet.
func (c *cluster) lives() (all []life) {
	for _, n := range c.nodes {
		n.struck.Store(false)
		l := life{node: n, process: n.process, status: *n.look()}
		if info, err := os.Stat(n.log); err == nil {
			l.said = info.Size()
		}
		all = append(all, l)
	}
	return all
}

// upset says what became of a life that the round had left alone, or is empty. A
// node that was killed is another one since: it is judged by all that it did.
func (l life) upset(anyStruck bool) string {
	n := l.node
	if n.struck.Load() && n.process == l.process {
		return ""
	}
	now, before := n.look(), l.status
	if n.process != l.process {
		before = faults.Status{}
	}
	switch {
	case now.Lapses > before.Lapses:
		return fmt.Sprintf("the lease of node %s ran out", n.name)
	case now.Buried > before.Buried && !anyStruck:
		return fmt.Sprintf("node %s took a living one for dead", n.name)
	case now.HolderLost > before.HolderLost && !anyStruck:
		return fmt.Sprintf("node %s heard nothing of one that computed for so long that it asked another", n.name)
	}
	return ""
}

// starved are words of etcd's by which it complains of its disk and processors.
var starved = []string{"apply request took too long", "slow fdatasync", "failed to send out heartbeat on time", "waiting for ReadIndex response took too long"}

// slow is what it says as well when it looks for a leader.
const slow = "etcd: request stats"

// complains reports whether etcd in a node has said since that it had too little.
func (l life) complains(anyStruck bool) bool {
	text, err := os.ReadFile(l.node.log)
	if err != nil || int64(len(text)) < l.said {
		return false
	}
	said := string(text[l.said:])
	return slices.ContainsFunc(starved, func(words string) bool { return strings.Contains(said, words) }) ||
		!anyStruck && strings.Contains(said, slow)
}

// A machine is what the test knows of the one that it runs on: by how much it is
// late itself.
type machine struct {
	mu    sync.Mutex
	round time.Duration // at worst, since the round began
	worst time.Duration
}

// wantFrom is by how much a process is late on a machine on which others wait for
// processors.
const wantFrom = 50 * time.Millisecond

// watch measures until stop is closed.
func (m *machine) watch(stop <-chan struct{}) {
	const every = 20 * time.Millisecond
	for due := time.Now().Add(every); ; due = time.Now().Add(every) {
		select {
		case <-time.After(time.Until(due)):
			m.mu.Lock()
			m.round = max(m.round, time.Since(due))
			m.worst = max(m.worst, m.round)
			m.mu.Unlock()
		case <-stop:
			return
		}
	}
}

func (m *machine) late() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.worst
}

// begin begins a round.
func (m *machine) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.round = 0
}

// spoiled says how the machine spoiled a round, and is empty if it did not (T1).
func (m *machine) spoiled(lives []life) string {
	anyStruck := slices.ContainsFunc(lives, func(l life) bool { return l.node.struck.Load() })
	m.mu.Lock()
	want := m.round >= wantFrom
	m.mu.Unlock()
	var upset []string
	for _, l := range lives {
		if what := l.upset(anyStruck); what != "" {
			upset = append(upset, what)
		}
		want = want || l.complains(anyStruck)
	}
	if !want {
		return ""
	}
	return strings.Join(upset, "; ")
}

// mend makes the cluster whole after a round that was given up.
func (c *cluster) mend() {
	c.t.Helper()
	c.origin.releaseAll()
	if c.undo != nil {
		c.undo()
	}
	for _, n := range c.nodes {
		n.cure()
	}
	c.awaitWhole()
	for _, n := range c.nodes {
		n.rest()
	}
}

// clone is a copy that later counts leave alone.
func (y tally) clone() tally {
	y.errorTexts, y.acked = maps.Clone(y.errorTexts), maps.Clone(y.acked)
	y.notes, y.names = slices.Clone(y.notes), slices.Clone(y.names)
	y.times = maps.Clone(y.times) // what is appended is behind the ends of these
	for name, all := range y.times {
		y.times[name] = slices.Clip(all)
	}
	return y
}
