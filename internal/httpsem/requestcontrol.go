package httpsem

import (
	"net/http"
	"time"
)

// A RequestControl is how fresh a client wants its answer (RFC 9111, section
// 5.2.1). The zero value demands nothing.
type RequestControl struct {
	NoCache      bool // section 5.2.1.4, or Pragma: no-cache
	NoStore      bool // section 5.2.1.5
	OnlyIfCached bool // section 5.2.1.7: answer from the cache or with 504

	MaxAge   Delta // section 5.2.1.1; zero when its value is invalid
	MinFresh Delta // section 5.2.1.3; 2^31 s when its value is invalid
	MaxStale Delta // section 5.2.1.2; 2^31 s when it has no value
}

// ParseRequestControl reads the Cache-Control field of a request, or Pragma when
// there is none (RFC 9111, section 5.4). What is not a directive is ignored; an
// invalid value counts as the most demanding one.
func ParseRequestControl(h http.Header) RequestControl {
	var c RequestControl
	if len(h["Cache-Control"]) == 0 {
		c.NoCache = pragmaNoCache(h)
		return c
	}
	for d, ok := range directives(h) {
		if ok {
			c.take(d)
		}
	}
	return c
}

func (c *RequestControl) take(d directive) {
	switch d.name {
	case "no-cache":
		c.NoCache = true
	case "no-store":
		c.NoStore = true
	case "only-if-cached":
		c.OnlyIfCached = true
	case "max-age":
		c.MaxAge.restrict(d.argument)
	case "min-fresh":
		value, ok := parseDelta(d.argument)
		if !ok {
			value = maxDelta
		}
		c.MinFresh = Delta{true, max(value, c.MinFresh.Value)}
	case "max-stale":
		if d.argued {
			c.MaxStale.restrict(d.argument)
		} else if !c.MaxStale.Given {
			c.MaxStale = Delta{true, maxDelta}
		}
	}
}

// pragmaNoCache reports whether Pragma says no-cache (RFC 9111, section 5.4).
func pragmaNoCache(h http.Header) bool {
	for member := range members(h["Pragma"]) {
		if d, _ := parseDirective(member); d.name == "no-cache" {
			return true
		}
	}
	return false
}

// Stored is a stored response at the moment of a request.
type Stored struct {
	Age            time.Duration // its current age (RFC 9111, section 4.2.3)
	TTL            time.Duration // what is left of its lifetime; negative by how long it is stale
	StaleFor       time.Duration // Policy.StaleFor
	MustRevalidate bool          // Policy.MustRevalidate
}

// Accepts reports whether a stored response may answer the request without the
// origin being asked first (RFC 9111, sections 4 and 5.2.1). A stale one may
// within its own stale-while-revalidate window (RFC 5861, section 3), unless
// the client bounds age or freshness (section 5.2.1.1), and within the client's
// max-stale unless the origin forbids that (section 4.2.4); beyond the client's
// max-stale in no case (section 5.2.1.2). The first instant after either
// lifetime or StaleFor is outside it.
func (c RequestControl) Accepts(s Stored) bool {
	switch {
	case c.NoCache,
		c.MaxAge.Given && s.Age > c.MaxAge.Value,
		c.MinFresh.Given && s.TTL < c.MinFresh.Value:
		return false
	case s.TTL > 0:
		return true
	case c.MaxStale.Given && -s.TTL > c.MaxStale.Value:
		return false
	case c.MaxStale.Given && !s.MustRevalidate:
		return true
	}
	return !c.MaxAge.Given && !c.MinFresh.Given && -s.TTL < s.StaleFor
}
