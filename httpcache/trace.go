package httpcache

import (
	"context"
	"net/http"
	"time"

	"github.com/corralcache/corral/internal/httpsem"
)

// A Trace receives, while a request is served, what an access log tells of it.
// It is written before the answer's header is, and not after.
type Trace struct {
	Status     string        // this cache's member of Cache-Status
	OriginTime time.Duration // to the origin's header, when this request asked it; else zero
	OriginCode int           // what the origin answered this request
}

type traceKey struct{}

// WithTrace lets a request that is served under the context fill a trace.
func WithTrace(ctx context.Context, trace *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, trace)
}

func note(r *http.Request, s httpsem.Status, f *fetch) {
	trace, ok := r.Context().Value(traceKey{}).(*Trace)
	if !ok {
		return
	}
	trace.Status = s.String()
	if f != nil {
		trace.OriginTime = time.Duration(f.took.Load())
		trace.OriginCode = int(f.status.Load())
	}
}
