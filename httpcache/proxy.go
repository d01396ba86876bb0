package httpcache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// Options configures a Proxy. Origin and MaxBytes must be set; the zero value
// of every other field is the default that stands on it.
type Options struct {
	// Name is the cache's in Cache-Status, Via and metrics: a token (RFC 9110,
	// section 5.6.2). Default "Corral".
	Name string
	// Origin is where requests go: scheme (http or https) and host. A path is
	// put before that of each request.
	Origin *url.URL
	// Transport makes the requests. Default: one with MaxConns connections, no
	// compression of its own, and no proxy.
	Transport http.RoundTripper
	// MaxConns bounds the connections to the origin. Default 256.
	MaxConns int

	// MaxBytes bounds the cache's memory, MaxObjectBytes (default: MaxBytes)
	// one stored response with its header.
	MaxBytes       int64
	MaxObjectBytes int64
	// MaxKeyBytes bounds scheme, host, path and query together. Default 8 KiB;
	// over it: 414.
	MaxKeyBytes int

	// LoadTimeout is how long the origin may take to the end of an answer's
	// header. Default 30 s. TailTimeout is how long a body may make no
	// progress. Default 30 s.
	LoadTimeout time.Duration
	TailTimeout time.Duration
	// PassTTL is how long requests for a key do not wait for each other after
	// an answer that could not be shared. Default 2 min.
	PassTTL time.Duration
	// MaxLoads bounds the fetches that run at once for the cache. Default 256.
	MaxLoads int
	// MaxWaiters and MaxWaitersPerKey bound the requests that wait. Defaults
	// 100,000 and 10,000. Over them: 503.
	MaxWaiters       int
	MaxWaitersPerKey int
	// IgnoreCookies takes Cookie out of GET and HEAD requests, for an origin
	// whose pages do not depend on it: else a request with a Cookie goes to the
	// origin alone unless its answer is in the cache.
	IgnoreCookies bool

	// Logger receives failures of the origin, at level Warn. Default: none.
	Logger *slog.Logger
	// Now replaces the clock, for tests in virtual time.
	Now func() time.Time
}

// Validate reports every field that is wrong, with its value and the remedy.
func (o Options) Validate() error {
	var errs []error
	wrong := func(bad bool, field string, value any, remedy string) {
		if bad {
			errs = append(errs, fmt.Errorf("httpcache: Options.%s is %v: %s", field, value, remedy))
		}
	}
	if o.Origin == nil {
		wrong(true, "Origin", "nil", "set it, as http://127.0.0.1:9000")
	} else {
		wrong(o.Origin.Scheme != "http" && o.Origin.Scheme != "https", "Origin", o.Origin.Redacted(), "its scheme must be http or https")
		wrong(o.Origin.Host == "", "Origin", o.Origin.Redacted(), "it names no host")
		wrong(o.Origin.User != nil, "Origin", o.Origin.Redacted(), "take the user out: the proxy adds no credentials to requests")
		wrong(o.Origin.RawQuery != "" || o.Origin.Fragment != "", "Origin", o.Origin.Redacted(), "take query and fragment out")
	}
	wrong(o.MaxBytes <= 0, "MaxBytes", o.MaxBytes, "set a number of bytes above 0")
	wrong(o.MaxObjectBytes < 0 || o.MaxBytes > 0 && o.MaxObjectBytes > o.MaxBytes, "MaxObjectBytes", o.MaxObjectBytes, "set a number of bytes up to MaxBytes, or 0")
	wrong(o.MaxConns < 0, "MaxConns", o.MaxConns, "set a number above 0, or 0 for the default")
	return errors.Join(errs...)
}

// A Proxy is an http.Handler that answers from its cache or its origin.
type Proxy struct {
	o         Options
	transport http.RoundTripper
	owned     *http.Transport // the default transport, to be closed
	cache     *corral.Cache[*response]
	bypass    *httputil.ReverseProxy
	now       func() time.Time
}

