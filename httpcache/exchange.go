package httpcache

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// An exchange is one request on its way through a door, and what comes of it.
type exchange struct {
	d       *door
	c       *config
	r       *http.Request       // as it came
	header  http.Header         // of the answer, which the door sends
	w       http.ResponseWriter // of a door that can send answers with 1xx before the last; else nil
	trace   *Trace              // nil: nobody wants one
	route   *route
	key     httpsem.Key
	control httpsem.RequestControl
	f       *fetch
	alone   bool // the door wants it sent by itself, for what only the door knows
}

// A way says what a door is to do with a request.
type way uint8

const (
	// send: the reply.
	send way = iota
	// forward: send the request to the origin by itself.
	forward
	// abort: the client has left.
	abort
)

// A decision is what comes of a request. With forward, fwd and reason say why;
// content is the request's where its body has been looked at.
type decision struct {
	way
	reply   reply
	err     error // that the reply tells of, or the abort: not what the origin answered
	fwd     httpsem.Fwd
	reason  httpsem.Reason
	content *content
	marked  string // the name of the entry that says that nothing is shared, when that is why
}

// handle answers a request from the cache, by a fetch whose answer may go to
// others, or says that it is to go to the origin by itself.
func (x *exchange) handle(scheme, host, target string) decision {
	if !isToken(x.r.Method) { // HTTP/2 lets one through that is none
		return x.refuse(errMethod)
	}
	if x.r.Method == http.MethodConnect {
		return x.fail(http.StatusMethodNotAllowed, httpsem.Status{Detail: "method"}, "this is no tunnel")
	}
	key, err := httpsem.NewKey(x.r.Method, scheme, host, target)
	if err != nil {
		return x.refuse(err)
	}
	var plain bool
	x.route, plain = x.c.route(&key)
	key.Target = x.route.Key.filter(key.Target)
	x.key = key
	name := key.String()
	if len(name) > x.c.MaxKeyBytes {
		return x.fail(http.StatusRequestURITooLong, httpsem.Status{Detail: "key-too-long"}, "the address is too long")
	}
	switch {
	case !plain:
		return x.bypass(httpsem.ReasonPath)
	case x.route.Bypass:
		return x.bypass(httpsem.ReasonRule)
	}
	r, content, reason, err := x.readContent()
	if err != nil {
		return x.contentFailed(err)
	}
	if reason == httpsem.NoReason {
		reason = httpsem.Bypass(r)
	}
	if reason == httpsem.NoReason && (x.alone || x.c.Private && unkeyed(r.Header)) {
		reason = httpsem.ReasonUnkeyed
	}
	if reason != httpsem.NoReason {
		out := x.bypass(reason)
		out.content = content
		return out
	}
	x.f = x.newFetch(r, name, content)
	x.control = httpsem.ParseRequestControl(r.Header)
	return x.lookup()
}

// bypass is for a request that does not concern the cache.
func (x *exchange) bypass(reason httpsem.Reason) decision {
	if reason != httpsem.ReasonMethod && httpsem.ParseRequestControl(x.r.Header).OnlyIfCached {
		return x.failCached()
	}
	return decision{way: forward, fwd: reason.Fwd(), reason: reason}
}

// lookup answers a request that may use the cache.
func (x *exchange) lookup() decision {
	if x.r.Method == http.MethodHead { // a stored GET answers it (RFC 9110, section 9.3.2)
		get := x.f.get()
		if out, ok := x.stored(get); ok {
			return out
		}
	}
	identified := x.identified()
	if identified == httpsem.NoReason && !x.control.OnlyIfCached {
		return x.shared()
	}
	out, ok := x.stored(x.f)
	switch {
	case ok:
		return out
	case x.control.OnlyIfCached:
		return x.failCached()
	}
	return decision{way: forward, fwd: httpsem.FwdURIMiss, reason: identified}
}

