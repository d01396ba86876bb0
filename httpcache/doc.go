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
//   - What is not in the key does not reach the origin on a shared fetch. A
//     request that carries Cookie or Authorization may be answered from the
//     cache, but neither leads nor joins a fetch that others wait for.
//   - A body that breaks off is broken for all who read it and is not stored.
//   - A client that leaves does not stop a fetch that others wait for.
//   - Every answer says in Cache-Status (RFC 9211) what was done and why.
//   - Memory is bounded by MaxBytes at every moment, bodies in transit included.
//
// # What is not
//
// Requests for ranges, unsafe methods, upgrades and requests with content are
// passed through as they are. Trailers of shared answers are dropped, which RFC
// 9110, section 6.5.1, allows.
package httpcache
