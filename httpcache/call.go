package httpcache

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/corralcache/corral"
)

// handlerTransport makes requests of a handler.
type handlerTransport struct{ next http.Handler }

// RoundTrip calls the handler and returns when it has written its header, in
// the sense of net/http: when it has flushed, written more than callBuffer, or
// returned. It waits for that also after the request's context has ended: the
// cache lets callers go at their deadline whatever a load does, and counts
// those that stay.
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	c := newCall(r)
	go c.run(t.next, received(r))
	<-c.ready
	if cause := context.Cause(c.ctx); cause != nil && c.err == nil {
		c.res.Body.Close() // what a handler writes that was told to stop is no answer
		return nil, cause
	}
	return c.res, c.err
}

// received makes of a request that is sent one that has come in, as net/http
// would make it of the same bytes. It tells of no client (K4).
func received(r *http.Request) *http.Request {
	in := r.WithContext(callContext{r.Context()})
	in.Header = r.Header.Clone()
	if agent, named := in.Header["User-Agent"]; named && agent == nil {
		delete(in.Header, "User-Agent")
	}
	in.GetBody = nil
	if in.Body == nil {
		in.Body = http.NoBody
	}
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	in.RequestURI = r.URL.RequestURI()
	if u, err := url.ParseRequestURI(in.RequestURI); err == nil {
		in.URL = u
	}
	if m := mountOf(r.Context()); m != nil {
		m.apply(in)
	}
	return in
}

// callServer stands for the one that serves a call. Handlers look for it, as
// httputil.ReverseProxy does, to learn whether a panic would break off the
// answer or the program.
var callServer = new(http.Server)

// A callContext is the context of a call: the request's, less what it carries
// for httpcache itself. A trace would be composed with that of each request
// that the handler makes.
type callContext struct{ context.Context }

// Value implements context.Context.
func (c callContext) Value(key any) any {
	if key == http.ServerContextKey {
		return callServer
	}
	switch value := c.Context.Value(key).(type) {
	case *httptrace.ClientTrace, *mount:
		return nil
	default:
		return value
	}
}

// callBuffer is how much a handler may write, in bytes, before its header is
// complete: as much as with net/http, so that the same answers get a
// Content-Length and the same type.
const callBuffer = 2048

// A call is the http.ResponseWriter of a handler that is called for everybody.
// What it does and refuses is what net/http's does and refuses.
//
// Invariants:
//
//	K1. res or err is set once, by the handler's goroutine before ready closes;
//	    whoever has received from ready reads them without a lock.
//	K2. The body ends well only when the handler has returned of itself, with
//	    its context alive and as many bytes written as it declared.
//	K3. The handler's goroutine waits for a reader no longer than its context
//	    lasts, and a reader no longer for it.
//	K4. What the handler sees of a client is in the key, or the same for all.
type call struct {
	ctx  context.Context // of the fetch: it ends when that does, and nobody reads the body any more
	head bool            // the request is for the header alone

	// Of the handler's goroutine.
	header  http.Header
	status  int           // zero before WriteHeader
	sent    http.Header   // header as it was at WriteHeader
	length  int64         // by Content-Length; -1: not said
	written int64         // in bytes, what was refused included
	buffer  *bufio.Writer // before pipe
	done    bool          // the handler has returned
	body    *io.PipeReader
	pipe    *io.PipeWriter

	ready chan struct{} // closed when one of these is set
	res   *http.Response
	err   error
}

func newCall(r *http.Request) *call {
	c := &call{ctx: r.Context(), head: r.Method == http.MethodHead, header: http.Header{}, length: -1, ready: make(chan struct{})}
	c.body, c.pipe = io.Pipe()
	c.buffer = bufio.NewWriterSize(callBody{c}, callBuffer)
	return c
}

// run is the goroutine of a call. It ends when the handler returns (K3).
func (c *call) run(next http.Handler, r *http.Request) {
	unblock := context.AfterFunc(c.ctx, func() { c.pipe.CloseWithError(context.Cause(c.ctx)) })
	defer unblock()
	returned := false
	defer func() {
		if !returned {
			c.fail(recover())
		}
	}()
	next.ServeHTTP(c, r)
	c.finish()
	returned = true
}

// errHandler is what the origin's breaking off is to a middleware.
var errHandler = errors.New("the handler panicked")

// fail ends the answer of a handler that did not return. value is what recover
// gave, nil for runtime.Goexit.
func (c *call) fail(value any) {
	err := errHandler
	if value != http.ErrAbortHandler {
		err = fmt.Errorf("%w: %w", errHandler, &corral.PanicError{Value: value, Goexit: value == nil, Stack: debug.Stack()})
	}
	if c.res == nil {
		c.err = err
		close(c.ready)
	}
	c.pipe.CloseWithError(err)
}

