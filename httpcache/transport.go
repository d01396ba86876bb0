package httpcache

import (
	"net/http"

	"github.com/corralcache/corral/internal/httpsem"
)

// A Transport is an http.RoundTripper that answers from its cache or by
// another. Requests that may have the same answer and meet on a cold or stale
// address cost one; each caller reads the body as it comes, and closes it.
//
// It is a shared cache unless Options.Private is set: an answer that is private,
// or to a request with Authorization or Cookie, goes to its own caller alone.
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

// RoundTrip implements http.RoundTripper. An origin that cannot be reached, or
// that does not answer in time, is an error; one that answers with 500, 502,
// 503, 504 or 429 gives its answer to the caller who asked it, and its status
// to those who waited.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := *r
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if in.Header == nil {
		in.Header = http.Header{}
	}
	if in.ProtoMajor == 0 {
		in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	}
	in.RequestURI = r.URL.RequestURI()
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	x := exchange{d: &t.door, c: t.config.Load(), r: &in, header: http.Header{}}
	decision := x.handle(r.URL.Scheme, host, in.RequestURI)
	switch decision.way {
	case forward:
		return t.forward(r, &x, &decision)
	case abort:
		closeRequest(r)
		return nil, decision.err
	}
	closeRequest(r)
	if decision.err != nil && !originAnswered(decision.err) {
		return nil, decision.err
	}
	return decision.reply.response(r, x.header), nil
}

// closeRequest ends a request's content, as a RoundTripper has to.
func closeRequest(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// forward sends a request by itself.
func (t *Transport) forward(r *http.Request, x *exchange, decision *decision) (*http.Response, error) {
	if decision.content != nil {
		with := r.WithContext(r.Context())
		with.Body = decision.content.reader()
		with.GetBody = nil
		r = with
	}
	res, err := t.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := x.passed(res.StatusCode, res.Header, httpsem.Status{Cache: x.c.Name, Fwd: decision.fwd, Detail: decision.reason.String()}); err != nil {
		res.Body.Close()
		return nil, err
	}
	return res, nil
}
