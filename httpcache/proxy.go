package httpcache

import (
	"errors"
	"net/http"
	"net/http/httputil"
)

// A Proxy is an http.Handler that answers from its cache or its origin.
type Proxy struct {
	door
	alone *httputil.ReverseProxy // for requests that go by themselves
}

// NewProxy makes a reverse proxy. It makes no request: an origin that is down
// is 502 until it is up.
func NewProxy(o Options) (*Proxy, error) {
	if o.Origin == nil && o.Validate() == nil {
		return nil, errors.New("httpcache: Options.Origin is nil: set it, as http://127.0.0.1:9000")
	}
	p := new(Proxy)
	if err := p.open(o); err != nil {
		return nil, err
	}
	p.alone = p.newAlone()
	return p, nil
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, r := p.patient(w, r)
	p.serve(out, r)
	out.finish()
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	x := exchange{d: &p.door, r: r, header: w.Header(), early: earlyTo(w)}
	decision := x.handleServed()
	switch decision.way {
	case forward:
		if decision.content != nil {
			with := *r
			with.Body = decision.content.reader()
			r = &with
		}
		p.forward(w, r, &x, &decision)
	case abort:
		panic(http.ErrAbortHandler)
	default:
		decision.reply.write(w)
	}
}

// handleServed is handle for a request that came by net/http's server.
func (x *exchange) handleServed() decision {
	c := x.d.config.Load()
	if trace := traceOf(x.r); trace != nil {
		trace.Client, _ = c.client(x.r)
	}
	return x.handle(c.scheme(x.r), x.r.Host, x.r.RequestURI)
}

// earlyTo sends answers with 1xx to a client.
func earlyTo(w http.ResponseWriter) early {
	return func(code int, fields http.Header) {
		header := w.Header()
		for name, values := range fields {
			header[name] = values
		}
		w.WriteHeader(code)
		for name := range fields {
			delete(header, name)
		}
	}
}
