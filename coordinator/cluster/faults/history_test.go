package faults_test

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// A history is what was done to one key by all nodes, by the origin, and by
// those who changed it.
//
// What is claimed of it is a regular register, Lamport's, with as many writers
// and readers as one likes. A write is an interval, from before the origin changes
// until an invalidation by key, tag or all, or a Set, is acknowledged: a read that begins
// after it is given that version or a later one, and a read that overlaps it is
// given either. So there are two points in a write: the origin's change, from which
// on the new version may be computed and given, and a later one, from which on no
// older one is given to anybody. Readers that overlap a write may see the new
// version and then the old one, at two nodes: one of them has not been told yet,
// and nobody has been promised anything. An atomic register, in which they may not,
// would have nodes ask each other at every hit.
//
// A write whose outcome is unknown has no second point: it may never be told to
// anybody, and is still a change, so that its version is given and computed. A
// computation is an interval too: it takes the version that the origin has at one
// moment of it, and nobody is given a version that nobody has computed or set.
type history struct {
	key string
	ops []op
}

// An op is one operation on a key.
type op struct {
	kind      opKind
	version   int
	node      string // where it was asked for
	number    int    // of a computation at the origin; of a read, that of the computation that it was given
	call, ret faults.Instant
}

type opKind uint8

const (
	opRead    opKind = iota // was given the version
	opCompute               // took it from the origin
	opSet                   // gave it to the nodes, as what the origin has
	opChange                // made it the origin's
	opSettle                // was told that nobody is given an older one
)

func (o op) String() string {
	switch o.kind {
	case opRead:
		return fmt.Sprintf("read v%d #%d", o.version, o.number)
	case opCompute:
		return fmt.Sprintf("compute v%d #%d", o.version, o.number)
	case opSet:
		return fmt.Sprintf("set v%d", o.version)
	case opChange:
		return fmt.Sprintf("change to v%d", o.version)
	default:
		return fmt.Sprintf("invalidate below v%d", o.version)
	}
}

// A register is a key's state. Versions begin at 1.
type register struct {
	newest   int // of the origin
	computed int // the newest that was computed
	floor    int // nobody is given an older one
}

// model is the regular register, for Porcupine.
var model = porcupine.Model{
	Init: func() any { return register{newest: 1, floor: 1} },
	Step: func(state, input, _ any) (bool, any) {
		r, o := state.(register), input.(op)
		switch o.kind {
		case opRead:
			return r.floor <= o.version && o.version <= r.computed, r
		case opCompute:
			r.computed = max(r.computed, o.version)
			return o.version == r.newest, r
		case opSet:
			r.computed = max(r.computed, o.version)
			return o.version <= r.newest, r
		case opChange:
			legal := o.version == r.newest+1
			r.newest = o.version
			return legal, r
		default:
			legal := o.version <= r.newest
			r.floor = max(r.floor, o.version)
			return legal, r
		}
	},
	Hash: func(state any) uint64 {
		r := state.(register)
		return uint64(r.newest)<<42 ^ uint64(r.computed)<<21 ^ uint64(r.floor)
	},
	DescribeOperation: func(input, _ any) string { return input.(op).String() },
	DescribeState: func(state any) string {
		r := state.(register)
		return fmt.Sprintf("origin v%d, computed v%d, none below v%d", r.newest, r.computed, r.floor)
	},
	DescribeOperationMetadata: func(input any) string { return input.(string) },
}

// operations are the history in Porcupine's words.
func (h *history) operations() (all []porcupine.Operation) {
	clients := map[string]int{}
	var busy []faults.Instant // by client, until when
	for _, o := range h.sorted() {
		if o.kind == opSettle {
			// The latest moment binds the fewest readers, so that no other need be tried.
			o.call = o.ret
		}
		// A client is drawn as a line, on which nothing overlaps.
		lane := 0
		for ; ; lane++ {
			name := fmt.Sprint(o.node, lane)
			if _, known := clients[name]; !known {
				clients[name] = len(busy)
				busy = append(busy, math.MinInt64)
			}
			if busy[clients[name]] < o.call {
				busy[clients[name]] = o.ret
				all = append(all, porcupine.Operation{ClientId: clients[name], Input: o, Call: int64(o.call), Return: int64(o.ret), Metadata: o.node})
				break
			}
		}
	}
	return all
}

func (h *history) sorted() []op {
	return slices.SortedFunc(slices.Values(h.ops), func(a, b op) int { return cmp.Compare(a.call, b.call) })
}

// checkWithin is for how long one key's history is thought about. What is in order
// takes milliseconds; of what is not, all orders are tried.
const checkWithin = 20 * time.Second

