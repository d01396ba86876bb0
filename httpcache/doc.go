// Package httpcache is a caching reverse proxy that sends its origin one
// request a key, however many clients ask at once.
//
//	proxy, err := httpcache.NewProxy(httpcache.Options{
//		Origin:   &url.URL{Scheme: "http", Host: "127.0.0.1:9000"},
//		MaxBytes: 256 << 20,
//	})
//	http.ListenAndServe(":8080", proxy)
//
// It is a shared cache by RFC 9111: what is stored, for how long, and who may
// have it is the origin's word, read by package internal/httpsem; nothing is
// kept that the origin did not allow, and there is no lifetime of our own.
//
// # What is guaranteed
//
//   - Requests that may have the same answer and meet on a cold or stale key
//     cost one request to the origin. Whether an answer may be shared is decided
//     when its header arrives; then every waiter reads the body as it comes.
//   - An answer that may not be shared (private, no-store, Set-Cookie, Vary: *,
//     an answer to Authorization or Cookie without the origin's permission) goes
//     to the request that caused it. The others go to the origin side by side,
//     and for PassTTL nobody waits for such a key.
//   - Fields by which a client could change what an origin sends to everybody
//     (X-Forwarded-Host, X-Original-URL, X-HTTP-Method-Override, content in a GET
//     and their kind) do not reach it on a shared fetch. Other fields do, as they
//     came: an origin whose answer depends on one says so with Vary.
//   - A request that carries Cookie or Authorization may be answered from the
//     cache, but neither leads nor joins a fetch that others wait for.
//   - A body that breaks off is broken for all who read it and is not stored.
//   - A client that leaves does not stop a fetch that others wait for. Nobody
//     waits for ever: not for an origin (LoadTimeout, TailTimeout), and nothing
//     is held for a client that stops sending or reading.
//   - Every answer says in Cache-Status (RFC 9211) what was done and why.
//   - Memory is bounded by MaxBytes at every moment, bodies in transit included.
//
// # When the origin fails
//
// 500, 502, 503, 504 and 429, no answer, and no header within LoadTimeout are
// failures. A stored response stands in as long as its stale-if-error allows.
// Else the origin's page, up to 64 KiB, goes to the request that caused it, and
// those who wait are told its status, 502 or 504 with a reason. A key that has
// failed is then left alone for as long as Retry-After says, up to an hour, or
// for a second, and is tried by one request: an origin that comes back is back
// within a second, whatever it was asked meanwhile. net/http repeats a request
// once when a connection that was kept open turns out to be dead.
//
// # What is not
//
// Requests for ranges, unsafe methods, upgrades and requests with content go to
// the origin by themselves, as they are, with X-Forwarded-For, -Host and -Proto
// set anew. Trailers of shared answers are dropped, which RFC 9110, section
// 6.5.1, allows, and so are answers with status 1xx that come before them. An
// identified request that the cache cannot answer has no stale one to fall back
// on. A request with chunks ends its connection.
package httpcache
