package httpcache

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
	"github.com/corralcache/corral/internal/unasked"
)

// A fetch is a request as it would be sent on for everybody: nothing that is
// not in the key by itself or by Vary's choice, no conditions. It is the loader
// of the cache entry that it asks for, and runs also when its request is gone.
// That of an identified request is used for looking up only: if it ran, whoever
// sends a cookie could have a key marked as not to be shared.
type fetch struct {
	d     *door
	c     *config
	route *route
	key   httpsem.Key
	tag   string // of the address: its key for GET
	name  string // of the entry

	vary      []string // what selected was asked for last, and its answer: of the
	selecting string   // request's own goroutine

	once     sync.Once
	incoming http.Header   // as the request came, less what its key leaves out
	content  *content      // of a POST that may be cached; else nil
	part     *httpsem.Span // what of it, when not the whole
	major    int           // of the request's protocol
	minor    int
	outgoing http.Header // set by once
	variants *variants   // of the address, when it is known to have some
	hints    hints

	asked  atomic.Bool  // the origin, by this fetch
	took   atomic.Int64 // nanoseconds from requests to the headers of their answers
	status atomic.Int64 // of the last answer
	page   atomic.Pointer[page]
	own    atomic.Pointer[http.Header] // fields for the one who began the fetch, and nobody else
}

// get is the fetch of the same address by GET, for looking up only.
func (f *fetch) get() *fetch {
	return &fetch{
		d: f.d, c: f.c, route: f.route, key: f.key.As(http.MethodGet), tag: f.tag,
		name: http.MethodGet + f.name[len(f.key.Method):], incoming: f.incoming, major: f.major, minor: f.minor,
	}
}

// sent is the header of the request as it is sent on. It is not changed.
func (f *fetch) sent() http.Header {
	f.once.Do(func() {
		h := f.incoming.Clone()
		clean(h, f.c.Private)
		if f.content != nil {
			h.Del("Expect")
			h.Del("Content-Length") // which net/http writes itself
		}
		if f.d.passes { // by its absence an origin behind TLS would redirect to where the request came from
			h["X-Forwarded-Proto"] = []string{f.key.Scheme}
		}
		if !f.d.client {
			httpsem.AppendVia(h, f.major, f.minor, f.c.Name)
			if _, named := h["User-Agent"]; !named {
				h["User-Agent"] = nil // else net/http names itself
			}
		}
		f.outgoing = h
	})
	return f.outgoing
}

// prepare makes a fetch ready to outlive its request.
func (f *fetch) prepare(x *exchange, found *finding) {
	f.sent()
	if found.ok {
		f.follow(found.item.Value)
	}
	if !found.ok || !x.control.Accepts(found.stored()) { // else it has its answer
		f.hints.begin(x)
	}
}

// clean takes out of a request what does not reach the origin.
func clean(h http.Header, private bool) {
	httpsem.RemoveHopByHop(h)
	if !private {
		httpsem.RemoveUnkeyed(h)
	}
	httpsem.RemoveConditions(h)
	delete(h, "Cache-Control") // the client's wishes are for the cache
	delete(h, "Pragma")
}

// Load asks the origin, with the validators of what is stored.
func (f *fetch) Load(ctx context.Context, name string, prev *corral.Item[*response]) (corral.Item[*response], error) {
	f.asked.Store(true)
	if left := f.d.load - f.route.LoadTimeout; left > 0 {
		if deadline, ok := ctx.Deadline(); ok {
			return f.loadUntil(ctx, deadline.Add(-left), name, prev)
		}
	}
	return f.load(ctx, name, prev)
}

// loadUntil is load with a deadline for the answer's header.
func (f *fetch) loadUntil(ctx context.Context, deadline time.Time, name string, prev *corral.Item[*response]) (corral.Item[*response], error) {
	within, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(time.Until(deadline), func() { cancel(corral.ErrLoadTimeout) })
	item, err := f.load(within, name, prev)
	if !timer.Stop() && err == nil {
		err = corral.ErrLoadTimeout
		if item.Tail != nil {
			item.Tail(within, io.Discard)
		}
	}
	switch {
	case err != nil || item.Tail == nil:
		cancel(nil)
	default: // the body still comes under this context
		tail := item.Tail
		item.Tail = func(ctx context.Context, w io.Writer) error {
			defer cancel(nil)
			return tail(ctx, w)
		}
	}
	return item, err
}

