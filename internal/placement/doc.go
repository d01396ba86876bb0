// Package placement says which node owns a key: the key belongs to a partition,
// and a table names the owner of each partition. It has no state and no clock;
// every process computes the same from the same arguments.
//
// A key's partition never changes: Partition hashes it with a secret that the
// cluster's nodes share. The table changes with the members, and Assign says to
// what. It does not draw a table up anew, it mends the one that is there, for
// every partition that moves costs a recovery and the values that were cached.
//
// # What is due to a member
//
// Of P partitions a member of weight w, where all weights add up to W, is due
// P·w/W. Whole partitions come of it by the largest remainder, except that who
// holds one more than the rounded-down number keeps it first: which of the members
// get the odd ones is of no importance, and a move is.
//
// # Who moves
//
// Whoever holds more than is due gives the excess to those who hold less. Which
// partitions these are, and who is given which, is decided by rendezvous: each
// pair of a member and a partition has a score, a hash, and those partitions go
// whose new owner scores highest above the present one. So a node that comes back
// under its name is given mostly those that it had, whose values may still lie
// in its store: 83 to 95 of 100 with equal weights, 50 to 85 with unequal ones.
// The scores have no weights in them: what is due weighs exactly already, and
// the logarithm that rendezvous needs for weights differs in its last digit from
// one processor to the next.
//
// # Many writers
//
// In a cluster nobody writes what Assign returns as a whole. A member alone may
// give away its own partitions, and anyone those that have no owner or whose owner
// is not a member; each writes some of these, at any time, and the next one
// computes from the table that resulted. The caller sees to this; A4 says that
// it suffices.
//
// Invariants:
//
//	P1. A key's partition depends on the hash key, the key and the number of
//	    partitions only, in every process and every release.
//	A1. Assign depends on the table and on the set of members only: not on the
//	    order of the members, nor on the process.
//	A2. In its result every member holds P·w/W partitions, rounded up or down,
//	    and every partition has an owner that is a member. If no member has a weight,
//	    no partition has an owner.
//	A3. No table for which A2 holds is reached with fewer moves.
//	A4. What is due to a member is the same after any part of the result has been
//	    written. Hence parts that are written in any order end in a table which
//	    Assign leaves as it is, no partition moves twice, and there are
//	    no more moves than in A3.
//	A5. With equal weights and a table that Assign made, a member that leaves takes
//	    no partition of another's with it, and one that joins is the only one to
//	    be given any.
package placement
