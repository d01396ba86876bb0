package server

import (
	"github.com/corralcache/corral/coordinator/cluster"
)

// A ClusterStatus is what GET /cluster/status answers: a cluster.Status, with
// times in milliseconds.
type ClusterStatus struct {
	Cluster    string `json:"cluster"`
	Node       string `json:"node"`
	Standing   bool   `json:"standing"` // it may answer and grant
	LeaseMS    int64  `json:"lease_ms"` // what is left of it
	Revision   uint64 `json:"revision"` // up to which it knows of all invalidations
	Epoch      uint64 `json:"epoch"`    // of the table
	Partitions int    `json:"partitions"`
	Owned      int    `json:"owned"`
	Streams    int    `json:"streams"` // to other nodes
	Waiting    int    `json:"waiting"` // callers of all nodes, for keys of this one
	Granted    int    `json:"granted"` // leases of such keys
	Held       int    `json:"held"`    // leases under which this node computes

	Nodes  []ClusterNode     `json:"nodes"`
	Counts map[string]uint64 `json:"counts"` // since the start, by what happened
}

// A ClusterNode is what the node that answers knows of one.
type ClusterNode struct {
	Name        string `json:"name"`
	Incarnation uint64 `json:"incarnation"`
	State       string `json:"state"` // live, draining, tombstone
	Address     string `json:"address"`
	Zone        string `json:"zone,omitempty"`
	Weight      int    `json:"weight"`
	Owned       int    `json:"owned"`
	Stream      bool   `json:"stream"`  // there is one to it
	SeenMS      int64  `json:"seen_ms"` // since its record was last renewed
}

func statusOf(s cluster.Status) ClusterStatus {
	out := ClusterStatus{
		Cluster: s.Cluster, Node: s.Name, Standing: s.Standing, LeaseMS: s.Lease.Milliseconds(), Revision: s.Revision, Epoch: s.Epoch,
		Partitions: s.Partitions, Owned: s.Owned, Streams: s.Streams(), Waiting: s.Waiting, Granted: s.Flights, Held: s.Held,
		Nodes: []ClusterNode{}, Counts: map[string]uint64{
			"values": s.Values, "leases": s.Leases, "holder_lost": s.HolderLost, "superseded": s.Superseded, "late_rejoins": s.LateRejoins,
			"void_outcomes": s.VoidOutcomes, "buried": s.Buried, "lapses": s.Lapses, "invalidations": s.Invalidations,
			"renewals": s.Renewals, "renewals_failed": s.RenewalsFailed, "etcd_writes": s.EtcdWrites, "messages_lost": s.MessagesLost,
		},
	}
	for _, n := range s.Nodes {
		out.Nodes = append(out.Nodes, ClusterNode{
			Name: n.Name, Incarnation: n.Incarnation, State: n.State, Address: n.Address, Zone: n.Zone,
			Weight: n.Weight, Owned: n.Owned, Stream: n.Stream, SeenMS: n.Seen.Milliseconds(),
		})
	}
	return out
}

// A ClusterTable is what GET /cluster/table answers.
type ClusterTable struct {
	Node       string             `json:"node"` // whose view it is
	Epoch      uint64             `json:"epoch"`
	Partitions []ClusterPartition `json:"partitions"`
}

// A ClusterPartition is who owns a share of the keys.
type ClusterPartition struct {
	Owner      string `json:"owner"` // empty: nobody
	Generation uint64 `json:"generation"`
}

func tableOf(s cluster.Status, table []cluster.PartitionStatus) ClusterTable {
	out := ClusterTable{Node: s.Name, Epoch: s.Epoch, Partitions: make([]ClusterPartition, len(table))}
	for i, p := range table {
		out.Partitions[i] = ClusterPartition(p)
	}
	return out
}

// A ClusterOwner is what GET /cluster/owner answers.
type ClusterOwner struct {
	URL   string `json:"url"`
	Key   string `json:"key"`
	Owner string `json:"owner"` // empty: nobody
}
