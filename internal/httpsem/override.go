package httpsem

import "time"

// An Override is how long a rule of the configuration keeps a response, in place
// of what the origin says about it. Each part counts where its flag is set.
//
// TTL replaces max-age, s-maxage, Expires, no-cache and the heuristic, and gives
// a lifetime to a response that has none. It counts from the arrival of the
// header, whatever Age says, as in nginx and Varnish: who writes "ten minutes"
// in a rule means ten minutes here. Zero is no lifetime. It keeps nothing that
// no-store, private, Set-Cookie, Vary: * or a malformed Cache-Control forbid to
// keep, nor a status that is not cacheable by default when its origin gave it
// no lifetime.
//
// StaleFor and StaleOnError replace stale-while-revalidate and stale-if-error.
// They open no window where must-revalidate, proxy-revalidate or no-cache close
// it (RFC 9111, section 4.2.4), except for a no-cache that TTL replaces.
type Override struct {
	TTL, StaleFor, StaleOnError          time.Duration
	HasTTL, HasStaleFor, HasStaleOnError bool
}

// apply puts a rule in the place of the origin's directives. It says nothing
// about the lifetime. A nil Override is none.
func (o *Override) apply(c *ResponseControl) {
	if o == nil {
		return
	}
	if o.HasTTL {
		c.NoCache = false
	}
	if o.HasStaleFor {
		c.StaleWhileRevalidate = Delta{true, max(o.StaleFor, 0)}
	}
	if o.HasStaleOnError {
		c.StaleIfError = Delta{true, max(o.StaleOnError, 0)}
	}
}

// lifetime gives the lifetime that a rule sets, from the moment at which the
// origin made the response, as the origin's own counts.
func (o *Override) lifetime(age ages) (life lifetime, ok bool) {
	switch {
	case o == nil || !o.HasTTL:
		return lifetime{}, false
	case o.TTL <= 0:
		return lifetime{0, true}, true
	}
	return lifetime{min(o.TTL, maxDelta) + age.initial, true}, true
}
