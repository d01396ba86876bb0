package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync/atomic"

	"github.com/corralcache/corral/internal/unasked"
)

// RoundTrip implements http.RoundTripper. The request's scheme and host choose
// no server; its host is the Host field, if req.Host is empty.
func (p *Pool) RoundTrip(req *http.Request) (*http.Response, error) {
	x := &exchange{p: p, req: req, content: newContent(req.Body)}
	x.tried = x.room[:0]
	if req.URL == nil {
		x.content.end()
		return nil, p.fault(errors.New("the request has no URL"))
	}
	if p.o.Policy == Hash {
		x.key = hash(req.URL.Scheme, host(req), req.URL.RequestURI())
	}
	at, err := p.enter(req.Context(), x.key)
	if err != nil {
		x.content.end()
		return nil, err
	}
	for {
		res, err := x.attempt(at)
		next, again := x.next(at, res, err)
		if !again {
			return x.finish(at, res, err)
		}
		at = next
	}
}

func host(req *http.Request) string {
	if req.Host != "" {
		return req.Host
	}
	return req.URL.Host
}

// An exchange is a request with its attempts.
//
// Invariants:
//
//	X1. After an attempt, one more is made only by next.
//	X2. A request that is not idempotent is in no attempt after one that had a
//	    connection.
//	X3. A request is in no attempt after a byte of an answer has come, but for
//	    a status of retryable.
//	X4. There are at most 1 + Retries attempts, and at most 2 + Retries times
//	    a server gets the request.
//	X5. The request's body ends once, after the last attempt that may read it.
type exchange struct {
	p       *Pool
	req     *http.Request
	key     uint64
	content *content
	tried   []*member
	room    [2]*member // for tried, usually
	seen    *witness   // of the last attempt
	sent    int        // how often a connection was there to send it on
}

// attempt sends the request to one server.
func (x *exchange) attempt(at seat) (*http.Response, error) {
	x.seen = &witness{http2: at.server.http2}
	x.tried = append(x.tried, &at.server.member)
	out := x.req.WithContext(httptrace.WithClientTrace(unasked.Watch(x.req.Context()), x.seen.trace()))
	out.URL, out.Host = at.server.direct(x.req.URL), host(x.req)
	if !idempotent(x.req.Method) {
		out.Header = withoutPromise(x.req.Header)
	}
	if !x.content.none() {
		out.Body = x.content
	}
	res, err := at.server.transport.RoundTrip(out)
	x.sent += x.seen.conns
	if err != nil {
		x.p.settle(at, x.blame(err))
		x.p.leave(at.server)
		return nil, fmt.Errorf("upstream: pool %q, server %q: %w", x.p.o.Name, at.server.name, err)
	}
	x.p.settle(at, answered)
	return res, nil
}

// blame is what an attempt's error says of its server. A request that net/http
// refuses to send says nothing: else clients could have servers ejected.
func (x *exchange) blame(err error) outcome {
	ctx := x.req.Context()
	switch {
	case x.content.broken():
		return unknown
	case ctx.Err() != nil && !x.content.taken():
		return unknown // the client may have been the slow one
	case ctx.Err() != nil:
		return x.p.blameCause(context.Cause(ctx))
	case x.seen.wrote.Load(), x.seen.unreachable():
		return failed
	}
	return unknown
}

func (p *Pool) blameCause(cause error) outcome {
	if errors.Is(cause, context.DeadlineExceeded) ||
		slices.ContainsFunc(p.o.TimeoutCauses, func(t error) bool { return errors.Is(cause, t) }) {
		return failed
	}
	return unknown
}

// finish hands out the last attempt's answer or error.
func (x *exchange) finish(at seat, res *http.Response, err error) (*http.Response, error) {
	if err != nil {
		x.content.end()
		return nil, err
	}
	x.content.release()
	res.Request = x.req
	x.p.follow(at.server, res)
	return res, nil
}

// A witness sees what net/http does with an attempt. Its methods are called on
// the goroutine of RoundTrip where they touch what is not atomic.
type witness struct {
	http2 bool // by prior knowledge
	asked bool // for a connection
	conns int  // that were there
	wrote atomic.Bool
	heard atomic.Bool // a byte of an answer
}

func (w *witness) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:              func(string) { w.asked = true },
		GotConn:              w.got,
		WroteHeaders:         func() { w.wrote.Store(true) },
		GotFirstResponseByte: func() { w.heard.Store(true) },
	}
}

// got bounds net/http's own repetitions: when a kept connection breaks, it would
// go on with the next, as long as there are any. A request that makes a server
// hang up must not walk over all of them, so the second has to be a new one:
// after a new one's failure net/http does not repeat. What is closed here has
// nothing written to it.
func (w *witness) got(info httptrace.GotConnInfo) {
	if w.conns > 0 && info.Reused && !w.multiplexed(info) {
		info.Conn.Close()
		return
	}
	w.conns++
}

// multiplexed reports whether the connection is one of HTTP/2, which other
// requests use, and on which only what the server has not looked at is repeated.
func (w *witness) multiplexed(info httptrace.GotConnInfo) bool {
	secure, ok := info.Conn.(*tls.Conn)
	return w.http2 || ok && secure.ConnectionState().NegotiatedProtocol == "h2"
}

// unreachable reports whether there was no connection to be had.
func (w *witness) unreachable() bool { return w.asked && w.conns == 0 }
