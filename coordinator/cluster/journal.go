package cluster

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
)

const (
	// maxJournalBytes bounds what a node remembers of the log of invalidations:
	// some 50,000 short keys.
	maxJournalBytes = 4 << 20

	// entryBytes is what an entry of the journal, and each target in it, takes
	// besides its texts.
	entryBytes = 128

	// pastTimeout bounds how long a node reads the log of invalidations that it
	// has not watched: some 10,000 batches. A node that begins waits for it.
	pastTimeout = 2 * time.Second

	// fewEntries is how many entries a cache is told while revisions wait.
	fewEntries = 16
)

// A journal is the end of the log of invalidations, for caches that begin to
// watch, and for those that have missed something. Its zero value knows of
// nothing.
//
// Invariants:
//
//	J1. It has every invalidation in (floor, applied], in the order of revisions.
//	    Guarded by Node.deliver.
//	J2. floor never falls. It rises when the oldest is forgotten, and where the
//	    log cannot be read.
type journal struct {
	floor   uint64
	entries []entry
	bytes   int
}

// An entry is what one revision invalidated.
type entry struct {
	revision uint64
	batch    []etcd.Invalidation
	bytes    int
}

func newEntry(revision uint64, batch []etcd.Invalidation) entry {
	e := entry{revision, batch, entryBytes}
	for _, one := range batch {
		e.bytes += entryBytes + len(one.Cache) + sizeOf(one.Target)
	}
	return e
}

func (j *journal) add(e entry) {
	j.entries = append(j.entries, e)
	j.bytes += e.bytes
	for j.bytes > maxJournalBytes {
		j.floor = j.entries[0].revision
		j.bytes -= j.entries[0].bytes
		j.entries[0] = entry{}
		j.entries = j.entries[1:]
	}
}

// forget is for what is invalidated up to a revision and cannot be read.
func (j *journal) forget(revision uint64) {
	*j = journal{floor: max(j.floor, revision)}
}

// after is what was invalidated after a revision, none below the floor.
func (j *journal) after(revision uint64) []entry {
	first, _ := slices.BinarySearchFunc(j.entries, revision+1, func(e entry, revision uint64) int {
		return cmp.Compare(e.revision, revision)
	})
	return slices.Clone(j.entries[first:])
}

var saysNoPast = notice{slog.LevelWarn, "the log of invalidations cannot be read as far back as it reaches",
	"stored values from before count as unknown: each is validated, or loaded again, when it is asked for",
	"none if it passes; else see whether etcd has a leader and answers (corral cluster members)"}

// past reads the log backwards, from one revision to another or as far as it
// reaches, and no further than the journal would. All that was invalidated after
// floor is in the entries.
func (n *Node) past(ctx context.Context, from, to uint64) (entries []entry, floor uint64) {
	ctx, cancel := context.WithTimeout(ctx, pastTimeout)
	defer cancel()
	size := 0
	var unreadable uint64
	tell := func(kv etcd.KV) bool {
		if kv.Revision <= to {
			return false
		}
		batch, err := etcd.DecodeInvalidations(kv.Value)
		if err != nil {
			unreadable = kv.Revision
			n.quietly.say(saysBadInvalidation, err)
			return false
		}
		e := newEntry(kv.Revision, batch)
		entries, size = append(entries, e), size+e.bytes
		return size < maxJournalBytes
	}
	floor, err := n.client.Past(ctx, etcd.InvalidationsKey, from, tell)
	for errors.Is(err, etcd.ErrUnknown) && pause(ctx, n.times.Retry) == nil { // a member lags, or they choose a leader
		floor, err = n.client.Past(ctx, etcd.InvalidationsKey, floor, tell)
	}
	if err != nil && n.ctx.Err() == nil {
		n.quietly.say(saysNoPast, err)
	}
	slices.Reverse(entries)
	return entries, max(floor, unreadable)
}

// begins takes in what the log has of before the node began.
func (n *Node) begins(entries []entry, floor uint64) {
	n.deliver.Lock()
	defer n.deliver.Unlock()
	n.missed(floor)
	for _, e := range entries {
		n.invalidate(e)
	}
}

// invalidate lets every cache apply a revision. Called with deliver held.
func (n *Node) invalidate(e entry) {
	if len(e.batch) > 0 {
		n.journal.add(e)
		for _, one := range e.batch {
			n.quiet.invalidated(one.Cache, e.revision)
		}
	}
	for _, k := range n.allKeepers() {
		if k.apply != nil {
			k.tell(k.apply, e)
		}
	}
}

// missed tells every cache that what was invalidated up to a revision is not
// known. Called with deliver held.
func (n *Node) missed(revision uint64) {
	n.quiet.all(revision)
	n.journal.forget(revision)
	for _, k := range n.allKeepers() {
		if k.apply != nil {
			k.told = revision
			k.apply(corral.Invalidation{Revision: revision, Missed: true})
		}
	}
}

// tell tells a cache what of an entry concerns it, and the revision in any case,
// each once.
func (k *keeper) tell(apply func(corral.Invalidation), e entry) {
	if e.revision <= k.told {
		return
	}
	k.told = e.revision
	var before *corral.Target
	for i := range e.batch {
		if e.batch[i].Cache != k.name {
			continue
		}
		if before != nil {
			apply(corral.Invalidation{Revision: e.revision, Target: *before, More: true})
		}
		before = &e.batch[i].Target
	}
	last := corral.Invalidation{Revision: e.revision}
	if before != nil {
		last.Target = *before
	}
	apply(last)
}

// catchUp tells a cache that begins to watch what the journal has and it has
// not been told, without keeping revisions waiting. Called with deliver held,
// which it lets go of meanwhile.
func (k *keeper) catchUp(ctx context.Context, apply func(corral.Invalidation)) error {
	n := k.node
	for {
		missed := k.told == 0 || k.told < n.journal.floor
		if missed {
			k.told = max(n.journal.floor, 1)
		}
		entries := n.journal.after(k.told)
		live := !missed && len(entries) <= fewEntries
		if !live {
			n.deliver.Unlock()
		}
		if missed {
			apply(corral.Invalidation{Revision: k.told, Missed: true})
		}
		for _, e := range entries {
			k.tell(apply, e)
		}
		if live {
			k.tell(apply, entry{revision: n.applied.Load()})
			return nil
		}
		n.deliver.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
