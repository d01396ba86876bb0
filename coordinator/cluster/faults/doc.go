// Package faults breaks real clusters: processes that are killed, stopped and
// parted, on real sockets, judged at the log of the origin that they load from.
//
// It holds the words that a test and its nodes exchange; the tests themselves
// are the package. docs/faults.md says what is broken in which way, and what has
// been seen. By default each fault is met a few times only; CORRAL_SOAK=1h makes
// it the number of rounds from which quantiles can be told, and less the part of
// it that there is time for.
//
// # What is judged
//
// The origin writes down who called for which key, when, and when it answered.
// Two calls for a key that no invalidation parts are one too many, whatever
// Corral's own counters say. A version stands in every answer of the origin: a
// node that gives a caller an older one than was valid when the caller asked has
// given a stale answer. Where keys change all the time, what was read, written and
// computed is a history for each key, and Porcupine judges whether a register
// could have done that.
//
// # What is needed
//
// Partitions are made between network namespaces, which needs root, iproute2
// and nftables. Without them those tests are skipped, and say so.
package faults
