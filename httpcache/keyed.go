package httpcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"

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

// readContent reads the content of a POST that the rule lets be cached. It
// gives the request without it, as one that can be looked up, or the reason why
// it cannot.
func (x *exchange) readContent() (*http.Request, *content, httpsem.Reason) {
	limit := x.route.MaxContentBytes
	if x.r.Method != http.MethodPost || limit == 0 {
		return x.r, nil, httpsem.NoReason
	}
	if x.r.ContentLength > limit {
		return x.r, nil, httpsem.ReasonRequestBody
	}
	c := new(content)
	if x.r.Body != nil {
		read, err := io.ReadAll(io.LimitReader(x.r.Body, limit+1))
		c.bytes = read
		if err != nil || int64(len(read)) > limit {
			c.body = x.r.Body // an error comes again, to whoever reads on
			return x.r, c, httpsem.ReasonRequestBody
		}
	}
	r := *x.r
	r.Method, r.ContentLength, r.Body = http.MethodGet, 0, http.NoBody
	if len(r.Header["Expect"]) > 0 {
		r.Header = r.Header.Clone()
		r.Header.Del("Expect") // it has been met
	}
	return &r, c, httpsem.NoReason
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
	if parts := x.route.parts(f.incoming, content); parts != "" {
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
