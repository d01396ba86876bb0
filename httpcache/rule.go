package httpcache

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral/internal/httpsem"
)

// A Rule says what holds for the requests that it matches. Of the rules that
// match a request the most specific counts, and it alone; rules that match a
// common request while neither is the more specific one are refused.
//
// A path is matched as it was sent. One that servers read in different ways
// (an empty segment, one of dots and encoded bytes alone, a semicolon or
// backslash, an encoded slash, dot, semicolon, backslash, percent sign or NUL,
// or one of them in an overlong form of UTF-8) goes to the origin by itself
// while there are rules: a rule for /static/* must not be led to
// /static/..%2faccount.
type Rule struct {
	// Name of the rule in errors. Default: its host, path and methods.
	Name string

	// Host is a host name without a port, "*.example.com" for every host below
	// one, or empty for all. Path is a path, "/prefix/*" for all that begin
	// with "/prefix/", or empty for all. Methods are those that it is for,
	// GET with HEAD; none: all.
	Host    string
	Path    string
	Methods []string

	// Bypass sends requests to the origin by themselves.
	Bypass bool
	// Origin and Transport replace those of the Options (a Proxy's only).
	Origin    *url.URL
	Transport http.RoundTripper

	// TTL, StaleFor (stale-while-revalidate) and StaleOnError (stale-if-error)
	// replace what the origin says of them, for an answer that it lets be
	// shared. Zero leaves them to the origin, negative means none. TTL counts
	// from the arrival of the answer; it does not override no-store, private,
	// Set-Cookie or Vary: *.
	TTL          time.Duration
	StaleFor     time.Duration
	StaleOnError time.Duration
	// PassTTL replaces Options.PassTTL.
	PassTTL time.Duration

	Key KeyParts
	// MaxContentBytes makes POST cacheable, as far as the rule matches it: its
	// content, up to this length, is part of the key. Longer content goes to
	// the origin by itself. Zero: POST is not cacheable.
	MaxContentBytes int64
	// TagFields are fields of answers that name their tags, as Surrogate-Key
	// (between spaces) and Cache-Tag (between commas), for Purge. Clients do
	// not see them.
	TagFields []string
	// IgnoreCookies and StoreCookies are those of the Options, if not set there.
	IgnoreCookies bool
	StoreCookies  bool

	// LoadTimeout and MaxObjectBytes replace those of the Options. MaxObjectBytes
	// may be less than there, not more.
	LoadTimeout    time.Duration
	MaxObjectBytes int64
	// MaxLoads bounds the requests to the origin that run at once on the
	// cache's behalf for this rule, up to the header of their answers; Rate
	// those that begin in a second, with bursts of Burst (default: one second's
	// worth). More wait their turn, up to LoadTimeout. Zero: no limit of its own.
	// With a Coordinator that is a corral.Divider, Rate and Burst are those of
	// all processes together, each of which has its share (of Burst at least 1);
	// MaxLoads is this process's own.
	MaxLoads int
	Rate     float64
	Burst    int
}

// KeyParts say what of a request makes its key, beside method, scheme, host,
// path and query. What is taken out of the key does not reach the origin.
type KeyParts struct {
	// DropQuery are parameters that are taken out of the query; "utm_*" stands
	// for all that begin so. KeepQuery, instead, are the only ones that stay.
	// Order and notation of the others stay as they were sent.
	DropQuery []string
	KeepQuery []string
	// Headers are fields that the answer depends on, whether it says so by
	// Vary or not.
	Headers []string
	// Cookies and Authorization key by identity. Of the Cookie field these
	// cookies reach the origin, and no others. Each identity has answers of its
	// own, which may be private ones: what its key opens is a private cache
	// (RFC 9111, section 1). Requests without any of them share what may be
	// shared among all.
	Cookies       []string
	Authorization bool
}

// identity reports whether the key tells who asks.
func (k *KeyParts) identity() bool { return len(k.Cookies) > 0 || k.Authorization }

// String names the rule.
func (r *Rule) String() string {
	if r.Name != "" {
		return r.Name
	}
	return strings.TrimSpace(strings.Join(r.Methods, ",") + " " + r.Host + pathOf(r.Path))
}