// NewProxy makes a proxy. It makes no request: an origin that is down is 502
// until it is up.
func NewProxy(o Options) (*Proxy, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Name == "" {
		o.Name = "Corral"
	}
	if o.MaxConns == 0 {
		o.MaxConns = 256
	}
	if o.PassTTL == 0 {
		o.PassTTL = 2 * time.Minute
	}
	p := &Proxy{o: o, transport: o.Transport, now: o.Now}
	if p.now == nil {
		p.now = time.Now
	}
	if p.transport == nil {
		p.owned = newTransport(o)
		p.transport = p.owned
	}
	var err error
	p.cache, err = corral.New[*response](nil, corral.Options[*response]{
		Name: o.Name, MaxBytes: o.MaxBytes, MaxValueBytes: o.MaxObjectBytes, Size: (*response).size,
		TTL: corral.Forever, Jitter: -1, // every lifetime is the origin's
		LoadTimeout: o.LoadTimeout, TailTimeout: o.TailTimeout, PassTTL: o.PassTTL,
		MaxLoads: o.MaxLoads, MaxWaiters: o.MaxWaiters, MaxWaitersPerKey: o.MaxWaitersPerKey,
		MaxKeyLen: keyBytes(o.MaxKeyBytes) + maxSelecting, Logger: o.Logger, Now: o.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("httpcache: %w", err)
	}
	p.bypass = p.newBypass()
	return p, nil
}

// Bounds of what makes up a key, in bytes.
const (
	defaultKeyBytes = 8 << 10
	maxSelecting    = 8 << 10 // the request fields that Vary adds
)

func keyBytes(n int) int {
	if n == 0 {
		return defaultKeyBytes
	}
	return n
}

func newTransport(o Options) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxConnsPerHost:        o.MaxConns,
		MaxIdleConns:           o.MaxConns,
		MaxIdleConnsPerHost:    o.MaxConns,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true, // what the origin sends is what is stored
		Protocols:              protocols,
	}
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.o.IgnoreCookies && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		bare := *r
		bare.Header = r.Header.Clone()
		bare.Header.Del("Cookie")
		r = &bare
	}
	key, err := httpsem.NewKey(r.Method, scheme(r), r.Host, r.RequestURI)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	if len(key.String()) > keyBytes(p.o.MaxKeyBytes) {
		p.fail(w, r, http.StatusRequestURITooLong, httpsem.Status{Detail: "key-too-long"}, "the address is too long")
		return
	}
	if reason := httpsem.Bypass(r); reason != httpsem.NoReason {
		p.forward(w, r, key, reason.Fwd(), reason.String())
		return
	}
	p.serve(w, r, key)
}

// serve answers a request that may use the cache.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, key httpsem.Key) {
	control := httpsem.ParseRequestControl(r.Header)
	if control.OnlyIfCached {
		if !p.serveStored(w, r, key, control) {
			p.fail(w, r, http.StatusGatewayTimeout, httpsem.Status{Detail: "only-if-cached"}, "not in the cache")
		}
		return
	}
	if r.Method == http.MethodHead && p.serveStored(w, r, key.As(http.MethodGet), control) {
		return // a stored GET answers it (RFC 9110, section 9.3.2)
	}
	if httpsem.Identified(r.Header) {
		if !p.serveStored(w, r, key, control) {
			p.forward(w, r, key, httpsem.FwdURIMiss, identifiedReason(r).String())
		}
		return
	}
	p.serveShared(w, r, key, control)
}

func identifiedReason(r *http.Request) httpsem.Reason {
	if r.Header.Get("Authorization") != "" {
		return httpsem.ReasonAuthorization
	}
	return httpsem.ReasonCookie
}

