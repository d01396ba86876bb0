package cluster

import (
	"slices"
	"strings"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// Status is what a node knows of its cluster and of itself, at one moment.
type Status struct {
	Cluster    string // its UUID
	Name       string
	Standing   bool          // it may answer and grant
	Lease      time.Duration // what is left of it
	Revision   uint64        // applied
	Epoch      uint64        // of the table
	Partitions int
	Owned      int // by this node
	Nodes      []NodeStatus
	Waiting    int // callers of all nodes that wait for keys of this one
	Flights    int // leases that it has granted
	Held       int // and that it computes under

	Values, Leases           uint64 // answers from owners: a value, the right to compute
	HolderLost               uint64 // leases that went on because their holder was gone or silent
	Superseded, LateRejoins  uint64 // leases that were presented to a new owner, in vain or late
	VoidOutcomes             uint64 // outcomes that came under leases that were not valid any more
	Buried, Lapses           uint64 // nodes that this one declared dead; times its own lease ran out
	Invalidations            uint64 // that this node has written to the log
	Renewals, RenewalsFailed uint64
	EtcdWrites               uint64
	MessagesLost             uint64 // because their stream had ended
}

// Streams is how many other nodes this one has a stream to.
func (s Status) Streams() int {
	n := 0
	for _, node := range s.Nodes {
		if node.Stream {
			n++
		}
	}
	return n
}

// NodeStatus is what one node knows of another, or of itself.
type NodeStatus struct {
	Name        string
	Incarnation uint64
	State       string // live, draining, tombstone
	Address     string
	Zone        string
	Weight      int
	Owned       int
	Stream      bool          // there is one to it
	Seen        time.Duration // since its record was last renewed
}

// Status is what this node knows.
func (n *Node) Status() Status {
	now := boottime()
	n.mu.Lock()
	defer n.mu.Unlock()
	sizes, owned := n.core.Sizes(), n.core.Shares()
	s := Status{
		Cluster: n.cluster.UUID, Name: n.config.Name, Standing: n.core.Standing(now), Lease: max(n.core.Until().Sub(now), 0),
		Revision: n.core.Applied(), Epoch: n.core.Epoch(), Partitions: n.cluster.Partitions, Owned: owned[n.self],
		Waiting: sizes.Parked, Flights: sizes.Flights, Held: sizes.Held,
		Values: n.n.values.Load(), Leases: n.n.leases.Load(), HolderLost: n.n.holderLost.Load(), Superseded: n.n.superseded.Load(),
		LateRejoins: n.n.lateRejoins.Load(), VoidOutcomes: n.n.voidOutcomes.Load(), Buried: n.n.buried.Load(), Lapses: n.n.lapses.Load(),
		Invalidations: n.n.invalidations.Load(), Renewals: n.n.renewals.Load(), RenewalsFailed: n.n.renewalsFailed.Load(),
		EtcdWrites: n.client.Writes(), MessagesLost: n.n.unsent.Load(),
	}
	for _, p := range n.core.Peers(now) {
		s.Nodes = append(s.Nodes, NodeStatus{
			Name: p.Name, Incarnation: p.Incarnation, State: p.State.String(), Address: p.Address, Zone: p.Zone,
			Weight: p.Weight, Owned: owned[p.Node], Stream: p.Stream, Seen: p.Seen,
		})
	}
	slices.SortFunc(s.Nodes, func(a, b NodeStatus) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// A PartitionStatus is who owns a share of the keys.
type PartitionStatus struct {
	Owner      string // empty: nobody
	Generation uint64
}

// Table is who owns what, by partition.
func (n *Node) Table() []PartitionStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	table := make([]PartitionStatus, n.cluster.Partitions)
	for p := range table {
		var owner core.Node
		owner, table[p].Generation = n.core.Route(p)
		table[p].Owner = owner.Name
	}
	return table
}

// OwnerOf is the name of the node that owns a key of a cache, as far as this one
// knows; empty if there is none.
func (n *Node) OwnerOf(cache, key string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	owner, _ := n.core.Route(n.core.Partition(cache + separator + key))
	return owner.Name
}