// finish ends the answer of a handler that has returned. One whose context had
// ended may have returned for that reason, in the middle of its body (K2).
func (c *call) finish() {
	c.WriteHeader(http.StatusOK) // unless it has written one
	c.done = true
	c.buffer.Flush()
	c.answer(nil)
	for name := range c.res.Trailer {
		c.res.Trailer[name] = c.header[name]
	}
	err := context.Cause(c.ctx)
	if err == nil && c.res.Body != http.NoBody && c.length >= 0 && c.written != c.length {
		err = fmt.Errorf("the handler wrote %d bytes of a Content-Length of %d: %w", c.written, c.length, io.ErrUnexpectedEOF)
	}
	c.pipe.CloseWithError(err)
}

// Header implements http.ResponseWriter.
func (c *call) Header() http.Header { return c.header }

// WriteHeader implements http.ResponseWriter.
func (c *call) WriteHeader(code int) {
	switch {
	case c.status != 0:
		return
	case code < 100 || code > 999:
		panic(fmt.Sprintf("httpcache: the handler wrote status code %d: use one from 100 to 999", code))
	case code < 200 && code != http.StatusSwitchingProtocols:
		if trace := httptrace.ContextClientTrace(c.ctx); trace != nil && trace.Got1xxResponse != nil {
			trace.Got1xxResponse(code, textproto.MIMEHeader(c.header.Clone()))
		}
		return
	}
	c.status, c.sent = code, c.header.Clone()
	if text := c.sent.Get("Content-Length"); text != "" {
		if length, err := strconv.ParseInt(text, 10, 64); err == nil && length >= 0 {
			c.length = length
		} else {
			c.sent.Del("Content-Length")
		}
	}
}

// Write implements http.ResponseWriter.
func (c *call) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	if len(b) == 0 {
		return 0, nil
	}
	if !bodied(c.status) {
		return 0, http.ErrBodyNotAllowed
	}
	c.written += int64(len(b))
	if c.length >= 0 && c.written > c.length {
		return 0, http.ErrContentLength
	}
	return c.buffer.Write(b)
}

// FlushError hands on at once what has been written, as http.ResponseController
// asks.
func (c *call) FlushError() error {
	if c.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	err := c.buffer.Flush()
	c.answer(nil)
	return err
}

// Flush implements http.Flusher.
func (c *call) Flush() { c.FlushError() }

// callBody is where a call's buffer goes.
type callBody struct{ *call }

func (c callBody) Write(p []byte) (int, error) {
	c.answer(p)
	if c.head {
		return len(p), nil
	}
	return c.pipe.Write(p)
}

// answer completes the header, which is then that of the answer. p is what its
// body begins with, or all of it when the handler is done.
func (c *call) answer(p []byte) {
	if c.res != nil {
		return
	}
	trailer := trailers(c.sent)
	c.complete(p, trailer != nil)
	res := &http.Response{
		StatusCode: c.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: c.sent, ContentLength: c.length, Body: http.NoBody, Trailer: trailer,
	}
	if !c.head && bodied(c.status) && c.length != 0 {
		res.Body = c.body
	}
	c.res = res
	close(c.ready)
}

// complete adds to the header what net/http adds when it sends it.
func (c *call) complete(p []byte, trailer bool) {
	if !bodied(c.status) {
		c.length = -1
		if c.status == http.StatusNotModified {
			c.sent.Del("Content-Type")
		}
		return
	}
	coded := c.sent.Get("Transfer-Encoding") != ""
	if c.done && c.length < 0 && !trailer && !coded && (!c.head || len(p) > 0) {
		c.length = int64(len(p))
		c.sent.Set("Content-Length", strconv.Itoa(len(p)))
	}
	if _, typed := c.sent["Content-Type"]; !typed && !coded && c.sent.Get("Content-Encoding") == "" && len(p) > 0 {
		c.sent.Set("Content-Type", http.DetectContentType(p))
	}
}

// trailers gives the names of trailers that a header announces; nil when there
// are none. Those with http.TrailerPrefix, which it does not, are dropped like
// all fields whose name is no token.
func trailers(h http.Header) (announced http.Header) {
	for _, line := range h["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			if announced == nil {
				announced = http.Header{}
			}
			announced[http.CanonicalHeaderKey(strings.TrimSpace(name))] = nil
		}
	}
	return announced
}

// bodied reports whether an answer of this status has a body (RFC 9110, section
// 6.4.1).
func bodied(code int) bool {
	return code >= 200 && code != http.StatusNoContent && code != http.StatusNotModified
}
