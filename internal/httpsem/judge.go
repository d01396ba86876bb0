package httpsem

import (
	"math"
	"net/http"
	"time"
)

// An Exchange is a request and the header of its answer.
type Exchange struct {
	Method    string
	Request   http.Header // as it was sent to the origin; without what a rule puts into the key
	Status    int
	Response  http.Header // as it came, or as Freshen made it
	Requested time.Time   // when the request was sent
	Received  time.Time   // when the response's header was there
	Lifetime  *Override   // what a rule says in place of the origin; nil for none
}

// An Outcome says who may have an answer.
type Outcome uint8

const (
	// Pass: the request that caused it, and nobody else.
	Pass Outcome = iota
	// Validate: like Pass, and it is kept to make later requests conditional
	// (RFC 9111, section 4.3.1). It answers one only after a 304.
	Validate
	// Share: all who already wait for it, and nobody later.
	Share
	// Keep: all who wait for it, and those who come later while its Policy
	// allows.
	Keep
)

func (o Outcome) String() string { return [...]string{"pass", "validate", "share", "keep"}[o%4] }

// A Policy is what a cache may do with a response. It is worked out once,
// when the header has arrived and before a byte of the body is handed out. All
// durations but Age count from the moment at which the response was made; the
// windows count from the end of Lifetime.
type Policy struct {
	Outcome Outcome
	Reason  Reason // why it is not kept; NoReason for Keep

	Lifetime time.Duration // freshness lifetime (RFC 9111, section 4.2.1)
	Age      time.Duration // age when the header arrived (section 4.2.3), with the fetch's fraction of a second

	StaleFor     time.Duration // stale-while-revalidate (RFC 5861, section 3); zero where stale is forbidden
	StaleOnError time.Duration // stale-if-error (RFC 5861, section 4); zero where stale is forbidden

	// StaleOnOutage is how long it may stand in while the origin cannot be
	// reached, or closes without an answer (RFC 9111, section 4.2.4): without
	// end, as math.MaxInt64, where nothing forbids it. An outage is an error
	// in the sense of stale-if-error, which limits it where it is given.
	StaleOnOutage time.Duration

	// MustRevalidate forbids stale answers outside the two windows, also for
	// a client's max-stale and while the origin cannot be reached (RFC 9111,
	// section 4.2.4).
	MustRevalidate bool
	Heuristic      bool // Lifetime is the cache's own guess (section 4.2.2)
	Immutable      bool // it will not change while it is fresh (RFC 8246)

	Vary Vary // which request fields chose it (section 4.1)

	// Qualified are the fields, by their canonical names, without which it is
	// kept, and given to those who waited: private="..." and no-cache="..."
	// name them (sections 5.2.2.7 and 5.2.2.4).
	Qualified []string
}

// TTL is for how long the response stays fresh, counted from the arrival of its
// header; negative by how long it was already stale.
func (p *Policy) TTL() time.Duration { return p.Lifetime - p.Age }

// Judge decides what becomes of a response, by RFC 9111, section 3, for storing
// and section 4 for those who wait; the package comment has the reasoning about
// the latter. An origin's failure is judged like any other response: whether it
// should count as one is for OriginFailure, before.
func (cache *Cache) Judge(x Exchange) Policy {
	c := cache.control(x.Response)
	storable := storableStatus(x.Status, x.Response, &c) // by what the origin says, not by a rule
	x.Lifetime.apply(&c)
	age := agesOf(x.Response, x.Requested, x.Received)
	life, ruled := x.Lifetime.lifetime(age)
	if !ruled {
		life = lifetimeOf(x.Status, x.Response, &c, x.Received)
	}
	p := Policy{
		Lifetime:       life.length,
		Age:            age.initial,
		MustRevalidate: c.revalidates(),
		Heuristic:      !life.explicit && life.length > 0,
		Immutable:      c.Immutable,
		Vary:           ParseVary(x.Response),
		Qualified:      c.qualified(),
	}
	p.openWindows(&c)
	if p.Reason = cache.refusal(&x, &c, &p, storable); p.Reason != NoReason {
		return p
	}
	p.Outcome, p.Reason = reuse(&p, &c, life, age)
	if p.Outcome == Validate && !validatable(x.Response) {
		p.Outcome = Pass
	}
	if reason := cache.personal(x.Request, &c, p.Vary); reason != NoReason {
		if p.Outcome > Validate {
			p.Reason = reason
		}
		p.Outcome = Pass
	}
	return p
}

