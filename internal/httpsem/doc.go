// Package httpsem says what an HTTP cache may do: pure functions over methods,
// status codes, header fields and times, each citing its section of RFC 9110
// (semantics), RFC 9111 (caching), RFC 5861 (stale controls), RFC 8246
// (immutable), RFC 9211 (Cache-Status) or RFC 9213 (targeted fields).
//
// No function reads a clock, does I/O, or keeps what it is given. Instants come
// in as parameters and durations go out, because a stored response outlives
// clock steps and crosses machines. A header that a function changes is named
// in its comment; all others are only read. Header names are canonical, as
// net/http makes them.
//
// # The order of use
//
//	request     Bypass         may it use the cache at all, before any lookup
//	            NewKey         what it asks for; the same bytes go to the origin
//	            RemoveHopByHop, RemoveUnkeyed, RemoveConditions
//	                           what must not reach the origin on a shared fetch
//	            Identified     it may be answered from the cache, and is not to lead
//	                           or join a fetch that others wait for
//	hit         ParseRequestControl, RequestControl.Accepts, NotModified
//	            Select         which parts of it, then ContentRange, Unsatisfied or
//	                           a Multipart
//	fetch       AddValidators  when an expired response is stored
//	response    OriginFailure  before Judge, for stale-if-error
//	            Freshen        when it is a 304 for our validators, then Judge
//	            Cache.Judge    keep, share, keep for validation or pass, for how
//	                           long, without which fields, and why
//	            StoredHeader   what is kept of the header
//	            Tags           by what names it can be purged
//	            PartsOf, Combine
//	                           instead, when it is a part
//	            FreshenByHead  when it answers a HEAD and a GET is stored
//	any         Invalidated, AppendStatus, AppendVia
//
// # What waiters may be given
//
// RFC 9111, section 4, lets a cache collapse requests when the one response may
// be reused for each of them. Nothing there allows reuse of what may not be
// reused later, so an answer goes to those who wait for it exactly when it is
// fresh, or within a stale-while-revalidate window that its origin opened:
//
//   - no-cache goes to nobody but the leader, although a cache may store it. It
//     is what many frameworks send with pages made for one user, relying on
//     each request being forwarded with its own credentials (section 5.2.2.4).
//     With a validator it is kept, as is what comes without a lifetime, for
//     requests that ask whether it is still current.
//   - A lifetime of zero goes to nobody but the leader, also beside public: the
//     origin may have made the answer before a waiter asked, and such a waiter
//     would read an older state than it could see by asking itself.
//   - An answer without any lifetime goes to nobody but the leader. A heuristic
//     lifetime as long as the fetch would be within section 4.2.2, but its
//     origin never said that the content is for more than one user.
//
// One case is shared and not kept: an answer with a lifetime that may or may not
// have passed while it was fetched. Section 4.2.3 counts the whole response
// delay as age, the worst case, and a Date without fractions adds up to a
// second. To release the waiters of max-age=1 whenever an origin takes a second
// would start the stampede exactly when the origin is slowest; the lifetime
// allows the content to others, by the least age that Date and Age permit it is
// fresh, and those who asked before it came get it. Not beside must-revalidate
// or proxy-revalidate, whose authors asked for exactness.
//
// # Where a rule here is stricter than its source
//
//   - A Cache-Control field of a response that breaks the grammar makes the
//     response uncacheable: the broken part may have been "private".
//   - private="field" and no-cache="field" count for the whole response where
//     the field is Vary or describes the content.
//   - A request with a Cookie needs public, s-maxage or Vary: Cookie in the
//     answer. RFC 9111 says nothing about cookies; origins forget to.
//   - A Set-Cookie is never shared, unless Cache.SetCookie asks for it or the
//     origin itself takes it out by private="set-cookie".
//   - stale-if-error limits also for how long a response stands in for an origin
//     that cannot be reached: RFC 5861, section 4, counts that as an error.
//   - must-revalidate and proxy-revalidate hold against the windows of a rule.
//   - Duplicate directives count by the most restrictive one.
//
// It is wider in one place: stale-while-revalidate and stale-if-error count
// beside s-maxage, whose proxy-revalidate semantics (section 5.2.2.10) would
// make them meaningless in the very field that addresses shared caches. They
// do not count beside must-revalidate, proxy-revalidate or no-cache.
package httpsem
