package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// Bounds that are not options.
const (
	// maxSelecting is how many bytes the request fields that Vary names may
	// add to a key. A request with more goes to the origin alone.
	maxSelecting = 8 << 10
	// maxVariants is how often a request follows a Vary that changes under it
	// before it goes to the origin alone.
	maxVariants = 4
	// originHeaderBytes bounds the header of an answer of the origin.
	originHeaderBytes = 256 << 10
)

// A Proxy is an http.Handler that answers from its cache or its origin.
type Proxy struct {
	o         Options
	transport http.RoundTripper
	owned     *http.Transport // the default transport, to be closed
	cache     *corral.Cache[*response]
	bypass    *httputil.ReverseProxy
	now       func() time.Time
	hitStatus string // Cache-Status of a hit, up to the number of its ttl

	closing sync.Mutex     // orders the start of what reads on before Close
	closed  bool           // guarded by closing
	reading sync.WaitGroup // goroutines of readOn
}

// NewProxy makes a proxy. It makes no request: an origin that is down is 502
// until it is up.
func NewProxy(o Options) (*Proxy, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Origin == nil {
		return nil, errors.New("httpcache: Options.Origin is nil: set it, as http://127.0.0.1:9000")
	}
	p := &Proxy{o: o.withDefaults(), transport: o.Transport, now: o.Now}
	if p.now == nil {
		p.now = time.Now
	}
	if p.transport == nil {
		p.owned = newTransport(p.o)
		p.transport = p.owned
	}
	var err error
	p.cache, err = corral.New[*response](nil, corral.Options[*response]{
		Name: p.o.Name, MaxBytes: o.MaxBytes, MaxValueBytes: o.MaxObjectBytes, Size: (*response).size,
		TTL:         corral.Forever, // every lifetime is the origin's
		ErrorPause:  -1,             // each failure has its own: see failure.go
		LoadTimeout: p.o.LoadTimeout, TailTimeout: p.o.TailTimeout, PassTTL: p.o.PassTTL,
		MaxLoads: o.MaxLoads, MaxWaiters: o.MaxWaiters, MaxWaitersPerKey: o.MaxWaitersPerKey,
		MaxKeyLen: p.o.MaxKeyBytes + 1 + maxSelecting, Logger: o.Logger, Now: o.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("httpcache: %w", err)
	}
	p.hitStatus = httpsem.Status{Cache: p.o.Name, Hit: true}.String() + ";ttl="
	p.bypass = p.newBypass()
	return p, nil
}

func newTransport(o Options) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxConnsPerHost:        o.MaxConns,
		MaxIdleConns:           o.MaxConns,
		MaxIdleConnsPerHost:    o.MaxConns,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: originHeaderBytes,
		DisableCompression:     true, // what the origin sends is what is stored
		Protocols:              protocols,
	}
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, r := p.patient(w, r)
	p.route(out, r)
	out.finish()
}

// route tells requests that may use the cache from those that go by themselves.
func (p *Proxy) route(w http.ResponseWriter, r *http.Request) {
	if !isToken(r.Method) { // HTTP/2 lets one through that is none
		p.refuse(w, r, errMethod)
		return
	}
	key, err := httpsem.NewKey(r.Method, scheme(r), r.Host, r.RequestURI)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	name := key.String()
	if len(name) > p.o.MaxKeyBytes {
		p.fail(w, r, http.StatusRequestURITooLong, httpsem.Status{Detail: "key-too-long"}, "the address is too long")
		return
	}
	switch reason := httpsem.Bypass(r); {
	case reason == httpsem.NoReason:
	case reason != httpsem.ReasonMethod && httpsem.ParseRequestControl(r.Header).OnlyIfCached:
		p.failCached(w, r)
		return
	default:
		p.forward(w, r, key, reason.Fwd(), reason)
		return
	}
	if p.o.IgnoreCookies && len(r.Header["Cookie"]) > 0 {
		bare := *r
		bare.Header = r.Header.Clone()
		bare.Header.Del("Cookie")
		r = &bare
	}
	p.serve(w, r, p.newFetch(r, key, name))
}

// serve answers a request that may use the cache.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request, f *fetch) {
	control := httpsem.ParseRequestControl(r.Header)
	if r.Method == http.MethodHead { // a stored GET answers it (RFC 9110, section 9.3.2)
		get := f.key.As(http.MethodGet)
		if p.serveStored(w, r, p.newFetch(r, get, get.String()), control) {
			return
		}
	}
	identified := httpsem.Identified(r.Header)
	if !identified && !control.OnlyIfCached {
		p.serveShared(w, r, f, control)
		return
	}
	switch {
	case p.serveStored(w, r, f, control):
	case control.OnlyIfCached:
		p.failCached(w, r)
	default:
		p.forward(w, r, f.key, httpsem.FwdURIMiss, identifiedReason(r))
	}
}

