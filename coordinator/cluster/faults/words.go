package faults

import "time"

// A Command tells a node what to do: one line of JSON on its standard input.
// Nodes are told so, and not over the network, because a namespace that is cut
// off must still hear, and because what is written to a stopped process is what
// it finds first when it goes on.
type Command struct {
	ID   int
	Do   string   // one of the words below
	Key  string   `json:",omitempty"`
	Keys []string `json:",omitempty"`

	// Callers ask at the same time, each for at most Patience.
	Callers  int           `json:",omitempty"`
	Patience time.Duration `json:",omitempty"`
}

// What a node can be told to do.
const (
	Get        = "get"        // Key, by Callers
	Invalidate = "invalidate" // Key, acknowledged
	Look       = "look"       // at itself: Status, and the owners of Keys
	Leads      = "leads"      // say whether the member of etcd in the process leads
	Close      = "close"      // leave the cluster, and end
)

// An Answer is what became of a Command: one line of JSON on the standard
// output. The first one, with ID 0, says that the node serves.
type Answer struct {
	ID     int
	Error  string         `json:",omitempty"` // of the command as a whole
	Values map[string]int `json:",omitempty"` // what callers were given, and how many of them
	Errors map[string]int `json:",omitempty"` // what the others were told

	// Heard is when the command was read, Done when the last caller had his
	// answer, and Slowest how long that one waited. Both are instants of the
	// machine that all processes run on.
	Heard, Done time.Time
	Slowest     time.Duration

	Status *Status  `json:",omitempty"`
	Owners []string `json:",omitempty"` // of Keys
	Leads  bool     `json:",omitempty"`
}

// Status is what a node knows of itself.
type Status struct {
	Standing       bool
	Owned          int
	Streams        int
	Nodes          []string // that are live
	Ownerless      int      // partitions without an owner
	Epoch          uint64
	Buried, Lapses uint64
	HolderLost     uint64
	Superseded     uint64
}
