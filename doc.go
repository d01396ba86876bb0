// Package corral is a stampede-proof cache: however many ask for a key that is
// not there, one computes it, and all get what that one came to.
//
// The computation in flight and the finished value are two states of one entry.
// Whoever asks for a key gets its value, joins the flight that is computing it,
// or begins that flight; nobody polls, nobody tries again in turn, and there is
// no lock that can be forgotten.
//
//	products, err := corral.New(corral.Func(loadProduct), corral.Options[Product]{
//		Name: "products", TTL: time.Minute, MaxBytes: 256 << 20,
//	})
//	p, err := products.Get(ctx, "sku-42")
//
// # What is guaranteed
//
//   - At most one load runs for a key at a time. What lifts that is named:
//     a load's deadline, an invalidation or Set while it runs, an outcome Pass,
//     its last waiter leaving. Each is counted in Stats.
//   - Every call ends with a value or an error by its context, and by
//     Options.LoadTimeout. A loader that hangs, panics or calls runtime.Goexit
//     never wedges its key: the deadline frees the key, not just the callers.
//   - One outcome for all. Whoever waits for a load receives its value or its
//     error. A key that fails rests, and is then tried by one.
//   - Once Invalidate or one of its like has returned nil, no Get that begins
//     later is given a value whose load began earlier; once a soft Purge has, as
//     fresh. Those who asked before get what was being computed, and nobody
//     keeps it, or nobody as fresh.
//   - Memory is bounded in bytes at every moment, bytes of bodies that are
//     still arriving included, and so are waiters, loads, zombies and keys:
//     each limit is a field of Options, and an error names the one it met.
//   - A waiter's context is its own: leaving harms nobody. The last one to
//     leave cancels the load and frees the key in one step.
//   - A load sees nothing of the caller who began it, so its value can be given
//     to anybody who asks with the same key.
//   - Nothing stale is given unless an option asks for it.
//
// # What is not
//
// A load may run again after a crash, a deadline or an invalidation: no cache
// can promise exactly once. Keys have no order among each other. Nothing
// survives the process without a Store. Fresh and stale are judged by a coarse
// clock that is at most 5 ms late on a machine that is not overcommitted.
//
// # What the caller owes
//
// The key says all that the value depends on. A loader heeds its context. A
// shared value is not changed, or Options.Clone is set. A Body is closed. Close
// is called in the end, and reports loaders that did not heed their context.
//
// # Looking inside
//
// Stats counts, Subscribe tells every transition, Flights and Entries show what
// is there now, GetItem says why an answer is what it is. Packages metrics/prom
// and metrics/otel export all of it.
//
// # Testing against it
//
// Set Options.Now to time.Now inside a testing/synctest bubble: freshness,
// deadlines and pauses then follow the bubble's clock to the nanosecond. Package
// corraltest has loaders and ports that fail in every way.
//
// # Why flights are in the same table as values
//
// CockroachDB's block cache keeps reads in flight in a map of their own, for
// three reasons: an entry with waiters must not be evicted, the two populations
// want different memory, and the shard stays small. Here an entry that loads is
// on no list of the eviction policy and has no weight; the flight is one pointer
// that is dropped when it settles; and one file, entry.go, owns every
// transition. What is won: no moment at which a key is in neither map or in
// both, which is where other caches load twice (docs/concepts.md).
package corral
