package corral

import (
	"context"
	"io"
	"math"
	"time"
)

// Forever is a TTL that never ends.
const Forever = time.Duration(math.MaxInt64)

// An Outcome says what becomes of a loaded item.
type Outcome uint8

const (
	// Keep gives the item to all who wait and keeps it.
	Keep Outcome = iota
	// Share gives the item to all who wait and keeps it for nobody.
	Share
	// Pass gives the item to the caller who caused the load and to nobody
	// else: every waiter is released to load for itself, and for PassTTL
	// later callers do not park for this key.
	Pass
	// Validate is Pass for a value that is kept all the same, for validation
	// only: later loads of the key, those beside the mark included, are given
	// it as prev, and no caller is ever given it.
	Validate
	// NotModified keeps the value that the loader was given as prev, with the
	// times of the item. The item's Value is not looked at. A prev that was
	// kept by Validate stays what it is: the outcome is Validate again.
	NotModified
)

func (o Outcome) String() string {
	return [...]string{"keep", "share", "pass", "validate", "not modified"}[o%5]
}

// An Item is a value with what the cache is to know about it. Loaders return
// items, GetItem hands them out.
//
// In an item that a loader returns, a zero duration takes the setting of the
// Options and a negative one means none: TTL -1 lands already expired, as a
// value that must be validated at each use does.
type Item[V any] struct {
	Value   V
	Outcome Outcome

	// TTL is how long the value is fresh, counted from the end of the load
	// (from its header, for a growing body). In an item handed out it is
	// what the loader gave it, jitter included.
	TTL time.Duration
	// Jitter overrides Options.Jitter; negative means none. Lifetimes that an
	// upstream declared are usually not jittered.
	Jitter float64
	// StaleFor, StaleOnError and StaleOnOutage override the Options. All count
	// from the end of TTL. Zero in StaleOnOutage is the item's own
	// StaleOnError, where it sets one.
	StaleFor      time.Duration
	StaleOnError  time.Duration
	StaleOnOutage time.Duration
	// EarlyRefresh overrides Options.EarlyRefresh; negative means none.
	EarlyRefresh float64
	// PassTTL overrides Options.PassTTL for the outcomes Pass and Validate;
	// negative means that no mark stays.
	PassTTL time.Duration

	// Tags name groups that the value belongs to, for InvalidateTags. At most
	// MaxTags of them.
	Tags []string
	// Validator identifies this version of the value to its source, as an
	// ETag does. Opaque to the cache.
	Validator string

	// Size is the value's size in bytes without the key and without a body;
	// zero lets Options.Size find out.
	Size int64

	// Tail, set by a loader, makes the value one whose header is known while
	// its body still arrives: the item is handed out at once, and Tail then
	// writes the body, which every caller reads from its beginning. It runs on
	// the load's goroutine and ends with nil (the body is whole) or an error
	// (it is broken: readers see it, nothing is kept). It is called exactly
	// once, also when nobody wants the body any more: then ctx is done and
	// the first write fails.
	Tail func(ctx context.Context, body io.Writer) error
	// TailSize is how many bytes Tail is going to write; zero or less when
	// that is not known.
	TailSize int64

	// Body, in an item that is handed out, reads the body of a value that has
	// one. It belongs to the caller, who must close it. A loader may return
	// the Body of prev, unread, with a new Value: the stored bytes stay.
	Body *Body
}

// NotModified is what a loader returns when its source says that prev is still
// the current value. Times are those of the Options unless set on the result.
func (it *Item[V]) NotModified() Item[V] {
	return Item[V]{Outcome: NotModified, Tags: it.Tags, Validator: it.Validator}
}

// A Source says where an answer came from.
type Source uint8

const (
	// Hit: a fresh value of this process.
	Hit Source = iota
	// Stale: a value past its freshness, by StaleFor, MaxStale, the soft
	// deadline or, when Info.Err is set, because the load failed.
	Stale
	// Joined: another caller's load.
	Joined
	// Loaded: a load that this call began.
	Loaded
	// Remote: a value that another process computed.
	Remote
	// Stored: a value that the Store kept.
	Stored
)

func (s Source) String() string {
	return [...]string{"hit", "stale", "joined", "loaded", "remote", "store"}[s%6]
}

// Info says why an answer is what it is.
type Info struct {
	Source  Source
	Outcome Outcome // of the load that made the value: Keep for what was found in the cache

	// Kept says that the value was in the cache when it was handed out, so
	// that a later call may find it.
	Kept bool
	// Age is the time since the value was computed, zero for a new one.
	Age time.Duration
	// TTL is how long the value stays fresh; negative when it is stale.
	TTL time.Duration
	// Waiters is how many callers, this one included, the load answered; zero
	// for a Hit.
	Waiters int
	// Version grows with each value that this process computes or takes in; it
	// says nothing across processes.
	Version uint64
	// Revision is the one at which the value's load began: no invalidation up
	// to it concerns the value.
	Revision uint64
	// LoadTime is how long the load took, for Joined, Loaded, Remote and
	// Stored.
	LoadTime time.Duration
	// Err is the failure that a Stale answer covers.
	Err error
}
