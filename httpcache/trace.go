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

func traceOf(r *http.Request) *Trace {
	trace, _ := r.Context().Value(traceKey{}).(*Trace)
	return trace
}

func note(r *http.Request, status string) {
	if trace := traceOf(r); trace != nil {
		trace.Status = status
	}
}

// noteOrigin tells of the origin what this request itself had to do with it:
// nothing, when it joined another's fetch.
func (x *exchange) noteOrigin(f *fetch) { noteOrigin(x.r, f) }

func noteOrigin(r *http.Request, f *fetch) {
	if trace := traceOf(r); trace != nil {
		trace.OriginTime = time.Duration(f.took.Load())
		trace.OriginCode = int(f.status.Load())
	}
}
