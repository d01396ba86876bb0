package httpcache

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/corralcache/corral/internal/httpsem"
)

// passage is what a request that goes to the origin by itself is told on its way.
type passage struct {
	key    httpsem.Key
	status httpsem.Status
	trace  *fetch // for its times
}

type passageKey struct{}

// forward sends a request to the origin by itself and its answer to nobody else.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, key httpsem.Key, fwd httpsem.Fwd, detail string) {
	way := &passage{key: key, status: httpsem.Status{Cache: p.o.Name, Fwd: fwd, Detail: detail}, trace: new(fetch)}
	p.bypass.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passageKey{}, way)))
}

func (p *Proxy) newBypass() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:     timed{p},
		FlushInterval: -1, // what the origin sends is sent on at once
		Rewrite: func(pr *httputil.ProxyRequest) {
			way := pr.In.Context().Value(passageKey{}).(*passage)
			target := way.key.URL()
			p.direct(target)
			pr.Out.URL = target
			pr.Out.Host = way.key.Host
			for name := range pr.Out.Header {
				if httpsem.Unkeyed(name) {
					delete(pr.Out.Header, name)
				}
			}
			pr.SetXForwarded()
			httpsem.AppendVia(pr.Out.Header, pr.In.ProtoMajor, pr.In.ProtoMinor, p.o.Name)
			if _, named := pr.In.Header["User-Agent"]; !named {
				pr.Out.Header["User-Agent"] = nil
			}
		},
		ModifyResponse: p.passed,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			way := r.Context().Value(passageKey{}).(*passage)
			if r.Context().Err() != nil {
				panic(http.ErrAbortHandler)
			}
			way.status.Detail = "origin-unreachable"
			p.fail(w, r, http.StatusBadGateway, way.status, "the origin cannot be reached")
		},
	}
}

// passed notes how an answer came about and ends what it makes invalid (RFC
// 9111, section 4.4), before the client can have seen it.
func (p *Proxy) passed(res *http.Response) error {
	way := res.Request.Context().Value(passageKey{}).(*passage)
	for _, key := range httpsem.Invalidated(way.key, res.StatusCode, res.Header) {
		if err := p.cache.InvalidateTags(res.Request.Context(), key.String()); err != nil {
			return err
		}
	}
	note(res.Request, way.status, way.trace)
	httpsem.AppendStatus(res.Header, way.status)
	httpsem.AppendVia(res.Header, res.ProtoMajor, res.ProtoMinor, p.o.Name)
	return nil
}

// timed is the transport of requests that go by themselves.
type timed struct{ p *Proxy }

func (t timed) RoundTrip(r *http.Request) (*http.Response, error) {
	way := r.Context().Value(passageKey{}).(*passage)
	start := t.p.now()
	res, err := t.p.transport.RoundTrip(r)
	way.trace.took.Store(int64(t.p.now().Sub(start)))
	if err == nil {
		way.trace.status.Store(int64(res.StatusCode))
	}
	return res, err
}

// direct points a target at the origin, below the origin's own path.
func (p *Proxy) direct(target *url.URL) {
	target.Scheme, target.Host = p.o.Origin.Scheme, p.o.Origin.Host
	prefix := strings.TrimSuffix(p.o.Origin.EscapedPath(), "/")
	if prefix == "" {
		return
	}
	if target.Opaque != "" {
		target.Opaque = prefix + target.Opaque
		return
	}
	target.RawPath = prefix + target.EscapedPath()
	target.Path = strings.TrimSuffix(p.o.Origin.Path, "/") + target.Path
}
