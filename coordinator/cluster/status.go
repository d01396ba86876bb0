package cluster

import (
	"context"
	"fmt"
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
	LeaseLeast time.Duration // and was at least, in the last half minute or whole one, whenever it was extended
	Revision   uint64        // applied
	Behind     uint64        // revisions that the last renewal has read and that are not applied yet
	Heard      time.Duration // since the watch has told of any revision
	Epoch      uint64        // of the table
	Partitions int
	Owned      int // by this node
	Nodes      []NodeStatus
	Waiting    int // callers of all nodes that wait for keys of this one
	Flights    int // leases that it has granted
	Held       int // and that it computes under
	Unacked    int // batches of invalidations that are written, and not acknowledged yet

	// CertificateEnds is when the certificate that this node shows the others is
	// valid no more; zero without TLS.
	CertificateEnds time.Time

	Values, Leases           uint64        // answers from owners: a value, the right to compute
	HolderLost               uint64        // leases that went on because their holder was gone or silent
	Adopted                  uint64        // leases of an earlier owner of a key that went on under this one
	Superseded, LateRejoins  uint64        // leases that were presented to a new owner, in vain or late
	VoidOutcomes             uint64        // outcomes that came under leases that were not valid any more
	Lost                     uint64        // leases under which this node computed, and that became void
	Unreachable              uint64        // keys whose owner could not be reached in time
	Buried, Lapses, Fenced   uint64        // nodes that this one declared dead; times its own lease ran out; and that it was declared dead itself
	Invalidations            uint64        // that this node has written to the log
	NotAcknowledged          uint64        // and of which it could not say that they hold: the caller was told so
	Silent                   uint64        // and for which a node's lease had to run out: it did not say that it had applied them
	Recoveries               uint64        // times that keys came to this node and it asked the others about them
	RecoveryTime             time.Duration // of all together
	RecoveryLongest          time.Duration
	Renewals, RenewalsFailed uint64
	EtcdWrites               uint64
	HandedOver, TakenOver    uint64 // values that were given to, or taken from, another owner on planned moves
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

// Draining reports whether this node gives its partitions away, or has.
func (s Status) Draining() bool {
	i := slices.IndexFunc(s.Nodes, func(n NodeStatus) bool { return n.Name == s.Name })
	return i >= 0 && s.Nodes[i].State == core.Draining.String()
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
	sizes, owned, left := n.core.Sizes(), n.core.Shares(), max(n.core.Until().Sub(now), 0)
	s := Status{
		Cluster: n.cluster.UUID, Name: n.config.Name, Standing: n.core.Standing(now), Lease: left, LeaseLeast: n.margin.seen(now, left),
		Revision: n.core.Applied(), Behind: n.core.Behind(), Heard: now.Sub(core.Time(n.n.heard.Load())), Epoch: n.core.Epoch(), Partitions: n.cluster.Partitions, Owned: owned[n.self],
		Waiting: sizes.Parked, Flights: sizes.Flights, Held: sizes.Held, Unacked: len(n.acks), CertificateEnds: n.CertificateEnds(),
		Values: n.n.values.Load(), Leases: n.n.leases.Load(), HolderLost: n.n.holderLost.Load(), Superseded: n.n.superseded.Load(),
		LateRejoins: n.n.lateRejoins.Load(), VoidOutcomes: n.n.voidOutcomes.Load(), Buried: n.n.buried.Load(), Lapses: n.n.lapses.Load(),
		Invalidations: n.n.invalidations.Load(), Renewals: n.n.renewals.Load(), RenewalsFailed: n.n.renewalsFailed.Load(),
		EtcdWrites: n.client.Writes(), MessagesLost: n.n.unsent.Load(),
		HandedOver: n.n.handedOver.Load(), TakenOver: n.n.takenOver.Load(),
		Adopted: n.n.adopted.Load(), Lost: n.n.lost.Load(), Unreachable: n.n.unreachable.Load(), Fenced: n.n.fenced.Load(),
		NotAcknowledged: n.n.notAcknowledged.Load(), Silent: n.n.silent.Load(),
		Recoveries: n.n.recoveries.Load(), RecoveryTime: time.Duration(n.n.recoveryTime.Load()), RecoveryLongest: time.Duration(n.n.recoveryLongest.Load()),
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

// A KeyStatus is where a key is, as far as a node knows.
type KeyStatus struct {
	Partition   int
	Owner       string // empty: nobody
	Incarnation uint64 // of the owner
	Generation  uint64

	// What the owner alone knows; zero at other nodes, and while nobody computes
	// the key.
	Loading bool
	Holder  string // the node that computes it
	Waiters int    // callers of other nodes and of this one, as far as each has asked
	Adopted bool   // the owner before this one has granted it
}

// Find is where a key of a cache is.
func (n *Node) Find(cache, key string) KeyStatus {
	key = cache + separator + key
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.partition(key)
	owner, generation := n.core.Route(p)
	s := KeyStatus{Partition: p, Owner: owner.Name, Incarnation: owner.Incarnation, Generation: generation}
	if flight, loading := n.core.FlightOf(key); loading {
		s.Loading, s.Holder, s.Waiters, s.Adopted = true, flight.Holder.Name, flight.Waiters, flight.Adopted
	}
	return s
}

// OwnerOf is the name of the node that owns a key of a cache, as far as this one
// knows; empty if there is none.
func (n *Node) OwnerOf(cache, key string) string { return n.Find(cache, key).Owner }

// An EtcdMember is a member of the cluster's etcd, as it says itself it is.
type EtcdMember struct {
	Name      string // of an embedded one: its address for the other members
	Peer      string // host:port for the other members
	Client    string // and for nodes
	Learner   bool
	Reachable bool // from this node; else only Cause says more
	Leader    bool
	Led       bool // it knows a leader
	Version   string
	Bytes     int64 // of its file
	Took      time.Duration
	Alarms    []string // as NOSPACE
	Cause     string   // why it could not be reached
}

// EtcdMembers asks the members of etcd how they are, within about a second, also
// when they have no majority. The error says that none could be asked who they
// are.
func (n *Node) EtcdMembers(ctx context.Context) ([]EtcdMember, error) {
	found, err := n.client.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	members := make([]EtcdMember, len(found))
	for i, m := range found {
		members[i] = EtcdMember{
			Name: m.Name, Peer: m.Peer, Client: m.Client, Learner: m.Learner, Reachable: m.Reachable, Leader: m.Leader, Led: m.Led,
			Version: m.Version, Bytes: m.Bytes, Took: m.Took, Alarms: m.Errors, Cause: m.Cause,
		}
	}
	return members, nil
}
