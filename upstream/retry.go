package upstream

import (
	"net/http"
	"strings"
)

// next gives a seat for another attempt, if there is to be one (X1).
func (x *exchange) next(at seat, res *http.Response, err error) (seat, bool) {
	if !x.repeatable(res, err) {
		return seat{}, false
	}
	next, ok := x.p.retake(x.key, x.tried, err == nil)
	if !ok {
		return seat{}, false
	}
	if renewErr := x.renew(); renewErr != nil {
		x.p.settle(next, unknown)
		x.p.leave(next.server)
		return seat{}, false
	}
	if res != nil {
		res.Body.Close()
		x.p.leave(at.server)
	}
	return next, true
}

// repeatable reports whether the request may be sent again, after what came of
// it.
func (x *exchange) repeatable(res *http.Response, err error) bool {
	retries := max(0, x.p.o.Retries)
	switch {
	case len(x.tried) > retries, x.sent > retries: // X4
		return false
	case x.req.Context().Err() != nil, x.content.broken():
		return false
	case err != nil && x.seen.unreachable():
		return x.content.whole() || x.req.GetBody != nil
	case !idempotent(x.req.Method): // X2
		return false
	case !x.content.none() && x.req.GetBody == nil:
		return false
	case err != nil:
		return x.seen.conns > 0 && !x.seen.heard.Load() // X3
	}
	return x.p.o.RetryStatuses && retryable(res)
}

// idempotent reports whether a method is (RFC 9110, section 9.2.2). An
// Idempotency-Key is a promise of the client's that the server need not know.
func idempotent(method string) bool {
	switch method {
	case "", "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// withoutPromise spells the fields because of which net/http would take any
// request for idempotent in a way that it does not recognise. To servers a
// field's case says nothing (RFC 9110, section 5.1).
func withoutPromise(h http.Header) http.Header {
	for _, name := range [...]string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values, named := h[name]; named {
			h = h.Clone()
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
	return h
}

// retryable reports whether an answer says that another server may do better.
func retryable(res *http.Response) bool {
	switch res.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return len(res.Header["Retry-After"]) == 0
	}
	return false
}

// renew has the content ready for another attempt.
func (x *exchange) renew() error {
	if x.content.none() || x.content.whole() {
		x.content.lend()
		return nil
	}
	body, err := x.req.GetBody()
	if err != nil {
		return err
	}
	x.content = newContent(body) // the other was read from, so that net/http has closed it
	return nil
}
