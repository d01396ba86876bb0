package corral

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// A ledger counts bytes in flight against the cache's bound.
type ledger interface {
	Reserve(bytes int64) bool
	Release(bytes int64)
}

// growing is a body while it arrives and after: bytes that are only appended.
//
//	state      readers          memory
//	whole      may join         all of it, counted by the entry
//	kept       may join         all so far, reserved in the ledger
//	windowed   those expected   what lies between its slowest reader and its end, reserved
//	broken     those expected   as windowed
//
// kept becomes whole at a good end, windowed when the cache lets the value go
// or has no room for it; both become broken at a bad end.
//
//	B1. size only grows, until ended; bytes once written do not change.
//	B2. A reader that joined sees every byte from the first, in order, or an
//	    error; it sees io.EOF only where the writer's last byte was taken.
//	B3. held is what the ledger has reserved for the chunks from head on.
//	B4. Nobody joins a windowed or a broken body beyond those expected.
//	B5. Each reader stands in exactly one count: that of the chunk whose bytes
//	    it still needs, or atEnd, that of those who need the next one.
//	B6. arrival ends only when the body is whole, counted by its entry, and
//	    neither read nor expected by anybody who is counted.
//
// Readers are counted by chunk so that a read costs the same among ten
// thousand readers as alone; looking for the slowest at each read would not.
type growing struct {
	mu    sync.Mutex // guards what is below, every chunk and every reader's place
	head  *chunk     // nil before the first chunk, and when all are freed
	size  int64
	err   error
	kept  bool
	ended bool

	entered  bool // the entry's value grows by it; guarded by the entry's lock
	unearned bool // the value is to go once the body has ended (M1); guarded by the entry's lock

	// arrival is nil for a body that is whole, counted by its entry, and read
	// by nobody who came before it was: most bodies, most of the time. Who
	// joins then is not counted, for there is nothing to free or to wait for.
	*arrival
}

// An arrival is what a body has beside its bytes while it arrives. All but what
// is set from the beginning is guarded by the body's mu.
type arrival struct {
	ledger  ledger
	stall   time.Duration // Options.TailTimeout
	limit   int64         // Options.MaxBytes, for the error
	want    int64         // Item.TailSize: 0 if unknown
	largest int64         // how much memory it may take and still be kept
	finish  bool          // it is to arrive also when nobody reads it
	idle    func()        // called without mu when a body that still arrives is given up

	change   chan struct{} // closed when bytes or the end come; nil while no reader waits
	moved    chan struct{} // closed when readers have made room; nil while the writer does not wait
	last     *chunk
	freed    int64 // offset of head
	held     int64
	refused  error // what the writer was told: all that it writes later is refused too
	readers  map[*Body]struct{}
	atEnd    int  // readers who have read all chunks that are full
	expected int  // callers who will join, counted when the header was given out
	counted  bool // held has gone over to the entry, which counts it now
}

type chunk struct {
	data    []byte
	next    *chunk
	readers int // who need bytes of it, those that are still to come included
}

func (c *chunk) full() bool { return len(c.data) == cap(c.data) }

// join adds a reader. expected says that it was counted when the header was
// given out. It returns nil when the beginning is no longer there.
func (g *growing) join(ctx context.Context, expected bool) *Body {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.arrival == nil {
		if !g.kept {
			return nil
		}
		return &Body{of: g, ctx: ctx}
	}
	if expected && g.expected > 0 {
		g.expected--
		wake(&g.moved)
	} else if !g.kept || g.err != nil {
		return nil // B4: also an expected one that came after it was cut
	}
	b := &Body{of: g, ctx: ctx}
	*g.placeLocked(b)++
	g.readers[b] = struct{}{}
	return b
}

// forfeit says that an expected reader will not come.
func (g *growing) forfeit() {
	g.mu.Lock()
	if g.arrival == nil {
		g.mu.Unlock()
		return
	}
	g.expected = max(g.expected-1, 0)
	g.freeLocked()
	abandoned := g.abandonedLocked()
	g.arrivedLocked()
	g.mu.Unlock()
	if abandoned != nil {
		abandoned()
	}
}

