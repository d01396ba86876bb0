package httpcache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral/internal/httpsem"
)

// content is what a POST that may be cached carries.
type content struct {
	bytes []byte
	body  io.ReadCloser // what comes after bytes; nil: nothing
}

// reader gives the whole content, for a request that goes on by itself.
func (c *content) reader() io.ReadCloser {
	if c.body == nil {
		return io.NopCloser(bytes.NewReader(c.bytes))
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(c.bytes), c.body), c.body}
}

// again gives what was read, for a request that sends it on. That of none has
// to be NoBody: net/http would not know that its length is zero.
func (c *content) again() (io.ReadCloser, error) {
	if len(c.bytes) == 0 {
		return http.NoBody, nil
	}
	return io.NopCloser(bytes.NewReader(c.bytes)), nil
}

// readContent reads the content of a POST that the rule lets be cached. It
// gives the request without it, as one that can be looked up, or the reason why
// it cannot. An error is the client's.
func (x *exchange) readContent() (*http.Request, *content, httpsem.Reason, error) {
	limit := x.route.MaxContentBytes
	if x.r.Method != http.MethodPost || limit == 0 {
		return x.r, nil, httpsem.NoReason, nil
	}
	if x.r.ContentLength > limit {
		return x.r, nil, httpsem.ReasonRequestBody, nil
	}
	c := new(content)
	if x.r.Body != nil {
		read, err := x.readUpTo(limit + 1)
		if err != nil {
			return nil, nil, httpsem.NoReason, err
		}
		c.bytes = read
		if int64(len(read)) > limit {
			c.body = x.r.Body
			return x.r, c, httpsem.ReasonRequestBody, nil
		}
	}
	r := *x.r
	r.Method, r.ContentLength, r.Body = http.MethodGet, 0, http.NoBody
	if len(r.Header["Expect"]) > 0 {
		r.Header = r.Header.Clone()
		r.Header.Del("Expect") // it has been met
	}
	return &r, c, httpsem.NoReason, nil
}

// readUpTo reads content, from a client that sends some of it at least every
// LoadTimeout.
func (x *exchange) readUpTo(limit int64) ([]byte, error) {
	in := &awaited{x: x}
	in.watch = time.AfterFunc(x.route.LoadTimeout, in.stalled)
	read, err := io.ReadAll(io.LimitReader(in, limit))
	in.mu.Lock()
	defer in.mu.Unlock()
	in.over = true
	in.watch.Stop()
	switch {
	case in.late:
		return nil, errSlowContent
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errContent, err)
	}
	return read, nil
}

// awaited is content that is read before anybody is asked.
type awaited struct {
	x     *exchange
	watch *time.Timer

	mu         sync.Mutex
	over, late bool
}

func (a *awaited) Read(p []byte) (int, error) {
	n, err := a.x.r.Body.Read(p)
	a.watch.Reset(a.x.route.LoadTimeout)
	return n, err
}

// stalled ends a Read that waits for a client of net/http's server.
func (a *awaited) stalled() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over && a.x.w != nil && http.NewResponseController(a.x.w).SetReadDeadline(time.Now()) == nil {
		a.late = true
	}
}

// contentFailed answers a client whose content did not come.
func (x *exchange) contentFailed(err error) decision {
	late := errors.Is(err, errSlowContent) // which ends the context as well
	if x.w == nil || x.r.Context().Err() == context.Canceled && !late {
		return decision{way: abort, err: err}
	}
	code, detail, text := explain(err)
	x.header.Set("Connection", "close")
	return x.fail(code, httpsem.Status{Detail: detail}, text)
}

// newFetch makes the fetch of a request that may use the cache. name is its
// key's text.
func (x *exchange) newFetch(r *http.Request, name string, content *content) *fetch {
	f := &fetch{
		d: x.d, c: x.c, route: x.route, key: x.key, tag: name, name: name, content: content,
		incoming: x.route.keyed(r.Header), major: r.ProtoMajor, minor: r.ProtoMinor,
	}
	if x.key.Method != http.MethodGet {
		f.tag = x.key.As(http.MethodGet).String()
	}
	parts := x.route.parts(f.incoming, content)
	if m := mountOf(x.r.Context()); m != nil {
		parts = m.key(&x.route.Key) + parts
	}
	if parts != "" {
		hash := sha256.Sum256([]byte(parts))
		f.name += "\n#" + base64.RawStdEncoding.EncodeToString(hash[:])
	}
	return f
}

// keyed takes out of a request what its rule keeps from the origin: all cookies,
// or those that are not in the key.
func (t *route) keyed(h http.Header) http.Header {
	switch {
	case len(h["Cookie"]) == 0:
		return h
	case t.IgnoreCookies:
		h = h.Clone()
		h.Del("Cookie")
	case len(t.Key.Cookies) > 0:
		kept := cookies(h, t.Key.Cookies)
		h = h.Clone()
		h.Del("Cookie")
		if kept != "" {
			h["Cookie"] = []string{kept}
		}
	}
	return h
}

// cookies gives those of a request's cookies that have one of the names, as
// they were sent and in that order.
func cookies(h http.Header, names []string) string {
	var kept []string
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			pair = strings.Trim(pair, " \t")
			name, _, _ := strings.Cut(pair, "=")
			for _, wanted := range names {
				if name == wanted {
					kept = append(kept, pair)
				}
			}
		}
	}
	return strings.Join(kept, "; ")
}

// identified reports whether what a request's key has of it tells who asks. An
// empty cookie does not: many may have it.
func (k *KeyParts) identified(h http.Header) bool {
	if k.Authorization && h.Get("Authorization") != "" {
		return true
	}
	for pair := range strings.SplitSeq(cookies(h, k.Cookies), "; ") {
		if _, value, _ := strings.Cut(pair, "="); strings.Trim(value, "\" \t") != "" {
			return true
		}
	}
	return false
}

// parts are what a request's key has beside its address, in a text that is
// different for any two; empty when there are none.
func (t *route) parts(h http.Header, content *content) string {
	var fields []string
	fields = append(fields, t.Key.Headers...)
	if len(t.Key.Cookies) > 0 {
		fields = append(fields, "cookie")
	}
	if t.Key.Authorization {
		fields = append(fields, "authorization")
	}
	parts := ""
	if len(fields) > 0 {
		parts = httpsem.ParseVary(http.Header{"Vary": fields}).Selecting(h)
	}
	if content != nil {
		parts += "\n" + string(content.bytes)
		for _, field := range [...]string{"Content-Type", "Content-Encoding"} {
			parts += "\n" + strings.Join(h[field], ",")
		}
	}
	return parts
}
