package httpcache

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
)

// hints passes answers with 1xx (RFC 9110, section 15.2) on to the request that
// began the fetch, as long as it waits.
type hints struct {
	mu sync.Mutex
	to *exchange // nil: to nobody
}

func (h *hints) begin(x *exchange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x.w != nil && x.r.ProtoAtLeast(1, 1) {
		h.to = x
	}
}

// end returns when no hint is being sent, and lets none be sent any more.
func (h *hints) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.to = nil
}

// maxHints bounds the answers with 1xx that are passed on.
const maxHints = 5

// watch lets a request's hints come here.
func (h *hints) watch(ctx context.Context) context.Context {
	h.mu.Lock()
	wanted := h.to != nil
	h.mu.Unlock()
	if !wanted {
		return ctx
	}
	sent := 0
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if sent++; h.to != nil && code == http.StatusEarlyHints && sent <= maxHints {
			h.to.sendEarly(code, http.Header(header))
		}
		return nil
	}})
}
