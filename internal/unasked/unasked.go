// Package unasked keeps what a server sends after the end of a response from
// becoming the response to the next request on the connection.
//
// net/http closes an idle connection on which something arrives. But it hands a
// connection to the next request before it looks whether more has come already
// behind the last body, and if that request is the faster one, it is given what
// was never an answer to it. A cache would store that, under any key.
//
// With Dial and Watch a request waits until the connection's reader waits too,
// which it does only when nothing is left to be read; otherwise net/http, which
// expects no response yet, finds what there is and closes the connection, and the
// request goes by another one, unsent until then. It costs no packet and, where
// servers keep to their framing, microseconds at most.
//
// What arrives later, while the next request is on its way, nobody can tell from
// its response. Streams of HTTP/2 have numbers and need none of this.
package unasked

import (
	"context"
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"sync"
	"time"
)

// patience is how long a request waits for a connection's reader, which has
// nothing to do but to begin to read, before it goes on as it would without.
const patience = time.Second

// Dial makes the connections of an http.Transport, as its DialContext, such that
// Watch can wait for them.
func Dial(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c}, nil
	}
}

// Watch gives the context for a request by a transport whose connections are
// made by Dial. With other connections it does nothing.
func Watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if !got.Reused {
			return
		}
		inner := got.Conn
		if over, ok := inner.(*tls.Conn); ok {
			if over.ConnectionState().NegotiatedProtocol == "h2" {
				return
			}
			inner = over.NetConn()
		}
		if c, ok := inner.(*conn); ok {
			c.awaitReader(ctx)
		}
	}})
}

// A conn knows whether somebody waits for what comes on it.
type conn struct {
	net.Conn
	mu      sync.Mutex
	reading bool // a Read is under way
	closed  bool
	changed chan struct{} // closed at the next change of the two; nil while nobody waits for it
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	c.set(&c.reading, true)
	defer c.set(&c.reading, false)
	return c.Conn.Read(p)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.set(&c.closed, true)
	return c.Conn.Close()
}

// CloseWrite ends the one direction of an upgraded connection.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

func (c *conn) set(field *bool, value bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*field = value
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// settled reports whether somebody reads, or the connection is closed, and gives
// what is closed when that may have changed.
func (c *conn) settled() (ok bool, changed chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reading || c.closed {
		return true, nil
	}
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return false, c.changed
}

func (c *conn) awaitReader(ctx context.Context) {
	ok, changed := c.settled()
	if ok {
		return
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for !ok {
		select {
		case <-changed:
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
		ok, changed = c.settled()
	}
}
