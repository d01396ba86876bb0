package corral

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// What may wait to be deleted from the store: so many bytes of keys, prefixes
// and tags. What is over it becomes one deletion of everything.
const maxDeletionBytes = 16 << 20

// maxDeletionTargets is how many keys, prefixes and tags one call of the store
// takes out.
const maxDeletionTargets = 4096

// Pauses before a deletion that failed is tried again.
const (
	firstDeletionPause = 100 * time.Millisecond
	maxDeletionPause   = 5 * time.Second
)

// deletions take what is invalidated out of the store, behind the invalidation:
// a store that hangs must not hold up the revisions, by which this process may
// answer at all.
//
//	X1. What was asked for is told to the store in the order in which it was asked
//	    for, and again until the store has taken it. Nothing is left out: what
//	    waits together may be merged into one call, which deletes as much or more.
//	X2. Whoever waits is answered nil only once the store has taken it.
//	X3. Once one has failed, the store is neither read nor written to until it has
//	    taken all that was asked for by then (T5).
type deletions struct {
	mu      sync.Mutex
	queue   []deletion    // the first is under way
	bytes   int           // of all in queue
	tickets uint64        // given out
	told    uint64        // all up to this one are done
	behind  uint64        // all up to this one must be done before the store is of use (X3)
	met     uint64        // the revision that the store had, where this process counts on from it
	err     error         // why the first is not done yet, once it has failed
	moved   chan struct{} // closed and made anew whenever told or err changes
}

// A deletion is one call of the store.
type deletion struct {
	Invalidation
	ticket uint64 // the last that is part of it
}

// deleteBehind begins to delete what an invalidation concerns, and gives a
// ticket to wait with. It does not wait itself.
func (c *Cache[V]) deleteBehind(inv Invalidation) (ticket uint64) {
	d := &c.deletions
	d.mu.Lock()
	defer d.mu.Unlock()
	if inv.Revision <= d.met { // counted while the store was met
		inv.Revision = c.rules.apply(Invalidation{}).Revision
	}
	if !inv.empty() { // else the store is only to be met
		d.tickets++
	}
	d.addLocked(deletion{inv, d.tickets})
	if len(d.queue) == 1 {
		c.chores.Go(c.deleteAll)
	}
	return d.tickets
}

// addLocked merges a deletion with the last one that waits, where it can.
func (d *deletions) addLocked(next deletion) {
	if d.bytes += next.bytes(); d.bytes > maxDeletionBytes && len(d.queue) > 0 {
		d.widenLocked(next)
		return
	}
	if last := len(d.queue) - 1; last > 0 && d.queue[last].mergeable(&next) {
		d.queue[last].merge(&next)
		return
	}
	next.Keys, next.Prefixes, next.Tags = slices.Clip(next.Keys), slices.Clip(next.Prefixes), slices.Clip(next.Tags) // its caller's
	d.queue = append(d.queue, next)
}

// widenLocked makes one deletion of everything of all that waits. The next need
// not have the highest revision: two callers may come in another order than they
// were given theirs.
func (d *deletions) widenLocked(next deletion) {
	revision := next.Revision
	for _, waits := range d.queue[1:] {
		revision = max(revision, waits.Revision)
	}
	all := deletion{Invalidation{Revision: revision, Target: Target{All: true}}, next.ticket}
	d.queue = append(d.queue[:1:1], all)
	d.bytes = d.queue[0].bytes()
}

func (d *deletion) targets() int { return len(d.Keys) + len(d.Prefixes) + len(d.Tags) }

func (d *deletion) bytes() (n int) {
	for _, names := range [][]string{d.Keys, d.Prefixes, d.Tags} {
		for _, name := range names {
			n += len(name)
		}
	}
	return n
}

// mergeable reports whether one call can do for both: what is to be forgotten
// keeps no company, for a store remembers the others.
func (d *deletion) mergeable(next *deletion) bool {
	return d.Forget == next.Forget && d.targets()+next.targets() <= maxDeletionTargets
}

// merge adds the next. As of the higher revision, either's, more may go than each
// concerns.
func (d *deletion) merge(next *deletion) {
	d.Keys = append(d.Keys, next.Keys...)
	d.Prefixes = append(d.Prefixes, next.Prefixes...)
	d.Tags = append(d.Tags, next.Tags...)
	d.All = d.All || next.All
	d.Revision, d.ticket = max(d.Revision, next.Revision), next.ticket
}

