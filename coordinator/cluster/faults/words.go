package faults

import "time"

// A Command tells a node what to do: one line of JSON on its standard input.
// Nodes are told so, and not over the network, because a namespace that is cut
// off must still hear, and because what is written to a stopped process is what
// it finds first when it goes on.
//
// Nodes of the previous version are told too (F18): a word keeps its meaning.
type Command struct {
	ID   int
	Do   string   // one of the words below
	Key  string   `json:",omitempty"`
	Keys []string `json:",omitempty"`

	Value string `json:",omitempty"`

	// Callers ask at the same time, each for at most Patience.
	Callers  int           `json:",omitempty"`
	Patience time.Duration `json:",omitempty"`

	Play *Play `json:",omitempty"`
}

// What a node can be told to do.
const (
	Get           = "get"            // Key, by Callers
	Invalidate    = "invalidate"     // Key, acknowledged
	InvalidateTag = "invalidate tag" // the tag that is Key, acknowledged
	InvalidateAll = "invalidate all" // acknowledged
	Set           = "set"            // Key to Value, everywhere
	Look          = "look"           // at itself: Status, and the owners of Keys
	Leads         = "leads"          // say whether the member of etcd in the process leads
	Begin         = "begin"          // Play, until it is told to Rest
	Rest          = "rest"           // end what Begin began, once all have their answers
	Weigh         = "weigh"          // say what the process uses
	Owners        = "owners"         // say who owns each partition
	Drain         = "drain"          // give away the partitions of the node that is Key
	Undrain       = "undrain"        // let the node that is Key own again
	Close         = "close"          // leave the cluster, and end
)

// Play is requests without end, at a rate that does not fall when answers are
// late.
type Play struct {
	// Keys are asked for by chance. Without them it is Prefix0, Prefix1 and so on,
	// each once, in time with all nodes that have the same From and Rate.
	Keys   []string `json:",omitempty"`
	Prefix string   `json:",omitempty"`

	From Instant // when the first request is made
	Rate float64 // of requests, per second
	Path string  // of the file to which reads are written, each a line of JSON
}

// A Read is what became of one request of a Play.
type Read struct {
	Key          string
	Call, Return Instant
	Value        string `json:",omitempty"`
	Error        string `json:",omitempty"`
}

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
	Ended       Instant // is Done

	Status *Status  `json:",omitempty"`
	Owners []string `json:",omitempty"` // of Keys, or of partitions
	Leads  bool     `json:",omitempty"`
	Weight *Weight  `json:",omitempty"`
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

// Weight is what a process uses.
type Weight struct {
	Goroutines  int
	Descriptors int
	Heap        uint64 // bytes, after a collection
}
