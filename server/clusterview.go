package server

import (
	"time"

	"github.com/corralcache/corral/coordinator/cluster"
)

// A ClusterStatus is what GET /cluster/status answers: a cluster.Status, with
// times in milliseconds.
type ClusterStatus struct {
	Cluster      string `json:"cluster"`
	Node         string `json:"node"`
	Standing     bool   `json:"standing"`       // it may answer and grant
	LeaseMS      int64  `json:"lease_ms"`       // what is left of it
	LeaseLeastMS int64  `json:"lease_least_ms"` // and was at least, of late, whenever it was extended
	Draining     bool   `json:"draining"`       // it owns nothing, or soon will
	Revision     uint64 `json:"revision"`       // up to which it knows of all invalidations
	Behind       uint64 `json:"behind"`         // revisions that its last renewal has read and that it has not applied yet
	HeardMS      int64  `json:"heard_ms"`       // since etcd has told it of any
	Epoch        uint64 `json:"epoch"`          // of the table
	Partitions   int    `json:"partitions"`
	Owned        int    `json:"owned"`
	Streams      int    `json:"streams"` // to other nodes
	Waiting      int    `json:"waiting"` // callers of all nodes, for keys of this one
	Granted      int    `json:"granted"` // leases of such keys
	Held         int    `json:"held"`    // leases under which this node computes

	Unacknowledged    int   `json:"unacknowledged"` // batches of invalidations that it has written
	RecoveryMS        int64 `json:"recovery_ms"`    // of all recoveries together
	RecoveryLongestMS int64 `json:"recovery_longest_ms"`

	CertificateEnds *time.Time `json:"certificate_ends,omitempty"` // without TLS there is none

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
		LeaseLeastMS: s.LeaseLeast.Milliseconds(), Behind: s.Behind, HeardMS: s.Heard.Milliseconds(), Draining: s.Draining(), Unacknowledged: s.Unacked,
		RecoveryMS: s.RecoveryTime.Milliseconds(), RecoveryLongestMS: s.RecoveryLongest.Milliseconds(),
		Nodes: nodesOf(s), Counts: map[string]uint64{
			"values": s.Values, "leases": s.Leases, "holder_lost": s.HolderLost, "adopted": s.Adopted, "superseded": s.Superseded, "late_rejoins": s.LateRejoins,
			"void_outcomes": s.VoidOutcomes, "lost_leases": s.Lost, "unreachable": s.Unreachable, "buried": s.Buried, "lapses": s.Lapses, "fenced": s.Fenced,
			"invalidations": s.Invalidations, "not_acknowledged": s.NotAcknowledged, "invalidations_waited": s.Silent, "recoveries": s.Recoveries,
			"handed_over": s.HandedOver, "taken_over": s.TakenOver,
			"renewals": s.Renewals, "renewals_failed": s.RenewalsFailed, "etcd_writes": s.EtcdWrites, "messages_lost": s.MessagesLost,
		},
	}
	if !s.CertificateEnds.IsZero() {
		out.CertificateEnds = &s.CertificateEnds
	}
	return out
}

func nodesOf(s cluster.Status) []ClusterNode {
	nodes := []ClusterNode{}
	for _, n := range s.Nodes {
		nodes = append(nodes, ClusterNode{
			Name: n.Name, Incarnation: n.Incarnation, State: n.State, Address: n.Address, Zone: n.Zone,
			Weight: n.Weight, Owned: n.Owned, Stream: n.Stream, SeenMS: n.Seen.Milliseconds(),
		})
	}
	return nodes
}

// A ClusterTable is what GET /cluster/table answers.
type ClusterTable struct {
	Node       string             `json:"node"` // whose view it is
	Standing   bool               `json:"standing"`
	Epoch      uint64             `json:"epoch"`
	Partitions []ClusterPartition `json:"partitions"`
}

// A ClusterPartition is who owns a share of the keys.
type ClusterPartition struct {
	Owner      string `json:"owner"` // empty: nobody
	Generation uint64 `json:"generation"`
}

