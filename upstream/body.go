package upstream

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// content is a request's body, lent to one attempt after another as long as
// none has read from it. net/http closes it after each, which is put off.
type content struct {
	body    io.ReadCloser // nil: none
	touched atomic.Bool   // Read was called
	bad     atomic.Bool   // Read failed
	over    atomic.Bool   // Read came to the end
	lent    atomic.Bool   // there may be another attempt
	closed  atomic.Bool   // by the attempt
	ending  sync.Once
}

func newContent(body io.ReadCloser) *content {
	c := &content{body: body}
	if body == http.NoBody {
		c.body = nil
	}
	c.lend()
	return c
}

func (c *content) none() bool   { return c.body == nil }
func (c *content) whole() bool  { return !c.touched.Load() }
func (c *content) broken() bool { return c.bad.Load() }
func (c *content) taken() bool  { return c.none() || c.over.Load() }

func (c *content) Read(p []byte) (int, error) {
	c.touched.Store(true)
	n, err := c.body.Read(p)
	switch err {
	case nil:
	case io.EOF:
		c.over.Store(true)
	default:
		c.bad.Store(true)
	}
	return n, err
}

// Close is net/http's.
func (c *content) Close() error {
	c.closed.Store(true)
	if c.lent.Load() && c.whole() {
		return nil
	}
	return c.end()
}

func (c *content) lend() {
	c.closed.Store(false)
	c.lent.Store(true)
}

// release leaves the body to the attempt that has it: there is no other. Either
// this or Close sees what the other stored.
func (c *content) release() {
	c.lent.Store(false)
	if c.closed.Load() {
		c.end()
	}
}

// end closes the body (X5).
func (c *content) end() (err error) {
	if c.body != nil {
		c.ending.Do(func() { err = c.body.Close() })
	}
	return err
}

// follow has a seat given back when the answer's body ends.
func (p *Pool) follow(s *server, res *http.Response) {
	if res.Body == http.NoBody {
		p.leave(s)
		return
	}
	b := &body{ReadCloser: res.Body, p: p, server: s}
	if w, ok := res.Body.(io.Writer); ok { // of 101: the connection
		res.Body = duplex{b, w}
	} else {
		res.Body = b
	}
}

// body is an answer's.
type body struct {
	io.ReadCloser
	p      *Pool
	server *server
	left   atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.leave()
	}
	return n, err
}

func (b *body) Close() error {
	defer b.leave()
	return b.ReadCloser.Close()
}

func (b *body) leave() {
	if b.left.CompareAndSwap(false, true) {
		b.p.leave(b.server)
	}
}

// duplex is a connection that was switched to another protocol.
type duplex struct {
	*body
	io.Writer
}

// CloseWrite ends one direction, where the connection can.
func (d duplex) CloseWrite() error {
	if c, ok := d.Writer.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}
