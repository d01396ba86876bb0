package core

import "time"

// An Event is what happens to a core. The shell hands events over one at a time.
type Event interface{ event() }

// A NodeState is what a node's record says about it.
type NodeState uint8

const (
	Live      NodeState = iota // owns partitions and is granted leases
	Draining                   // gives its partitions away
	Tombstone                  // this incarnation can never renew again
)

func (s NodeState) String() string { return [...]string{"live", "draining", "tombstone"}[s] }

// A NodeRecord is what the nodes agree on about one node.
type NodeRecord struct {
	Node
	State   NodeState
	Weight  int // its share of partitions, relative to the others'
	Address string
	Zone    string
	Nonce   uint64 // of its last renewal
	Dir     string // names its data directory; an exclusive lock on that proves that earlier incarnations are dead
	Clock   Time   // its own at its last renewal: rates are compared
}

// A Table says who owns what. Owner[p] indexes Nodes from 1; 0 is nobody.
type Table struct {
	Epoch uint64
	Nodes []Node
	Owner []uint16
	Gen   []uint64
}

// OwnerOf is the owner of a partition, the zero Node if it has none.
func (t *Table) OwnerOf(p int) Node {
	if t == nil || p >= len(t.Owner) || t.Owner[p] == 0 {
		return Node{}
	}
	return t.Nodes[t.Owner[p]-1]
}

// Tick lets time pass.
type Tick struct{}

// Renewed is what a renewal came to: Renew's transaction, or its failed compare,
// which reads the same keys. Record is the node's own record, as found.
type Renewed struct {
	OK     bool   // the etcd transaction was answered; else nothing below counts
	Nonce  uint64 // that the record has now: an earlier one if its answer was lost
	Gone   bool   // the record is a tombstone, or another incarnation's
	Table  uint64 // the revision of the table
	Inv    uint64 // and of the newest invalidation
	Record uint64 // and of the record
}

// Changed is one revision of the watch, after every cache of the node has
// applied its invalidations. Nodes and Table hold what changed.
type Changed struct {
	Revision uint64
	Nodes    []NodeChange
	Table    *Table // nil: not changed
}

// A NodeChange is a new version of a node's record, or its removal.
type NodeChange struct {
	Name     string
	Record   *NodeRecord // nil: removed
	Revision uint64
}

// Wrote is what a Write came to. An outcome that is not known is Unknown; then
// the core repeats the write, which can succeed once only.
type Wrote struct {
	ID      uint64
	OK      bool
	Unknown bool
	Table   uint64 // the revision of the table after it, or as found when the compare failed
}

// Opened says that a stream to a peer is there. What is received from older
// sessions does not count any more. A stream to a node whose record the core has
// not been shown by Changed is not opened at either end: nothing of it would be
// heard.
type Opened struct {
	Peer    Node
	Session uint64
}

// Closed says that it is gone.
type Closed struct {
	Peer    Node
	Session uint64
}

// Received is a message from a peer.
type Received struct {
	From    Node
	Session uint64
	Message Message
}

// Ask is a Join of this node's own. It is answered by one Answered, unless it is
// left.
type Ask struct {
	ID      uint64
	Key     string
	Since   uint64 // s, read under a lease that was valid then
	Wait    time.Duration
	Fresh   bool
	NoStale bool
	Refresh bool
	Lapsed  bool            // s was not read under a lease
	Set     bool            // the value is here: a lease at once, whatever is kept or under way; with Fresh
	Behind  func() []Flight // the leases here whose loads wait for this; may be nil
}

// LeaveAsk takes an Ask back.
type LeaveAsk struct{ ID uint64 }

// Done is what a lease of this node came to; Settled follows.
type Done struct {
	Flight  Flight
	Kind    Kind
	Value   Value
	Failure Failure
}

// NobodyHere says that nobody of this node waits for a lease's load any more.
type NobodyHere struct{ Flight Flight }

// Committed says at which revision an invalidation stands in the log.
// Acknowledged follows, unless the core is fenced: then it is the next one's to
// be told of.
type Committed struct {
	ID       uint64
	Revision uint64
}

// Doubted says that the clock of this node's machine cannot be trusted, or can
// again: meanwhile its lease is not extended.
type Doubted struct{ Clock bool }

// Drain makes the node give its partitions away and leave; with Stay it goes on
// as one that owns nothing.
type Drain struct{ Stay bool }

// HandedOver answers HandOver.
type HandedOver struct{ Round uint64 }

// Undrain lets a node that has stayed own partitions again.
type Undrain struct{}

func (Tick) event()       {}
func (Renewed) event()    {}
func (Changed) event()    {}
func (Wrote) event()      {}
func (Opened) event()     {}
func (Closed) event()     {}
func (Received) event()   {}
func (Ask) event()        {}
func (LeaveAsk) event()   {}
func (Done) event()       {}
func (NobodyHere) event() {}
func (Committed) event()  {}
func (Doubted) event()    {}
func (Drain) event()      {}
func (HandedOver) event() {}
func (Undrain) event()    {}
