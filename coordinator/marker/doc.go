// Package marker is a Coordinator on any key-value store that can get, put with
// a lifetime, and delete: whoever finds neither a value nor a marker puts an
// in-progress marker and computes; the others poll until there is a value. It is
// the pattern that one finds where there is nothing better, kept as weak as it
// is, so that it can be measured beside the others.
//
// Use it where a KV is all there is and a few computations too many, or a value
// that is stale for its lifetime, cost little. On Redis use coordinator/redislock,
// which has none of these weaknesses for the same servers.
//
// What holds:
//
//   - Who asks while a value is there is given it; who asks while another computes
//     waits for that, and sees what it came to at most Config.Poll later, a
//     failure and a pass too, as long as the KV gives what was put last.
//   - A holder that dies is succeeded after Config.Lease at most.
//   - What Invalidate of keys concerns is gone in the KV and in this process
//     once it has returned nil.
//   - A KV that fails is ErrUnavailable to who asks, never a wrong value. What it
//     gives that was not put there under that key, or is broken, counts as nothing.
//
// What does not hold, by the names that corraltest has for it, and what it costs:
//
//	weakness        why                                     cost
//	TwoLeases       Get and Put are two steps: all who see  two and more compute, on every cold key that
//	                nothing in between put a marker         is asked for at once, and after every holder
//	                                                        that dies or abandons
//	Unfenced        Put does not compare                    who lost its marker long ago (a pause, a slow
//	                                                        source) replaces a newer value by an older
//	KeepsLateFills  Delete does not know of computations    what was begun before an invalidation is put
//	                under way                               after it, and given out for its whole TTL
//	Unheard         nobody is told                          other processes give what they have in memory
//	                                                        until its TTL ends, after Invalidate returned nil
//	KeysOnly        a KV cannot be searched                 Invalidate by prefix or tag, or of all, comes to
//	                                                        ErrNotAcknowledged: it holds in this process
//	NeverUnwanted   waiters are not known                   a load whose callers have all left goes on
//	NeverLapsed     there is nothing to stand on            processes answer from memory also when the KV
//	                                                        is away
//
// Besides: every waiter waits half of Config.Poll longer on average, and costs a
// Get or two for each Poll; ages are counted by the clocks of the machines, so
// that one that is a second ahead sees values a second older; loads that wait for
// each other over processes are not found out, and end by their timeouts; a KV
// that is eventually consistent (see Memory) makes all of it worse for as long as
// it lags: a marker is not seen, so more compute, and what was deleted is given
// out again.
//
// A value's revision is what the process that reads it has applied before it
// reads. Revisions are a process's own, so that a corral.Store beside a marker
// would take one process's for another's: leave Options.Store nil, the KV has the
// values.
//
// Test against it with a Memory.
package marker
