// Package server is the daemon: it turns a Config into listeners that run and
// stop in order.
//
// New opens both listeners or none; what is wrong with the settings, and which
// port is taken, it says all at once. Run serves until it is told to stop and
// returns when nothing of it runs any more, apart from what was cut off.
//
//   - The front listener speaks HTTP/1.1 and HTTP/2 without TLS.
//   - The admin listener has /metrics, /healthz (200 while the process answers)
//     and /readyz (200 only between start and stop). It is on loopback unless
//     admin.insecure-public is on. Under a loopback address it answers only to
//     a Host that is one too, so that no web page reaches it through a name of
//     its own, and it has /debug/pprof.
//   - The access log is written by one goroutine. Lines that it cannot keep up
//     with are dropped and counted; no request waits for them.
//
// An origin that does not answer is no reason not to start.
//
// Stopping: /readyz answers 503 from the first moment on; requests are accepted
// for shutdown-delay; then the front listener closes and what runs may finish
// within shutdown-timeout; then the handler, the access log and last the admin
// listener end. Connections that were upgraded to another protocol are the
// handler's, which is not waited for beyond its own Shutdown.
package server
