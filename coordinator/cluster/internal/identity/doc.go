// Package identity is how a node shows that it belongs to its cluster: a
// certificate, its key, and the authorities by whose certificates it knows the
// others. All three are files, and are read anew while the node runs.
//
// What is promised:
//
//	I1. What is in use was whole and fitted together when it was read: the key is
//	    the certificate's, the certificate is of one of the authorities, valid
//	    then, for both ends of a connection and for every host by which this node
//	    is called. Files of which that is not true change nothing.
//	I2. A handshake uses what was in use as it began. Connections that there are
//	    go on with what they began with.
//	I3. Both ends show a certificate of the authorities that the other has in use,
//	    and a called node's is for the host that was called.
//	I4. The key is in memory, in the node's data directory if etcd runs in it, and
//	    in no log line.
//
// An authority is the cluster's own: whoever has a certificate of it is a node.
package identity