func (f *fetch) load(ctx context.Context, name string, prev *corral.Item[*response]) (corral.Item[*response], error) {
	if prev != nil && f.confirmable(prev) {
		header := f.sent().Clone()
		if httpsem.AddValidators(header, prev.Value.fields.header()) {
			item, done, err := f.validate(ctx, f.ranged(header), name, prev)
			if done || err != nil {
				return item, err
			}
		}
	}
	x, res, err := f.ask(ctx, f.sent())
	if err != nil {
		return corral.Item[*response]{}, err
	}
	return f.taken(ctx, x, res, name, prev), nil
}

// confirmable reports whether a 304 could confirm what is stored: for another
// request's variant it would, by a date, confirm the wrong thing, and of a body
// that still arrives nobody knows whether it will be whole.
func (f *fetch) confirmable(prev *corral.Item[*response]) bool {
	return whole(prev) && f.content == nil && prev.Value.vary().Selecting(f.sent()) == prev.Value.selecting()
}

// validate asks whether what is stored is still current. It is not done when
// the origin answered with a 304 for something else.
func (f *fetch) validate(ctx context.Context, header http.Header, name string, prev *corral.Item[*response]) (item corral.Item[*response], done bool, err error) {
	x, res, err := f.ask(ctx, header)
	switch {
	case err != nil:
		return item, false, err
	case res.StatusCode != http.StatusNotModified:
		return f.taken(ctx, x, res, name, prev), true, nil
	}
	res.Body.Close()
	stored := prev.Value.fields.header()
	if !httpsem.Confirms(stored, res.Header) {
		return item, false, nil
	}
	x.Status, x.Response = prev.Value.status, httpsem.Freshen(stored, res.Header)
	item = f.item(x, name, prev, prev.Value.length)
	item.Value.confirmed = true
	item.Body = prev.Body
	if f.key.Method == http.MethodHead {
		f.freshenGet(ctx, x)
	}
	return item, true, nil
}

// taken is what a whole answer comes to.
func (f *fetch) taken(ctx context.Context, x httpsem.Exchange, res *http.Response, name string, prev *corral.Item[*response]) corral.Item[*response] {
	item := f.item(x, name, prev, res.ContentLength)
	if f.key.Method == http.MethodHead {
		f.freshenGet(ctx, x)
	}
	return f.stream(item, res, name)
}

// ask makes one request. Its error is what the origin's failure is to those
// who wait.
func (f *fetch) ask(ctx context.Context, header http.Header) (httpsem.Exchange, *http.Response, error) {
	target := f.key.URL()
	target.Scheme, target.Host = f.key.Scheme, f.key.Host
	f.route.direct(target)
	req := (&http.Request{
		Method: f.key.Method, URL: target, Host: f.key.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(unasked.Watch(f.hints.watch(ctx)))
	if f.content != nil {
		req.ContentLength = int64(len(f.content.bytes))
		req.GetBody = f.content.again
		req.Body, _ = f.content.again()
	}
	x := httpsem.Exchange{Method: f.method(), Request: header, Lifetime: f.route.override, Requested: f.d.now()}
	leave, err := f.route.turn(ctx)
	if err != nil {
		return x, nil, err
	}
	x.Requested = f.d.now()
	res, err := f.route.Transport.RoundTrip(req)
	leave()
	x.Received = f.d.now()
	f.took.Add(int64(x.Received.Sub(x.Requested)))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return x, nil, cause // the deadline, or nobody waits any more
		}
		return x, nil, outage(fault(err))
	}
	f.status.Store(int64(res.StatusCode))
	x.Status, x.Response = res.StatusCode, res.Header
	switch {
	case res.StatusCode < 200 || !tidy(res.Header): // 101, which nobody asked for, no status at all, or no end
		res.Body.Close()
		return x, nil, outage(errNoAnswer)
	case isFailure(res.StatusCode):
		return x, nil, f.fail(res, x.Received)
	}
	return x, res, nil
}

// method is the one by which an answer is judged: a POST whose content is in
// its key is asked for again like a GET.
func (f *fetch) method() string {
	if f.content != nil {
		return http.MethodGet
	}
	return f.key.Method
}

// whole reports whether all of a response is there.
func whole(item *corral.Item[*response]) bool {
	if item.Body == nil {
		return true
	}
	_, whole := item.Body.Len()
	return whole
}
