package httpcache

import (
	"context"
	"net/http"
	"net/netip"
	"time"
)

// A Trace receives, while a request is served, what an access log tells of it.
// It is written before the answer's header is, and not after.
type Trace struct {
	Status     string        // this cache's member of Cache-Status
	OriginTime time.Duration // to the origin's header, when this request asked it; else zero
	OriginCode int           // what the origin answered this request; zero without an answer
	Client     netip.Addr    // who asks, as far as trusted proxies tell; zero when nobody can say
}

type traceKey struct{}

// WithTrace lets a request that is served under the context fill a trace.
func WithTrace(ctx context.Context, trace *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, trace)
}

// A Tracer is a ResponseWriter with a trace for its request. It comes before
// one in the request's context, and costs less.
type Tracer interface {
	http.ResponseWriter
	HTTPTrace() *Trace
}

// traceOf is the trace that a request's server wants to have filled, or nil.
func traceOf(w http.ResponseWriter, r *http.Request) *Trace {
	if tracer, ok := w.(Tracer); ok {
		return tracer.HTTPTrace()
	}
	trace, _ := r.Context().Value(traceKey{}).(*Trace)
	return trace
}

// noteOrigin tells of the origin what this request itself had to do with it:
// nothing, when it joined another's fetch.
func (x *exchange) noteOrigin(f *fetch) {
	if x.trace != nil {
		x.trace.OriginTime = time.Duration(f.took.Load())
		x.trace.OriginCode = int(f.status.Load())
	}
}
