package faults_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// A game is reads at all nodes and writes to the same keys, written down as a
// history for each key, while faults happen. A write changes the origin and then
// invalidates, by key, by tag or all, or sets the key.
type game struct {
	c    *cluster
	name string
	tags map[string][]string // keys by tag
	keys []string            // of all tags
	sets []string            // keys that are set, by one writer at a time
	rate float64             // of reads, per second and node

	stop    chan struct{}
	over    func() // stops writing, and waits for everybody's answers
	writing sync.WaitGroup
	writes  int // of the one who writes

	mu      sync.Mutex // guards what follows
	idle    []string   // of sets, those that may be written
	files   []playFile
	ops     map[string][]op // by key
	acked   map[string]int  // invalidations, by word
	unknown int             // and those whose outcome nobody knows, which were repeated
}

// A playFile is what one life of a node has read.
type playFile struct{ node, path string }

const (
	gameTags   = 8
	keysPerTag = 6
	setKeys    = 12
	// writesPerSecond is of all writers together.
	writesPerSecond = 40
	// writesForAll is one write of everything in so many.
	writesForAll = 200
	// writePatience is for how long an invalidation is waited for, before another
	// node is asked for it.
	writePatience = 5 * time.Second
	writeTries    = 4
)

// newGame makes keys that nobody knows.
func (c *cluster) newGame(rate float64) *game {
	c.keys++
	g := &game{c: c, name: fmt.Sprintf("g%d.", c.keys), tags: map[string][]string{}, rate: rate, stop: make(chan struct{}), ops: map[string][]op{}, acked: map[string]int{}}
	for tag := range gameTags {
		name := fmt.Sprintf("%st%d", g.name, tag)
		for key := range keysPerTag {
			g.tags[name] = append(g.tags[name], fmt.Sprintf("%s/k%d", name, key))
		}
		g.keys = append(g.keys, g.tags[name]...)
	}
	for key := range setKeys {
		g.sets = append(g.sets, fmt.Sprintf("%ss%d", g.name, key))
	}
	g.idle = slices.Clone(g.sets)
	return g
}

// play lets a node read, from now until all rest, or its process ends.
func (g *game) play(n *node) {
	g.c.t.Helper()
	g.mu.Lock()
	path := filepath.Join(g.c.dir, fmt.Sprintf("%sreads%d", g.name, len(g.files)))
	g.files = append(g.files, playFile{n.name, path})
	g.mu.Unlock()
	n.send(faults.Command{Do: faults.Begin, Patience: patience, Play: &faults.Play{Keys: slices.Concat(g.keys, g.sets), From: faults.Now(), Rate: g.rate, Path: path}}).must(g.c.t)
}

// begin lets all nodes read, and writes.
func (g *game) begin() {
	g.over = sync.OnceFunc(func() {
		close(g.stop)
		g.writing.Wait()
	})
	g.c.undo = g.over
	for _, n := range g.c.nodes {
		g.play(n)
	}
	g.writing.Go(func() {
		tick := time.NewTicker(time.Second / writesPerSecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if rand.N(5) == 0 {
					g.set()
				} else {
					g.write()
				}
			case <-g.stop:
				return
			}
		}
	})
}

// end rests, and waits for everybody's answers.
func (g *game) end() {
	g.over()
	for _, n := range g.c.nodes {
		n.send(faults.Command{Do: faults.Rest, Patience: 2 * patience}).must(g.c.t)
	}
}

// target is what one write concerns. All are invalidated once in a while only: that
// would hide what an invalidation by key or tag has left.
func (g *game) target() (command faults.Command, keys []string) {
	key := g.keys[rand.N(len(g.keys))]
	tag, _, _ := strings.Cut(key, "/")
	g.writes++
	switch {
	case g.writes%writesForAll == writesForAll/2:
		return faults.Command{Do: faults.InvalidateAll}, g.keys
	case g.writes%5 == 0:
		return faults.Command{Do: faults.InvalidateTag, Key: tag}, g.tags[tag]
	default:
		return faults.Command{Do: faults.Invalidate, Key: key}, []string{key}
	}
}

// write changes the origin, and has it invalidated without waiting for that.
func (g *game) write() {
	command, keys := g.target()
	command.Patience = writePatience
	call := faults.Now()
	versions := g.c.origin.changeAll(keys)
	g.note(opChange, "origin", keys, versions, call, faults.Now())
	g.writing.Go(func() { g.invalidate(command, keys, versions) })
}

