package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/corralcache/corral/internal/httpsem"
	"github.com/corralcache/corral/internal/unasked"
)

// pingAfter is how long a connection of HTTP/2 may be silent before it is asked
// whether it lives, and pingTimeout how long it has to say so. Connections of
// HTTP/1.1 carry one request, which its own timeouts end.
const (
	pingAfter   = 15 * time.Second
	pingTimeout = 15 * time.Second
)

// newTransport makes the connections to one server: limits are by server, also
// where two have one address and different paths.
func newTransport(o Options, h2c bool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2c)
	protocols.SetHTTP2(!h2c)
	protocols.SetUnencryptedHTTP2(h2c)
	t := &http.Transport{
		DialContext:            unasked.Dial(dialer(o)),
		TLSHandshakeTimeout:    o.ConnectTimeout,
		ResponseHeaderTimeout:  o.HeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxConnsPerHost:        o.MaxConns,
		MaxIdleConns:           o.MaxConns,
		MaxIdleConnsPerHost:    o.MaxConns,
		IdleConnTimeout:        o.IdleTimeout,
		MaxResponseHeaderBytes: o.MaxHeaderBytes,
		DisableCompression:     true, // what the server sends is what the client gets
		Protocols:              protocols,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	if o.TLS != nil {
		t.TLSClientConfig = o.TLS.Clone()
	}
	return t
}

// dialer makes connections whose failure is a *net.OpError of Op "dial",
// whatever makes them.
func dialer(o Options) func(ctx context.Context, network, address string) (net.Conn, error) {
	if o.DialContext == nil {
		return (&net.Dialer{Timeout: o.ConnectTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, o.ConnectTimeout)
		defer cancel()
		conn, err := o.DialContext(ctx, network, address)
		if op := (*net.OpError)(nil); err != nil && !(errors.As(err, &op) && op.Op == "dial") {
			err = &net.OpError{Op: "dial", Net: network, Err: err}
		}
		return conn, err
	}
}

// direct is a request's target at a server: below the server's own path, and
// byte for byte as it was.
func (s *server) direct(target *url.URL) *url.URL {
	to := *target
	httpsem.Direct(&to, s.url)
	return &to
}
