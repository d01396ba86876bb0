// Package core decides who computes a key, among nodes that fail: one owner for
// each key, and flights that outlive it.
//
// It is a pure state machine. A Core takes one Event and a reading of its node's
// clock, and returns Actions. It has no goroutine, no clock and no network, and
// does the same whenever it is given the same: the simulator (package sim) and
// the shell (package cluster) run the same code.
//
// Values do not live here. What may be given is decided by the rule of revisions,
// which the Shelf answers for; the core decides who computes and who waits.
// Where it errs, something is computed again and counted.
//
// # A node
//
//	it is      when                                         it
//	leased     a renewal sent before t0+L−g was confirmed,  answers from what it has, and grants
//	           and what that read has been applied
//	lapsed     not so                                       asks others, goes on computing, grants nothing
//	draining   Drain, and its record says so                gives its partitions away, one write each time
//	drained    it owns nothing, and is to stay              asks, computes, answers; leased again by Undrain
//	leaving    it owns nothing, and is not to stay          has given its lease up, then buries itself
//	fenced     its record is a tombstone or a successor's   is over: every Ask is answered, every lease void
//
// A node buries another (tombstone and table in one transaction) once it has seen
// one revision of its record for L+g, renews itself, and its own watch is not
// behind.
//
// A write that gives partitions away waits until what is kept of them has been
// handed over (handover.go). A burial waits for nothing.
//
// # A partition at a node
//
//	from        event                              to          and
//	NONE        a table gives it to the node       RECOVERING  Recover to every node; at generation 1: ACTIVE
//	RECOVERING  every End, or Times.Recovery       ACTIVE      who waits is served, leases were adopted
//	ACTIVE      a write that gives it away leaves  CLOSED      Joins wait; outcomes are handed out, not acknowledged
//	CLOSED      the write is decided, not for it   ACTIVE      who waits is served
//	any         a newer generation is heard of     NONE        who waits is told WrongOwner
//	any         the node's lease is out            SUSPENDED   Joins wait; back when it is restored
//
// # A lease at its owner, and at its holder
//
//	owner: current    holder: computing   Extend every Times.Heartbeat; void after Times.Limit without, or at its lifetime
//	owner: reserved   holder: ?           a waiter named it; its holder has yet to answer Recover
//	owner: of a Set   holder: has it      current at once; no invalidation detaches it, for its value is as of its own
//	owner: detached   holder: computing   an invalidation, or a younger lease, came: for those who wait only
//	owner: settled    holder: offered     until every waiter's node has said Took; offered again on each stream and to each owner
//	owner: void       holder: void        it goes on to one waiter; its late outcome is refused
//
// # Invariants
//
// Each is judged in the simulator, and dies there when the rule that keeps it is
// switched off (Variants).
//
//	C1. No Get that arrived after an acknowledged invalidation is given a value
//	    whose load began before it. Kept by the rule of revisions at the owner
//	    (serve, deliver), at the asker (acceptable), and by acknowledge.
//	C2. A node answers from what it has only under its lease, and holds a lease
//	    only having applied what its renewal read (extendLease).
//	C3. A value is given for the key that it was computed for.
//	C4. applied, epochs, generations and revisions of records never go back; a
//	    tombstone counts for the incarnation that it names (changed, learnNode,
//	    learnTable).
//	C5. Every Ask is answered at most once, and by Times.Unreachable if its
//	    owner is out of reach; its deadline is the asker's (answer).
//	C6. The right to compute ends with its absolute lifetime, at holder and owner
//	    (flightDue, held.ends).
//	O1. owner[p] leaves X only if X writes it, X is buried, or p has no owner
//	    (nextTable).
//	O2. X grants nothing for p once a write that gives p away has left X, until
//	    that write is decided (propose, admit, writeLanded). A write whose
//	    outcome is unknown is repeated as it is: one of its repeats fails or
//	    succeeds, and then no other can.
//	O3. No two nodes grant for one p at one time: by O1, O2, C2, and because a
//	    node is buried only after its lease.
//	O4. One lease that is not void per key and generation, invalidation and pass
//	    apart (enter, rejoin, leased).
//	O5. A flight on a live and connected node survives any change of owner
//	    (onRecover, adopt, reserve, present).
package core
