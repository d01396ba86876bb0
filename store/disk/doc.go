// Package disk is a corral.Store in a directory of the machine's own disk: what
// a process has computed is there for the next one.
//
// What is guaranteed:
//
//   - A record comes back as it was put, or not at all. Checksums stand over its
//     key, its times, its value and every block of its body, and are looked at
//     whenever it is read. One that does not match is a miss, is counted and
//     removed; where it is found in the middle of a body, the body's reader ends
//     in an error and not in EOF.
//   - Once Delete has returned nil, nothing that it concerns is returned, by this
//     process or by one after it, whatever ends this one: it is synced before. A
//     Put of such a record that comes later, with an older revision, is dropped.
//     If Delete fails, what it concerns is not trusted after a restart either.
//   - kill -9 at any moment leaves what a crash at that moment may leave: puts of
//     the last second may be missing, nothing is half there. Puts are synced behind
//     their callers, once a second.
//   - Open reads neither values nor keys: it takes as long for a million records
//     as for none, up to the replay of a log of half of Options.Memory. Memory
//     is that of Options.Memory and a fixed megabyte or two.
//   - Times are remaining ones at Get. Between two boots they pass by the wall
//     clock, and count as over if that has gone back.
//   - A disk that fails never ends the process. At the first write that fails the
//     store is as after a crash at that moment: every call is an error that says
//     why, StoreStat.Broken says so, and it opens itself again, after a second at
//     first, a minute at last.
//
// What is not: durability of puts, and an order between keys. A crash may take
// those of the last second; never an invalidation.
//
// What the directory takes: Options.MaxBytes for records (keys, values, bodies,
// those that were replaced and wait for their turn to go, and 96 bytes for each),
// a sixteenth more while a burst of puts waits for room, and beside that
// Pebble's log and tables that wait for compaction: see Options.Slack.
//
// A directory belongs to one process at a time, and to one sequence of revisions
// (see corral.Bound): with another Coordinator it begins empty.
//
// Look inside with Stat, List and Verify, or with corral store. Tests give Open a
// directory of t.TempDir(); nothing else is needed.
package disk
