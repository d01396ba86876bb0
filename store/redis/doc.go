// Package redis keeps finished values in Redis (6.0 or later) or Valkey, where
// they survive the process and other processes find them.
//
// # What is promised
//
//   - Serving goes on without it. Get answers within Options.SoftTimeout, with
//     nothing if need be; what fails or hangs is not asked again until a probe in
//     the background was answered in time. Nothing piles up on a Redis that hangs.
//   - Never a wrong value. What is under a key is checked by checksum over the
//     key and every byte; what is broken, of another form or of another type is a
//     miss, counted and removed.
//   - Put does not replace what has a higher revision, in one script; nor does it
//     come back after a Delete of its key, for 15 s.
//   - Delete returns nil only when Redis has said so. What it concerns by tag, by
//     prefix or altogether does not count from then on, for every process, and its
//     memory is free when it is written again or its TTL ends.
//   - Every key has a TTL: the record's with its longest window, at most
//     Options.MaxTTL. How old a record is, is told by what is left of its key's TTL, so
//     that no clock of one process is compared with another's.
//   - What Redis loses does not come back: evicted, flushed or expired, all or
//     the part that remembers invalidations, with any maxmemory-policy.
//
// # What is not
//
//   - A failover to a replica that lags brings back what was deleted meanwhile.
//     Caches that have heard of the invalidation refuse it; one that starts
//     afterwards without a Coordinator does not. Options.WaitReplicas makes Delete
//     wait for the replicas.
//   - Redis tells a TTL by its own wall clock. When that goes forward, keys expire
//     early; when it goes back, what was written since is a miss. Between Put's
//     call and the write in Redis no age is counted: up to HardTimeout.
//   - Without a Coordinator, revisions are one process's own count. Several
//     processes that share a Redis want coordinator/redislock, which keeps values
//     too and needs no store, or coordinator/cluster. Without either a Delete of a
//     key removes whatever is there, and tags are one process's own affair.
//   - In a Cluster, every Get needs the node that has the generations, though it
//     is not asked while nothing is invalidated. The breaker is one for all nodes: it
//     stays closed while most calls succeed, and keys of a node that hangs cost
//     SoftTimeout each until the Cluster has replaced it.
//
// # What the caller owes
//
// A Redis with enough memory, or a maxmemory-policy that evicts (volatile-ttl,
// volatile-lru, allkeys-lru): with noeviction and a full memory nothing is
// stored. A user with ACLs needs the keys of the prefix and the commands GET,
// GETRANGE, PTTL, SET, UNLINK, HGET, HMGET, HSET, HINCRBY, EXISTS, PEXPIRE, EVAL,
// EVALSHA, PING, INFO, MULTI, EXEC, CLIENT, and SCAN and ROLE to look inside.
//
// # How to look inside
//
// redis-cli shows a record as corral:v:<key>, after its head in digits, and with a
// Coordinator as corral:s.<sequence>:v:<key>; what was invalidated is the hash
// corral:g. The Store is a corral.Browser: corral store stat, ls, verify, rm.
package redis
