// Package cluster makes a key a singleton across machines: one program on N
// nodes computes each key once.
//
//	node, err := cluster.Join(ctx, cluster.Config{
//		Name:   "a",
//		Listen: "10.0.0.1:7070",
//		Peers:  []string{"10.0.0.1:7070", "10.0.0.2:7070", "10.0.0.3:7070"},
//		Dir:    "/var/lib/shop",
//		New:    true, // once: it creates the cluster
//		TLS:    cluster.TLSFiles{Cert: "a.pem", Key: "a-key.pem", CA: "ca.pem"},
//	})
//	products, err := corral.New(load, corral.Options[[]byte]{
//		Name: "products", MaxBytes: 1 << 30, TTL: time.Minute,
//		Codec: codec.Bytes{}, Coordinator: node.Cache("products"),
//	})
//
// Every node runs this, and then uses its cache as if it were alone. To stop in
// order, call the node's Leave, close the caches, and then the node.
//
// # What is guaranteed
//
//   - A key that many callers on many nodes ask for is computed by one load, at
//     the node that asked first; all are given what it comes to.
//   - Once Invalidate has returned nil on any node, no node gives a value whose
//     load began before it. This holds whatever fails: nodes that crash, are
//     paused, are cut off from each other or from etcd. A node that cannot know
//     whether it is up to date answers nothing from what it has.
//   - A load on a node that lives goes on when the owner of its key dies, and its
//     outcome reaches everybody who waits.
//   - What is given for a key was computed for that key.
//   - After Set has returned nil on any node, every node gives that value or a
//     newer one.
//
// # What is not
//
//   - A load is computed again when the node that computes it dies, is paused for
//     longer than a lease, or is cut off from the owner of its key; Status counts
//     these by reason. docs/cluster.md has the list.
//   - What a node has kept is lost when it dies. When keys move as planned (a node
//     leaves, is drained, comes) it is handed over to their next owner first, for
//     five seconds at most; what is larger than 8 MiB, or still arrives, is not.
//     What is lost is computed again when it is asked for. A store avoids that.
//   - While etcd cannot be written, nodes lose their leases within two seconds and
//     answer ErrUnavailable, until it can be written again.
//   - Clocks' rates may differ by less than 5 %. Their readings are never
//     compared.
//   - The nodes trust each other and their etcd. Config.TLS keeps everybody else
//     out, and without it nothing but loopback is used, unless
//     Config.InsecurePlaintext says that the network is trusted.
//
// # What the caller owes
//
// The same caches, by name, with the same Codec and a loader that comes to the
// same value, on every node. A directory that is the node's own. Origins that
// have changed before Invalidate is called.
//
// # To look inside
//
// Node.Status and Node.Table say what a node knows, Node.Find where a key is and
// who computes it, Node.EtcdMembers how the members of etcd are. Package
// metrics/promcluster shows a Status to Prometheus. What the log warns of says
// what users notice of it (effect) and what to do (remedy), once in ten seconds at
// most; docs/runbooks has the rest.
//
// The decisions are in package core, which the simulator in package sim runs
// through crashes, pauses, losses and moves; models/ has a model of it that is
// checked exhaustively, and faults/ runs real processes.
package cluster