// removeLocked ends a reader and returns what to call, without mu, when it was
// the last one of a body that still arrives. A Read that waits is woken.
func (g *growing) removeLocked(b *Body, why error) func() {
	if b.err != nil {
		return nil
	}
	if g.arrival != nil {
		*g.placeLocked(b)--
	}
	b.err, b.at = why, nil
	if b.gone != nil {
		close(b.gone)
	}
	if g.arrival == nil {
		return nil
	}
	delete(g.readers, b)
	g.freeLocked()
	abandoned := g.abandonedLocked()
	g.arrivedLocked()
	return abandoned
}

// arrivedLocked lets go of what a body had for its arrival, once nobody is left
// who needs it.
func (g *growing) arrivedLocked() {
	if g.kept && g.ended && g.counted && g.desertedLocked() {
		g.arrival = nil
	}
}

// abandonedLocked gives up a body that nobody reads any more, unless it is to
// be finished or most of it is here, and returns what to call then. From here
// on nobody joins it.
func (g *growing) abandonedLocked() func() {
	if !g.desertedLocked() || g.ended || g.finish || g.mostlyHereLocked() {
		return nil
	}
	g.windowLocked()
	return g.idle
}

// mostlyHereLocked reports whether at least half of a body of known size has come.
func (g *growing) mostlyHereLocked() bool { return g.kept && g.want > 0 && g.size >= g.want-g.size }

// desertedLocked reports whether nobody reads and nobody is going to.
func (g *growing) desertedLocked() bool { return len(g.readers) == 0 && g.expected == 0 }

// placeLocked is the count that a reader stands in (B5).
func (g *growing) placeLocked(b *Body) *int {
	at := b.at
	if at == nil {
		at = g.head
	} else if b.off == cap(at.data) {
		at = at.next
	}
	if at == nil {
		return &g.atEnd
	}
	return &at.readers
}

// freeLocked lets go of what all readers of a windowed body have read, and
// wakes the writer if that is anything. A writer waits only while there is a
// full chunk that somebody needs, so it misses nobody's end.
func (g *growing) freeLocked() {
	if g.arrival == nil || g.kept || g.expected > 0 {
		return
	}
	for c := g.head; c != nil && c.readers == 0 && (c.full() || g.ended); c = g.head {
		g.freed += int64(len(c.data))
		g.releaseLocked(int64(cap(c.data)))
		g.head = c.next
		wake(&g.moved)
	}
}

func (g *growing) releaseLocked(n int64) {
	if !g.counted {
		g.held -= n
		g.ledger.Release(n)
	}
}

func wake(c *chan struct{}) {
	if *c != nil {
		close(*c)
		*c = nil
	}
}

// bodyWriter is what a Tail writes to.
type bodyWriter struct {
	*growing
	ctx context.Context
}

// Write appends to the body. It waits while a body that is not kept has no
// room, and cuts off the readers that have made none for the stall time. After
// an error all that is written is refused: a body has no holes.
func (w bodyWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n, wait, err := w.add(p, context.Cause(w.ctx))
		if err != nil {
			return written, err
		}
		if wait != nil {
			w.await(wait)
		}
		p, written = p[n:], written+n
	}
	return written, nil
}

// await waits for room, for the stall time at most.
func (w bodyWriter) await(wait <-chan struct{}) {
	timer := time.NewTimer(w.stall)
	defer timer.Stop()
	select {
	case <-wait:
	case <-w.ctx.Done():
	case <-timer.C:
		w.cut(wait)
	}
}

// add appends what fits into one chunk, or says what to wait for. cause is why
// nothing may be written any more, if so.
func (g *growing) add(p []byte, cause error) (n int, wait <-chan struct{}, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return 0, nil, io.ErrClosedPipe // B1
	}
	if g.refused == nil {
		g.refused = cause
	}
	if g.refused == nil && (g.last == nil || g.last.full()) {
		wait, g.refused = g.extendLocked(len(p))
	}
	if g.refused != nil || wait != nil {
		return 0, wait, g.refused
	}
	c := g.last
	n = min(len(p), cap(c.data)-len(c.data))
	c.data = append(c.data, p[:n]...)
	g.size += int64(n)
	wake(&g.change)
	return n, nil, nil
}

