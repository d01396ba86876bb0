// Package redisconn turns one configuration into a connected Redis, for whatever
// speaks to one: one server, Sentinel or Cluster, Redis from 6.0 on or Valkey.
//
//   - Open does not need the server to be there. The Client connects when it is
//     first asked, and again after each failure, no more often than a pause allows.
//   - No call of the Client outlives its context, except a connection that is
//     being made, which DialTimeout ends.
//   - Explain names the cause of an error and the remedy, and makes it one of a
//     small set of sentinels.
//   - A Breaker keeps calls from a server that fails or hangs.
//
// What is written is never sent twice: only reads are repeated, once, on a fresh
// connection.
package redisconn
