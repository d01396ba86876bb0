package httpcache

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

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
	confirmed bool   // by the origin's 304
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

// forwarded is the status code by which the origin gave the response.
func (v *response) forwarded() int {
	if v.confirmed {
		return http.StatusNotModified
	}
	return v.status
}

// A fetch is a request as it would be sent on for everybody: nothing that is
// not in the key by itself or by Vary's choice, no conditions. It is the loader
// of the cache entry that it asks for, and runs also when its request is gone.
// That of an identified request is used for looking up only: if it ran, whoever
// sends a cookie could have a key marked as not to be shared.
type fetch struct {
	p    *Proxy
	key  httpsem.Key
	name string // of the entry: key's text

	vary      []string // what selected was asked for last, and its answer: of the
	selecting string   // request's own goroutine

	once     sync.Once
	incoming http.Header // as the request came
	major    int         // of the request's protocol
	minor    int
	outgoing http.Header // set by once

	asked  atomic.Bool  // the origin, by this fetch
	took   atomic.Int64 // nanoseconds from requests to the headers of their answers
	status atomic.Int64 // of the last answer
	page   atomic.Pointer[page]
}

func (p *Proxy) newFetch(r *http.Request, key httpsem.Key, name string) *fetch {
	return &fetch{p: p, key: key, name: name, incoming: r.Header, major: r.ProtoMajor, minor: r.ProtoMinor}
}

// sent is the header of the request as it is sent on. It is not changed.
func (f *fetch) sent() http.Header {
	f.once.Do(func() {
		h := f.incoming.Clone()
		httpsem.RemoveHopByHop(h)
		httpsem.RemoveUnkeyed(h)
		httpsem.RemoveConditions(h)
		h.Del("Cache-Control") // the client's wishes are for the cache
		h.Del("Pragma")
		httpsem.AppendVia(h, f.major, f.minor, f.p.o.Name)
		if _, named := h["User-Agent"]; !named {
			h["User-Agent"] = nil // else net/http names itself
		}
		f.outgoing = h
	})
	return f.outgoing
}

// selected is what the request has in the fields that a response varies on.
func (f *fetch) selected(v *response) string {
	if fields := v.policy.Vary.Fields; !slices.Equal(fields, f.vary) {
		f.vary, f.selecting = fields, v.policy.Vary.Selecting(f.sent())
	}
	return f.selecting
}

// matches reports whether a response for the key is one for this request.
func (f *fetch) matches(v *response) bool { return f.selected(v) == v.selecting }

// variant is the name of the request's own response, given one that varies;
// empty when it would be too long.
func (f *fetch) variant(v *response) string {
	selecting := f.selected(v)
	if len(selecting) > maxSelecting {
		return ""
	}
	return f.name + "\n" + selecting
}

// Load asks the origin, with the validators of what is stored.
func (f *fetch) Load(ctx context.Context, _ string, prev *corral.Item[*response]) (corral.Item[*response], error) {
	f.asked.Store(true)
	if prev != nil && f.confirmable(prev) {
		header := f.sent().Clone()
		if httpsem.AddValidators(header, prev.Value.header) {
			item, done, err := f.validate(ctx, header, prev)
			if done || err != nil {
				return item, err
			}
		}
	}
	x, res, err := f.ask(ctx, f.sent())
	if err != nil {
		return corral.Item[*response]{}, err
	}
	return f.stream(f.item(x), res), nil
}

// confirmable reports whether a 304 could confirm what is stored: for another
// request's variant it would, by a date, confirm the wrong thing, and of a body
// that still arrives nobody knows whether it will be whole.
func (f *fetch) confirmable(prev *corral.Item[*response]) bool {
	if prev.Body != nil {
		if _, whole := prev.Body.Len(); !whole {
			return false
		}
	}
	return prev.Value.policy.Vary.Selecting(f.sent()) == prev.Value.selecting
}

// validate asks whether what is stored is still current. It is not done when
// the origin answered with a 304 for something else.
func (f *fetch) validate(ctx context.Context, header http.Header, prev *corral.Item[*response]) (item corral.Item[*response], done bool, err error) {
	x, res, err := f.ask(ctx, header)
	switch {
	case err != nil:
		return item, false, err
	case res.StatusCode != http.StatusNotModified:
		return f.stream(f.item(x), res), true, nil
	}
	res.Body.Close()
	if !httpsem.Confirms(prev.Value.header, res.Header) {
		return item, false, nil
	}
	x.Status, x.Response = prev.Value.status, httpsem.Freshen(prev.Value.header, res.Header)
	item = f.item(x)
	item.Value.confirmed = true
	item.Body = prev.Body
	return item, true, nil
}

// ask makes one request. Its error is what the origin's failure is to those
// who wait.
func (f *fetch) ask(ctx context.Context, header http.Header) (httpsem.Exchange, *http.Response, error) {
	target := f.key.URL()
	f.p.direct(target)
	req := (&http.Request{
		Method: f.key.Method, URL: target, Host: f.key.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	x := httpsem.Exchange{Method: f.key.Method, Request: header, Requested: f.p.now()}
	res, err := f.p.transport.RoundTrip(req)
	x.Received = f.p.now()
	f.took.Add(int64(x.Received.Sub(x.Requested)))
	if err != nil {
		return x, nil, corral.RetryAfter(fault(err), errorPause)
	}
	f.status.Store(int64(res.StatusCode))
	x.Status, x.Response = res.StatusCode, res.Header
	switch {
	case res.StatusCode < 200: // 101, which nobody asked for, or no status at all
		res.Body.Close()
		return x, nil, corral.RetryAfter(errNoAnswer, errorPause)
	case httpsem.OriginFailure(res.StatusCode) || res.StatusCode == http.StatusTooManyRequests:
		return x, nil, f.fail(res, x.Received)
	}
	return x, res, nil
}

// item judges an answer.
func (f *fetch) item(x httpsem.Exchange) corral.Item[*response] {
	policy := new(httpsem.Cache).Judge(x)
	item := corral.Item[*response]{
		Value: &response{status: x.Status, policy: policy, header: httpsem.StoredHeader(x.Response, x.Received), selecting: policy.Vary.Selecting(f.sent())},
		TTL:   policy.TTL(), Jitter: -1, StaleFor: policy.StaleFor, StaleOnError: policy.StaleOnError,
		Tags: []string{f.key.As(http.MethodGet).String()},
	}
	for _, name := range policy.Qualified {
		delete(item.Value.header, name)
	}
	if item.TTL <= 0 { // stale already, and within a window that counts from then
		item.StaleFor = policy.StaleFor + item.TTL
		item.StaleOnError = policy.StaleOnError + item.TTL
		item.TTL = -1
	}
	switch policy.Outcome {
	case httpsem.Share:
		item.Outcome = corral.Share
	case httpsem.Pass, httpsem.Validate:
		item.Outcome = corral.Pass
	}
	return item
}

// stream lets the body follow the header.
func (f *fetch) stream(item corral.Item[*response], res *http.Response) corral.Item[*response] {
	if res.Body == http.NoBody || f.key.Method == http.MethodHead {
		res.Body.Close()
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