// identified says what of a request tells who asks, and is not in its key: then
// it may be answered from the cache, but neither leads nor joins a fetch that
// others wait for.
func (x *exchange) identified() httpsem.Reason {
	header := x.f.incoming
	switch {
	case x.c.Private:
	case len(header["Authorization"]) > 0 && !x.route.Key.Authorization:
		return httpsem.ReasonAuthorization
	case len(header["Cookie"]) > 0 && len(x.route.Key.Cookies) == 0:
		return httpsem.ReasonCookie
	}
	return httpsem.NoReason
}

// stored answers from what is stored, if that will do.
func (x *exchange) stored(f *fetch) (out decision, ok bool) {
	found := x.d.find(f, f.name)
	if !found.ok {
		return out, false
	}
	if !x.control.Accepts(found.stored()) {
		closeBody(found.item)
		return out, false
	}
	return x.answer(answer{f: f, item: found.item, info: found.info, name: found.name}), true
}

// shared answers from the cache or from a fetch whose answer may go to others.
func (x *exchange) shared() (out decision) {
	if x.wantsPart() {
		if v := x.d.large.find(x.f.name, x.d.now()); v != nil {
			return x.sliced(v)
		}
	}
	f, name := x.f, x.f.name
	ctx, until := x.patience()
	defer until.answered(&out.reply)
	for range maxHops {
		found := x.d.find(f, name)
		if found.ok {
			if x.fresh(&found) {
				x.d.cache.Touch(found.name)
				return x.answer(answer{f: f, item: found.item, info: found.info, name: found.name})
			}
			closeBody(found.item)
		} else if found.name == "" {
			break
		}
		if !found.ok || found.info.TTL <= 0 {
			if !found.ok && !x.mayFetch(found.name) {
				return x.tooMany()
			}
			f.prepare(x, &found)
		}
		from := x.d.now()
		item, info, err := x.d.cache.GetWith(ctx, found.name, f, x.demand(&found)...)
		f.hints.end()
		if !found.ok {
			x.fetched(found.name)
		}
		if errors.Is(err, corral.ErrPassed) {
			return x.pass(found.name, found.fwd(f))
		}
		if err != nil {
			return x.answerError(found.fwd(f), err)
		}
		if f.matches(item.Value) {
			return x.deliver(answer{f: f, item: item, info: info, name: found.name, fwd: found.fwd(f), from: from})
		}
		closeBody(item) // it was for another variant of the same key
		f.follow(item.Value)
		name = f.variant(item.Value)
	}
	return decision{way: forward, fwd: httpsem.FwdVaryMiss, reason: httpsem.ReasonVary}
}

// pass is for a request under a key whose answers are shared with nobody.
func (x *exchange) pass(name string, fwd httpsem.Fwd) decision {
	with := *x.r
	with.Header = x.f.incoming
	x.r = &with
	return decision{way: forward, fwd: fwd, reason: httpsem.ReasonPrivate, marked: name, content: x.f.content}
}

// demand says what the cache has to know of how a request is to be answered. A
// rule's own limits are for what goes by itself as well.
func (x *exchange) demand(found *finding) []corral.GetOption {
	options := demand(found, x.control)
	if !x.d.passes || x.route.turns != nil || x.route.rate != nil {
		return options
	}
	if options == nil {
		return orPassed
	}
	return append(options, corral.OrPassed())
}

var orPassed = []corral.GetOption{corral.OrPassed()}

// fresh reports whether what was found is the answer, without the cache being
// asked again: a fresh response that is whole, the usual one.
func (x *exchange) fresh(found *finding) bool {
	if found.info.TTL <= 0 || !x.control.Accepts(found.stored()) {
		return false
	}
	return whole(&found.item)
}

// deliver answers with what a fetch brought, unless the request is for a part
// of what is too large to be kept.
func (x *exchange) deliver(a answer) decision {
	if x.wantsPart() && !a.info.Kept && a.item.Value.reason == httpsem.ReasonTooLarge {
		x.d.large.add(x.f.name, a.item.Value, x.d.now(), x.route.PassTTL)
		closeBody(a.item)
		return x.sliced(a.item.Value)
	}
	return x.answer(a)
}

