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
	"net/url"
	"strings"

	"github.com/corralcache/corral/internal/httpsem"
)

// A passage is a request on its way to the origin by itself.
type passage struct {
	key     httpsem.Key
	status  httpsem.Status
	control *http.ResponseController // of the client's connection
	fetch   fetch                    // for its times
}

type passageKey struct{}

func passageOf(r *http.Request) *passage { return r.Context().Value(passageKey{}).(*passage) }

// forward sends a request to the origin by itself and its answer to nobody else.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, key httpsem.Key, fwd httpsem.Fwd, reason httpsem.Reason) {
	way := &passage{
		key: key, control: http.NewResponseController(w),
		status: httpsem.Status{Cache: p.o.Name, Fwd: fwd, Detail: reason.String()},
	}
	p.bypass.ServeHTTP(prompt{w, way.control}, r.WithContext(context.WithValue(r.Context(), passageKey{}, way)))
}

func (p *Proxy) newBypass() *httputil.ReverseProxy {
	errorLog := log.New(io.Discard, "", 0)
	if p.o.Logger != nil {
		errorLog = slog.NewLogLogger(p.o.Logger.Handler(), slog.LevelWarn)
	}
	return &httputil.ReverseProxy{
		Transport:      attended{p},
		Rewrite:        p.rewrite,
		ModifyResponse: p.passed,
		ErrorHandler:   p.notPassed,
		ErrorLog:       errorLog,
	}
}

// A prompt ResponseWriter sends on what the origin sends at once. A negative
// FlushInterval would, by a timer and a mutex for each answer.
type prompt struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (w prompt) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status)
	if status >= 200 {
		w.control.Flush()
	}
}

func (w prompt) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.control.Flush() // an error shows at the next Write
	return n, err
}

// Unwrap is for http.ResponseController.
func (w prompt) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// overrides are fields by which a POST says which method it stands for. Its
// answer is nobody else's, so they may go on; a GET's would be, later.
var overrides = map[string]bool{"X-Http-Method": true, "X-Http-Method-Override": true, "X-Method-Override": true}

func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	way := passageOf(pr.In)
	pr.Out.URL = way.key.URL()
	p.direct(pr.Out.URL)
	pr.Out.Host = way.key.Host
	for name := range pr.Out.Header {
		if httpsem.Unkeyed(name) && !(pr.In.Method == http.MethodPost && overrides[name]) {
			delete(pr.Out.Header, name)
		}
	}
	pr.SetXForwarded()
	pr.Out.Header.Set("X-Forwarded-Host", way.key.Host)
	httpsem.AppendVia(pr.Out.Header, pr.In.ProtoMajor, pr.In.ProtoMinor, p.o.Name)
}

// passed notes how an answer came about and ends what it makes invalid (RFC
// 9111, section 4.4), before the client can have seen it.
func (p *Proxy) passed(res *http.Response) error {
	switched := res.StatusCode == http.StatusSwitchingProtocols
	if switched && !strings.EqualFold(res.Header.Get("Upgrade"), res.Request.Header.Get("Upgrade")) ||
		res.StatusCode < 100 { // which net/http reads, and panics when it is to write it
		return errNoAnswer
	}
	way := passageOf(res.Request)
	for _, key := range httpsem.Invalidated(way.key, res.StatusCode, res.Header) {
		if err := p.cache.InvalidateTags(res.Request.Context(), key.String()); err != nil {
			return err
		}
	}
	noteOrigin(res.Request, &way.fetch)
	p.tell(res.Request, res.Header, way.status)
	return nil
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
	code, detail, text := explain(err)
	if code >= 500 && p.o.Logger != nil {
		p.o.Logger.LogAttrs(r.Context(), slog.LevelWarn, "a request was not answered",
			slog.String("key", way.key.String()), slog.Any("error", err))
	}
	noteOrigin(r, &way.fetch)
	way.status.Detail = detail
	p.fail(w, r, code, way.status, text)
}

// direct points a target at the origin, below the origin's own path.
func (p *Proxy) direct(target *url.URL) {
	target.Scheme, target.Host = p.o.Origin.Scheme, p.o.Origin.Host
	if prefix := strings.TrimSuffix(p.o.Origin.EscapedPath(), "/"); prefix != "" {
		target.RawPath = prefix + target.EscapedPath()
		target.Path = strings.TrimSuffix(p.o.Origin.Path, "/") + target.Path
	}
}