// serveShared answers from the cache or from a fetch whose answer may go to others.
func (p *Proxy) serveShared(w http.ResponseWriter, r *http.Request, key httpsem.Key, control httpsem.RequestControl) {
	f := p.newFetch(r, key)
	name := key.String()
	if stored, _, ok := p.cache.Peek(name); ok {
		closeBody(stored)
		if selecting := stored.Value.selects(f.header); selecting != stored.Value.selecting {
			name += "\n" + selecting
		}
	}
	for range maxVariants {
		item, info, err := p.cache.GetWith(r.Context(), name, f, p.demand(name, control)...)
		if err != nil {
			p.answerError(w, r, f, err)
			return
		}
		selecting := item.Value.selects(f.header)
		if selecting != item.Value.selecting {
			closeBody(item) // it was for another variant of the same key
			name = key.String() + "\n" + selecting
			continue
		}
		p.answer(w, r, key, item, info, f)
		return
	}
	p.forward(w, r, key, httpsem.FwdVaryMiss, httpsem.ReasonVary.String())
}

// maxVariants is how often a request follows a Vary that changes under it
// before it goes to the origin alone.
const maxVariants = 3

// demand says what of the client's wishes the cache has to know. A client that
// says nothing, the usual one, costs nothing.
func (p *Proxy) demand(name string, control httpsem.RequestControl) []corral.GetOption {
	if control == (httpsem.RequestControl{}) {
		return nil
	}
	if control.NoCache {
		return []corral.GetOption{corral.Fresh()}
	}
	item, info, ok := p.cache.Peek(name)
	if !ok {
		return nil
	}
	closeBody(item)
	stored := storedAs(item.Value, info)
	if !control.Accepts(stored) {
		return []corral.GetOption{corral.Fresh()}
	}
	if stale := -info.TTL; stale >= 0 && control.MaxStale.Given {
		return []corral.GetOption{corral.MaxStale(control.MaxStale.Value)}
	}
	return nil
}

// serveStored answers from what is stored, if that will do.
func (p *Proxy) serveStored(w http.ResponseWriter, r *http.Request, key httpsem.Key, control httpsem.RequestControl) bool {
	item, info, ok := p.cache.Peek(key.String())
	if !ok {
		return false
	}
	sent := p.outgoing(r)
	if selecting := item.Value.selects(sent); selecting != item.Value.selecting {
		closeBody(item)
		if item, info, ok = p.cache.Peek(key.String() + "\n" + selecting); !ok {
			return false
		}
		if item.Value.selects(sent) != item.Value.selecting {
			closeBody(item)
			return false
		}
	}
	if !control.Accepts(storedAs(item.Value, info)) {
		closeBody(item)
		return false
	}
	p.answer(w, r, key, item, info, nil)
	return true
}

func storedAs(v *response, info corral.Info) httpsem.Stored {
	return httpsem.Stored{
		Age: v.policy.Age + info.Age, TTL: info.TTL,
		StaleFor: v.policy.StaleFor, MustRevalidate: v.policy.MustRevalidate,
	}
}

func closeBody(item corral.Item[*response]) {
	if item.Body != nil {
		item.Body.Close()
	}
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// Cache is the cache behind the proxy, for statistics and for looking inside.
func (p *Proxy) Cache() Inspector { return p.cache }

// An Inspector is the part of a corral.Cache that does not depend on the type
// of its values.
type Inspector interface {
	Name() string
	Stats() corral.Stats
	Subscribe(buffer int) (events <-chan corral.Event, stop func())
	Invalidate(ctx context.Context, keys ...string) error
	InvalidateTags(ctx context.Context, tags ...string) error
	InvalidateAll(ctx context.Context) error
}

// Shutdown waits for the fetches that run, until ctx ends, and closes the proxy.
func (p *Proxy) Shutdown(ctx context.Context) error {
	err := p.cache.Shutdown(ctx)
	return errors.Join(err, p.Close())
}

// Close ends every fetch and forgets every response.
func (p *Proxy) Close() error {
	err := p.cache.Close()
	if p.owned != nil {
		p.owned.CloseIdleConnections()
	}
	return err
}
