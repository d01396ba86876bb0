package core

import (
	"fmt"
	"time"
)

// Time is an instant on a node's own clock: nanoseconds of CLOCK_BOOTTIME, which
// goes on while a machine is suspended. Instants never leave their node:
// messages carry remaining durations.
type Time int64

// Add is the instant d after t.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub is the duration from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// A Node is one life of one machine: a restart under the same name is another.
// The zero Node is nobody.
type Node struct {
	Name        string
	Incarnation uint64
}

func (n Node) String() string {
	if n == (Node{}) {
		return "nobody"
	}
	return fmt.Sprintf("%s/%d", n.Name, n.Incarnation)
}

// A Flight names a lease: the right to compute one key, granted by the owner of
// its partition. Within a partition later flights have greater numbers, also
// across owners, because the generation grows at every change of owner. The zero
// Flight is none.
type Flight struct {
	Part uint32
	Gen  uint64 // the partition's generation when the lease was granted
	Seq  uint64 // counts the leases of the core that granted it
}

func (f Flight) String() string { return fmt.Sprintf("%d.%d.%d", f.Part, f.Gen, f.Seq) }

// after reports whether f is the younger of two flights of one partition.
func (f Flight) after(g Flight) bool { return f.Gen > g.Gen || f.Gen == g.Gen && f.Seq > g.Seq }

// A Value is what a load came to, or what a node has kept of it. Only what the
// protocol looks at is seen here; the rest is the shell's.
type Value struct {
	Revision uint64 // v: what was applied where it was computed when its load began
	Tags     []string
	Keep     bool // false: for those who wait, and kept by nobody
	Stale    bool // past its freshness, within its windows
	Payload  any  // the record: opaque
}

// A Failure is an error on its way between nodes. Code says which of the known
// errors it is; the core only makes those of the codes below.
type Failure struct {
	Code       uint32
	Text       string
	RetryAfter time.Duration // the pause of the key
}

// A Message goes from one node to another on their ordered stream. What is lost
// with a stream is sent again by whoever still wants it when the next one opens:
// askers their Joins, holders their leases and outcomes, owners their Recovers.
type Message interface{ message() }

// Join asks the owner of a key for its value, or for the right to compute it.
// The same Ask may come twice; it is answered once a session.
type Join struct {
	Ask     uint64 // chosen by the asker; unique within its incarnation
	Key     string
	Gen     uint64        // of the key's partition, as the asker knows it
	Since   uint64        // s
	Wait    time.Duration // for how long the asker waits, and the absolute lifetime of a lease
	On      Flight        // what it was parked on before; zero: nothing
	Holder  Node          // of On
	Fresh   bool          // a cached value will not do, nor a flight that is under way
	NoStale bool          // a stale value will not do
	Refresh bool          // nobody waits for it
	Lapsed  bool          // the asker's lease is out: it is never granted a lease
	Set     bool          // the asker has the value, and asks for a lease to give it; with Fresh
}

// Leave takes a Join back.
type Leave struct{ Ask uint64 }

// A Kind is what a Reply or an Outcome says.
type Kind uint8

const (
	KindValue       Kind = iota + 1 // Value; it may be stale
	KindLease                       // Flight and Life; Value.Payload is what the load may validate, or nil
	KindPass                        // compute for yourself
	KindError                       // Failure
	KindOverloaded                  // refused by a limit
	KindUnavailable                 // nothing is there, and nobody may compute it
	KindWrongOwner                  // Gen: of the table that says so
	KindAbandon                     // of an Outcome: another is to have the lease
)

func (k Kind) String() string {
	names := [...]string{"", "value", "lease", "pass", "error", "overloaded", "unavailable", "wrong owner", "abandon"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Reply answers a Join. One that carries the outcome of a flight on which the
// Join was parked names the flight, and is acknowledged by Took.
type Reply struct {
	Ask     uint64
	Kind    Kind
	Gen     uint64 // of the partition at the owner
	Flight  Flight
	Life    time.Duration // of a lease: what is left of its absolute lifetime
	Value   Value
	Failure Failure
}

// Parked says what a Join waits for.
type Parked struct {
	Ask    uint64
	Flight Flight
	Holder Node
}

// Took acknowledges a Reply that carries an outcome.
type Took struct {
	Ask    uint64
	Flight Flight
}

// Outcome is what a lease came to. Its holder keeps it, and offers it again on
// every new stream and to every new owner, until Taken.
type Outcome struct {
	Flight  Flight
	Key     string
	Kind    Kind // KindValue, KindPass, KindError, KindAbandon
	Value   Value
	Failure Failure
}

// Taken acknowledges an Outcome: whoever waited has it. Void says that the
// lease was not valid any more and that nobody was given anything.
type Taken struct {
	Flight Flight
	Void   bool
}

// Extend is the heartbeat of all leases that a node holds of one owner.
type Extend struct {
	Round   uint64
	Flights []Flight
}

// Extended answers Extend. A flight in neither list is not decided: its
// partition is moving.
type Extended struct {
	Round uint64
	Kept  []Flight
	Void  []Flight
}

// Idle says that nobody waits at the holder any more.
type Idle struct{ Flight Flight }

// Unwanted says that nobody waits anywhere: the holder may end the load.
type Unwanted struct{ Flight Flight }

// A PartGen is a partition at a generation.
type PartGen struct {
	Part uint32
	Gen  uint64
}

// Recover is sent by a new owner to every node: it teaches the receiver who owns
// the partitions, and asks for what the receiver has of them. The answer is
// Joins and Rejoins, and End.
type Recover struct {
	Round uint64
	Parts []PartGen
}

// Rejoin presents a lease to a new owner, or to the same one on a new stream.
type Rejoin struct {
	Flight  Flight
	Key     string
	Since   uint64 // its v is not below
	Life    time.Duration
	Idle    bool
	Set     bool     // it is of a Join with Set
	Outcome *Outcome // nil: it is still being computed
}

// End closes the answer to a Recover.
type End struct{ Round uint64 }

// Applied asks whether the receiver has applied a revision; it answers with
// HasApplied as soon as it has.
type Applied struct{ Revision uint64 }

// HasApplied answers Applied.
type HasApplied struct{ Revision uint64 }

// Probe follows what flights wait for, from the flight For, whose load waits in
// the Join Ask of the node From. At is the flight that the receiver holds. One
// that comes home is a cycle.
type Probe struct {
	For  Flight
	From Node
	Ask  uint64
	At   Flight
	Hops uint32
}

// Cycle tells the node of a probe that it came home.
type Cycle struct{ Ask uint64 }

func (Join) message()       {}
func (Leave) message()      {}
func (Reply) message()      {}
func (Parked) message()     {}
func (Took) message()       {}
func (Outcome) message()    {}
func (Taken) message()      {}
func (Extend) message()     {}
func (Extended) message()   {}
func (Idle) message()       {}
func (Unwanted) message()   {}
func (Recover) message()    {}
func (Rejoin) message()     {}
func (End) message()        {}
func (Applied) message()    {}
func (HasApplied) message() {}
func (Probe) message()      {}
func (Cycle) message()      {}
