package httpsem

import "net/http"

// Bypass says why a request has to go to the origin by itself, without lookup,
// without waiting for another's answer and without being waited for; NoReason
// when it may use the cache. It looks at what the request is, as it came from
// the client; Identified and RequestControl say more about how its answer may
// be found.
//
//   - Only GET and HEAD are understood (RFC 9111, section 3).
//   - Content in a GET or HEAD has no meaning (RFC 9110, section 9.3.1) and is
//     not in the key; origins that read it nevertheless would let one client
//     choose another's answer. Expect announces content.
//   - An upgrade ends HTTP on the connection (RFC 9110, section 7.8).
//   - If-Match and If-Unmodified-Since are for the origin (RFC 9111, section
//     4.3.2).
//   - no-store forbids to store the request and any answer (RFC 9111, section
//     5.2.1.5); to hand that answer to others would be no better.
//
// A Range is no reason: the whole is fetched for everybody and Select answers
// from it, and for HEAD the field means nothing (RFC 9110, section 14.2).
func Bypass(r *http.Request) Reason {
	h := r.Header
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return ReasonMethod
	case r.ContentLength != 0 || has(h, "Expect"):
		return ReasonRequestBody
	case has(h, "Upgrade") || r.RequestURI == "*":
		return ReasonUpgrade
	case has(h, "If-Match") || has(h, "If-Unmodified-Since"):
		return ReasonPrecondition
	case has(h, "Cache-Control") && ParseRequestControl(h).NoStore:
		return ReasonNoStoreAsked
	}
	return NoReason
}

// Identified reports whether a request says who asks, by Authorization or
// Cookie. A stored response may answer it (RFC 9111, section 3.5, restricts
// responses *to* such requests). A fetch that others wait for should not be
// led by it: the answer would most likely be its own.
func Identified(h http.Header) bool { return has(h, "Authorization") || has(h, "Cookie") }

func has(h http.Header, name string) bool { return len(h[name]) > 0 }
