package httpcache

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// A mount is what other handlers made of a request before a middleware got it:
// http.ServeMux finds path values, http.StripPrefix rewrites the URL. A call of
// the next handler for everybody gets the same.
//
// Path values follow from the URL, and are not in the key by themselves. A URL
// that was rewritten may follow from anything, a session even, and so may
// values that were found on the way: then all of it is in the key.
type mount struct {
	url     *url.URL // as it was rewritten; nil: it is as the client sent it
	pattern string
	values  []pathValue
}

type pathValue struct{ name, value string }

type mountKey struct{}

func mountOf(ctx context.Context) *mount {
	m, _ := ctx.Value(mountKey{}).(*mount)
	return m
}

// mounted gives a request its mount, where there is anything to tell, and a
// target where it was made by hand.
func mounted(r *http.Request) *http.Request {
	if r.RequestURI == "" {
		with := *r
		with.RequestURI = r.URL.RequestURI()
		r = &with
	}
	rewritten := rewritten(r)
	if r.Pattern == "" && !rewritten {
		return r
	}
	m := &mount{pattern: r.Pattern}
	for name := range wildcards(r.Pattern) {
		m.values = append(m.values, pathValue{name, r.PathValue(name)})
	}
	if rewritten {
		m.url = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	}
	return r.WithContext(context.WithValue(r.Context(), mountKey{}, m))
}

// rewritten reports whether a request's URL is another than the client sent.
func rewritten(r *http.Request) bool {
	if r.URL.RequestURI() == r.RequestURI {
		return false
	}
	sent, err := url.ParseRequestURI(r.RequestURI) // in absolute form, perhaps
	return err != nil || sent.Path != r.URL.Path || sent.RawPath != r.URL.RawPath || sent.RawQuery != r.URL.RawQuery
}

// wildcards gives the names in a pattern of http.ServeMux, "$" among them, which
// has no value.
func wildcards(pattern string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			_, after, found := strings.Cut(pattern, "{")
			name, rest, closed := strings.Cut(after, "}")
			if !found || !closed {
				return
			}
			if !yield(strings.TrimSuffix(name, "...")) {
				return
			}
			pattern = rest
		}
	}
}

// key is what the mount adds to a request's key, less the parameters that are
// not in it. It begins as no other part of a key does.
func (m *mount) key(parts *KeyParts) string {
	if m.url == nil {
		return ""
	}
	_, m.url.RawQuery, _ = strings.Cut(parts.filter("?"+m.url.RawQuery), "?")
	return fmt.Sprintf("%q %q %q %t %q\n", m.url.Path, m.url.RawPath, m.url.RawQuery, m.url.ForceQuery, m.values)
}

// apply gives a call of the handler what the mount has.
func (m *mount) apply(r *http.Request) {
	r.Pattern = m.pattern
	for _, v := range m.values {
		r.SetPathValue(v.name, v.value)
	}
	if m.url != nil {
		own := *m.url
		r.URL = &own
	}
}