// wantsPart reports whether a request is for a range (RFC 9110, section 14.2).
func (x *exchange) wantsPart() bool {
	return x.r.Method == http.MethodGet && len(x.r.Header["Range"]) > 0
}

// part is for a request for a range that the origin is to answer.
func (x *exchange) part() decision {
	return decision{way: forward, fwd: httpsem.FwdURIMiss, reason: httpsem.ReasonRange}
}

// overdue is how long after its route's LoadTimeout a caller is released whom
// the end of the load has not released: it is in the queue of MaxLoads, or its
// transport does not heed its context. Not in that moment: the caller's own end
// would then win over what is stale and may stand in.
const overdue = time.Second

// patience is how long a caller waits for what its route lets the origin take:
// less than the cache would let it, where a rule says so.
func (x *exchange) patience() (context.Context, *deadline) {
	if x.route.LoadTimeout == x.d.load {
		return x.r.Context(), nil
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	return ctx, &deadline{cancel, time.AfterFunc(x.route.LoadTimeout+overdue, func() { cancel(corral.ErrLoadTimeout) })}
}

// A deadline is for an answer's header: its body may take longer, under the
// same context.
type deadline struct {
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// answered lifts the deadline. The context lasts as long as the reply's body.
func (d *deadline) answered(out *reply) {
	if d == nil {
		return
	}
	d.timer.Stop()
	if out.body == nil {
		d.cancel(nil)
		return
	}
	out.end = d.cancel
}

// unkeyed reports whether a request has a field by which it could change the
// answer for others.
func unkeyed(h http.Header) bool {
	for name := range h {
		if httpsem.Unkeyed(name) {
			return true
		}
	}
	return false
}

// A finding is what is stored for a request, or the name under which it would
// be. Without a name the request's selecting fields are too long for one.
type finding struct {
	name string
	ok   bool
	item corral.Item[*response]
	info corral.Info
}

// find looks up a request's response, from one name of it to the next as the
// responses found on the way say what they vary on. What it finds is not
// counted as used. The caller closes the item's body.
func (d *door) find(f *fetch, name string) finding {
	for range maxHops {
		if name == "" {
			break
		}
		item, info, ok := d.cache.Peek(name)
		if !ok || f.matches(item.Value) {
			return finding{name, ok, item, info}
		}
		closeBody(item)
		f.follow(item.Value)
		name = f.variant(item.Value)
	}
	return finding{}
}

// fwd is why the origin is asked, if it is (RFC 9211, section 2.2).
func (found *finding) fwd(f *fetch) httpsem.Fwd {
	switch {
	case found.ok && found.info.TTL <= 0:
		return httpsem.FwdStale
	case found.ok:
		return httpsem.FwdRequest
	case found.name != f.name:
		return httpsem.FwdVaryMiss
	}
	return httpsem.FwdURIMiss
}

func (found *finding) stored() httpsem.Stored {
	v := found.item.Value
	return httpsem.Stored{
		Age: v.age + found.info.Age, TTL: found.info.TTL,
		StaleFor: v.staleFor, MustRevalidate: v.mustRevalidate,
	}
}

// demand says what of the client's wishes the cache has to know. A client that
// says nothing, the usual one, costs nothing.
func demand(found *finding, control httpsem.RequestControl) []corral.GetOption {
	switch {
	case control == (httpsem.RequestControl{}):
		return nil
	case control.NoCache:
		return []corral.GetOption{corral.Fresh()}
	case !found.ok:
		return nil
	}
	accepted := control.Accepts(found.stored())
	switch fresh := found.info.TTL > 0; {
	case !accepted && fresh:
		return []corral.GetOption{corral.Fresh()}
	case !accepted: // one that is being fetched will do
		return []corral.GetOption{corral.NoStale()}
	case !fresh && control.MaxStale.Given:
		return []corral.GetOption{corral.MaxStale(control.MaxStale.Value)}
	}
	return nil
}
