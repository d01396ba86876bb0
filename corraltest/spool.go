package corraltest

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// A spool is a body that several read while it arrives.
type spool struct {
	mu     sync.Mutex // guards what is below
	data   []byte     // only ever appended to
	err    error      // io.EOF when it is whole
	change chan struct{}
}

func newSpool() *spool { return &spool{change: make(chan struct{})} }

// fill copies a body in until it ends.
func (s *spool) fill(ctx context.Context, body io.Reader) error {
	chunk := make([]byte, 32<<10)
	for {
		n, err := body.Read(chunk)
		if err == nil {
			err = context.Cause(ctx)
		}
		s.mu.Lock()
		s.data = append(s.data, chunk[:n]...)
		s.err = err
		close(s.change)
		s.change = make(chan struct{})
		s.mu.Unlock()
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

func (s *spool) open() io.ReadCloser { return &spoolReader{spool: s, closed: make(chan struct{})} }

type spoolReader struct {
	*spool
	off    int
	once   sync.Once
	closed chan struct{}
}

// Read waits for bytes that are still to come.
func (r *spoolReader) Read(p []byte) (int, error) {
	for {
		r.mu.Lock()
		n, err, change := copy(p, r.data[r.off:]), r.err, r.change
		r.off += n
		r.mu.Unlock()
		switch {
		case n > 0 || len(p) == 0:
			return n, nil
		case err == io.EOF:
			return 0, io.EOF
		case err != nil:
			return 0, fmt.Errorf("corraltest: body: %w", err)
		}
		select {
		case <-change:
		case <-r.closed:
			return 0, io.ErrClosedPipe
		}
	}
}

// Close may be called from any goroutine, and more than once.
func (r *spoolReader) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}
