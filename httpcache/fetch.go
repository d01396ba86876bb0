package httpcache

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
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

// selected is what the request has in the fields that a response varies on.
func (f *fetch) selected(v *response) string {
	if v.varying == nil {
		return ""
	}
	if fields := v.varying.vary.Fields; !slices.Equal(fields, f.vary) {
		header := f.incoming
		if !v.varying.unchanged || len(header["Connection"]) > 0 {
			header = f.sent()
		}
		f.vary, f.selecting = fields, v.varying.vary.Selecting(header)
	}
	return f.selecting
}

// sentUnchanged reports whether the fields of Vary reach the origin as they
// come, unless Connection names one, so that they can be compared without
// making the header that would be sent.
func sentUnchanged(vary httpsem.Vary) bool {
	h := make(http.Header, len(vary.Fields))
	for _, field := range vary.Fields {
		h[http.CanonicalHeaderKey(field)] = []string{""}
	}
	clean(h, false)
	return len(h) == len(vary.Fields) && !vary.Names("via") && !vary.Names("content-length") && !vary.Names("expect")
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

// matches reports whether a response for the key is one for this request.
func (f *fetch) matches(v *response) bool { return f.selected(v) == v.selecting() }

// variant is the name of the request's own response, given one that varies;
// empty when it would be too long.
func (f *fetch) variant(v *response) string {
	selecting := f.selected(v)
	if len(selecting) > maxSelecting {
		return ""
	}
	return f.name + "\n" + abridged(selecting)
}

// abridged is what stands for a selecting text in the name of a variant. Variants
// are remembered by their names, also when they are in the cache no more: what a
// client sends must not make them long.
func abridged(selecting string) string {
	if len(selecting) <= 2*sha256.Size {
		return selecting
	}
	hash := sha256.Sum256([]byte(selecting))
	return base64.RawStdEncoding.EncodeToString(hash[:])
}

// follow notes which variants the address has, given one of them.
func (f *fetch) follow(v *response) {
	if v.varying != nil {
		f.variants = v.varying.variants
	}
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

// item judges an answer. prev is what the entry has, or nil; length that of the
// body, or -1.
func (f *fetch) item(x httpsem.Exchange, name string, prev *corral.Item[*response], length int64) corral.Item[*response] {
	status, contentRange := x.Status, x.Response.Get("Content-Range")
	partial := f.part != nil && f.partial(&x)
	policy := f.judge(x)
	if f.part != nil && !partial { // it is looked at, and answers nobody
		policy.Outcome, policy.Reason = httpsem.Pass, httpsem.ReasonPartial
	}
	if policy.Outcome == httpsem.Keep && length > f.route.MaxObjectBytes {
		policy.Outcome, policy.Reason = httpsem.Share, httpsem.ReasonTooLarge
	}
	passTTL := f.route.PassTTL
	if policy.Outcome > httpsem.Pass && !f.c.Private && faultsTheClient(x.Status) {
		policy.Outcome, policy.Reason, passTTL = httpsem.Pass, httpsem.ReasonStatus, -1
	}
	header := httpsem.StoredHeader(x.Response, x.Received)
	if partial {
		header["Content-Range"] = []string{contentRange}
	}
	tags := append([]string{f.tag}, f.tags(header)...)
	f.separate(header, f.leaders(&policy))
	v := newResponse(status, &policy, header, f.sent(), length)
	item := corral.Item[*response]{
		Value: v, Jitter: -1, Tags: tags,
		TTL: policy.TTL(), StaleFor: policy.StaleFor, StaleOnError: policy.StaleOnError, StaleOnOutage: policy.StaleOnOutage,
		PassTTL: passTTL,
	}
	if item.TTL <= 0 { // stale already, and within windows that count from then
		for _, window := range [...]*time.Duration{&item.StaleFor, &item.StaleOnError, &item.StaleOnOutage} {
			if *window != corral.Forever {
				*window += item.TTL
			}
		}
		item.TTL = -1
	}
	if item.StaleOnOutage == 0 {
		item.StaleOnOutage = -1 // none; zero would be that of StaleOnError
	}
	switch policy.Outcome {
	case httpsem.Keep:
		f.keepVariant(v, name, prev)
	case httpsem.Validate:
		item.Outcome = corral.Validate
	case httpsem.Share:
		item.Outcome = corral.Share
	case httpsem.Pass:
		item.Outcome = corral.Pass
	}
	return item
}

// judge decides what becomes of an answer: what has a key of its own identity
// is judged as by a private cache.
func (f *fetch) judge(x httpsem.Exchange) httpsem.Policy {
	cache := f.route.cache
	cache.Private = cache.Private || f.route.Key.identity() && f.route.Key.identified(f.sent())
	return cache.Judge(x)
}

// faultsTheClient reports whether a status says that the origin did not like how
// it was asked: by a field, perhaps, that is not in the key. Then it is an answer
// to this one client whatever lifetime it has, and says nothing about others:
// else a header of some kilobytes would replace a page for all.
func faultsTheClient(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusLengthRequired, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusExpectationFailed, http.StatusMisdirectedRequest,
		http.StatusUpgradeRequired, http.StatusPreconditionRequired, http.StatusRequestHeaderFieldsTooLarge:
		return true
	}
	return false
}

// tags takes the fields that name an answer's tags out of its header.
func (f *fetch) tags(header http.Header) []string {
	if len(f.route.TagFields) == 0 {
		return nil
	}
	tags := httpsem.Tags(header, f.route.TagFields)
	for i, tag := range tags {
		tags[i] = tagPrefix + tag
	}
	for _, field := range f.route.TagFields {
		header.Del(field)
	}
	return tags[:min(len(tags), maxTags)]
}

// maxTags bounds the tags of a response: what the cache takes less the
// address's own.
const maxTags = 127

// leaders are the fields that only the request which began the fetch is given.
// In a cache for one user that is Set-Cookie too: told again from the cache it
// would put an old cookie in the place of a newer one.
func (f *fetch) leaders(policy *httpsem.Policy) []string {
	if !f.c.Private || f.route.cache.SetCookie {
		return policy.Qualified
	}
	return append(slices.Clip(policy.Qualified), "Set-Cookie", "Set-Cookie2")
}

// separate takes fields out of a header that are for one requester only (RFC
// 9111, sections 5.2.2.4 and 5.2.2.7).
func (f *fetch) separate(header http.Header, names []string) {
	own := http.Header{}
	for _, name := range names {
		if values, ok := header[name]; ok {
			own[name] = values
			delete(header, name)
		}
	}
	if len(own) > 0 {
		f.own.Store(&own)
	}
}

// keepVariant sees to it that an address does not have too many variants.
func (f *fetch) keepVariant(v *response, name string, prev *corral.Item[*response]) {
	if v.varying == nil {
		return
	}
	of := f.variants
	if of == nil && prev != nil && prev.Value.varying != nil {
		of = prev.Value.varying.variants
	}
	if of == nil {
		of = new(variants)
	}
	v.varying.variants = of
	if name == f.name {
		return // the first one, by which the others are found
	}
	if oldest := of.add(name[len(f.name):], f.c.MaxVariants); oldest != "" {
		f.d.cache.Invalidate(context.Background(), f.name+oldest) // of this process alone, without waiting
	}
}

// stream lets the body follow the header.
func (f *fetch) stream(item corral.Item[*response], res *http.Response, name string) corral.Item[*response] {
	if res.Body == http.NoBody || f.key.Method == http.MethodHead {
		res.Body.Close()
		return item
	}
	if item.Outcome == corral.Pass && len(res.Trailer) > 0 {
		item.Value.trailer = &trailer{slices.Sorted(maps.Keys(res.Trailer)), res.Trailer}
	}
	item.TailSize = max(res.ContentLength, 0)
	if limit := f.route.MaxObjectBytes; limit < f.c.MaxObjectBytes || f.c.MaxObjectBytes == 0 && limit < f.c.MaxBytes {
		res.Body = &bounded{ReadCloser: res.Body, left: limit, over: func() { f.d.cache.Invalidate(context.Background(), name) }}
	}
	item.Tail = func(_ context.Context, w io.Writer) error {
		defer res.Body.Close()
		return copyAll(w, res.Body)
	}
	return item
}

// bounded is a body of unknown length under a rule's MaxObjectBytes: over it
// the response is not kept any more, and goes on to those who read it.
type bounded struct {
	io.ReadCloser
	left int64
	over func() // called once
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if was := b.left; was >= 0 {
		if b.left -= int64(n); b.left < 0 {
			b.over()
		}
	}
	return n, err
}

// freshenGet does to the stored answer to a GET what the answer to a HEAD says
// of it (RFC 9111, section 4.3.5), unless that one is newer than the HEAD, or is
// being fetched.
func (f *fetch) freshenGet(ctx context.Context, x httpsem.Exchange) {
	get := f.get()
	get.once.Do(func() { get.outgoing = f.sent() })
	item, info, ok := f.d.cache.Peek(get.name)
	closeBody(item)
	if !ok || !get.matches(item.Value) || info.Age <= x.Received.Sub(x.Requested) || !whole(&item) || f.d.loading(get.name) {
		return
	}
	updated, ok := httpsem.FreshenByHead(item.Value.fields.header(), x.Response)
	if !ok || x.Status != item.Value.status {
		f.d.cache.Expire(ctx, get.name)
		return
	}
	x.Response = updated
	got, _, err := f.d.cache.GetWith(ctx, get.name, corral.LoaderFunc[*response](func(ctx context.Context, name string, prev *corral.Item[*response]) (corral.Item[*response], error) {
		if prev == nil || prev.Value != item.Value { // since then; others may wait for this load by now
			return get.Load(ctx, name, prev)
		}
		fresh := get.item(x, name, prev, prev.Value.length)
		fresh.Body = prev.Body
		return fresh, nil
	}), corral.Fresh())
	if err == nil {
		closeBody(got)
	}
}

// whole reports whether all of a response is there.
func whole(item *corral.Item[*response]) bool {
	if item.Body == nil {
		return true
	}
	_, whole := item.Body.Len()
	return whole
}

// loading reports whether the origin is being asked for an entry.
func (d *door) loading(name string) bool {
	for flight := range d.cache.Flights() {
		if flight.Key == name {
			return true
		}
	}
	return false
}

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