func pathOf(path string) string {
	if path == "" {
		return "/*"
	}
	return path
}

// validate reports what is wrong with a rule alone.
func (r *Rule) validate(field string) error {
	var errs []error
	wrong := func(bad bool, name string, value any, remedy string) {
		if bad {
			errs = append(errs, &RuleError{Field: field + "." + name, Name: name, Value: fmt.Sprint(value), Remedy: remedy})
		}
	}
	wrong(r.Host != "" && !isHostPattern(r.Host), "Host", r.Host, "it matches no request: write a host name in lower case without port, as www.example.com or *.example.com, or none for all")
	wrong(r.Path != "" && !strings.HasPrefix(r.Path, "/"), "Path", r.Path, "it matches no request: begin with a slash, as /assets/*")
	star := strings.IndexByte(r.Path, '*')
	wrong(star >= 0 && !(star == len(r.Path)-1 && strings.HasSuffix(r.Path, "/*")), "Path", r.Path, "write a star only after a last slash, as /assets/*")
	wrong(strings.ContainsAny(r.Path, "?#"), "Path", r.Path, "it matches no request: take the query out; only the path is matched")
	sent, asSent := sentPath(r.Path)
	wrong(!asSent, "Path", r.Path, "it matches no request: write it as it is sent, as "+sent)
	wrong(ambiguousPath(strings.TrimSuffix(r.Path, "*")), "Path", r.Path, "it matches no request: paths with empty or dot segments, semicolons, backslashes or their encoded forms go to the origin by themselves")
	for i, method := range r.Methods {
		wrong(!isToken(method) || method != strings.ToUpper(method), fmt.Sprintf("Methods[%d]", i), method, "write a method in upper case, as GET")
		wrong(method == http.MethodConnect, fmt.Sprintf("Methods[%d]", i), method, "it matches no request: CONNECT is refused")
		wrong(slices.Index(r.Methods, method) < i, fmt.Sprintf("Methods[%d]", i), method, "it is there twice: leave one out")
	}
	wrong(r.MaxContentBytes < 0, "MaxContentBytes", r.MaxContentBytes, "set a number of bytes above 0, or 0 for none")
	wrong(r.MaxContentBytes > 0 && !r.allows(http.MethodPost), "MaxContentBytes", r.MaxContentBytes, "it is for POST, which Methods leave out: add POST")
	wrong(len(r.Key.DropQuery) > 0 && len(r.Key.KeepQuery) > 0, "Key.KeepQuery", r.Key.KeepQuery, "Key.DropQuery is set as well; choose one")
	for i, name := range r.Key.Headers {
		wrong(!isToken(name), fmt.Sprintf("Key.Headers[%d]", i), name, "write the name of a field, as Accept-Language")
		wrong(strings.EqualFold(name, "Cookie"), fmt.Sprintf("Key.Headers[%d]", i), name, "use Key.Cookies, which says which of them")
		wrong(strings.EqualFold(name, "Authorization"), fmt.Sprintf("Key.Headers[%d]", i), name, "use Key.Authorization")
		wrong(isToken(name) && !sentUnchanged(httpsem.Vary{Fields: []string{strings.ToLower(name)}}), fmt.Sprintf("Key.Headers[%d]", i), name, "it does not reach the origin, so no answer depends on it: leave it out")
	}
	for i, name := range r.Key.Cookies {
		wrong(!isToken(name), fmt.Sprintf("Key.Cookies[%d]", i), name, "write the name of a cookie, as session")
	}
	wrong(len(r.Key.Cookies) > 0 && r.IgnoreCookies, "IgnoreCookies", true, "Key.Cookies keys by cookies; choose one")
	for i, name := range r.TagFields {
		wrong(!isToken(name), fmt.Sprintf("TagFields[%d]", i), name, "write the name of a field, as Surrogate-Key")
	}
	wrong(r.LoadTimeout < 0, "LoadTimeout", r.LoadTimeout, "set a duration above 0, or 0 for that of the Options")
	wrong(r.MaxObjectBytes < 0, "MaxObjectBytes", r.MaxObjectBytes, "set a number of bytes above 0, or 0 for that of the Options")
	wrong(r.MaxLoads < 0, "MaxLoads", r.MaxLoads, "set a number above 0, or 0 for no limit of its own")
	wrong(!(r.Rate >= 0 && r.Rate <= 1e9), "Rate", r.Rate, "set a number of requests a second above 0, or 0 for no limit")
	wrong(r.Burst < 0 || r.Burst > 0 && r.Rate == 0, "Burst", r.Burst, "set Rate as well, or leave it 0")
	wrong(r.Bypass && r.caches(), "Bypass", true, "nothing of what it matches is cached, but other fields say how; choose one")
	if r.Origin != nil {
		errs = append(errs, validateOrigin(field+".Origin", r.Origin)...)
	}
	return errors.Join(errs...)
}

