// Package etcd keeps what the nodes of a cluster agree on, in etcd: read at
// once, written by compare-and-set, watched in order.
//
// # What is guaranteed
//
// A Client sees the keys below one prefix. Read is one linearizable read of all
// of them. Write is one transaction: everything in it, or nothing, and its
// answer tells the keys that it was asked for as of that same transaction. A
// Write is sent once: what to do after ErrUnknown is the caller's to decide,
// who alone knows whether a repeat is the same thing. Watch delivers every
// revision from the one it is given, in order, each once, with all of its keys
// in one Change; it goes on over lost connections, restarted and lagging
// members without a gap, or it ends with an error that says why it cannot.
//
// # Revisions
//
// etcd's revision is the only clock that nodes share, so it must never fall. The
// store may still be put back, from a backup or by another one in its place:
// the first answer that shows it ends the client, and all its calls and watches
// return ErrRolledBack from then on.
//
// # What is not
//
// ErrRefused is certain: nothing was written. All that is not certain is
// ErrUnknown, among it what sounds like a refusal and need not be one: a member
// that finds its quota exceeded while it applies a transaction writes it and
// answers "no space" (ErrFull). No call outlasts Config.Timeout.
//
// # The server
//
// Start runs a member of etcd inside this process; Bootstrap finds out with
// which others. Its log, ports and files are the caller's business: nothing is
// written to standard output, no signal is caught, no port is opened that is
// not named. etcd ends its process when it cannot save; here that ends the
// member, which Server.Stopped tells.
package etcd
