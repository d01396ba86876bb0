package corral

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// Sizes of a growing body, in bytes.
const (
	firstChunk = 4 << 10
	maxChunk   = 64 << 10
	// bodyWindow is how far the writer of a body that is not kept runs ahead
	// of its slowest reader.
	bodyWindow = 1 << 20
)

// A Body is one caller's view of a body, from its beginning, while it arrives
// and after. Reads wait for bytes that are still to come; they end with io.EOF
// when the body is whole, with an error that is ErrBroken when it broke off,
// and with the cause of the caller's context when that ended first. A Body is
// for one goroutine; Close may be called from any.
type Body struct {
	of   *growing
	ctx  context.Context
	at   *chunk // guarded by of.mu
	off  int    // within at
	pos  int64  // from the beginning
	err  error  // why this reader was cut off
	open bool
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	data, err := b.next()
	n := copy(p, data)
	b.advance(n)
	return n, err
}

// WriteTo implements io.WriterTo: it writes as bytes arrive, without a copy.
func (b *Body) WriteTo(w io.Writer) (int64, error) {
	var written int64
	for {
		data, err := b.next()
		if err == io.EOF {
			return written, nil
		}
		if err != nil {
			return written, err
		}
		n, err := w.Write(data)
		b.advance(n)
		written += int64(n)
		if err != nil {
			return written, err
		}
	}
}

// Close gives up the rest of the body. It is safe to call it twice.
func (b *Body) Close() error {
	b.of.mu.Lock()
	abandoned := b.of.removeLocked(b, io.ErrClosedPipe)
	b.of.mu.Unlock()
	if abandoned != nil {
		abandoned()
	}
	return nil
}

// Len is how many bytes have arrived, and whether they are all of them.
func (b *Body) Len() (n int64, whole bool) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	return b.of.size, b.of.ended && b.of.err == nil
}

// next waits for bytes at the reader's place. They stay valid: a body only
// grows, and a chunk that is let go is left to the collector.
func (b *Body) next() ([]byte, error) {
	g := b.of
	g.mu.Lock()
	for {
		if b.err != nil {
			err := b.err
			g.mu.Unlock()
			return nil, err
		}
		if b.at == nil {
			b.at = g.head // nothing had arrived when this reader came
		}
		for b.at != nil && b.off == len(b.at.data) && b.at.next != nil {
			b.at, b.off = b.at.next, 0
		}
		if b.at != nil && b.off < len(b.at.data) {
			data := b.at.data[b.off:]
			g.mu.Unlock()
			return data, nil
		}
		if g.ended {
			err := g.err
			g.mu.Unlock()
			if err == nil {
				err = io.EOF
			}
			return nil, err
		}
		change := g.change
		g.mu.Unlock()
		select {
		case <-change:
		case <-b.ctx.Done():
			b.Close()
			return nil, context.Cause(b.ctx)
		}
		g.mu.Lock()
	}
}

func (b *Body) advance(n int) {
	if n == 0 {
		return
	}
	b.of.mu.Lock()
	b.off += n
	b.pos += int64(n)
	b.of.readLocked()
	b.of.mu.Unlock()
}

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
//	windowed   those it has     what lies between its slowest reader and its end, reserved
//	broken     see the error    as windowed
//
// kept becomes whole at a good end, windowed when the cache lets the value go
// or has no room for it; both become broken at a bad end.
//
//	B1. size only grows; bytes once written do not change.
//	B2. A reader that joined sees every byte from the first, in order, or an error.
//	B3. held is what the ledger has reserved for the chunks from head on.
//	B4. Nobody joins a windowed or a broken body beyond those expected.
type growing struct {
	ledger ledger
	stall  time.Duration // Options.TailTimeout
	limit  int64         // Options.MaxBytes, for the error
	want   int64         // Item.TailSize: 0 if unknown
	idle   func()        // called without mu when the last reader leaves a body that still arrives

	mu       sync.Mutex // guards what is below
	change   chan struct{}
	head     *chunk
	last     *chunk
	size     int64
	freed    int64 // offset of head
	held     int64
	kept     bool
	ended    bool
	err      error
	readers  map[*Body]struct{}
	expected int  // callers who will join, counted when the header was given out
	counted  bool // held has gone over to the entry, which counts it now
}

type chunk struct {
	data []byte
	next *chunk
}

// join adds a reader. expected says that it was counted when the header was
// given out. It returns nil when the beginning is no longer there.
func (g *growing) join(ctx context.Context, expected bool) *Body {
	g.mu.Lock()
	defer g.mu.Unlock()
	if expected {
		g.expected--
	} else if !g.kept || g.err != nil {
		return nil // B4
	}
	b := &Body{of: g, ctx: ctx, at: g.head, open: true}
	g.readers[b] = struct{}{}
	return b
}

// forfeit says that an expected reader will not come.
func (g *growing) forfeit() {
	g.mu.Lock()
	g.expected--
	g.readLocked()
	abandoned := g.abandonedLocked()
	g.mu.Unlock()
	if abandoned != nil {
		abandoned()
	}
}

// removeLocked ends a reader and returns what to call, without mu, when it was
// the last one of a body that still arrives.
func (g *growing) removeLocked(b *Body, why error) func() {
	if !b.open {
		return nil
	}
	b.open, b.err = false, why
	b.at = nil
	delete(g.readers, b)
	g.readLocked()
	return g.abandonedLocked()
}

