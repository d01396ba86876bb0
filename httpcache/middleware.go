package httpcache

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"sync"

	"github.com/corralcache/corral/internal/httpsem"
)

// A Middleware is an http.Handler that answers from its cache or by another.
type Middleware struct {
	door
	next http.Handler
}

// Handler puts a cache before a handler, which is then called once a key
// however many clients ask at once.
//
// A call whose answer may go to others has a request of its own: without the
// client's address, without its context's values and without the fields that
// are not in the key. The handler is to say in Cache-Control for how long its
// answers hold, as any origin is. What is not cacheable is called as if there
// were no cache, with the client's own request and ResponseWriter, which can
// be hijacked and flushed.
func Handler(next http.Handler, o Options) (*Middleware, error) {
	if next == nil {
		return nil, errors.New("httpcache: the handler is nil: give the one whose answers are to be cached")
	}
	if err := noOrigin("middleware", &o); err != nil {
		return nil, err
	}
	o.Transport = handlerTransport{next}
	m := &Middleware{next: next}
	if err := m.open(o); err != nil {
		return nil, err
	}
	return m, nil
}

// noOrigin refuses options that are a Proxy's.
func noOrigin(door string, o *Options) error {
	given := o.Origin != nil || o.Transport != nil
	for _, rule := range o.Rules {
		given = given || rule.Origin != nil || rule.Transport != nil
	}
	if given {
		return fmt.Errorf("httpcache: Options.Origin and Transport, and those of rules, are a proxy's: leave them out, a %s has its own", door)
	}
	return nil
}

// Reload is Reload of any door.
func (m *Middleware) Reload(o Options) error {
	if err := noOrigin("middleware", &o); err != nil {
		return err
	}
	o.Transport = handlerTransport{m.next}
	return m.door.Reload(o)
}

// ServeHTTP implements http.Handler.
func (m *Middleware) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var x exchange
	x.begin(&m.door, w, w, r)
	decision := x.handleServed()
	switch decision.way {
	case forward:
		if decision.content != nil {
			with := *r
			with.Body = decision.content.reader()
			r = &with
		}
		m.next.ServeHTTP(&passing{ResponseWriter: w, x: &x, status: httpsem.Status{Cache: x.c.Name, Fwd: decision.fwd, Detail: decision.reason.String()}}, r)
	case abort:
		panic(http.ErrAbortHandler)
	default:
		decision.reply.write(w)
	}
}

// A passing ResponseWriter is that of a request that goes by itself.
type passing struct {
	http.ResponseWriter
	x       *exchange
	status  httpsem.Status
	written bool
}

func (w *passing) WriteHeader(code int) {
	if !w.written && (code >= 200 || code == http.StatusSwitchingProtocols) {
		w.written = true
		w.x.passed(code, w.Header(), w.status)
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *passing) Write(b []byte) (int, error) {
	if !w.written {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// FlushError may be what sends the header.
func (w *passing) FlushError() error {
	if !w.written {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is for handlers that ask for an http.Flusher.
func (w *passing) Flush() { w.FlushError() }

// Hijack is for handlers that ask for an http.Hijacker.
func (w *passing) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (w *passing) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// handlerTransport makes requests of a handler.
type handlerTransport struct{ next http.Handler }

// RoundTrip returns when the handler has written its header. Its body is what
// the handler writes from then on, not faster than it is read.
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	call := &handlerCall{header: http.Header{}, ready: make(chan struct{}), ctx: ctx}
	call.body, call.pipe = io.Pipe()
	in := r.WithContext(ctx)
	in.URL.Scheme, in.URL.Host = "", ""
	in.RequestURI = in.URL.RequestURI()
	in.Header = r.Header.Clone()
	if values, named := in.Header["User-Agent"]; named && values == nil {
		delete(in.Header, "User-Agent")
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	go call.run(t.next, in)
	select {
	case <-call.ready:
	case <-ctx.Done():
		cancel()
		return nil, context.Cause(r.Context())
	}
	if call.failed != nil {
		cancel()
		return nil, call.failed
	}
	res := &http.Response{
		StatusCode: call.code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: call.sent, ContentLength: -1, Body: handlerBody{call.body, cancel},
	}
	if length, err := strconv.ParseInt(call.sent.Get("Content-Length"), 10, 64); err == nil && length >= 0 {
		res.ContentLength = length
	}
	return res, nil
}

// handlerBody ends the handler's context when nobody reads its body any more.
type handlerBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b handlerBody) Close() error {
	defer b.cancel()
	return b.PipeReader.Close()
}

// A handlerCall is a call of a handler whose answer may go to others.
type handlerCall struct {
	ctx    context.Context
	header http.Header // the handler's
	body   *io.PipeReader
	pipe   *io.PipeWriter
	ready  chan struct{} // closed when what follows is set
	once   sync.Once
	code   int
	sent   http.Header
	failed error
	left   int64 // of Content-Length; -1 when it is not known
}

// errHandler is what the origin's breaking off is to a middleware.
var errHandler = errors.New("the handler panicked")

func (c *handlerCall) run(next http.Handler, r *http.Request) {
	defer func() {
		p := recover()
		if p == nil {
			c.WriteHeader(http.StatusOK) // unless it has written one
			if c.left > 0 {
				c.pipe.CloseWithError(io.ErrUnexpectedEOF)
			}
			c.pipe.Close()
			return
		}
		err := errHandler
		if p != http.ErrAbortHandler {
			err = fmt.Errorf("%w: %v", errHandler, p)
		}
		c.once.Do(func() { c.failed = err; close(c.ready) })
		c.pipe.CloseWithError(err)
	}()
	next.ServeHTTP(c, r)
}

// Header, WriteHeader and Write implement http.ResponseWriter.
func (c *handlerCall) Header() http.Header { return c.header }

func (c *handlerCall) WriteHeader(code int) {
	if code < 200 && code != http.StatusSwitchingProtocols {
		if trace := httptrace.ContextClientTrace(c.ctx); trace != nil && trace.Got1xxResponse != nil {
			trace.Got1xxResponse(code, textproto.MIMEHeader(c.header.Clone()))
		}
		return
	}
	c.once.Do(func() {
		c.code, c.sent, c.left = code, c.header.Clone(), -1
		if length, err := strconv.ParseInt(c.sent.Get("Content-Length"), 10, 64); err == nil && bodied(code) {
			c.left = length
		}
		close(c.ready)
	})
}

// bodied reports whether an answer of this status has a body (RFC 9110, section
// 6.4.1).
func bodied(code int) bool {
	return code >= 200 && code != http.StatusNoContent && code != http.StatusNotModified
}

func (c *handlerCall) Write(b []byte) (int, error) {
	if c.code == 0 {
		if c.header.Get("Content-Type") == "" && c.header.Get("Content-Encoding") == "" && len(b) > 0 {
			c.header.Set("Content-Type", http.DetectContentType(b))
		}
		c.WriteHeader(http.StatusOK)
	}
	if !bodied(c.code) {
		return 0, http.ErrBodyNotAllowed
	}
	if c.left >= 0 {
		if int64(len(b)) > c.left {
			return 0, http.ErrContentLength
		}
		c.left -= int64(len(b))
	}
	return c.pipe.Write(b)
}

// Flush is for handlers that flush: what they write is handed on at once.
func (c *handlerCall) Flush() {
	if c.code == 0 {
		c.WriteHeader(http.StatusOK)
	}
}
