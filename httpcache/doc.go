// Package httpcache is an HTTP cache that sends its origin one request a key,
// however many clients ask at once. It has three doors on one core:
//
//	NewProxy      a reverse proxy: an http.Handler before an origin elsewhere
//	Handler       middleware: an http.Handler before one of this program
//	NewTransport  the client's side: an http.RoundTripper before another
//
//	proxy, err := httpcache.NewProxy(httpcache.Options{
//		Origin:   &url.URL{Scheme: "http", Host: "127.0.0.1:9000"},
//		MaxBytes: 256 << 20,
//	})
//	http.ListenAndServe(":8080", proxy)
//
// It is a shared cache by RFC 9111, or, with Options.Private, one for a single
// user: what is stored, for how long, and who may have it is the origin's word,
// or that of a Rule, read by package internal/httpsem; nothing is kept that
// neither allowed, and there is no lifetime of our own.
//
// # What is guaranteed
//
//   - Requests that may have the same answer and meet on a cold or stale key
//     cost one request to the origin; GET, HEAD, requests for ranges, and POST
//     where a rule puts its content into the key. Whether an answer may be
//     shared is decided when its header arrives; then every waiter reads the
//     body as it comes, and a slow one holds up nobody else.
//   - An answer that may not be shared (private, no-store, Set-Cookie, Vary: *,
//     an answer to Authorization or Cookie without the origin's permission) goes
//     to the request that caused it. The others go to the origin side by side,
//     and for PassTTL nobody waits for such a key.
//   - What has to be validated at each use (no-cache, a lifetime of zero) and
//     has a validator is kept for that: each such request asks the origin
//     itself, conditionally.
//   - Fields by which a client could change what an origin sends to everybody
//     (X-Forwarded-Host, X-Original-URL, X-HTTP-Method-Override, content in a GET
//     and their kind) do not reach it on a shared fetch. Other fields do, as they
//     came: an origin whose answer depends on one says so with Vary, or a rule
//     does. A Transport sends requests with such fields by themselves.
//   - A request that carries Cookie or Authorization may be answered from the
//     cache, but neither leads nor joins a fetch that others wait for, unless a
//     rule puts its identity into the key.
//   - A body that breaks off is broken for all who read it and is not stored.
//   - A client that leaves does not stop a fetch that others wait for. Nobody
//     waits for ever: not for an origin (LoadTimeout, TailTimeout), and nothing
//     is held for a client that stops sending or reading.
//   - Every answer says in Cache-Status (RFC 9211) what was done and why.
//   - Memory is bounded by MaxBytes at every moment, bodies in transit included.
//
// # When the origin fails
//
// An origin that cannot be reached, closes without an answer, or gives none
// within LoadTimeout leaves the cache disconnected: what is stored is given,
// however stale, unless a directive forbids that (RFC 9111, section 4.2.4). 500,
// 502, 503, 504 and 429 are failures too; there a stored response stands in for
// as long as its stale-if-error allows. Else the origin's page, up to 64 KiB,
// goes to the request that caused it, and those who wait are told its status,
// 502 or 504 with a reason. A key that has failed is then left alone for as long
// as Retry-After says, up to an hour, or for a second, and is tried by one
// request: an origin that comes back is back within a second, whatever it was
// asked meanwhile. net/http repeats a request once when a connection that was
// kept open turns out to be dead.
//
// # What is not
//
// Unsafe methods, upgrades, GET with content and requests with If-Match or
// If-Unmodified-Since go to the origin by themselves, from a Proxy with
// X-Forwarded-For, -Host and -Proto set anew. Ranges of what is larger than
// MaxObjectBytes are fetched and kept in slices of 1 MiB, each once, where the
// origin gives ranges and a strong validator; else they go by themselves too,
// as do requests for several ranges of it.
// Trailers of shared answers are dropped, which RFC 9110, section 6.5.1, allows.
// Answers with 103 reach the request that began a fetch and not those who join
// it; other answers with 1xx are dropped there. An identified request that the
// cache cannot answer has no stale one to fall back on. A request with chunks
// ends its connection to a Proxy. CONNECT is refused. There is no HTTP/3.
package httpcache
