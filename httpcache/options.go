package httpcache

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/corralcache/corral"
)

// Options configures a door: a Proxy, a Middleware or a Transport. MaxBytes must
// be set, and for a Proxy Origin; the zero value of every other field is the
// default that stands on it. What is negative and says nothing of it is an
// error.
type Options struct {
	// Name is the cache's in Cache-Status, Via and metrics: a token (RFC 9110,
	// section 5.6.2). Default "Corral".
	Name string
	// Origin is where a Proxy's requests go: scheme (http or https) and host. A
	// path is put before that of each request. A Middleware and a Transport
	// have none.
	Origin *url.URL
	// Transport makes a Proxy's requests. It must not follow HTTP_PROXY nor
	// compress on its own account. Default: one with MaxConns connections.
	// Package upstream has one for several servers.
	Transport http.RoundTripper
	// MaxConns bounds the default Transport's connections to the origin, those
	// for answers that are not shared included. Default 256.
	MaxConns int

	// Private makes the cache one for a single user (RFC 9111, section 1):
	// answers that are private, or to a request with Authorization or Cookie,
	// are kept as well. For a Transport in the hands of one user.
	Private bool
	// Rules say what holds for requests of some hosts, paths and methods.
	Rules []Rule
	// TargetedFields are the names of targeted Cache-Control fields (RFC 9213)
	// that this cache heeds, the first that is there and valid in place of
	// Cache-Control and Expires. Default CDN-Cache-Control, but none when
	// Private; an empty, non-nil slice: none.
	TargetedFields []string
	// IgnoreCookies takes Cookie out of requests that may use the cache, for an
	// origin whose pages do not depend on it: else a request with a Cookie goes
	// to the origin alone unless its answer is in the cache.
	IgnoreCookies bool
	// StoreCookies stores answers with Set-Cookie as the letter of RFC 9111
	// allows: everybody is given the cookie that the first one was. Without it,
	// or a rule's, such an answer goes to nobody else.
	StoreCookies bool
	// TrustedProxies are the addresses of proxies whose X-Forwarded-For and
	// X-Forwarded-Proto are believed. Default: none.
	TrustedProxies []netip.Prefix

	// MaxBytes bounds the cache's memory, MaxObjectBytes (default: MaxBytes)
	// one stored response with its header.
	MaxBytes       int64
	MaxObjectBytes int64
	// MaxKeyBytes bounds method, scheme, host, path and query together.
	// Default 8 KiB; over it: 414.
	MaxKeyBytes int
	// MaxVariants bounds the responses that are kept for one address because
	// of Vary. Over it the oldest goes. Default 128.
	MaxVariants int
	// KeysPerMinute bounds the addresses, not yet in the cache, that one client
	// may make it fetch in a minute. Over it: 429. Default 0: no limit, because
	// behind another proxy that is not trusted all clients are one.
	KeysPerMinute int

	// LoadTimeout is how long the origin may take to the end of an answer's
	// header, counted from the last piece of the request's content that it
	// took. Default 30 s. Over it: 504.
	LoadTimeout time.Duration
	// TailTimeout is how long a body may make no progress, from the origin or
	// to a client. Default 30 s. Over it: broken off.
	TailTimeout time.Duration
	// PassTTL is how long requests for a key do not wait for each other after
	// an answer that could not be shared. Default 2 min; negative: not at all.
	PassTTL time.Duration
	// MaxLoads bounds the fetches that run at once for the cache, in this process.
	// Default 256.
	MaxLoads int
	// MaxWaiters and MaxWaitersPerKey bound the requests that wait. Defaults
	// 100,000 and 10,000. Over them: 503.
	MaxWaiters       int
	MaxWaitersPerKey int

	// Coordinator makes this cache one with those of the same Name in other
	// processes: an answer is fetched by one of them for all, and a purge has
	// happened when it has in each. They need the same Rules and limits. What
	// Private keeps is for one user alone, and cannot have one. Default: none.
	Coordinator corral.Coordinator
	// Store is where answers survive the process: what it has that is fresh, or
	// stale and may be given so, is not asked of the origin again. It belongs to
	// this cache and to those of the same Name that it has the Coordinator in
	// common with; with Private to one user alone. Whoever opened it closes it,
	// after the cache. Default: none.
	Store corral.Store
	// StoreTimeout is how long a request waits for the store before it goes on
	// without. Default 1 s.
	StoreTimeout time.Duration
	// MirrorBytes bounds, within MaxBytes, the copies of answers that another
	// process owns, where the Coordinator is a corral.Keeper. Default: an eighth
	// of MaxBytes.
	MirrorBytes int64

	// Logger receives failures of the origin, at level Warn. Default: none.
	Logger *slog.Logger
	// Now replaces the clock, for tests in virtual time.
	Now func() time.Time
}

