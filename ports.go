package corral

import (
	"context"
	"io"
	"time"
)

// A Coordinator decides who may compute, among processes that share keys. Nil
// in the Options means that nobody else asks.
//
// Contract, which corraltest checks:
//
//   - Revisions are numbers that all processes share, that begin at 1 and never
//     fall.
//     Before Watch's callback has returned for a revision, no Answer carries a
//     value that an invalidation up to it concerns, unless Record.Revision says
//     so: the cache checks every record again.
//   - Join blocks while another process computes, until ctx ends.
//   - Invalidate returns nil only once no process, this one included, will hand
//     out what the target concerns, or, when it is soft, hand it out as fresh:
//     here, once the callback of Watch has returned for it. Otherwise it returns
//     ErrNotAcknowledged. What the owner itself keeps goes either way.
//   - Watch, begun again after it ended, goes on where it ended, or begins with an
//     Invalidation of everything, or with Missed. From its first call on, or from
//     the last one with Missed, the process has heard of everything: what its store
//     has from before is of use for validation only.
//   - All methods may be called at once from many goroutines.
type Coordinator interface {
	Join(ctx context.Context, request Request) (Answer, error)
	Invalidate(ctx context.Context, target Target) error
	// Watch calls apply for every invalidation, its target as it was given, in
	// the order of revisions, one at a time, until ctx ends, and returns why it
	// ended. An Invalidation without a target only moves the revision on.
	Watch(ctx context.Context, apply func(Invalidation)) error
}

// A Request asks the owner of a key for its value or for the right to compute it.
type Request struct {
	Key      string
	Revision uint64        // s: what this process had applied when its caller arrived
	Fresh    bool          // a cached value will not do
	NoStale  bool          // a stale value will not do
	Refresh  bool          // nobody waits: a value is here, and a lease may be refused
	Previous *Record       // what a refresh validates, without its value; else nil
	Wait     time.Duration // for how long the caller is ready to be parked
	// Lapsed says that the Keeper reported, when the caller arrived, that this
	// process may not answer: Revision says nothing then, and a lease will not do.
	Lapsed bool
	// Behind gives, at the moment of the call and until Join has returned, the
	// leases whose loads in this process wait for this Join, directly or
	// through other loads: a ring of them over several processes is ErrCycle.
	// It is never nil, calls neither Coordinator nor Lease, and may be called
	// under the Coordinator's locks.
	Behind func() []Lease
}

// An AnswerKind says which field of an Answer counts.
type AnswerKind uint8

const (
	AnswerValue       AnswerKind = iota // Record: a value, fresh
	AnswerStale                         // Record: a value past its freshness, within its windows
	AnswerLease                         // Lease: compute it
	AnswerPass                          // each caller computes for itself
	AnswerError                         // Err: the outcome of the load elsewhere
	AnswerOverloaded                    // the owner refuses; do not retry at once
	AnswerUnavailable                   // nobody can say; ErrUnavailable
)

// An Answer is what Join came to.
type Answer struct {
	Kind AnswerKind
	// Record is the value. With AnswerLease it is one that is too old to be an
	// answer, for the load to validate and for when it fails; or nil.
	Record     *Record
	Lease      Lease
	Err        error
	RetryAfter time.Duration // with AnswerError: the pause of the key
}

// A Lease is the right to compute one key. The cache ends it by exactly one of
// Fill, Fail, Pass and Abandon, whatever the loader does, and calls Extend every
// second until then. Fail hands an error to all who wait; Abandon says that
// nothing was computed, for a reason of this process alone (it closes, or a
// limit of its own refuses, or nobody wants it), and that another is to have the
// lease. Lost is closed when the lease is void: what is computed after that goes
// to this process's own callers and is kept by nobody.
//
// Leave says that nobody of this process waits for the value any more. The load
// goes on: callers of other processes may wait. When nobody does, the
// coordinator calls unwanted, at most once for each Leave, and the cache cancels
// the load and abandons the lease, unless somebody of this process waits again.
// Leave returns without waiting for that. unwanted may be called by Leave
// itself, and under the coordinator's locks.
type Lease interface {
	Fill(ctx context.Context, record *Record) error
	Fail(ctx context.Context, cause error, retryAfter time.Duration) error
	Pass(ctx context.Context) error
	Abandon(ctx context.Context) error
	Extend(ctx context.Context) error
	Leave(unwanted func())
	Lost() <-chan struct{}
}

