// Package server is the daemon: it turns a Config into listeners that run and
// stop in order.
//
// New opens all listeners or none; what is wrong with the settings, and which
// port is taken, it says all at once. Run serves until it is told to stop and
// returns when nothing of it runs any more, apart from what was cut off.
//
//   - The front has a listener without TLS and one with it, either of which may
//     be off. Both speak HTTP/1.1 and HTTP/2. Certificates that change are shown
//     without a restart; while their files are of no use the old ones stay.
//   - With the PROXY protocol connections come from trusted addresses and tell
//     whose they are, or are closed.
//   - The admin listener has /metrics, /healthz (200 while the process answers)
//     and /readyz (200 only between start and stop) for whoever reaches it, and
//     /purge, /reload, the method PURGE and /debug/pprof for who may act: who has
//     the token; where there is none, who has a certificate; where none is asked
//     for, who is on this machine and no browser. An address that others can
//     reach is refused unless one of the first two is asked for, or metrics are
//     to be public. Under a loopback address it answers only to a Host that is
//     one too, so that no web page reaches it through a name of its own.
//   - As a node of a cluster it is ready only while it has a lease; /cluster/status,
//     /cluster/table and the others below /cluster/ are for who may act.
//   - With a store, or a Redis that decides who fetches, it goes on without a Redis
//     that is away, and says so below the 200 of /readyz; a directory that cannot
//     be opened keeps it from starting. /store/stat and the others below /store/
//     are for who may act.
//   - Reload puts a whole Config in force or nothing of it. Some settings are
//     frozen at the start; a change of one is refused.
//   - The access log is written by one goroutine. Lines that it cannot keep up
//     with are dropped and counted; no request waits for them.
//
// An origin that does not answer is no reason not to start.
//
// Stopping: /readyz answers 503 from the first moment on; requests are accepted
// for shutdown-delay; then the front listeners close and what runs may finish
// within shutdown-timeout; then the handler, with it its cache, then its store and
// then the node of a cluster, the access log and last the admin listener end.
// Connections that were upgraded to another protocol are the handler's, which is
// not waited for beyond its own Shutdown.
package server
