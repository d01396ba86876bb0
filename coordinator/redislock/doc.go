// Package redislock makes a key a singleton among processes that share a Redis
// (or Valkey; one server, Sentinel or a Cluster) and want no cluster of their
// own: one of them computes, the others are given what it comes to, value or
// error, and Redis keeps it.
//
//	lock, err := redislock.Open(ctx, redislock.Config{
//		Redis:  redislock.Redis{URL: "redis://localhost:6379"},
//		Prefix: "shop:products:",
//	})
//	products, err := corral.New(load, corral.Options[[]byte]{
//		Name: "products", MaxBytes: 64 << 20, TTL: time.Minute,
//		Codec: codec.Bytes{}, Coordinator: lock,
//	})
//
// Every process runs this, with the same Prefix for the same cache. Options.Store
// stays nil: a key is one hash in Redis, with the value and the lock as two states
// of it. To stop, close the cache and then the Coordinator.
//
// # What is guaranteed
//
//   - Of all who ask for a key at once, in whatever process, one computes. The
//     others are told by a message, with the value in it; nobody polls.
//   - The outcome is written, the key released and the others told in one step,
//     so that nobody comes between and computes again. Errors are outcomes, too.
//   - A holder that dies is succeeded by exactly one other, within a second of
//     the end of its lease. What it brings later is not written.
//   - Once Invalidate has returned nil, no process that is connected gives a
//     value whose load began before, neither from Redis nor from its memory.
//     Invalidate waits for each of them; one that has fallen silent has spent
//     what it has in memory by the time at which it is waited for no longer.
//   - A process that loses its connection spends what it has in memory at once,
//     or two seconds after the last word of a Redis that hangs, and reads it anew.
//   - While Redis is away each process computes for its own callers and keeps
//     nothing (or refuses: Config.Outage). An invalidation is then
//     corral.ErrStorePending, and Redis is told before anything is read from it.
//   - After Redis has lost its data (FLUSHALL, an empty restart) revisions go on
//     above all that any process has seen, and nothing from before is trusted.
//
// # What is not
//
//   - A process that is stopped whole (SIGSTOP, a suspended machine) for longer
//     than four seconds may, when it goes on, answer from its memory until its
//     timers have run, which is milliseconds. coordinator/cluster has no such gap.
//   - Redis replicates behind its answers. A failover may lose the newest writes:
//     a lease (then two compute; the first to write is refused, for its token
//     is not there), a value (it is computed again), or an invalidation of a key
//     that had been acknowledged. Where the loss shows by the revisions,
//     everything older is refused; where it does not, for the state and the key
//     are on different masters of a Cluster, an old value may come back until it
//     expires.
//   - What other hands change in Redis (DEL, an eviction) counts for who asks
//     Redis next; copies in the memory of processes stay until they expire.
//     Invalidate is how a value ends. Decision 28 says why.
//   - A load goes on in the process that began it: when that dies, it is begun
//     anew. An invalidation of a key lets the load go on for those who waited
//     before it, for the rest of one lease.
//   - A body is sent whole when it has ended, not while it arrives, and what is
//     over Config.MaxValueBytes is computed by each process for itself.
//   - What nobody asks for leaves Redis after 30 days at most. A policy of
//     eviction that takes any key (allkeys-*) may take the state of invalidations,
//     too: then everything from before is refused. Use volatile-lru.
//   - Wall clocks of processes are never compared, nor is the server's with
//     them. The server's clock places leases and expiry; set back, it makes both
//     longer.
//
// # A key's states
//
// Fields of the hash: token, fence, deadline, began, waiting, left (the lease);
// token2, waiting2, left2 (one that an invalidation has detached); form, body,
// form?, at, age, fresh, usable, kept, revision, of (the value); error, pause,
// paused (a failure, or a pass). Value and lease are independent of each other.
//
//	lease \ step  join                     finish by its token   extend       touch, or join above began
//	none          granted → held (L1)      –                     void (L2)    none
//	held          waits, one a process     → none, outcome told  deadline on  → none, and detached
//	past its      granted → held           as held, unless       as held      → none, and detached
//	deadline      (L3)                     granted since
//	detached      is not asked             outcome told to who   as held, no  told to ask again, if
//	                                       waited, not kept      deadline     another is detached
//
//	value      join                                         touch, or join above revision
//	none       see lease                                    none
//	fresh      answered; for Refresh only a newer one       → none
//	usable     answered, unless NoStale, Fresh or Refresh   → none
//	kept       see lease; lent to who is granted it         → none
//
//	pause      join, when there is neither value nor lease: the error or the pass, until its end
//
// Invariants; each has a test that dies when it is broken by hand:
//
//	L1. Redis grants a key's lease only while no other of it is attached and in
//	    its time. One script decides, by the server's clock.
//	L2. What a lease's holder brings is written only if the hash has its token.
//	    Value, release and messages are one script.
//	L3. A lease past its deadline is granted to exactly one who asks.
//	L4. A record is given only if no invalidation of its tags, of a prefix of its
//	    key or of everything that is known here lies above its revision, or the
//	    caller came before. It is said to hold up to what was applied here when
//	    Redis was asked, never later.
//	L5. An invalidation ends what Redis has of its keys, and what their leases
//	    will come to, before it has a revision; and has its revision before it
//	    is acknowledged.
//	L6. Revisions rise. The next is the highest of: the last in Redis and one, the
//	    highest that the caller has heard of and one, the server's time in µs.
//	L7. A process counts as there for four seconds from each beat, and has spent
//	    its memory two seconds after the last that was answered. Messages carry
//	    the revision before theirs, and a beat the newest: a gap ends the session.
//	L8. Nothing is read from Redis in a session before all that was invalidated
//	    is read, and what this process could not tell is told.
//
// # To look inside
//
// Coordinator.Stats counts. redis-cli hgetall 'corral:k:KEY' shows a key,
// hgetall '{corral:}live' the processes, subscribe corral:i the invalidations.
package redislock