// deleteAll deletes until nothing waits or the cache closes.
func (c *Cache[V]) deleteAll() {
	d := &c.deletions
	for failures := 0; ; {
		ctx, cancel := context.WithTimeout(c.ctx, c.o.LoadTimeout)
		err := c.tellStore(ctx)
		cancel()
		if err == nil {
			failures = 0
			if !d.done() {
				return
			}
			continue
		}
		failures++
		d.failed(err)
		if sleep(c.ctx, pauseAfter(failures, firstDeletionPause, maxDeletionPause, 0, 1)) != nil {
			return
		}
	}
}

// tellStore makes the first deletion. A store that was away when the cache was
// made is met before that.
func (c *Cache[V]) tellStore(ctx context.Context) error {
	if !c.storeMet.Load() {
		if err := c.meetStore(ctx); err != nil {
			return c.storeFailed("", err)
		}
		c.deletions.renumber(c.rules.applied.Load(), func() uint64 { return c.rules.apply(Invalidation{}).Revision })
	}
	inv := c.deletions.first()
	if inv.empty() {
		return nil
	}
	err := c.callStore(ctx, &c.n.storeDeletes, func(ctx context.Context) error { return c.o.Store.Delete(ctx, inv) })
	if err != nil {
		key := ""
		if len(inv.Keys) > 0 {
			key = inv.Keys[0]
		}
		return c.storeFailed(key, err)
	}
	return nil
}

// first is the deletion that is under way.
func (d *deletions) first() Invalidation {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue[0].Invalidation
}

// renumber gives new revisions to all that waits: the old ones were counted
// before that of the store was known, which is at most met, and say nothing of
// what it has.
func (d *deletions) renumber(met uint64, next func() uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.met, d.behind = met, d.tickets
	for i := range d.queue {
		d.queue[i].Revision = next()
	}
}

// done takes the first out of the queue, and reports whether there is a next.
func (d *deletions) done() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told, d.err = d.queue[0].ticket, nil
	d.bytes -= d.queue[0].bytes()
	d.queue[0] = deletion{}
	if d.queue = d.queue[1:]; len(d.queue) == 0 {
		d.queue, d.bytes = nil, 0
	}
	d.movedLocked()
	return d.queue != nil
}

func (d *deletions) failed(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err, d.behind = err, d.tickets
	d.movedLocked()
}

func (d *deletions) movedLocked() {
	if d.moved != nil {
		close(d.moved)
		d.moved = nil
	}
}

// last is the newest ticket.
func (d *deletions) last() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tickets
}

// pending reports whether the store has yet to be told of something that it
// has not taken (X3).
func (d *deletions) pending() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err != nil || d.told < d.behind
}

// waiting is how many deletions the store has yet to take.
func (d *deletions) waiting() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tickets - d.told
}

// await waits until the store has taken everything up to a ticket (X2).
func (d *deletions) await(ctx context.Context, ticket uint64) error {
	for {
		d.mu.Lock()
		told, err := d.told, d.err
		if d.moved == nil {
			d.moved = make(chan struct{})
		}
		moved := d.moved
		d.mu.Unlock()
		switch {
		case told >= ticket:
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", ErrStorePending, err)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrStorePending, context.Cause(ctx))
		}
	}
}

var errStoreBehind = errors.New("it has not been told yet what was invalidated")

// meetStore learns the revision from which on this process counts, where there
// is no Coordinator: above all that the store has seen.
func (c *Cache[V]) meetStore(ctx context.Context) error {
	known, ok := c.o.Store.(Revisioned)
	if !ok || c.o.Coordinator != nil {
		c.storeMet.Store(true)
		return nil
	}
	var revision uint64
	err := c.callStore(ctx, new(storeCalls), func(ctx context.Context) (err error) {
		revision, err = known.Revision(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("the store does not say its revision: %w", err)
	}
	c.rules.reach(revision)
	c.storeMet.Store(true)
	return nil
}

// openStore binds the store to the sequence of revisions and meets it. One that
// is away is met later, and done without until then (X3).
func (c *Cache[V]) openStore() error {
	if bound, ok := c.o.Store.(Bound); ok {
		sequence := ""
		if named, ok := c.o.Coordinator.(Sequenced); ok {
			sequence = named.Sequence()
		}
		if err := guard("Store", func() error { return bound.Bind(sequence) }); err != nil {
			return fmt.Errorf("corral: open %s: the store does not take revisions of sequence %q: %w", c.o.Name, sequence, err)
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.o.StoreTimeout)
	defer cancel()
	if err := c.meetStore(ctx); err != nil {
		c.storeFailed("", err)
		c.deletions.err = err
		c.deleteBehind(Invalidation{})
	}
	return nil
}
