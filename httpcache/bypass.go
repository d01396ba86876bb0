package httpcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/httpsem"
)

// A passage is a request on its way to the origin by itself.
type passage struct {
	x       *exchange
	status  httpsem.Status
	marked  string                   // as in a decision
	control *http.ResponseController // of the client's connection
	fetch   fetch                    // for its times
}

type passageKey struct{}

func passageOf(r *http.Request) *passage { return r.Context().Value(passageKey{}).(*passage) }

// forward sends a request to the origin by itself and its answer to nobody else.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, x *exchange, decision *decision) {
	way := &passage{
		x: x, marked: decision.marked, control: http.NewResponseController(w),
		status: httpsem.Status{Cache: x.c.Name, Fwd: decision.fwd, Detail: decision.reason.String()},
	}
	out := &prompt{ResponseWriter: w, control: way.control}
	defer out.end()
	p.alone.ServeHTTP(out, r.WithContext(context.WithValue(r.Context(), passageKey{}, way)))
}

func (p *Proxy) newAlone() *httputil.ReverseProxy {
	errorLog := log.New(io.Discard, "", 0)
	if logger := p.config.Load().Logger; logger != nil {
		errorLog = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	}
	return &httputil.ReverseProxy{
		Transport:      attended{p},
		Rewrite:        p.rewrite,
		ModifyResponse: p.passed,
		ErrorHandler:   p.notPassed,
		ErrorLog:       errorLog,
		BufferPool:     &buffers,
	}
}

// overrides are fields by which a POST says which method it stands for. Its
// answer is nobody else's, so they may go on; a GET's would be, later.
var overrides = map[string]bool{"X-Http-Method": true, "X-Http-Method-Override": true, "X-Method-Override": true}

func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	x := passageOf(pr.In).x
	pr.Out.URL = x.key.URL()
	x.route.direct(pr.Out.URL)
	pr.Out.Host = x.key.Host
	for name := range pr.Out.Header {
		if httpsem.Unkeyed(name) && !(pr.In.Method == http.MethodPost && overrides[name]) {
			delete(pr.Out.Header, name)
		}
	}
	if len(x.c.TrustedProxies) > 0 {
		if _, trusted := x.c.client(pr.In); trusted {
			pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
		}
	}
	if speaksH2C(pr.Out.Header) {
		pr.Out.Header.Del("Connection")
		pr.Out.Header.Del("Upgrade")
	}
	pr.SetXForwarded()
	pr.Out.Header.Set("X-Forwarded-Host", x.key.Host)
	pr.Out.Header.Set("X-Forwarded-Proto", x.key.Scheme)
	httpsem.AppendVia(pr.Out.Header, pr.In.ProtoMajor, pr.In.ProtoMinor, x.c.Name)
}

// speaksH2C reports whether a request would have its connection speak HTTP/2
// from now on, which then went through here unseen: whatever it carries, to any
// path, from whomever. RFC 9113, section 3.1, has no such upgrade any more, and
// one that is not answered has no effect (RFC 9110, section 7.8).
func speaksH2C(h http.Header) bool {
	return strings.Contains(strings.ToLower(strings.Join(h["Upgrade"], ",")), "h2c")
}

// passed notes how an answer came about and ends what it makes invalid (RFC
// 9111, section 4.4), before the client can have seen it. Where other processes,
// or the store, do not say in time that they have heard of that, the client is
// answered all the same: what it asked for has been done, and it would ask again.
func (x *exchange) passed(code int, header http.Header, status httpsem.Status) error {
	err := x.invalidate(x.invalidated(code, header))
	switch {
	case errors.Is(err, corral.ErrStorePending):
		status.Detail = "store-pending"
		x.warn("the store does not know yet what a request changed, and is not read before it does: purge it once more if this process ends first", err)
	case errors.Is(err, corral.ErrNotAcknowledged):
		status.Detail = "not-invalidated"
		x.warn("what a request changed may be answered from the cache until it expires: purge it", err)
	case err != nil:
		return err
	}
	for _, field := range x.route.TagFields {
		header.Del(field)
	}
	x.tellIn(header, status)
	return nil
}

