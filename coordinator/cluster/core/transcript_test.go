package core

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The tests of this package are transcripts: one core, a virtual clock, and a
// script. A line is an event, in the words of words_test.go; the lines with an
// arrow below it are all that the core then wants done, in its order.
//
//	a: Join ask=1 key=k          a message from a, on the present stream to it
//	Ask id=1 key=k wait=30s      any other event
//	+400ms                       the clock goes on; each timer fires at its instant
//	# …                          a remark
//
// and what is the fake surroundings' business:
//
//	invalidated k 15             an invalidation of a key or tag in the log; Changed applies it
//	kept k 11+stale              the shelf has a value of the key
//	silent a                     a does not renew any more
//	renewals fail                nor does this node
//	renewals lag                 it does, but its watch stands still
//	renewals work                again
//
// Unless a scene says otherwise, renewals are answered at once and not shown,
// and with each of them the others renew too.

// A scene is what a script begins with: a node that holds its own lease, with a
// stream to every other.
type scene struct {
	self    string
	others  string // names
	table   string // empty: owned by self, at generation 1
	apart   bool   // there is no stream yet
	byHand  bool   // renewals are events, and there is no lease yet
	limits  Limits
	unnamed bool // there is no table yet
	unseen  bool // nor is the node's own record: its watch lags
}

// A play is a scene under way.
type play struct {
	*Core
	t        *testing.T
	shelf    *fakeShelf
	began    Time
	now      Time
	streams  uint64
	session  map[string]uint64
	silent   map[string]bool
	byHand   bool
	renewals string
	keeps    bool // something is kept: what is asked to be handed over takes its time
	said     strings.Builder
}

// fakeShelf has what a script puts on it, and the log.
type fakeShelf struct {
	log    map[string][]uint64
	values map[string]Value
	core   *Core
}

func (s *fakeShelf) Peek(key string, since uint64, fresh, noStale bool) (Value, bool) {
	v, ok := s.values[key]
	if !ok || !s.Untouched(key, v.Tags, v.Revision, max(since, s.core.applied)) {
		return Value{}, false
	}
	return v, !fresh && !(v.Stale && noStale)
}

func (s *fakeShelf) Untouched(key string, tags []string, v, until uint64) bool {
	for _, name := range append([]string{key}, tags...) {
		for _, at := range s.log[name] {
			if at > v && at <= until {
				return false
			}
		}
	}
	return true
}

func begin(t *testing.T, s scene) *play {
	t.Helper()
	p := &play{
		t: t, began: 100e9, now: 100e9, byHand: s.byHand, session: map[string]uint64{}, silent: map[string]bool{},
		shelf: &fakeShelf{log: map[string][]uint64{}, values: map[string]Value{}},
	}
	snapshot := Snapshot{Revision: 10, TableRevision: 6}
	known := s.self + " " + s.others
	if s.unseen {
		known = s.others
	}
	for _, name := range strings.Fields(known) {
		snapshot.Nodes = append(snapshot.Nodes, readChange(name+"/1@5"))
	}
	if s.table == "" {
		s.table = "1:" + s.self + "/1@1"
	}
	snapshot.Table = readTable(s.table)
	config := Config{Self: Node{s.self, 1}, Partitions: len(snapshot.Table.Gen), Times: DefaultTimes(), Limits: s.limits, Shelf: p.shelf}
	if s.unnamed {
		snapshot.Table, snapshot.TableRevision = nil, 0
	}
	p.Core = New(config, snapshot, p.now)
	p.shelf.core = p.Core
	if !s.byHand {
		p.step(Tick{})
	}
	if !s.apart {
		for _, name := range strings.Fields(s.others) {
			p.step(readEvent(p, "Opened peer="+name+"/1"))
		}
	}
	p.said.Reset()
	return p
}

// transcript plays a script and compares.
func transcript(t *testing.T, s scene, script string) *play {
	t.Helper()
	p := begin(t, s)
	p.said.WriteString("\n")
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "→") {
			continue
		}
		fmt.Fprintf(&p.said, "\t\t%s\n", line)
		p.play(line)
	}
	p.said.WriteString("\t")
	if got := p.said.String(); got != script {
		t.Errorf("the core did otherwise:\n%s\nwanted:%s", got, script)
	}
	return p
}

func (p *play) play(line string) {
	words := strings.Fields(line)
	switch {
	case words[0] == "#":
	case strings.HasPrefix(line, "+"):
		p.goOn(p.now.Add(must(time.ParseDuration(line[1:]))))
	case words[0] == "invalidated":
		p.shelf.log[words[1]] = append(p.shelf.log[words[1]], readNumber(words[2]))
	case words[0] == "kept":
		p.shelf.values[words[1]] = readValue(words[2])
	case words[0] == "silent":
		p.silent[words[1]] = true
	case words[0] == "keeps":
		p.keeps = true
	case words[0] == "renewals":
		p.renewals = words[1]
	default:
		p.step(readEvent(p, line))
	}
}

// goOn lets the clock go on, by way of every timer.
func (p *play) goOn(until Time) {
	for steps := 0; p.Next() <= until; steps++ {
		if steps > 1000 {
			p.t.Fatalf("timers without end at %v", p.now.Sub(p.began))
		}
		p.now = max(p.now, p.Next())
		p.step(Tick{})
		if p.Next() <= p.now {
			p.now++ // what is set for an instant that has come fires in the next Step
		}
	}
	p.now = until
}

// step hands the core an event and notes what it wants done. Renewals are done.
func (p *play) step(e Event) {
	actions := append([]Action(nil), p.Step(p.now, e)...)
	for _, a := range actions {
		if keep, ok := a.(Keep); ok {
			p.shelf.values[keep.Key] = keep.Value
		}
		if renew, ok := a.(Renew); ok && !p.byHand {
			p.renew(renew)
			continue
		}
		if over, ok := a.(HandOver); ok && !p.keeps {
			p.step(HandedOver{over.Round})
			continue
		}
		p.say(a)
	}
}

func (p *play) say(a Action) {
	p.said.WriteString("\t\t\t→ ")
	if at := p.now.Sub(p.began); at != 0 {
		fmt.Fprintf(&p.said, "%v ", at)
	}
	fmt.Fprintf(&p.said, "%s\n", written(a))
}

// renew answers a renewal as etcd does, and lets the others renew.
func (p *play) renew(r Renew) {
	switch {
	case p.renewals == "fail":
		p.step(Renewed{})
		return
	case p.renewals == "lag":
		p.step(Renewed{OK: true, Nonce: r.Nonce, Table: p.tableRev, Record: 1000})
		return
	case p.now == p.began:
		p.step(Renewed{OK: true, Nonce: r.Nonce, Table: p.tableRev, Record: 5})
		return
	}
	next := Changed{Revision: p.Applied() + 1}
	for _, name := range inOrder(p.nodes) {
		n := p.nodes[name]
		if p.silent[name] || n.dead() {
			continue
		}
		record := n.NodeRecord
		if n.Node == p.Self {
			record.State = Live
			if r.Draining {
				record.State = Draining
			}
		}
		next.Nodes = append(next.Nodes, NodeChange{name, &record, next.Revision})
	}
	p.step(next)
	p.step(Renewed{OK: true, Nonce: r.Nonce, Table: p.tableRev, Record: next.Revision})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