// shownReads is how many reads a picture has besides the one that breaks the
// rule, so that it can be looked at, and so that Porcupine has few orders to try.
// A read leaves the register as it is: what is wrong without the others is wrong.
const shownReads = 12

// linearizable asks Porcupine.
func (h *history) linearizable() porcupine.CheckResult {
	return porcupine.CheckOperationsTimeout(model, h.operations(), checkWithin)
}

// stale are the reads that were given a version older than one that was
// acknowledged before they began: what the register forbids, looked for without
// Porcupine, so that the two are held against each other, and so that a failure
// can be told in a sentence.
func (h *history) stale() (reads []violation) {
	var settled []op
	for _, o := range h.ops {
		if o.kind == opSettle {
			settled = append(settled, o)
		}
	}
	slices.SortFunc(settled, func(a, b op) int { return cmp.Compare(a.ret, b.ret) })
	for _, o := range h.ops {
		if o.kind != opRead {
			continue
		}
		for _, s := range settled {
			if s.ret >= o.call {
				break
			}
			if s.version > o.version {
				reads = append(reads, violation{read: o, settled: s})
				break
			}
		}
	}
	return reads
}

// A violation is a read that was given what had been invalidated, and
// acknowledged, before.
type violation struct{ read, settled op }

func (v violation) String() string {
	return fmt.Sprintf("%v at node %s, asked for %v after %q was acknowledged", v.read, v.read.node, v.read.call.Sub(v.settled.ret), v.settled)
}

// window is the part of a history that is written out: from a second before what was
// settled to a little after the read.
func (v violation) window() (from, until faults.Instant) {
	return v.settled.call - faults.Instant(time.Second), v.read.ret + faults.Instant(100*time.Millisecond)
}

// around is the part of the window that is drawn, with the versions before it in
// front.
func (h *history) around(v violation) *history {
	from, until := v.window()
	shown := &history{key: h.key}
	var before register
	reads := 0
	for _, o := range h.sorted() {
		switch {
		case o.call > until || o.kind == opRead && o.ret < from:
		case o == v.read:
			shown.ops = append(shown.ops, o)
		case o.kind == opRead:
			if reads++; reads <= shownReads {
				shown.ops = append(shown.ops, o)
			}
		case o.ret >= from:
			shown.ops = append(shown.ops, o)
		case o.kind == opChange:
			before.newest = max(before.newest, o.version)
		case o.kind == opCompute || o.kind == opSet:
			before.computed = max(before.computed, o.version)
		case o.kind == opSettle:
			before.floor = max(before.floor, o.version)
		}
	}
	// What came before, one after the other, each a nanosecond.
	at := from - faults.Instant(3*before.newest) - 3
	put := func(kind opKind, version int) {
		at++
		shown.ops = append(shown.ops, op{kind: kind, version: version, node: "before", call: at, ret: at})
	}
	for version := 2; version <= before.newest; version++ {
		put(opChange, version)
		if version == before.computed {
			put(opCompute, version)
		}
	}
	if before.computed == 1 {
		shown.ops = append(shown.ops, op{kind: opCompute, version: 1, node: "before", call: from - faults.Instant(3*before.newest) - 3, ret: from - faults.Instant(3*before.newest) - 3})
	}
	if before.floor > 1 {
		put(opSettle, before.floor)
	}
	return shown
}

// show writes the part of a failing history that matters out, as a picture and as
// a transcript, into a directory that stays, and says what Porcupine says of it.
func (h *history) show(v violation) (dir string, result porcupine.CheckResult, err error) {
	if dir, err = os.MkdirTemp("", "corral-history-"); err != nil {
		return "", "", err
	}
	shown := h.around(v)
	result, info := porcupine.CheckOperationsVerbose(model, shown.operations(), checkWithin)
	if err := porcupine.VisualizePath(model, info, filepath.Join(dir, "history.html")); err != nil {
		return "", "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v\n\n", h.key, v)
	from, until := v.window()
	for _, o := range h.sorted() {
		if o.ret < from || o.call > until {
			continue
		}
		mark := ""
		if o == v.read || o == v.settled {
			mark = "  <<<"
		}
		fmt.Fprintf(&b, "%12.6f – %12.6f  %-7s %v%s\n", o.call.Sub(v.settled.ret).Seconds(), o.ret.Sub(v.settled.ret).Seconds(), o.node, o, mark)
	}
	return dir, result, os.WriteFile(filepath.Join(dir, "transcript.txt"), []byte(b.String()), 0o600)
}
