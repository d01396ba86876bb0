package httpsem

import (
	"net/http"
	"slices"
)

// A Cache is the kind of cache that asks. The zero value is one that many users
// share and that reads Cache-Control alone.
type Cache struct {
	// Private says that all requests come from one user (RFC 9111, section
	// 1). What a response or a request says about sharing then counts for
	// nothing: private, s-maxage, proxy-revalidate, Authorization, Cookie,
	// Set-Cookie.
	Private bool

	// SetCookie keeps and shares a response with Set-Cookie, as the letter of
	// RFC 9111, section 7.3, allows where the origin does not forbid it. Each
	// user then gets the cookie that was made for another.
	SetCookie bool

	// Targets are the targeted fields that this cache reads in place of
	// Cache-Control, the most applicable one first (RFC 9213, section 2.2),
	// such as "CDN-Cache-Control".
	Targets []string
}

// control gives the directives that count for this cache.
func (cache *Cache) control(h http.Header) ResponseControl {
	c, targeted := parseTargeted(cache.Targets, h)
	if !targeted {
		c = ParseResponseControl(h)
	}
	if cache.Private {
		c.forOneUser()
	}
	return c
}

// forOneUser takes out what is addressed to shared caches. private allows a
// private cache what public allows every cache: to store a response whose
// status is not cacheable by default (RFC 9111, sections 5.2.2.7 and 5.2.2.9).
func (c *ResponseControl) forOneUser() {
	c.Public = c.Public || c.Private
	c.Private, c.PrivateFields = false, nil
	c.ProxyRevalidate, c.SharedMaxAge = false, Delta{}
}

// setsCookie reports whether a cookie in a response stands against handing the
// response to others. A cookie that is not kept, because a qualified directive
// names its field, does not.
func (cache *Cache) setsCookie(h http.Header, qualified []string) bool {
	if cache.Private || cache.SetCookie {
		return false
	}
	for _, name := range [...]string{"Set-Cookie", "Set-Cookie2"} {
		if has(h, name) && !slices.Contains(qualified, name) {
			return true
		}
	}
	return false
}
