package httpcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// response is what is stored under a key beside the body. It is shared by all
// who are answered with it and not changed.
type response struct {
	status    int
	header    http.Header // as httpsem.StoredHeader gives it
	policy    httpsem.Policy
	selecting string // the fields of the request that Vary names, as they were sent
	fwdStatus int    // of the validation that confirmed it, 0 without one
	bodyless  bool
}

// headerEntry is what a field costs in a map beyond its bytes, and structBytes
// what a response costs without its fields.
const (
	headerEntry = 80
	structBytes = 320
)

func (v *response) size() int64 {
	n := int64(structBytes + len(v.selecting))
	for name, values := range v.header {
		n += int64(headerEntry + len(name))
		for _, value := range values {
			n += int64(16 + len(value))
		}
	}
	return n
}

// selects is what a request, as it would be sent on, chooses by the fields
// that the response varies on.
func (v *response) selects(sent http.Header) string { return v.policy.Vary.Selecting(sent) }

// A fetch is the loader of one request: what it would send to the origin.
type fetch struct {
	p      *Proxy
	key    httpsem.Key
	header http.Header // as it is sent on: nothing that is not in the key, no conditions
	took   atomic.Int64
	status atomic.Int64 // of the origin's last answer
	failed atomic.Pointer[failure]
}

// failure is an answer of the origin that counts as an error. The page itself
// goes to the request that caused it, others are told the status.
type failure struct {
	status int
	header http.Header
	body   []byte
}

// maxErrorPage bounds how much of an origin's error page is read, in bytes.
const maxErrorPage = 64 << 10

// An originError says that the origin answered, and with what.
type originError struct{ status int }

func (e *originError) Error() string {
	return fmt.Sprintf("the origin answered %d %s", e.status, http.StatusText(e.status))
}

// errOrigin is an origin that did not answer.
var errOrigin = errors.New("the origin did not answer")

func (p *Proxy) newFetch(r *http.Request, key httpsem.Key) *fetch {
	return &fetch{p: p, key: key, header: p.outgoing(r)}
}

// outgoing is the header of a request as it is sent on a shared fetch.
func (p *Proxy) outgoing(r *http.Request) http.Header {
	h := r.Header.Clone()
	httpsem.RemoveHopByHop(h)
	httpsem.RemoveUnkeyed(h)
	httpsem.RemoveConditions(h)
	h.Del("Cache-Control") // the client's wishes are for the cache
	h.Del("Pragma")
	httpsem.AppendVia(h, r.ProtoMajor, r.ProtoMinor, p.o.Name)
	if _, named := h["User-Agent"]; !named {
		h["User-Agent"] = nil // else net/http names itself
	}
	return h
}

// Load asks the origin, with the validators of what is stored.
func (f *fetch) Load(ctx context.Context, _ string, prev *corral.Item[*response]) (corral.Item[*response], error) {
	validating := prev != nil
	for {
		header := f.header.Clone()
		if validating {
			validating = httpsem.AddValidators(header, prev.Value.header)
		}
		requested := f.p.now()
		res, err := f.roundTrip(ctx, header)
		received := f.p.now()
		f.took.Store(int64(received.Sub(requested)))
		if err != nil {
			return corral.Item[*response]{}, fmt.Errorf("%w: %w", errOrigin, err)
		}
		f.status.Store(int64(res.StatusCode))
		exchange := httpsem.Exchange{Method: f.key.Method, Request: header, Status: res.StatusCode, Response: res.Header, Requested: requested, Received: received}
		switch {
		case httpsem.OriginFailure(res.StatusCode) || res.StatusCode == http.StatusTooManyRequests:
			return corral.Item[*response]{}, f.fail(res, received)
		case validating && res.StatusCode == http.StatusNotModified:
			res.Body.Close()
			if !httpsem.Confirms(prev.Value.header, res.Header) {
				validating = false
				continue
			}
			exchange.Status = prev.Value.status
			exchange.Response = httpsem.Freshen(prev.Value.header, res.Header)
			item := f.item(exchange)
			item.Value.fwdStatus = http.StatusNotModified
			item.Value.bodyless = prev.Value.bodyless
			item.Body = prev.Body
			return item, nil
		}
		return f.stream(f.item(exchange), res), nil
	}
}

func (f *fetch) roundTrip(ctx context.Context, header http.Header) (*http.Response, error) {
	target := f.key.URL()
	f.p.direct(target)
	req := (&http.Request{
		Method: f.key.Method, URL: target, Host: f.key.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	return f.p.transport.RoundTrip(req)
}

// item judges an answer.
func (f *fetch) item(x httpsem.Exchange) corral.Item[*response] {
	policy := httpsem.Judge(x)
	item := corral.Item[*response]{
		Value: &response{status: x.Status, policy: policy, header: httpsem.StoredHeader(x.Response, x.Received), selecting: policy.Vary.Selecting(f.header)},
		TTL:   policy.TTL(), Jitter: -1, StaleFor: policy.StaleFor, StaleOnError: policy.StaleOnError,
		Tags: []string{f.key.As(http.MethodGet).String()},
	}
	if item.TTL <= 0 { // stale already, and within a window that counts from then
		item.StaleFor += policy.TTL()
		item.StaleOnError += policy.TTL()
		item.TTL = -1
	}
	switch policy.Outcome {
	case httpsem.Share:
		item.Outcome = corral.Share
	case httpsem.Pass:
		item.Outcome = corral.Pass
		if policy.Reason.OfRequest() {
			item.PassTTL = -1
		}
	}
	return item
}

// stream lets the body follow the header.
func (f *fetch) stream(item corral.Item[*response], res *http.Response) corral.Item[*response] {
	if res.Body == http.NoBody || f.key.Method == http.MethodHead {
		res.Body.Close()
		item.Value.bodyless = true
		return item
	}
	item.TailSize = max(res.ContentLength, 0)
	item.Tail = func(_ context.Context, w io.Writer) error {
		defer res.Body.Close()
		_, err := io.Copy(w, res.Body)
		return err
	}
	return item
}

// fail turns an answer that counts as an error into one, and keeps its page
// for the request that caused it. Retry-After is obeyed for all.
func (f *fetch) fail(res *http.Response, received time.Time) error {
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorPage))
	header := httpsem.StoredHeader(res.Header, received)
	header.Del("Content-Length")
	f.failed.Store(&failure{status: res.StatusCode, header: header, body: body})
	err := error(&originError{res.StatusCode})
	if pause, ok := retryAfter(res.Header.Get("Retry-After"), received); ok {
		return corral.RetryAfter(err, pause)
	}
	return err
}

// maxRetryAfter bounds how long an origin can ask to be left alone.
const maxRetryAfter = time.Hour

// retryAfter reads the field of RFC 9110, section 10.2.3: seconds or a date.
func retryAfter(value string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter), true
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter), true
	}
	return 0, false
}