func (g *growing) abandonedLocked() func() {
	if len(g.readers) == 0 && g.expected <= 0 && !g.ended {
		return g.idle
	}
	return nil
}

// readLocked lets go of what all readers of a windowed body have read, and
// wakes the writer.
func (g *growing) readLocked() {
	if g.kept {
		return
	}
	slowest := g.slowestLocked()
	for g.head != nil && g.freed+int64(len(g.head.data)) <= slowest {
		if g.head.next == nil && !g.ended {
			break // the writer may still append to it
		}
		g.freed += int64(len(g.head.data))
		g.releaseLocked(int64(cap(g.head.data)))
		g.head = g.head.next
	}
	if g.head == nil {
		g.last = nil
	}
	g.wakeLocked()
}

// slowestLocked is how far every reader has read.
func (g *growing) slowestLocked() int64 {
	if g.expected > 0 {
		return g.freed
	}
	slowest := g.size
	for b := range g.readers {
		slowest = min(slowest, b.pos)
	}
	return slowest
}

func (g *growing) wakeLocked() {
	close(g.change)
	g.change = make(chan struct{})
}

func (g *growing) releaseLocked(n int64) {
	if !g.counted {
		g.held -= n
		g.ledger.Release(n)
	}
}

// bodyWriter is what a Tail writes to.
type bodyWriter struct {
	*growing
	ctx context.Context
}

// Write appends to the body. It waits while the slowest reader of a body that
// is not kept is too far behind, and cuts off readers that hold it up for
// longer than the stall time.
func (w bodyWriter) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		if err := context.Cause(w.ctx); err != nil {
			return written, err
		}
		room, err := w.room(len(p))
		if err != nil {
			return written, err
		}
		n := min(room, len(p))
		if n == 0 {
			continue
		}
		w.append(p[:n])
		p, written = p[n:], written+n
	}
	return written, nil
}

// room makes sure that the last chunk takes at least one byte and says how
// many it takes; zero asks to try again.
func (g *bodyWriter) room(want int) (int, error) {
	g.mu.Lock()
	if g.last != nil && len(g.last.data) < cap(g.last.data) {
		defer g.mu.Unlock()
		return cap(g.last.data) - len(g.last.data), nil
	}
	if !g.kept {
		if g.abandonedLocked() != nil {
			g.mu.Unlock()
			return 0, errAbandoned
		}
		if g.size-g.slowestLocked() >= bodyWindow {
			return 0, g.waitLocked()
		}
	}
	n := int64(min(max(want, firstChunk), maxChunk))
	if g.size >= maxChunk {
		n = maxChunk
	}
	if g.ledger.Reserve(n) {
		g.held += n
		c := &chunk{data: make([]byte, 0, n)}
		if g.last == nil {
			g.head = c
		} else {
			g.last.next = c
		}
		g.last = c
		g.mu.Unlock()
		return int(n), nil
	}
	if g.kept {
		g.windowLocked()
		g.mu.Unlock()
		return 0, nil
	}
	if g.size > g.slowestLocked() {
		return 0, g.waitLocked()
	}
	g.mu.Unlock()
	return 0, overloaded("MaxBytes", g.limit)
}

// waitLocked waits until a reader has moved, and lets mu go.
func (g *bodyWriter) waitLocked() error {
	change := g.change
	before := g.slowestLocked()
	g.mu.Unlock()
	timer := time.NewTimer(g.stall)
	defer timer.Stop()
	for {
		select {
		case <-change:
			g.mu.Lock()
			moved := g.slowestLocked() != before || len(g.readers) == 0
			change = g.change
			g.mu.Unlock()
			if moved {
				return nil
			}
		case <-g.ctx.Done():
			return context.Cause(g.ctx)
		case <-timer.C:
			g.cutSlowest(before)
			return nil
		}
	}
}

// cutSlowest ends the readers that have not moved beyond an offset.
func (g *growing) cutSlowest(at int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expected = 0
	for b := range g.readers {
		if b.pos <= at {
			g.removeLocked(b, fmt.Errorf("%w: this reader held it up for %v", ErrOverloaded, g.stall))
		}
	}
	g.readLocked()
}

func (g *growing) append(p []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last.data = append(g.last.data, p...)
	g.size += int64(len(p))
	g.wakeLocked()
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
	g.readLocked()
}

// end closes the body. err is nil for a whole one. It reports the bytes that
// stay reserved when the body is whole and kept: whoever takes them over calls
// settled.
func (g *growing) end(err error) (reserved int64, whole bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	if err != nil {
		g.err = fmt.Errorf("%w after %d bytes: %w", ErrBroken, g.size, err)
		g.kept = false
	}
	g.readLocked()
	g.wakeLocked()
	return g.held, g.kept
}

// settled says that the entry now counts the bytes that were reserved.
func (g *growing) settled() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held, g.counted = 0, true
}

// joinable reports whether a new reader would find the beginning.
func (g *growing) joinable() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kept && g.err == nil
}

// mostlyHere reports whether at least half of a body of known size has come.
func (g *growing) mostlyHere() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.want > 0 && g.kept && g.size*2 >= g.want
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
