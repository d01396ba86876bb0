// Package sim runs the cluster's core, as it is, against everything that can go
// wrong, and judges what comes of it by what happened, not by what the core says.
//
// A seed is a plan: machines with clocks of their own, a network, an etcd, an
// origin, callers and invalidations, and faults among them. A plan is one run,
// in which everything happens one after another in simulated time; a run is one
// transcript, byte for byte the same whenever and wherever it is made.
//
//	make sim SEEDS=10000          runs seeds; prints those that fail, and why loads were repeated
//	make sim SEED=5667            shrinks a seed that fails, and prints its transcript
//	make sim BREAK="no tombstone" does so with one rule of the protocol switched off
//
// # What can go wrong
//
//   - messages are delayed, each link in its own way; lost, doubled or overtaken
//     ones end their stream, of which the two sides learn at different times; what
//     was under way on an ended stream is lost, or arrives under its old number
//   - nothing goes through, one way or both, for a while or until the stream ends
//   - machines pause; what came meanwhile is handled in any order that keeps the
//     order of each source, the clock's tick first or last
//   - clocks differ, and run at rates that differ by up to nine tenths of g/L
//   - processes crash, start again under their name, leave, and join; they are
//     drained, stay, and are undrained; a node dies in the middle of a Set; one that
//     was taken for dead begins a new life with what its caches have, where its watch
//     has stood
//   - etcd is out of reach for one node or for all; requests are lost before they
//     take effect or after, or take effect long after they were given up; watches
//     lag and stand still, and may have missed what came meanwhile
//   - what is handed over takes long, does not get through, or is not answered
//   - stores, a node's own or everybody's, take long to write and to delete
//   - loaders fail, share, pass, hang past their deadline and load other keys;
//     callers leave, and stand still between two steps
//
// # What is judged
//
//	C1  by an exact history of acknowledged invalidations and of when loads began; a value that was set is as of its Set's invalidation
//	C2  by an account of every node's lease that is not the core's
//	C3  by the key that each load was made for
//	C4  at every write at etcd, and after every step
//	C5  at every answer; an ask that a reachable owner has swallowed
//	C6  by what is left of leases when all is over
//	O1  at every write of the table
//	O2, O3  at every grant: the table at etcd names the granter, and no write of its own that gives the partition away is under way
//	O4, O5  by the origin's log: a load that begins beside another of its key, which it could have waited for, has a cause out of the protocol's list
//	F3  nobody is declared dead for an outage of etcd's
//	set  when a Set returns: its owner has its value, or something later has come
//	store  when all is over: what an acknowledged invalidation concerns is in no store
//	warm  at every write that gives a partition away: what is kept of it was handed over, or takes too long
//	one  at every grant: the owner has no value that would do
//	cycle  loads that wait for each other in a ring, over processes, are told so
//	heal, leak  after the last fault: every partition is owned, balanced within one, a drained node owns none; every key is had at every node; nothing is remembered
//
// TestEveryBrokenRuleIsCaught shows that the judges notice: it switches each rule
// of core.Variants off and says after how many seeds that is seen. It wants the
// build tag sim, without which no rule can be switched off.
//
// # What is not simulated
//
// The shell, gRPC, etcd itself, and bodies that grow: package cluster's own tests
// have those. The cell, which stands for the caches and for the shell's part of
// the rule of revisions, is a model of them, not their code. It keeps what other
// nodes computed always, where caches keep what is asked for twice in a second;
// and each of its invalidations has a revision of its own, where the shell writes
// some together.
package sim
