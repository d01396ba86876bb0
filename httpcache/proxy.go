package httpcache

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httputil"
	"strings"

	"github.com/corralcache/corral/internal/httpsem"
)

// A Proxy is an http.Handler that answers from its cache or its origin.
type Proxy struct {
	door
	alone *httputil.ReverseProxy // for requests that go by themselves
}

// NewProxy makes a reverse proxy. It makes no request: an origin that is down
// is 502 until it is up.
func NewProxy(o Options) (*Proxy, error) {
	if err := needsOrigin(&o); err != nil {
		return nil, err
	}
	p := new(Proxy)
	p.passes = true
	if err := p.open(o); err != nil {
		return nil, err
	}
	p.alone = p.newAlone()
	return p, nil
}

// needsOrigin refuses options by which a Proxy would send requests wherever their
// Host says.
func needsOrigin(o *Options) error {
	if o.Origin == nil && o.Validate() == nil {
		return errors.New("httpcache: Options.Origin is nil: set it, as http://127.0.0.1:9000")
	}
	return nil
}

// Reload is Reload of any door.
func (p *Proxy) Reload(o Options) error {
	if err := needsOrigin(&o); err != nil {
		return err
	}
	return p.door.Reload(o)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := p.patient(w, r)
	out.x.begin(&p.door, out, w, out.r)
	p.serve(out)
	out.finish()
}

func (p *Proxy) serve(w *patient) {
	x := &w.x
	decision := x.handleServed()
	switch decision.way {
	case forward:
		if decision.content != nil {
			with := *x.r
			with.Body = decision.content.reader()
			x.r = &with
		}
		p.forward(w, x.r, x, &decision)
	case abort:
		panic(http.ErrAbortHandler)
	default:
		decision.reply.write(w)
	}
}

// begin makes an exchange of a request that came by net/http's server. w is
// what the answer is written to, outer what the server gave.
func (x *exchange) begin(d *door, w, outer http.ResponseWriter, r *http.Request) {
	x.d, x.c, x.r, x.w, x.header, x.trace = d, d.config.Load(), r, w, w.Header(), traceOf(outer, r)
}

// handleServed is handle for such a request. An Expect that is not exactly the
// one there is (RFC 9110, section 10.1.1) is refused: servers that disagree on
// whether it is one disagree on where the next request begins.
func (x *exchange) handleServed() decision {
	if expect := x.r.Header["Expect"]; len(expect) > 1 || len(expect) == 1 && !strings.EqualFold(expect[0], "100-continue") {
		return x.refuse(errExpect)
	}
	if x.trace != nil && len(x.c.TrustedProxies) > 0 {
		x.trace.Client, _ = x.c.client(x.r)
	}
	return x.handle(x.c.scheme(x.r), x.r.Host, x.r.RequestURI)
}

// sendEarly sends an answer with 1xx to a client.
func (x *exchange) sendEarly(code int, fields http.Header) {
	fields = fields.Clone()
	httpsem.RemoveHopByHop(fields)
	before := maps.Clone(x.header)
	maps.Copy(x.header, fields)
	x.w.WriteHeader(code)
	for name := range fields {
		delete(x.header, name)
		if values, had := before[name]; had {
			x.header[name] = values
		}
	}
}