// caches reports whether a rule says how to cache.
func (r *Rule) caches() bool {
	return r.TTL != 0 || r.StaleFor != 0 || r.StaleOnError != 0 || r.MaxContentBytes != 0 || len(r.TagFields) > 0 ||
		r.IgnoreCookies || r.StoreCookies || r.MaxObjectBytes != 0 || len(r.Key.Headers) > 0 || r.Key.identity()
}

// allows reports whether a rule is for a method. One for GET is for HEAD too.
func (r *Rule) allows(method string) bool {
	return len(r.Methods) == 0 || slices.Contains(r.Methods, method) ||
		method == http.MethodHead && slices.Contains(r.Methods, http.MethodGet)
}

// A RuleError is one thing that is wrong with one field of a rule, or with two
// rules together.
type RuleError struct {
	Field  string // as Rules[2].Host
	Name   string // as Host
	Value  string
	Remedy string
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("httpcache: Options.%s is %q: %s", e.Field, e.Value, e.Remedy)
}

// validateRules reports what is wrong with each rule and with every two.
func validateRules(rules []Rule) error {
	var errs []error
	for i := range rules {
		errs = append(errs, rules[i].validate(fmt.Sprintf("Rules[%d]", i)))
		for j := range i {
			if remedy := conflict(&rules[j], &rules[i], rules); remedy != "" {
				errs = append(errs, &RuleError{Field: fmt.Sprintf("Rules[%d]", i), Value: rules[i].String(), Remedy: fmt.Sprintf(remedy, rules[j].String())})
			}
		}
	}
	return errors.Join(errs...)
}

// conflict says why two of the rules cannot stand together.
func conflict(a, b *Rule, rules []Rule) string {
	switch ab, ba := a.within(b), b.within(a); {
	case ab && ba:
		return "it matches the same requests as the rule %q: leave one out"
	case ab || ba:
		return ""
	}
	both, meet := a.meet(b)
	if !meet || slices.ContainsFunc(rules, func(c Rule) bool { return c.within(a) && c.within(b) && both.within(&c) }) {
		return ""
	}
	return "some requests match both it and the rule %q, and neither is the more specific one: narrow one of them, or add a rule for what both match"
}

// within reports whether every request that a matches is matched by b.
func (a *Rule) within(b *Rule) bool {
	if len(b.Methods) > 0 && (len(a.Methods) == 0 || slices.ContainsFunc(a.Methods, func(m string) bool { return !b.allows(m) })) {
		return false
	}
	return patternWithin(a.Host, b.Host, hostMatches) && patternWithin(pathOf(a.Path), pathOf(b.Path), pathMatches)
}

// meet gives a rule that matches the requests that both match; ok is false when
// there are none.
func (a *Rule) meet(b *Rule) (both Rule, ok bool) {
	var okHost, okPath, okMethods bool
	both.Host, okHost = narrower(a.Host, b.Host, hostMatches)
	both.Path, okPath = narrower(pathOf(a.Path), pathOf(b.Path), pathMatches)
	both.Methods, okMethods = a.commonMethods(b)
	return both, okHost && okPath && okMethods
}

