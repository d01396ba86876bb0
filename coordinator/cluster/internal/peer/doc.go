// Package peer carries messages and bodies between the nodes of a cluster.
//
// Between two nodes there is one control stream at a time, called by the node
// with the smaller name. A session is the life of one such stream, and has a
// number that grows over all sessions of a transport. What the transport
// promises of it:
//
//	P1. For one peer the handler is called by one goroutine at a time: Opened,
//	    then Received any number of times, then Closed once, and then the same
//	    for a greater session.
//	P2. What Send has taken in a session arrives once, in the order of the calls,
//	    or the session ends at both nodes. After it has ended nobody knows what
//	    arrived; whoever still wants something says it again in the next one.
//	P3. Send never waits, and never delays a message to fill a batch.
//	P4. Memory is bounded: for each session by Limits.QueuedBytes of encoded
//	    messages and by Limits.QueuedMessages, on the way in by one batch.
//	    A peer that does not take what is sent to it loses its session.
//	P5. A peer of which nothing is heard for 1.5 s, or that takes nothing for 2 s,
//	    loses its session, a quarter of a second later at most. At rest a node
//	    sends each peer two signs of life a second, of 18 bytes.
//	P6. A session begins only between two incarnations that SetPeers has named,
//	    of one cluster, that count the same partitions and have a version of the
//	    protocol in common. Everything else is refused with the reason, and one
//	    log line a minute.
//	P7. A body goes over a connection of its own: one that nobody reads delays no
//	    message and no other body.
//	P8. When Close returns, no goroutine of the transport is left.
//	P9. With Config.Identity, both ends of a connection show a certificate of the
//	    cluster's authorities. A called node's is for the host that was called, a
//	    calling node's for the host at which it says that it is called itself.
//
// What it does not do: it keeps nothing over the end of a session, and knows
// nothing of keys and owners.
package peer
