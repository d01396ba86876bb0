package corral

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// maxDeletions is how many invalidations may wait to be deleted from the store.
// What is over it stays there, and is refused by the rule of revisions when it is
// read (T1).
const maxDeletions = 1024

var errDeletions = errors.New("the store is slower than what is invalidated")

// deletions take what a Watch tells of out of the store, behind it: a store that
// hangs must not hold up the revisions, by which this process may answer at all.
// They are made one after the other, in the order of revisions.
type deletions struct {
	mu     sync.Mutex
	queue  []Invalidation // the first is under way
	moved  chan struct{}  // closed and made anew when the first is done
	failed uint64         // the newest that failed, or had no place
	err    error          // why
}

// deleteBehind begins to delete what an invalidation concerns. It does not wait.
func (c *Cache[V]) deleteBehind(inv Invalidation) {
	d := &c.deletions
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue) == maxDeletions {
		d.failed, d.err = inv.Revision, errDeletions
		c.chores.Go(func() { c.storeFailed("", errDeletions) })
		return
	}
	if d.queue = append(d.queue, inv); len(d.queue) == 1 {
		c.chores.Go(c.deleteAll)
	}
}

// deleteAll deletes until nothing waits.
func (c *Cache[V]) deleteAll() {
	d := &c.deletions
	for {
		d.mu.Lock()
		inv := d.queue[0]
		d.mu.Unlock()
		ctx, cancel := context.WithTimeout(c.ctx, c.o.LoadTimeout)
		err := c.deleteFromStore(ctx, inv)
		cancel()
		if !d.done(inv.Revision, err) {
			return
		}
	}
}

// done takes the first out of the queue, and reports whether there is a next.
func (d *deletions) done(revision uint64, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && revision >= d.failed { // what had no place may be newer
		d.failed, d.err = revision, err
	}
	d.queue[0] = Invalidation{}
	if d.queue = d.queue[1:]; len(d.queue) == 0 {
		d.queue = nil
	}
	if d.moved != nil {
		close(d.moved)
		d.moved = nil
	}
	return d.queue != nil
}

// deleted waits until nothing up to a revision waits to be deleted. The error
// says that something after another one was not, perhaps somebody else's.
func (d *deletions) deleted(ctx context.Context, after, upto uint64) error {
	for {
		d.mu.Lock()
		if len(d.queue) == 0 || d.queue[0].Revision > upto {
			defer d.mu.Unlock()
			if d.failed > after {
				return fmt.Errorf("the store may still have it: %w", d.err)
			}
			return nil
		}
		if d.moved == nil {
			d.moved = make(chan struct{})
		}
		moved := d.moved
		d.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("the store has not deleted it yet: %w", context.Cause(ctx))
		}
	}
}
