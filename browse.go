package corral

import (
	"context"
	"iter"
	"time"
)

// A Browser is a Store that can be looked into, by an operator or by metrics.
type Browser interface {
	// Stat waits for no more than a call of the store does.
	Stat(ctx context.Context) (StoreStat, error)
	// List yields what is kept under the keys that begin with prefix, in the
	// order of their bytes where the store has one. What comes or goes meanwhile
	// may be missed. An error ends it.
	List(ctx context.Context, prefix string) iter.Seq2[StoredEntry, error]
	// Verify reads everything that is kept, bodies to their ends. What is broken is
	// yielded with its error, and is out of the store then; the walk goes on.
	Verify(ctx context.Context) iter.Seq2[StoredEntry, error]
	// Remove takes keys out, whatever their revision, and says how many there were.
	Remove(ctx context.Context, keys ...string) (int, error)
}

// A StoreStat is what a Store says of itself. Counts are of this process, since
// the store was opened.
type StoreStat struct {
	Kind     string // "disk", "redis"
	Sequence string // see Bound
	Revision uint64 // the highest it has seen

	Entries  int64 // may be an estimate; -1 if not known
	Bytes    int64 // keys, values, bodies and overhead; may be an estimate; -1 if not known
	MaxBytes int64 // 0: no limit of its own

	Gets    uint64
	Hits    uint64 // of these, those that gave a record
	Puts    uint64
	Deletes uint64
	Errors  uint64 // calls that failed
	Corrupt uint64 // records that could not be read, and are out of the store now
	Evicted uint64 // records that had to make room
	Expired uint64 // records that were past all their windows
	Refused uint64 // records that were too large, or came when there was no room

	Broken string // why the store is done without at the moment; "" while it works
}

// A StoredEntry is what a Store keeps under one key, without its value.
type StoredEntry struct {
	Key       string
	Bytes     int64 // value and body
	HasBody   bool
	Age       time.Duration // since it was computed
	TTL       time.Duration // remaining; negative when stale
	Windows   time.Duration // from the end of TTL, the widest of the stale ones
	Cost      time.Duration // how long it took to compute
	Revision  uint64
	Tags      []string
	Validator string
}