func tableOf(s cluster.Status, table []cluster.PartitionStatus) ClusterTable {
	out := ClusterTable{Node: s.Name, Standing: s.Standing, Epoch: s.Epoch, Partitions: make([]ClusterPartition, len(table))}
	for i, p := range table {
		out.Partitions[i] = ClusterPartition(p)
	}
	return out
}

// A ClusterKey is what GET /cluster/partitions answers: where a key is.
type ClusterKey struct {
	Node        string `json:"node"` // whose view it is
	Standing    bool   `json:"standing"`
	Asked       string `json:"asked"`
	Key         string `json:"key"` // as the cache has it
	Partition   int    `json:"partition"`
	Owner       string `json:"owner"` // empty: nobody
	Incarnation uint64 `json:"incarnation"`
	Generation  uint64 `json:"generation"`

	// Load is under way, as its owner sees it; null: none, or another node would
	// know.
	Load *ClusterLoad `json:"load"`
}

// A ClusterLoad is the load of a key.
type ClusterLoad struct {
	Holder  string `json:"holder"`  // the node that computes it
	Waiters int    `json:"waiters"` // callers of all nodes
	Adopted bool   `json:"adopted"` // it was granted by an earlier owner
}

func keyOf(s cluster.Status, asked, key string, k cluster.KeyStatus) ClusterKey {
	out := ClusterKey{
		Node: s.Name, Standing: s.Standing, Asked: asked, Key: key,
		Partition: k.Partition, Owner: k.Owner, Incarnation: k.Incarnation, Generation: k.Generation,
	}
	if k.Loading {
		out.Load = &ClusterLoad{Holder: k.Holder, Waiters: k.Waiters, Adopted: k.Adopted}
	}
	return out
}

// A ClusterMembers is what GET /cluster/members answers.
type ClusterMembers struct {
	Node      string          `json:"node"` // whose view it is
	Standing  bool            `json:"standing"`
	Nodes     []ClusterNode   `json:"nodes"`
	Etcd      []ClusterMember `json:"etcd"`
	EtcdError string          `json:"etcd_error,omitempty"` // why its members are not known
}

// A ClusterMember is a member of etcd.
type ClusterMember struct {
	Name    string   `json:"name"`
	Peer    string   `json:"peer"`   // its address for the other members
	Client  string   `json:"client"` // and for nodes
	Role    string   `json:"role"`   // leader, follower, learner, no-leader, unreachable
	Version string   `json:"version,omitempty"`
	Bytes   int64    `json:"bytes,omitempty"` // of its file
	TookMS  int64    `json:"took_ms,omitempty"`
	Alarms  []string `json:"alarms,omitempty"`
	Cause   string   `json:"cause,omitempty"` // why it is unreachable
}

// What a member of etcd is, by what it says.
const (
	RoleLeader      = "leader"
	RoleFollower    = "follower"
	RoleLearner     = "learner"
	RoleNoLeader    = "no-leader"
	RoleUnreachable = "unreachable"
)

func membersOf(s cluster.Status, members []cluster.EtcdMember, err error) ClusterMembers {
	out := ClusterMembers{Node: s.Name, Standing: s.Standing, Nodes: nodesOf(s), Etcd: []ClusterMember{}}
	if err != nil {
		out.EtcdError = err.Error()
	}
	for _, m := range members {
		out.Etcd = append(out.Etcd, ClusterMember{
			Name: m.Name, Peer: m.Peer, Client: m.Client, Role: roleOf(m), Version: m.Version, Bytes: m.Bytes,
			TookMS: m.Took.Milliseconds(), Alarms: m.Alarms, Cause: m.Cause,
		})
	}
	return out
}

func roleOf(m cluster.EtcdMember) string {
	switch {
	case !m.Reachable:
		return RoleUnreachable
	case m.Leader:
		return RoleLeader
	case !m.Led:
		return RoleNoLeader
	case m.Learner:
		return RoleLearner
	}
	return RoleFollower
}

// A ClusterOrder is what POST /cluster/drain answers.
type ClusterOrder struct {
	Node     string `json:"node"`
	Draining bool   `json:"draining"` // else it owns keys again
}

func namesOf(s cluster.Status) (names []string) {
	for _, n := range s.Nodes {
		names = append(names, n.Name)
	}
	return names
}
