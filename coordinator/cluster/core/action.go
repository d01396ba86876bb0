package core

import "time"

// An Action is what a core wants done. The shell carries them out in their
// order; Keep before it hands the core the next event.
type Action interface{ action() }

// Renew asks for a renewal of the node's record with a new nonce. Its t0 is the
// clock reading of the Step that gave it. Renewed follows, always.
type Renew struct {
	Nonce    uint64
	Draining bool // the record says so from now on
}

// Write asks for a transaction: if the table still has revision TableRevision,
// and every record in Bury its revision, the table becomes Table and the records
// tombstones. Wrote follows, always.
type Write struct {
	ID            uint64
	Table         *Table
	TableRevision uint64
	Bury          []Burial
}

// HandOver asks for what this node has kept of partitions to be given to their
// next owners, before a write that gives them away. HandedOver follows, or the
// core goes on without it after Times.Handover.
type HandOver struct {
	Round uint64
	Gifts []Gift
}

// A Gift is a partition that is about to be another's.
type Gift struct {
	Part uint32
	To   Node
}

// A Burial makes a node's record a tombstone, if it still has that revision.
type Burial struct {
	Node     Node
	Revision uint64
}

// Send hands a message to a peer's stream. It is lost if the session has ended.
type Send struct {
	To      Node
	Session uint64
	Message Message
}

// Answered is the answer to an Ask.
type Answered struct {
	Ask     uint64
	Kind    Kind // never KindWrongOwner
	Flight  Flight
	Life    time.Duration
	Value   Value
	Failure Failure
}

// Settled acknowledges Done. Void: the lease was not valid any more.
type Settled struct {
	Flight Flight
	Void   bool
}

// Lost says that a lease of this node is void.
type Lost struct{ Flight Flight }

// NobodyAnywhere says that nobody anywhere waits for a lease of this node.
type NobodyAnywhere struct{ Flight Flight }

// Keep gives this node, which owns the key, what another has computed.
type Keep struct {
	Key   string
	Value Value
}

// Acknowledged says that no node answers any more from what an invalidation
// concerns.
type Acknowledged struct{ ID uint64 }

// Fenced says that this incarnation is dead to the others. Every Ask has been
// answered; the core does nothing any more.
type Fenced struct{}

// Drained says that this node owns nothing and its record is a tombstone.
type Drained struct{}

// A Note is something that an operator may want to know, or count.
type Note struct {
	What NoteKind
	Node Node
	Part uint32
	Key  string
	Took time.Duration
}

// A NoteKind names what a Note says.
type NoteKind uint8

const (
	NoteLapsed       NoteKind = iota // this node's lease ran out
	NoteRestored                     // and is back, after Took
	NoteBuried                       // Node was declared dead by this node
	NoteTookOver                     // this node owns Part: the first of a batch
	NoteActive                       // recovery ended after Took
	NoteHolderLost                   // Node computed Key and is gone or silent: the lease goes on
	NoteSuperseded                   // a lease of Key was not adopted: a younger one is there
	NoteLateRejoin                   // a lease of Key was presented after recovery, and adopted
	NoteVoidOutcome                  // an outcome of Key came from Node under a void lease
	NoteUnreachable                  // Node, an owner, could not be reached in time for Key
	NoteFenced                       // this incarnation was declared dead
	NoteOldTable                     // a table that is not newer than the one in force was passed over
	NoteAdopted                      // a lease of Key that an earlier owner had granted to Node goes on
	NoteInvalidation                 // an invalidation was acknowledged only after the wait for a silent Node
)

func (Renew) action()          {}
func (Write) action()          {}
func (HandOver) action()       {}
func (Send) action()           {}
func (Answered) action()       {}
func (Settled) action()        {}
func (Lost) action()           {}
func (NobodyAnywhere) action() {}
func (Keep) action()           {}
func (Acknowledged) action()   {}
func (Fenced) action()         {}
func (Drained) action()        {}
func (Note) action()           {}