// extendLocked appends an empty chunk, or says what to wait for.
func (g *growing) extendLocked(want int) (wait <-chan struct{}, err error) {
	for {
		if !g.kept && g.desertedLocked() {
			return nil, errAbandoned
		}
		if !g.kept && g.size-g.freed >= bodyWindow {
			return g.movedLocked(), nil
		}
		n := g.nextChunkLocked(want)
		if g.kept {
			n = min(n, g.largest-g.held)
		}
		switch {
		case n <= 0:
			g.windowLocked()
		case g.ledger.Reserve(n):
			g.linkLocked(n)
			return nil, nil
		case g.kept && !g.desertedLocked():
			g.windowLocked()
		case g.kept || g.head == nil:
			return nil, overloaded("MaxBytes", g.limit)
		default:
			return g.movedLocked(), nil
		}
	}
}

// nextChunkLocked is how large the next chunk is: what is still to come where
// that is known, else more for long bodies than for short ones.
func (g *growing) nextChunkLocked(want int) int64 {
	if left := g.want - g.size; left > 0 {
		return min(left, maxChunk)
	}
	if g.size >= maxChunk {
		return maxChunk
	}
	return int64(min(max(want, firstChunk), maxChunk))
}

func (g *growing) linkLocked(n int64) {
	g.held += n // B3
	c := &chunk{data: make([]byte, 0, n), readers: g.atEnd}
	g.atEnd = 0 // B5
	if g.last != nil {
		g.last.next = c
	}
	if g.head == nil {
		g.head = c
	}
	g.last = c
}

func (g *growing) movedLocked() <-chan struct{} {
	if g.moved == nil {
		g.moved = make(chan struct{})
	}
	return g.moved
}

// cut ends the readers that have made no room since the writer began to wait.
// When none is left, the writer finds that the body is abandoned by itself.
func (g *growing) cut(wait <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.moved != wait { // they have, at the last moment
		return
	}
	g.expected = 0
	slow := &g.head.readers
	for b := range g.readers {
		if g.placeLocked(b) == slow {
			g.removeLocked(b, fmt.Errorf("%w: this reader held the body up for %v", ErrOverloaded, g.stall))
		}
	}
	g.freeLocked()
}

// window lets the value go: those who read go on, nobody joins, and what they
// have read is freed.
func (g *growing) window() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kept {
		g.windowLocked()
	}
}

func (g *growing) windowLocked() {
	g.kept = false
	g.freeLocked()
}

// end closes the body. err is nil for a whole one; a body whose writer was
// refused, or did not write as much as was declared, is not whole whatever the
// writer says (B2). It reports the bytes that stay reserved when the body is
// whole and kept: whoever takes them over calls settled. Only the first end
// counts.
func (g *growing) end(err error) (reserved int64, whole bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		if g.arrival == nil {
			return 0, g.kept
		}
		return g.held, g.kept
	}
	g.ended = true
	if err == nil {
		err = g.refused
	}
	if err == nil && g.want > 0 && g.size != g.want {
		err = fmt.Errorf("%d were declared", g.want)
	}
	if err != nil {
		g.err = fmt.Errorf("%w after %d bytes: %w", ErrBroken, g.size, err)
		g.kept = false
	}
	g.idle = nil // it refers to the flight, which is over
	if g.kept && g.last != nil {
		g.trimLocked()
	}
	g.freeLocked()
	wake(&g.change)
	return g.held, g.kept
}

// trimLocked gives back what the last chunk has room for and nothing will fill.
func (g *growing) trimLocked() {
	c := g.last
	if c.full() {
		return
	}
	g.releaseLocked(int64(cap(c.data) - len(c.data)))
	c.data = append(make([]byte, 0, len(c.data)), c.data...)
	for b := range g.readers { // who had read all of it now stands behind it (B5)
		if b.at == c && b.off == len(c.data) {
			c.readers--
			g.atEnd++
		}
	}
}

// settled says that the entry now counts the bytes that were reserved.
func (g *growing) settled() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.arrival != nil {
		g.held, g.counted = 0, true
		g.arrivedLocked()
	}
}

// length is that of the whole: what has arrived may be a part of it. It is -1
// while it is not known.
func (g *growing) length() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.ended && g.err == nil:
		return g.size
	case g.want > 0:
		return g.want
	}
	return -1
}

// joinable reports whether a new reader would find the beginning.
func (g *growing) joinable() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kept && g.err == nil
}

// bytes is what the whole body takes in memory.
func (g *growing) bytes() (n int64, whole bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := g.head; c != nil; c = c.next {
		n += int64(cap(c.data))
	}
	return n, g.kept && g.ended && g.err == nil
}