// openWindows sets for how long a stale response may be used (RFC 9111, section
// 4.2.4, RFC 5861).
func (p *Policy) openWindows(c *ResponseControl) {
	if !p.MustRevalidate {
		p.StaleOnOutage = math.MaxInt64
	}
	if c.MustRevalidate || c.ProxyRevalidate || c.NoCache {
		return
	}
	p.StaleFor, p.StaleOnError = c.StaleWhileRevalidate.Value, c.StaleIfError.Value
	if c.StaleIfError.Given {
		p.StaleOnOutage = p.StaleOnError
	}
}

// refusal says what in a response forbids to store it (RFC 9111, section 3), or
// would make it wrong for anybody else; NoReason when nothing does.
func (cache *Cache) refusal(x *Exchange, c *ResponseControl, p *Policy, storable bool) Reason {
	switch {
	case x.Method != http.MethodGet && x.Method != http.MethodHead:
		return ReasonMethod
	case x.Status == http.StatusPartialContent || has(x.Response, "Content-Range"):
		return ReasonPartial
	case !storable:
		return ReasonStatus
	case c.Malformed:
		return ReasonMalformed
	case c.NoStore && !c.MustUnderstand: // section 5.2.2.3: no-store is for those who do not understand
		return ReasonNoStore
	case c.Private:
		return ReasonPrivate
	case cache.setsCookie(x.Response, p.Qualified):
		return ReasonSetCookie
	case p.Vary.Any:
		return ReasonVary
	}
	return NoReason
}

// personal says what in a request makes a response, which others could have had
// otherwise, its own (RFC 9111, sections 5.2.1.5 and 3.5). It is asked last, so
// that its reasons are never the response's.
func (cache *Cache) personal(request http.Header, c *ResponseControl, v Vary) Reason {
	switch {
	case ParseRequestControl(request).NoStore:
		return ReasonNoStoreAsked
	case cache.Private:
	case has(request, "Authorization") && !c.sharesAuthorized():
		return ReasonAuthorization
	case has(request, "Cookie") && !c.Public && !c.SharedMaxAge.Given && !v.Names("cookie"):
		return ReasonCookie
	}
	return NoReason
}

// storableStatus reports whether a response of this status may be stored (RFC
// 9111, section 3): a final one, with a lifetime of its own or a status that
// is cacheable without. 304 belongs to a validation and never stands alone.
func storableStatus(status int, h http.Header, c *ResponseControl) bool {
	if status < 200 || status > 599 || status == http.StatusNotModified {
		return false
	}
	if c.MustUnderstand && !understood(status) {
		return false
	}
	return heuristicallyCacheable(status) || c.Public || c.MaxAge.Given || c.SharedMaxAge.Given || !c.Targeted && has(h, "Expires")
}

// understood reports whether this cache does what a status code asks of caches
// (RFC 9111, section 5.2.2.3): those of RFC 9110, section 15, to which that
// document attaches no duty but the ones kept here.
func understood(status int) bool {
	switch {
	case status >= 200 && status <= 205,
		status >= 300 && status <= 303, status == 305, status == 307, status == 308,
		status >= 400 && status <= 417, status == 421, status == 422, status == 426,
		status >= 500 && status <= 505:
		return true
	}
	return false
}

// reuse decides who may have a response that may be stored (RFC 9111, sections
// 4 and 4.2). One that is not fit for others can be kept for validation.
func reuse(p *Policy, c *ResponseControl, life lifetime, age ages) (Outcome, Reason) {
	switch ttl := p.TTL(); {
	case c.NoCache:
		return Validate, ReasonNoCache
	case ttl > 0, -ttl < p.StaleFor:
		return Keep, NoReason
	case life.length > age.least && !c.MustRevalidate && !c.ProxyRevalidate:
		return Share, ReasonSlow
	case life.explicit:
		return Validate, ReasonExpired
	}
	return Validate, ReasonNoLifetime
}