// Validate reports every field that is wrong, with its value and the remedy.
// Limits that are the cache's own are checked by NewProxy as well.
func (o Options) Validate() error {
	var errs []error
	wrong := func(bad bool, field string, value any, remedy string) {
		if bad {
			errs = append(errs, fmt.Errorf("httpcache: Options.%s is %v: %s", field, value, remedy))
		}
	}
	wrong(o.Name != "" && !isToken(o.Name), "Name", fmt.Sprintf("%q", o.Name), "use letters, digits and hyphens: it stands in header fields")
	wrong(o.MaxBytes <= 0, "MaxBytes", o.MaxBytes, "set a number of bytes above 0")
	wrong(o.MaxObjectBytes < 0 || o.MaxBytes > 0 && o.MaxObjectBytes > o.MaxBytes, "MaxObjectBytes", o.MaxObjectBytes, "set a number of bytes up to MaxBytes, or 0")
	wrong(o.MaxConns < 0, "MaxConns", o.MaxConns, "set a number above 0, or 0 for the default")
	wrong(o.MaxVariants < 0, "MaxVariants", o.MaxVariants, "set a number above 0, or 0 for the default")
	wrong(o.KeysPerMinute < 0, "KeysPerMinute", o.KeysPerMinute, "set a number above 0, or 0 for no limit")
	wrong(o.MaxKeyBytes < 0, "MaxKeyBytes", o.MaxKeyBytes, "set a number of bytes above 0, or 0 for the default")
	wrong(o.LoadTimeout < 0, "LoadTimeout", o.LoadTimeout, "set a duration above 0, or 0 for the default")
	wrong(o.TailTimeout < 0, "TailTimeout", o.TailTimeout, "set a duration above 0, or 0 for the default")
	wrong(o.StoreTimeout < 0, "StoreTimeout", o.StoreTimeout, "set a duration above 0, or 0 for the default")
	wrong(o.StoreTimeout > 0 && o.Store == nil, "StoreTimeout", o.StoreTimeout, "Store is nil: set it too")
	wrong(o.MirrorBytes < 0 || o.MaxBytes > 0 && o.MirrorBytes > o.MaxBytes, "MirrorBytes", o.MirrorBytes, "set a number of bytes up to MaxBytes, or 0 for the default")
	wrong(o.MirrorBytes > 0 && o.Coordinator == nil, "MirrorBytes", o.MirrorBytes, "Coordinator is nil, so that no other process owns anything: set it too")
	for i, field := range o.TargetedFields {
		wrong(!isToken(field), fmt.Sprintf("TargetedFields[%d]", i), fmt.Sprintf("%q", field), "write the name of a field, as CDN-Cache-Control")
	}
	for i, prefix := range o.TrustedProxies {
		wrong(!prefix.IsValid(), fmt.Sprintf("TrustedProxies[%d]", i), prefix, "write addresses as netip.MustParsePrefix(\"10.0.0.0/8\")")
	}
	wrong(o.Private && o.Coordinator != nil, "Private", true, "leave Coordinator out: what one user is answered is shared with no other process")
	if o.Origin != nil {
		errs = append(errs, validateOrigin("Origin", o.Origin)...)
	}
	errs = append(errs, validateRules(o.Rules))
	for i, rule := range o.Rules {
		if limit := cmp.Or(o.MaxObjectBytes, o.MaxBytes); rule.MaxObjectBytes > limit {
			field := fmt.Sprintf("Rules[%d].MaxObjectBytes", i)
			errs = append(errs, &RuleError{Field: field, Name: "MaxObjectBytes", Value: fmt.Sprint(rule.MaxObjectBytes), Remedy: fmt.Sprintf("the cache keeps no response above %d bytes: raise MaxObjectBytes of the Options as well", limit)})
		}
	}
	return errors.Join(errs...)
}

// validateOrigin reports what is wrong with the address of an origin.
func validateOrigin(field string, origin *url.URL) (errs []error) {
	wrong := func(bad bool, remedy string) {
		if bad {
			errs = append(errs, fmt.Errorf("httpcache: Options.%s is %v: %s", field, origin.Redacted(), remedy))
		}
	}
	wrong(origin.Scheme != "http" && origin.Scheme != "https", "its scheme must be http or https")
	wrong(origin.Host == "", "it names no host")
	wrong(origin.User != nil, "take the user out: the proxy adds no credentials to requests")
	wrong(origin.RawQuery != "" || origin.Fragment != "", "take query and fragment out")
	return errs
}

// withDefaults is the one place of the defaults that are not the cache's own.
func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "Corral"
	}
	if o.MaxConns == 0 {
		o.MaxConns = 256
	}
	if o.MaxVariants == 0 {
		o.MaxVariants = 128
	}
	if o.TargetedFields == nil && !o.Private {
		o.TargetedFields = []string{"CDN-Cache-Control"}
	}
	if o.MaxKeyBytes == 0 {
		o.MaxKeyBytes = 8 << 10
	}
	if o.LoadTimeout == 0 {
		o.LoadTimeout = 30 * time.Second
	}
	if o.TailTimeout == 0 {
		o.TailTimeout = 30 * time.Second
	}
	if o.PassTTL == 0 {
		o.PassTTL = 2 * time.Minute
	}
	return o
}

// isToken reports whether a text is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	})
}