// warn tells the log of what an operator may have to mend.
func (x *exchange) warn(text string, err error) {
	if x.c.Logger != nil {
		x.c.Logger.LogAttrs(x.r.Context(), slog.LevelWarn, text, slog.String("key", x.key.String()), slog.Any("error", err))
	}
}

// invalidate ends what is stored for addresses. It goes on when the client
// leaves, whose request has changed something by now.
func (x *exchange) invalidate(addresses []httpsem.Key) error {
	if len(addresses) == 0 {
		return nil
	}
	var tags []string
	for _, key := range addresses {
		tags = append(tags, x.c.tag(key))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), acknowledgeTimeout)
	defer cancel()
	return x.d.cache.InvalidateTags(ctx, tags...)
}

// invalidated are the keys that an answer makes invalid. A POST that a rule lets
// be cached asks for something and changes nothing, also when it goes by itself:
// else anybody could end the answers of others with one whose content is too
// long.
func (x *exchange) invalidated(code int, header http.Header) []httpsem.Key {
	if x.key.Method == http.MethodPost && x.route.MaxContentBytes > 0 {
		return nil
	}
	return httpsem.Invalidated(x.key, code, header)
}

func (p *Proxy) passed(res *http.Response) error {
	switched := res.StatusCode == http.StatusSwitchingProtocols
	if switched && !strings.EqualFold(res.Header.Get("Upgrade"), res.Request.Header.Get("Upgrade")) ||
		res.StatusCode < 100 { // which net/http reads, and panics when it is to write it
		return errNoAnswer
	}
	way := passageOf(res.Request)
	way.x.noteOrigin(&way.fetch)
	if way.marked != "" {
		way.stillPassed(res)
	}
	return way.x.passed(res.StatusCode, res.Header, way.status)
}

// stillPassed looks whether an answer that goes by itself, because an earlier
// one was shared with nobody, could have been shared. Then the next request
// asks for all again.
func (way *passage) stillPassed(res *http.Response) {
	x := way.x
	now := x.d.now()
	if isFailure(res.StatusCode) {
		way.status.Detail = "origin-failed"
		way.rest(res.Request.Context(), failed(res, now))
		return
	}
	policy := x.route.cache.Judge(httpsem.Exchange{
		Method: x.f.method(), Request: res.Request.Header, Lifetime: x.route.override,
		Status: res.StatusCode, Response: res.Header, Requested: now.Add(-time.Duration(way.fetch.took.Load())), Received: now,
	})
	way.status.Detail = policy.Reason.String()
	if policy.Outcome == httpsem.Keep {
		x.d.forget(way.marked)
	}
}

// rest lets the key of an answer that is shared with nobody rest after a
// failure, as any other does.
func (way *passage) rest(ctx context.Context, err error) {
	fails := corral.LoaderFunc[*response](func(context.Context, string, *corral.Item[*response]) (corral.Item[*response], error) {
		return corral.Item[*response]{}, err
	})
	way.x.d.cache.GetWith(ctx, way.marked, fails)
}

// notPassed tells a client why there is no answer.
func (p *Proxy) notPassed(w http.ResponseWriter, r *http.Request, err error) {
	way := passageOf(r)
	if !way.fetch.asked.Load() { // it is the request that cannot be sent on
		err = fmt.Errorf("%w: %w", errContent, err)
	}
	if r.Context().Err() == context.Canceled && !errors.Is(err, errSlowContent) { // which ends the context as well
		panic(http.ErrAbortHandler) // as in answerError
	}
	if way.marked != "" && (errors.Is(err, errUnreachable) || errors.Is(err, errNoAnswer)) {
		way.rest(r.Context(), outage(err))
	}
	code, detail, text := explain(err)
	if logger := way.x.c.Logger; code >= 500 && logger != nil {
		logger.LogAttrs(r.Context(), slog.LevelWarn, "a request was not answered",
			slog.String("key", way.x.key.String()), slog.Any("error", err))
	}
	way.x.noteOrigin(&way.fetch)
	way.status.Detail = detail
	out := way.x.fail(code, way.status, text)
	out.reply.write(w)
}
