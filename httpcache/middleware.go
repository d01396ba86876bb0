package httpcache

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/corralcache/corral/internal/httpsem"
)

// A Middleware is an http.Handler that answers from its cache or by another.
type Middleware struct {
	door
	next http.Handler
}

// Handler puts a cache before a handler, which is then called once a key
// however many clients ask at once. The handler is to say in Cache-Control for
// how long its answers hold, as any origin is.
//
// A call whose answer may go to others has a request of its own: the address
// and the fields of the client's, less what httpcache leaves out of every
// shared fetch, path values and a rewritten URL as other handlers before this
// one left them, but no RemoteAddr and none of the values in the client's
// context. Its TLS says that there is some, and no more. Its context ends when
// nobody waits for the answer any more, and by LoadTimeout and TailTimeout; a
// handler that goes on regardless keeps nobody waiting, and 64 that do so before
// they have written a header are let be before others are refused with 503. Its
// ResponseWriter is an http.Flusher and has the semantics of net/http's; it has
// no connection that could be hijacked or given a deadline.
//
// What is not cacheable is called as if there were no cache, with the client's
// own request and ResponseWriter. The answer's fields replace those that other
// handlers have set before, but for Vary, whose names add up.
func Handler(next http.Handler, o Options) (*Middleware, error) {
	if next == nil {
		return nil, errors.New("httpcache: the handler is nil: give the one whose answers are to be cached")
	}
	if err := noOrigin("middleware", &o); err != nil {
		return nil, err
	}
	o.Transport = handlerTransport{next}
	m := &Middleware{next: next}
	m.let = []any{mountKey{}}
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
	header := w.Header()
	vary := header["Vary"]
	delete(header, "Vary")
	out := &patient{ResponseWriter: w, control: *http.NewResponseController(w), timeout: m.config.Load().TailTimeout}
	x := &out.x
	x.begin(&m.door, w, w, mounted(r))
	decision := x.handleServed()
	if len(vary) > 0 {
		header["Vary"] = append(vary[:len(vary):len(vary)], header["Vary"]...)
	}
	switch decision.way {
	case forward:
		m.forward(w, r, x, &decision)
	case abort:
		panic(http.ErrAbortHandler)
	default:
		decision.reply.write(out)
	}
}

// forward calls the handler for one request alone.
func (m *Middleware) forward(w http.ResponseWriter, r *http.Request, x *exchange, decision *decision) {
	if decision.content != nil {
		with := *r
		with.Body = decision.content.reader()
		r = &with
	}
	out := &passing{ResponseWriter: w, x: x, status: httpsem.Status{Cache: x.c.Name, Fwd: decision.fwd, Detail: decision.reason.String()}}
	m.next.ServeHTTP(out, r)
	out.begin()
}

// A passing ResponseWriter is that of a request that goes by itself.
type passing struct {
	http.ResponseWriter
	x      *exchange
	status httpsem.Status
	begun  bool // the header is written, or the connection is no longer HTTP's
}

// WriteHeader implements http.ResponseWriter.
func (w *passing) WriteHeader(code int) {
	if !w.begun && (code >= 200 || code == http.StatusSwitchingProtocols) {
		w.begun = true
		w.x.passed(code, w.Header(), w.status) // its error is that the cache is closed, and has nothing
	}
	w.ResponseWriter.WriteHeader(code)
}

// begin writes the header that net/http writes for a handler that does not.
func (w *passing) begin() {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
}

// Write implements http.ResponseWriter.
func (w *passing) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// ReadFrom lets net/http send a file without copying it.
func (w *passing) ReadFrom(src io.Reader) (int64, error) {
	w.begin()
	return io.Copy(w.ResponseWriter, src)
}

// FlushError may be what sends the header.
func (w *passing) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is for handlers that ask for an http.Flusher.
func (w *passing) Flush() { w.FlushError() }

// Hijack is for handlers that ask for an http.Hijacker.
func (w *passing) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.begun = w.begun || err == nil
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (w *passing) Unwrap() http.ResponseWriter { return w.ResponseWriter }