// set changes the origin, and sets the key to what it has then, or every third time
// invalidates it: what was set is then not given any more. A Set whose outcome is
// unknown may come into force at any time, also after a later one: so there is
// none.
func (g *game) set() {
	g.mu.Lock()
	if len(g.idle) == 0 {
		g.mu.Unlock()
		return
	}
	key := g.idle[0]
	g.idle = g.idle[1:]
	g.mu.Unlock()
	call := faults.Now()
	versions := g.c.origin.changeAll([]string{key})
	g.note(opChange, "origin", []string{key}, versions, call, faults.Now())
	g.writing.Go(func() {
		if versions[0]%3 == 0 {
			g.invalidate(faults.Command{Do: faults.Invalidate, Key: key, Patience: writePatience}, []string{key}, versions)
			g.mu.Lock()
			defer g.mu.Unlock()
			g.idle = append(g.idle, key)
			return
		}
		n, call := g.c.anyone(), faults.Now()
		command := faults.Command{Do: faults.Set, Key: key, Value: value(key, versions[0], 0), Patience: writePatience}
		if a, ok := n.send(command).wait(); ok && a.Error == "" {
			g.note(opSet, n.name, []string{key}, versions, call, a.Ended)
			g.note(opSettle, n.name, []string{key}, versions, call, a.Ended)
			g.mu.Lock()
			defer g.mu.Unlock()
			g.acked[command.Do]++
			g.idle = append(g.idle, key)
			return
		}
		g.note(opSet, n.name, []string{key}, versions, call, math.MaxInt64)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.unknown++
	})
}

// invalidate asks nodes until one acknowledges it.
func (g *game) invalidate(command faults.Command, keys []string, versions []int) {
	call := faults.Now()
	for range writeTries {
		n := g.c.anyone()
		a, ok := n.send(command).wait()
		acknowledged := ok && a.Error == ""
		g.mu.Lock()
		if acknowledged {
			g.acked[command.Do]++
		} else {
			g.unknown++
		}
		g.mu.Unlock()
		if acknowledged {
			g.note(opSettle, n.name, keys, versions, call, a.Ended)
			return
		}
	}
}

// note writes an operation into the history of each key that it concerns.
func (g *game) note(kind opKind, node string, keys []string, versions []int, call, ret faults.Instant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, key := range keys {
		g.ops[key] = append(g.ops[key], op{kind: kind, version: versions[i], node: node, call: call, ret: ret})
	}
}

// judge holds what was played against the register, and returns the number of
// operations.
func (g *game) judge(t testing.TB, r *report) (operations int) {
	t.Helper()
	for _, h := range g.histories(t, r) {
		operations += len(h.ops)
		r.linear(t, h)
	}
	r.unknown += g.unknown
	for word, count := range g.acked {
		r.acked[word] += count
	}
	return operations
}

// histories are what was played, by key.
func (g *game) histories(t testing.TB, r *report) (all []*history) {
	t.Helper()
	calls := g.c.origin.byKey(g.name)
	for key, all := range calls {
		for _, call := range all {
			o := op{kind: opCompute, version: call.version, node: call.node, number: call.number, call: call.call, ret: call.answer}
			if call.ended.IsZero() { // its node was killed
				o.ret = math.MaxInt64
			}
			g.ops[key] = append(g.ops[key], o)
		}
	}
	for _, file := range g.files {
		g.read(t, r, file, calls)
	}
	for _, key := range slices.Concat(g.keys, g.sets) {
		all = append(all, &history{key, g.ops[key]})
	}
	return all
}

// read takes in what a node was given. What it computed stands at the origin.
func (g *game) read(t testing.TB, r *report, from playFile, calls map[string][]call) {
	t.Helper()
	file, err := os.Open(from.path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var read faults.Read
		if json.Unmarshal(lines.Bytes(), &read) != nil {
			continue // the last line of one that was killed
		}
		r.asked++
		if read.Error != "" {
			r.refusable(t, read.Key, 0, faults.Answer{Errors: map[string]int{read.Error: 1}})
			continue
		}
		key, version, number, ok := parseValue(read.Value)
		computed := slices.ContainsFunc(calls[read.Key], func(c call) bool { return c.number == number && c.version == version }) ||
			number == 0 && slices.ContainsFunc(g.ops[read.Key], func(o op) bool { return o.kind == opSet && o.version == version })
		if !ok || key != read.Key || !computed {
			gravely(t, "node %s gave for %q what nobody has computed or set for it: %q", from.node, read.Key, read.Value)
			continue
		}
		g.ops[key] = append(g.ops[key], op{kind: opRead, version: version, node: from.node, number: number, call: read.Call, ret: read.Return})
	}
}

// linear fails the test if a history is not one of a register, and says where it
// is drawn.
func (r *report) linear(t testing.TB, h *history) {
	t.Helper()
	if stale := h.stale(); len(stale) > 0 {
		r.stale += len(stale)
		dir, result, err := h.show(stale[0])
		if err != nil {
			t.Errorf("draw the history: %v", err)
		}
		gravely(t, "%q: %d stale reads, the first: %v (Porcupine: %s); the picture and the transcript are in %s", h.key, len(stale), stale[0], result, dir)
		return
	}
	if result := h.linearizable(); result != porcupine.Ok {
		r.stale++
		gravely(t, "%q: Porcupine says %s of %d operations, and no read is older than an acknowledged invalidation", h.key, result, len(h.ops))
	}
}