// commonMethods gives the methods that both rules are for: none for all, which
// is ok.
func (a *Rule) commonMethods(b *Rule) (methods []string, ok bool) {
	switch {
	case len(a.Methods) == 0:
		return b.Methods, true
	case len(b.Methods) == 0:
		return a.Methods, true
	}
	for _, m := range a.Methods {
		if b.allows(m) {
			methods = append(methods, m)
		}
	}
	for _, m := range b.Methods {
		if a.allows(m) && !slices.Contains(methods, m) {
			methods = append(methods, m)
		}
	}
	return methods, len(methods) > 0
}

// narrower gives the one of two patterns that is within the other. Neither is
// exactly when they have nothing in common.
func narrower(a, b string, matches func(pattern, text string) bool) (pattern string, ok bool) {
	switch {
	case patternWithin(a, b, matches):
		return a, true
	case patternWithin(b, a, matches):
		return b, true
	}
	return "", false
}

// patternWithin reports whether all that the pattern a matches is matched by b.
// A pattern without its star is the shortest text that could only be matched by
// the pattern and those around it.
func patternWithin(a, b string, matches func(pattern, text string) bool) bool {
	if a == b || b == "" {
		return true
	}
	if a == "" {
		return false
	}
	wild := strings.Contains(a, "*")
	return matches(b, strings.ReplaceAll(a, "*", "")) && (!wild || strings.Contains(b, "*"))
}

// hostMatches reports whether a host without port matches a pattern.
func hostMatches(pattern, host string) bool {
	if suffix, wild := strings.CutPrefix(pattern, "*"); wild {
		return strings.HasSuffix(host, suffix)
	}
	return pattern == "" || pattern == host
}

// pathMatches reports whether a path matches a pattern.
func pathMatches(pattern, path string) bool {
	if prefix, wild := strings.CutSuffix(pattern, "*"); wild {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == path
}

// isHostPattern reports whether a text is the host of a key, without a port, or
// a star and a dot before one.
func isHostPattern(s string) bool {
	name, wild := strings.CutPrefix(s, "*.")
	key, err := httpsem.NewKey(http.MethodGet, "http", name, "/")
	return err == nil && hostName(key.Host) == name && !(wild && strings.HasPrefix(name, "["))
}

// hostName is the host of a key without its port.
func hostName(host string) string {
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && !strings.HasSuffix(host, "]") {
		return host[:colon]
	}
	return host
}

// sentPath gives a rule's path as the key of a request has it; ok is false when
// it differs.
func sentPath(path string) (sent string, ok bool) {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#") { // which is told apart
		return path, true
	}
	key, err := httpsem.NewKey(http.MethodGet, "http", "localhost", path)
	if err != nil {
		return url.PathEscape(path[1:]), false
	}
	return key.Target, key.Target == path
}

// ambiguousPath reports whether servers may differ about which resource a path
// names.
func ambiguousPath(path string) bool {
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '\\', ';':
			return true
		case '/':
			segment, _, inner := strings.Cut(path[i+1:], "/")
			if segment == "" && inner || dotted(segment) {
				return true
			}
		case '%':
			if i+2 < len(path) && ambiguousEscapes[strings.ToLower(path[i+1:i+3])] || overlong(path[i:]) {
				return true
			}
		}
	}
	return false
}

// dotted reports whether a segment is made of dots and encoded bytes alone: to
// those who trim what they decode, ..%20 is a way up.
func dotted(segment string) bool {
	dots := false
	for i := 0; i < len(segment); i++ {
		switch segment[i] {
		case '.':
			dots = true
		case '%':
			i += 2
		default:
			return false
		}
	}
	return dots
}

// overlong reports whether a path begins with an encoded byte of ASCII in more
// bytes than it needs, which old decoders take for it (RFC 3629, section 10).
func overlong(path string) bool {
	for _, lead := range [...]string{"%c0%", "%c1%", "%e0%8", "%e0%9", "%f0%8"} {
		if len(path) >= len(lead) && strings.EqualFold(path[:len(lead)], lead) {
			return true
		}
	}
	return false
}

// ambiguousEscapes are the bytes whose encoded form some servers decode before
// they look at the path: NUL, percent, dot, slash, semicolon and backslash.
var ambiguousEscapes = map[string]bool{"00": true, "25": true, "2e": true, "2f": true, "3b": true, "5c": true}
