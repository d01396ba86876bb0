package corral

import (
	"context"
	"fmt"
	"io"
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
// and, if they have to wait, with the cause of the caller's context when that
// ends first. A Body is for one goroutine; Close may be called from any.
type Body struct {
	of  *growing
	ctx context.Context

	// Guarded by of.mu.
	at   *chunk        // nil as long as nothing has been read
	off  int           // within at
	err  error         // why this reader gets no more
	gone chan struct{} // closed when err is set; nil while no Read waits
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
		if n < 0 || n > len(data) {
			return written, fmt.Errorf("corral: write body: the writer says that it took %d bytes of %d", n, len(data))
		}
		b.advance(n)
		written += int64(n)
		if err == nil && n < len(data) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return written, err
		}
	}
}

// Discard skips the next n bytes without copying them, and waits for those that
// are still to come as Read does. An error says why it skipped fewer.
func (b *Body) Discard(n int64) (skipped int64, err error) {
	if n < 0 {
		return 0, fmt.Errorf("corral: discard %d bytes of a body: give a number of 0 or more", n)
	}
	for skipped < n {
		data, err := b.next()
		if err != nil {
			return skipped, err
		}
		step := int(min(n-skipped, int64(len(data))))
		b.advance(step)
		skipped += int64(step)
	}
	return skipped, nil
}

// Again gives another reader of the same body, from its beginning, which ends
// with ctx at the latest and must be closed; nil when the beginning is no longer
// there, or nobody may join the body any more.
func (b *Body) Again(ctx context.Context) *Body { return b.of.join(ctx, false) }

// Close gives up the rest of the body. It is safe to call it twice.
func (b *Body) Close() error {
	b.leave(io.ErrClosedPipe)
	return nil
}

func (b *Body) leave(why error) {
	b.of.mu.Lock()
	abandoned := b.of.removeLocked(b, why)
	b.of.mu.Unlock()
	if abandoned != nil {
		abandoned()
	}
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
	for {
		data, change, err := b.look()
		if change == nil {
			return data, err
		}
		select {
		case <-change:
		case <-b.gone:
		case <-b.ctx.Done():
			b.leave(context.Cause(b.ctx))
		}
	}
}

// look gives what is at the reader's place, or what to wait for.
func (b *Body) look() (data []byte, change <-chan struct{}, err error) {
	g := b.of
	g.mu.Lock()
	defer g.mu.Unlock()
	if b.err != nil {
		return nil, nil, b.err
	}
	if b.at == nil {
		b.at = g.head
	} else if b.off == cap(b.at.data) && b.at.next != nil {
		b.at, b.off = b.at.next, 0
	}
	if b.at != nil && b.off < len(b.at.data) {
		return b.at.data[b.off:], nil, nil
	}
	if g.ended {
		why := g.err
		if why == nil {
			why = io.EOF
		}
		g.removeLocked(b, why)
		return nil, nil, why
	}
	if g.change == nil {
		g.change = make(chan struct{})
	}
	if b.gone == nil {
		b.gone = make(chan struct{})
	}
	return nil, g.change, nil
}

func (b *Body) advance(n int) {
	g := b.of
	g.mu.Lock()
	defer g.mu.Unlock()
	if n == 0 || b.err != nil {
		return
	}
	if g.arrival == nil {
		b.off += n
		return
	}
	*g.placeLocked(b)--
	b.off += n
	*g.placeLocked(b)++
	g.freeLocked()
}
