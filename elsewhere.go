package corral

import (
	"context"
	"fmt"
)

// A process whose Keeper does not stand may not answer from what it has: what
// it has applied may lie behind an invalidation that others have acknowledged.
//
//	C2. Every call that gives a value asks Standing first, then reads s, then
//	    looks. Who finds that the process does not stand is answered by no
//	    entry, no flight, no store and no mark of it, and by no value that would
//	    cover a failure, but by another process or with ErrUnavailable.
//
// Whoever was parked while the process stood is answered by the flight: what is
// acknowledged after a caller has come does not concern it.

// stands reports whether this process may answer from what it has.
func (c *Cache[V]) stands() bool { return c.keeper == nil || c.keeper.Standing() }

// mayAnswer is stands, for a call that can wait for it.
func (c *Cache[V]) mayAnswer(ctx context.Context) bool { return c.stands() || c.keeper.Await(ctx) }

// attach makes a keeper the cache's own.
func (c *Cache[V]) attach(keeper Keeper) error {
	c.keeper, c.plain = keeper, false
	c.mirrors.open(c.o.MirrorBytes)
	err := guard("Coordinator", func() (err error) {
		c.detach, err = keeper.Attach(shelf[V]{c})
		return err
	})
	if err != nil {
		c.cancel()
		if c.exact == nil {
			coarse.release()
		}
		return fmt.Errorf("corral: open %s: the coordinator does not take the cache: %w", c.o.Name, err)
	}
	return nil
}

// fromElsewhere answers a call that this process may not answer.
func (c *Cache[V]) fromElsewhere(q *query[V]) error {
	defer c.afterwards()
	if err := c.beginElsewhere(q); err != nil {
		return err
	}
	done, err := c.wait(q)
	if err == nil && !done {
		err = fmt.Errorf("%w: what is had elsewhere is too old", ErrUnavailable)
	}
	return err
}

// beginElsewhere asks the coordinator on behalf of one caller, beside the key's
// entry. Nothing of what comes is kept.
func (c *Cache[V]) beginElsewhere(q *query[V]) error {
	if err := c.admit(q); err != nil {
		return err
	}
	f, err := c.newFlight(q, new(entry[V]), nil)
	if err != nil {
		return err
	}
	f.alone, f.lapsed, f.bulk = true, true, nil
	q.answer = reply[V]{verdict: lead, flight: f}
	c.launch(f)
	return nil
}