// A Store is where finished values survive. Nil in the Options means nowhere.
//
// Contract, which corraltest checks:
//
//   - Get returns nil, nil for a key it does not have. A record's durations are
//     remaining ones at the moment of Get.
//   - A record that was there when Delete was called, and that its invalidation
//     concerns by key, prefix, tag and a revision above the record's, is not
//     returned once that Delete has returned nil. Target.Soft changes nothing.
//   - Put replaces the record of its key as a whole or not at all. It reads
//     Body to its end before it returns, when there is one.
//   - All methods may be called at once from many goroutines.
//
// A store that fails, panics or does not answer within Options.StoreTimeout is
// done without.
//
// A store that outlives the process also implements Revisioned, or its records
// could look newer than an invalidation of the next process. It goes with one
// Coordinator and its revisions: empty it when those begin anew.
type Store interface {
	Get(ctx context.Context, key string) (*Record, error)
	Put(ctx context.Context, key string, record *Record) error
	Delete(ctx context.Context, invalidation Invalidation) error
}

// Revisioned is a Store that knows the highest revision it has seen. A cache
// without a Coordinator counts on from there.
type Revisioned interface {
	Revision(ctx context.Context) (uint64, error)
}

// Sequenced is a Coordinator that names the sequence of its revisions: they can
// be compared with those of the same name only. The name is the same in all
// processes that share keys, and as long as the Coordinator lives.
type Sequenced interface {
	Sequence() string
}

// Bound is a Store that knows to which sequence its records' revisions belong.
// New calls Bind once, before any other method, with the Coordinator's Sequence,
// or with "" where there is none: revisions are a count of this process's own
// then, which goes on from Revisioned. Nothing that was put under another
// sequence is returned after that. Bind does not wait for a network.
type Bound interface {
	Bind(sequence string) error
}

// A Record is a value on its way between processes or to a store: bytes and
// remaining durations, no instants.
type Record struct {
	Value []byte // not written to once it is there
	// Body reads the body of a value that has one; nil otherwise. Whoever
	// receives the record closes it. BodySize is its length, -1 if unknown.
	Body     io.ReadCloser
	BodySize int64

	Revision      uint64        // v: what was applied when its load began
	Outcome       Outcome       // Keep or Share
	Age           time.Duration // since it was computed
	TTL           time.Duration // remaining; negative when stale
	StaleFor      time.Duration // windows, from the end of TTL
	StaleOnError  time.Duration
	StaleOnOutage time.Duration
	EarlyRefresh  float64       // β
	Cost          time.Duration // how long it took to compute: XFetch's Δ
	Tags          []string
	Validator     string
}

// A Target says what an invalidation concerns: the values under one of Keys,
// under a key that begins with one of Prefixes, or that carry one of Tags; with
// All, every value.
type Target struct {
	Keys     []string
	Prefixes []string
	Tags     []string
	All      bool
	// Soft lets values stay that are in a process's memory: they count as
	// expired from the moment at which the invalidation is applied there, so
	// that stale windows count from then and validators stay of use. For what
	// comes from elsewhere, and for stores and owners, it is as if not set.
	Soft bool
}

// An Invalidation is a target with the revision at which it takes effect.
type Invalidation struct {
	Revision uint64
	Target
	// More says that another of the same revision follows. Only with the last
	// one is the revision applied.
	More bool
	// Missed says that what was invalidated up to Revision is not known, all of
	// it or some: the process may have missed it. What it has in memory from
	// before counts as invalidated. There is no target then.
	Missed bool
	// Forget, to a Store only, says that what is there under Keys goes, whatever
	// its revision, and that nothing is remembered of it: what is put later stays,
	// whatever its revision.
	Forget bool
}

// A Codec turns values into bytes for a Coordinator or a Store. The bytes are
// written to by nobody once they are there, as a value is not: Decode may keep
// its argument, and Encode return what the value holds.
type Codec[V any] interface {
	Encode(value V) ([]byte, error)
	Decode(data []byte) (V, error)
}