func identifiedReason(r *http.Request) httpsem.Reason {
	if len(r.Header["Authorization"]) > 0 {
		return httpsem.ReasonAuthorization
	}
	return httpsem.ReasonCookie
}

// serveStored answers from what is stored, if that will do.
func (p *Proxy) serveStored(w http.ResponseWriter, r *http.Request, f *fetch, control httpsem.RequestControl) bool {
	found := p.find(f, f.name)
	if !found.ok {
		return false
	}
	if !control.Accepts(found.stored()) {
		closeBody(found.item)
		return false
	}
	p.answer(w, r, f, answer{item: found.item, info: found.info, name: found.name})
	return true
}

// serveShared answers from the cache or from a fetch whose answer may go to
// others.
func (p *Proxy) serveShared(w http.ResponseWriter, r *http.Request, f *fetch, control httpsem.RequestControl) {
	name := f.name
	for range maxVariants {
		found := p.find(f, name)
		if found.ok {
			closeBody(found.item)
		} else if found.name == "" {
			break
		}
		if !found.ok || found.info.TTL <= 0 {
			f.sent() // while the request is ours: what follows may outlive it
		}
		item, info, err := p.cache.GetWith(r.Context(), found.name, f, demand(&found, control)...)
		if err != nil {
			p.answerError(w, r, f, found.fwd(f), err)
			return
		}
		if f.matches(item.Value) {
			p.answer(w, r, f, answer{item: item, info: info, name: found.name, fwd: found.fwd(f)})
			return
		}
		closeBody(item) // it was for another variant of the same key
		name = f.variant(item.Value)
	}
	p.forward(w, r, f.key, httpsem.FwdVaryMiss, httpsem.ReasonVary)
}

// A finding is what is stored for a request, or the name under which it would
// be. Without a name the request's selecting fields are too long for one.
type finding struct {
	name string
	ok   bool
	item corral.Item[*response]
	info corral.Info
}

// find looks up a request's response, from one name of it to the next as the
// responses found on the way say what they vary on. What it finds is not
// counted as used. The caller closes the item's body.
func (p *Proxy) find(f *fetch, name string) finding {
	for range maxVariants {
		if name == "" {
			break
		}
		item, info, ok := p.cache.Peek(name)
		if !ok || f.matches(item.Value) {
			return finding{name, ok, item, info}
		}
		closeBody(item)
		name = f.variant(item.Value)
	}
	return finding{}
}

// fwd is why the origin is asked, if it is (RFC 9211, section 2.2).
func (found *finding) fwd(f *fetch) httpsem.Fwd {
	switch {
	case found.ok && found.info.TTL <= 0:
		return httpsem.FwdStale
	case found.ok:
		return httpsem.FwdRequest
	case found.name != f.name:
		return httpsem.FwdVaryMiss
	}
	return httpsem.FwdURIMiss
}

func (found *finding) stored() httpsem.Stored {
	policy := &found.item.Value.policy
	return httpsem.Stored{
		Age: policy.Age + found.info.Age, TTL: found.info.TTL,
		StaleFor: policy.StaleFor, MustRevalidate: policy.MustRevalidate,
	}
}

// demand says what of the client's wishes the cache has to know. A client that
// says nothing, the usual one, costs nothing.
func demand(found *finding, control httpsem.RequestControl) []corral.GetOption {
	switch {
	case control == (httpsem.RequestControl{}):
		return nil
	case control.NoCache:
		return []corral.GetOption{corral.Fresh()}
	case !found.ok:
		return nil
	}
	accepted := control.Accepts(found.stored())
	switch fresh := found.info.TTL > 0; {
	case !accepted && fresh:
		return []corral.GetOption{corral.Fresh()}
	case !accepted: // one that is being fetched will do
		return []corral.GetOption{corral.NoStale()}
	case !fresh && control.MaxStale.Given:
		return []corral.GetOption{corral.MaxStale(control.MaxStale.Value)}
	}
	return nil
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
	p.closing.Lock()
	p.closed = true
	p.closing.Unlock()
	err := p.cache.Close()
	p.reading.Wait()
	if p.owned != nil {
		p.owned.CloseIdleConnections()
	}
	return err
}
