package httpcache

import (
	"context"
	"net/http"
	"strings"

	"github.com/corralcache/corral/internal/httpsem"
)

// A Transport is an http.RoundTripper that answers from its cache or by
// another. Requests that may have the same answer and meet on a cold or stale
// address cost one; each caller reads the body as it comes, and closes it.
//
// It is a shared cache unless Options.Private is set: an answer that is private,
// or to a request with Authorization or Cookie, goes to its own caller alone.
// With it all callers are one user: an http.Client with a cookie jar then gets
// Set-Cookie once, from the answer that the origin gave, and not again from the
// cache.
//
// A request whose Host is not that of its URL, or that has a field by which it
// could change the answer for others (X-Forwarded-Host and its kind), goes by
// itself, as it is. So does what no cache can answer: CONNECT, other schemes
// than http and https, addresses that are longer than MaxKeyBytes. An answer
// from the cache has no TLS, and Uncompressed is false.
type Transport struct {
	door
	base http.RoundTripper
}

// NewTransport puts a cache before a RoundTripper, http.DefaultTransport if base
// is nil. One that decompresses by itself, as http.Transport does unless
// DisableCompression is set, is cached decompressed.
func NewTransport(base http.RoundTripper, o Options) (*Transport, error) {
	if err := noOrigin("transport", &o); err != nil {
		return nil, err
	}
	if base == nil {
		base = http.DefaultTransport
	}
	o.Transport = base
	t := &Transport{base: base}
	t.client = true
	if err := t.open(o); err != nil {
		return nil, err
	}
	return t, nil
}

// Reload is Reload of any door.
func (t *Transport) Reload(o Options) error {
	if err := noOrigin("transport", &o); err != nil {
		return err
	}
	o.Transport = t.base
	return t.door.Reload(o)
}

// CloseIdleConnections is for http.Client's: it asks the RoundTripper behind
// the cache to do so.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper. An origin that cannot be reached, or
// that does not answer in time, is an error, corral.ErrLoadTimeout the latter;
// one that answers with 500, 502, 503, 504 or 429 gives its answer to the caller
// who asked it, and its status to those who waited.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL == nil {
		return t.base.RoundTrip(r)
	}
	in := asReceived(r)
	x := exchange{d: &t.door, c: t.config.Load(), r: in, header: http.Header{}, alone: unkeyed(in.Header) || otherHost(r)}
	decision := x.handle(r.URL.Scheme, in.Host, in.RequestURI)
	switch {
	case x.route == nil: // there is no key for it; what is wrong with it, if anything, the base can say
		return t.base.RoundTrip(r)
	case decision.way == send && x.f == nil && decision.reply.code == http.StatusRequestURITooLong:
		return t.forward(r, &x, &decision)
	case decision.way == forward:
		return t.forward(r, &x, &decision)
	}
	closeRequest(r)
	if decision.way == abort {
		return nil, context.Cause(r.Context())
	}
	if decision.err != nil && !originAnswered(decision.err) {
		return nil, decision.err
	}
	return decision.reply.response(r, x.header), nil
}

// asReceived makes of a request that is to be sent one as it would arrive.
func asReceived(r *http.Request) *http.Request {
	in := *r
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if in.Header == nil {
		in.Header = http.Header{}
	}
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.ContentLength == 0 && in.Body != nil && in.Body != http.NoBody {
		in.ContentLength = -1 // in a request that is sent, zero may mean that
	}
	in.RequestURI = r.URL.RequestURI()
	return &in
}

// otherHost reports whether a request names another host than the one that it
// is sent to: by that name a cache would find what a third one said.
func otherHost(r *http.Request) bool {
	return r.Host != "" && !strings.EqualFold(r.Host, r.URL.Host)
}

// closeRequest ends a request's content, as a RoundTripper has to.
func closeRequest(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// forward sends a request by itself.
func (t *Transport) forward(r *http.Request, x *exchange, decision *decision) (*http.Response, error) {
	if content := decision.content; content != nil {
		if content.body == nil {
			defer closeRequest(r)
		}
		r = r.WithContext(r.Context())
		r.Body = content.reader()
	}
	res, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.Header == nil {
		res.Header = http.Header{}
	}
	// The error of passed is that the cache is closed, and has nothing to forget.
	x.passed(res.StatusCode, res.Header, httpsem.Status{Cache: x.c.Name, Fwd: decision.fwd, Detail: decision.reason.String()})
	return res, nil
}
