package httpsem

// A Reason says why an answer was not kept. The set is closed; the texts are the
// "detail" of Cache-Status (RFC 9211, section 2.8) and stay as they are.
type Reason uint8

const (
	// NoReason: nothing stands against keeping it.
	NoReason Reason = iota

	// Of the request, seen before it is sent on (Bypass; the range by whoever
	// finds the whole too large to keep).

	ReasonMethod       // neither GET nor HEAD
	ReasonRange        // asks for a part of what is not kept whole
	ReasonRequestBody  // a GET or HEAD with content
	ReasonUpgrade      // asks for another protocol, or names the target "*"
	ReasonPrecondition // If-Match or If-Unmodified-Since, for the origin to judge
	ReasonNoStoreAsked // the client's no-store
	ReasonRule         // a rule of the configuration
	ReasonPath         // servers may differ about which path it names
	ReasonUnkeyed      // a field that could change the answer for others

	// Of the request, seen when the answer does not make up for it (Judge).

	ReasonAuthorization // an Authorization, and no public, s-maxage or must-revalidate
	ReasonCookie        // a Cookie, and no public, s-maxage or Vary: Cookie

	// Of the response (Judge).

	ReasonStatus     // a status that may not be stored, or not without a lifetime
	ReasonPartial    // a part of something
	ReasonMalformed  // Cache-Control breaks the grammar
	ReasonNoStore    // no-store
	ReasonPrivate    // private
	ReasonSetCookie  // Set-Cookie
	ReasonVary       // Vary: *, or not a list of names
	ReasonNoCache    // no-cache
	ReasonNoLifetime // no lifetime, stated or heuristic
	ReasonExpired    // expired when it was sent
	ReasonSlow       // expired while it was fetched
	ReasonTooLarge   // larger than what is kept
)

var reasonTexts = [...]string{
	NoReason:            "",
	ReasonMethod:        "method",
	ReasonRange:         "range",
	ReasonRequestBody:   "request-body",
	ReasonUpgrade:       "upgrade",
	ReasonPrecondition:  "precondition",
	ReasonNoStoreAsked:  "request-no-store",
	ReasonRule:          "rule",
	ReasonPath:          "ambiguous-path",
	ReasonUnkeyed:       "unkeyed-field",
	ReasonAuthorization: "authorization",
	ReasonCookie:        "cookie",
	ReasonStatus:        "status",
	ReasonPartial:       "partial",
	ReasonMalformed:     "malformed-cache-control",
	ReasonNoStore:       "no-store",
	ReasonPrivate:       "private",
	ReasonSetCookie:     "set-cookie",
	ReasonVary:          "vary",
	ReasonNoCache:       "no-cache",
	ReasonNoLifetime:    "no-lifetime",
	ReasonExpired:       "expired",
	ReasonSlow:          "slow-fetch",
	ReasonTooLarge:      "too-large",
}

func (r Reason) String() string { return reasonTexts[r] }

// OfRequest reports whether the reason lies in what one client sent, so that it
// says nothing about the next request for the same key. A mark that keeps later
// requests from waiting must not be left for such a reason: anybody could turn
// off the protection of a key by sending a Cookie.
func (r Reason) OfRequest() bool { return r >= ReasonMethod && r <= ReasonCookie }

// Fwd is why a request that Bypass refused goes to the origin, in the terms of
// RFC 9211, section 2.2.
func (r Reason) Fwd() Fwd {
	if r == ReasonMethod {
		return FwdMethod
	}
	return FwdBypass
}
