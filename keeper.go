package corral

import (
	"context"
	"iter"
)

// A Keeper is a Coordinator that keeps what its process owns in the cache
// itself, and says when the process may answer from it. A Coordinator that is
// one is asked for both; others keep what they own themselves, and their
// process may always answer.
//
// Contract, which corraltest checks:
//
//   - While Standing reports true, the callback of Watch has returned for every
//     invalidation that was acknowledged before the call: what the cache has
//     applied is what counts. It reads the clock itself, at each call.
//   - The callback of Watch has returned for a revision before the Keeper says
//     elsewhere that this process has applied it.
//   - The answer to a Request with Lapsed set holds for the moment at which a
//     process that may answer received it, whatever Request.Revision says.
//     Such a request is never granted a lease.
type Keeper interface {
	Coordinator
	// Attach gives the Keeper the cache's shelf. New calls it once, before any
	// Join and before Watch; Close calls detach when no call of the Keeper is
	// under way any more.
	Attach(shelf Shelf) (detach func(), err error)
	// Standing reports whether the process may answer from what it has, at the
	// moment of the call. Every Get asks, so it costs no more than reading a
	// clock, and never blocks. It may be called before Attach has returned.
	Standing() bool
	// Await is asked when Standing has reported false: where the process is
	// about to stand (it has just begun, or was just woken) it waits for that,
	// for a second or so and no longer than ctx lasts. It reports whether the
	// process stands now. Elsewhere it reports false at once.
	Await(ctx context.Context) bool
	// Owns reports whether this process is the one that others ask for a key, as
	// far as it knows: such a value is worth keeping, and any other is a mirror.
	// It may err while keys move, and costs nobody more than memory then. It may
	// be called under the cache's locks, and takes none that is held around a
	// call of the Shelf.
	Owns(key string) bool
}

// A Setter is a Coordinator by which Set gives a value to all processes.
//
// Overwrite grants a lease for a key whatever is kept of it or under way. It
// ends the values that are kept by an invalidation of the key at a revision,
// which is acknowledged before it returns; who asks meanwhile waits for the
// lease. The caller ends it as any other, with a record of that revision. With
// an error there is no lease, and the invalidation may be in force or not.
type Setter interface {
	Overwrite(ctx context.Context, key string) (lease Lease, revision uint64, err error)
}

// A Divider is a Coordinator that knows how many processes there are. Share is
// the part, in (0, 1], of a rate that falls to this one; it changes as they come
// and go, and costs no more than reading a number.
type Divider interface {
	Share() float64
}

// A Shelf is what a Keeper sees of a cache. Its methods may be called from any
// goroutine and under the Keeper's locks: they call neither the Keeper nor a
// Lease, and wait for no load, no body and no network. They do call the
// Options' Codec and Size.
type Shelf interface {
	// Peek returns what may be given to a caller with the demands of a request
	// (Key, Revision, Fresh, NoStale, Refresh with Previous); nil if there is
	// nothing, or what is asked of lies beyond Applied. It is as old as its
	// times say: a TTL of zero or less is that of a stale value, within
	// StaleFor. Its Revision is that up to which nothing concerns it, which may
	// be higher than the one at which its load began. Whoever is given a
	// record with a Body reads it from its beginning while it arrives, until
	// ctx ends, and closes it. What is given counts as used.
	Peek(ctx context.Context, request Request) *Record
	// Keep takes in what another process computed, by the rule of revisions,
	// unless what is there is newer. Once it has returned, Peek gives it. A
	// body is read behind it, until its end, and closed in every case.
	//
	// A flight of the key that is asking the Keeper is settled with the record
	// as an AnswerValue would, and the context of its Join ends. One that holds
	// a lease or computes goes on: the record is kept for the time being,
	// unless it began before the flight or has a body. With the Outcome Share
	// nothing is kept.
	Keep(key string, record *Record) error
	// Untouched is the rule of revisions: no invalidation of the key, of its
	// prefixes, of one of the tags or of everything lies in (v, s]. Where too
	// much has been invalidated since v to know, it reports false.
	Untouched(key string, tags []string, v, s uint64) bool
	// Keys yields the keys that something is kept under, in no order. What comes or
	// goes meanwhile may be missed.
	Keys() iter.Seq[string]
	// Applied is the revision up to which the callback of Watch has returned.
	Applied() uint64
}
