// Package table keeps a cache's entries: it finds them by key, counts the bytes
// of their values exactly, and chooses whose value goes when they do not suffice.
// Where these aims conflict, their order is the byte bound, the hit ratio, speed.
//
// The caller embeds a Node in its entry, gives the entry's value to the table
// as a weight, and clears the value when the table says so. A value is visible
// only while its bytes are counted: Put first evicts, then counts, then has the value
// published, in one critical section, so at no instant do visible values and
// reserved bytes exceed MaxBytes. There is no goroutine and no clock here, and
// nothing is done later.
//
// A hit takes no lock: Get reads the index, Touch a counter of the entry, which
// it writes at most three times until the policy next looks. All else is done
// under one mutex, by the misses.
//
// What the caller owes: it calls GetOrAdd, Put and their like with no lock of
// the index held, takes locks in the order entry, table, and does not call the
// table from what the table calls. It finds out under the table's lock whether
// an entry that it looked up earlier has died: Pin, Put, Drop and Update say so, and the
// remedy is GetOrAdd again.
//
// # Entries in flight
//
// An entry whose value is still being computed is in the same table as the
// others, so that there is one entry for a key in every state. It costs the
// policy nothing: it has no weight and is on no list, hence cannot be found by
// an eviction, and is not stepped over either. An entry with both a value and a
// flight is an ordinary victim; it loses its value, and its pin keeps it in the
// index for those who wait. Bytes that a flight has received are reserved,
// which evicts values to make room for them.
//
// # The policy
//
// Two FIFO queues with a counter of two bits for each value, as in S3-FIFO [1]:
// newcomers pass through small, and those that are hit there move to main, where a
// value that was hit since it was last looked at goes round again. What goes
// leaves a ghost. On top of that:
//
//   - A ghost's return earns main only if less time has passed than since main's
//     oldest value was looked at, which is LIRS [2] in the form that CLOCK-Pro
//     [3] gave it, and if that oldest value was not hit.
//   - Main takes newcomers while it has room, so that of a loop larger than the
//     cache a part stays from the start.
//   - Small's share of the bytes, between 1 and 50 %, follows the votes of
//     values that return shortly after they went: they would be hits had their
//     queue been longer. Such is the adaptation of ARC [4], except that ARC counts
//     whoever returns and this counts who would have been kept.
//   - When nothing earns main for 16 turns, what is in it and is not hit makes way for
//     what leaves small. S3-FIFO keeps a main queue that is out of use for ever.
//
// A turn is as many additions as there are values. The memory of all this is 4
// bytes in the node for time and counter, and 8 to 10 in ghosts.
//
// # What was measured
//
// Mean hit ratios in per cent at 1, 10 and 25 % of the keys, over the six
// recorded traces of package bench and over 19 synthetic ones, and the worst
// case in points against otter 2.4, in a simulator with ideal ghosts:
//
//	                                        recorded  synthetic  worst
//	as above                                    47.5       48.2   -1.4
//	otter 2.4 (adaptive W-TinyLFU)              45.0       42.9      –
//	S3-FIFO as published, small 10 %            43.0       44.7  -24.7
//	LIRS, with ghosts without limit             46.7       44.8   -9.8
//	ARC                                         40.3       45.7  -29.7
//	LRU                                         38.9       42.6  -29.9
//
// Taken away or changed, one at a time:
//
//	a ghost's return earns main at once         47.1       47.2  -23.4
//	the same unless main's oldest was hit
//	  (the test of LIRS alone)                  47.7       48.2   -2.7
//	main begins empty                           42.4       47.4  -23.0
//	small fixed at 5 %                          46.9       45.4   -9.8
//	small fixed at 10 %                         47.0       45.6   -4.1
//	votes from a sixteenth of a turn only       47.5       47.4   -1.5
//	votes of whoever returns, as in ARC         45.8       46.0  -24.8
//	main never makes way                        47.6       47.5  -24.6
//	main makes way after 8 turns                47.0       47.9   -7.6
//	main makes way after 32 turns               47.5       48.1   -6.2
//	main's victims pass small once more         47.5       47.6   -1.5
//	two hits to leave small, as in S3-FIFO      47.5       48.1   -1.1
//	a counter of one bit                        47.4       48.2   -2.7
//	a counter of three bits                     47.5       48.0   -1.2
//	ghosts of one turn                          47.2       47.7   -4.9
//	ghosts of three turns                       47.6       48.3   -3.1
//
// Variants within 0.2 points were decided by the worst case, then by size: one
// hit to leave small keeps drifting working sets better (71.3 against 70.8 at
// a quarter of the keys), and three turns of ghosts cost 4 bytes a value more.
// Rejected without a trial, because a hit would have to write or
// lock: LRU order, frequency sketches that count hits, shadow caches fed by
// sampled hits, hill climbing on the hit ratio.
//
// Known costs. A newcomer larger than small's share takes main's room, because a
// value that is put must be there to be found; with sizes of a heavy tail this
// gives up half of what a loop could hit, and 2 to 13 points in caches of some
// 30 values, where otter refuses such values. The ghosts' hash is seeded, so that
// nobody can choose keys that collide; from seed to seed hit ratios differ by a tenth
// of a point, a few tenths in caches of less than 100 values.
//
// Why not a library: of those with a policy as good, otter evicts later on other
// goroutines (1,307 values seen in a cache of 1,024), counts neither pinned nor
// in-flight bytes, and cannot be told to keep an entry while taking its
// value; theine runs loaders under its locks; ristretto may drop what is put.
//
// [1] Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction. SOSP 2023.
// [2] Jiang, Zhang: LIRS: an efficient low inter-reference recency set replacement policy. SIGMETRICS 2002.
// [3] Jiang, Chen, Zhang: CLOCK-Pro: an effective improvement of the CLOCK replacement. USENIX ATC 2005.
// [4] Megiddo, Modha: ARC: a self-tuning, low overhead replacement cache. FAST 2003.
package table
