// Package upstream spreads requests over the servers of an origin.
//
// A Pool is an http.RoundTripper. It sends each request to one of its servers,
// which it chooses by policy among those that are healthy and have room. If the
// server cannot be reached or closes without an answer, it asks another where
// that cannot do harm. It follows no HTTP_PROXY and no redirects, and takes what
// servers send as it is: compressed if they compressed it.
//
// # What is guaranteed
//
//   - A server has at most MaxRequests requests at once, counted to the end of
//     the answer's body or its Close, whichever is first. Over HTTP/1.1 it has
//     at most MaxConns connections; requests beyond them wait for one.
//   - Servers are asked at most Rate times a second, all together, after a
//     Burst; retries count.
//   - A request for which there is no room waits, first come, first served. At
//     most MaxQueued wait, QueueTimeout at most; beyond, it is ErrBusy.
//   - A request whose method is not idempotent (RFC 9110, section 9.2.2) is sent
//     once. It is given to another server only if no connection was there to
//     send it on.
//   - Nothing is sent again once a byte of an answer has come, except, where
//     RetryStatuses is on, in place of a whole 502, 503 or 504.
//   - Nothing is sent again after the request's context has ended, nor beyond
//     Retries and RetryBudget.
//   - That servers are unhealthy never makes a request fail by itself: when none
//     is healthy, health is ignored.
//
// One repetition is net/http's own and outside the budget: a request that is
// idempotent, or of which nothing was written, and whose kept connection of
// HTTP/1.1 breaks, is sent on a new one to the same server, once. Over HTTP/2 it
// repeats what the server says it has not looked at (RFC 9113, section 8.7).
//
// # What the caller owes
//
// Each answer's body is to be closed. A request's body is closed by RoundTrip,
// also if it fails. A Pool is to be closed when it is not used any more.
//
// A caller who gives up on a server by ending the request's context with a cause
// of its own has that cause in TimeoutCauses: else the server is not blamed.
//
// # Looking inside
//
// Stats counts by server. Changes of health are logged.
package upstream
