package httpsem

import (
	"net/http"
	"slices"
)

// A ResponseControl is what the Cache-Control field of a response says (RFC
// 9111, section 5.2.2, RFC 5861 and RFC 8246), or a targeted field in its place
// (RFC 9213). Directives that are not known are ignored (section 5.2.3).
type ResponseControl struct {
	Public          bool // section 5.2.2.9
	Private         bool // section 5.2.2.7, for the whole response
	NoStore         bool // section 5.2.2.5
	NoCache         bool // section 5.2.2.4, for the whole response
	MustRevalidate  bool // section 5.2.2.2
	ProxyRevalidate bool // section 5.2.2.8
	MustUnderstand  bool // section 5.2.2.3
	Immutable       bool // RFC 8246

	MaxAge               Delta // section 5.2.2.1; zero when its value is invalid
	SharedMaxAge         Delta // section 5.2.2.10; zero when its value is invalid
	StaleWhileRevalidate Delta // RFC 5861, section 3
	StaleIfError         Delta // RFC 5861, section 4

	PrivateFields []string // section 5.2.2.7: canonical names for which private counts
	NoCacheFields []string // section 5.2.2.4: canonical names for which no-cache counts

	// Malformed says that some part of the field is not a directive.
	Malformed bool
	// Targeted says that Expires and Pragma do not count either.
	Targeted bool
}

// ParseResponseControl reads the Cache-Control field of a response. A directive
// that takes no argument and has one counts when it forbids, and not when all
// it does is to permit.
func ParseResponseControl(h http.Header) ResponseControl {
	var c ResponseControl
	for d, ok := range directives(h) {
		c.Malformed = c.Malformed || !ok
		c.take(d)
	}
	return c
}

func (c *ResponseControl) take(d directive) {
	switch d.name {
	case "public":
		c.Public = c.Public || !d.argued
	case "private":
		qualify(&c.Private, &c.PrivateFields, d)
	case "no-store":
		c.NoStore = true
	case "no-cache":
		qualify(&c.NoCache, &c.NoCacheFields, d)
	case "must-revalidate":
		c.MustRevalidate = true
	case "proxy-revalidate":
		c.ProxyRevalidate = true
	case "must-understand":
		c.MustUnderstand = c.MustUnderstand || !d.argued
	case "immutable":
		c.Immutable = c.Immutable || !d.argued
	default:
		if value := c.seconds(d.name); value != nil {
			value.restrict(d.argument)
		}
	}
}

// seconds is where the value of a directive in delta-seconds belongs, nil for
// any other directive.
func (c *ResponseControl) seconds(name string) *Delta {
	switch name {
	case "max-age":
		return &c.MaxAge
	case "s-maxage":
		return &c.SharedMaxAge
	case "stale-while-revalidate":
		return &c.StaleWhileRevalidate
	case "stale-if-error":
		return &c.StaleIfError
	}
	return nil
}

// qualified gives the fields that must not be kept with a response that is
// (RFC 9111, sections 5.2.2.4 and 5.2.2.7). Where no-cache counts for all of
// it, every use is validated, and its fields are no exception.
func (c *ResponseControl) qualified() []string {
	names := slices.Clone(c.PrivateFields)
	if !c.NoCache {
		names = append(names, c.NoCacheFields...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sharesAuthorized reports whether the response may be shared although its
// request had an Authorization field (RFC 9111, section 3.5).
func (c *ResponseControl) sharesAuthorized() bool {
	return c.Public || c.MustRevalidate || c.SharedMaxAge.Given
}

// revalidates reports whether the origin demands validation once the response
// is stale, also when the origin cannot be reached (RFC 9111, sections 4.2.4,
// 5.2.2.2, 5.2.2.8 and 5.2.2.10).
func (c *ResponseControl) revalidates() bool {
	return c.MustRevalidate || c.ProxyRevalidate || c.SharedMaxAge.Given || c.NoCache
}
