package corral

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Invalidate ends the values of keys, wherever they are kept. When it has
// returned nil, no later Get is answered with a value whose load began before:
// a load that is running goes on for those who wait for it, is kept by nobody,
// and the next caller begins a new one.
//
// After ErrNotAcknowledged the invalidation may or may not be in force
// elsewhere; it is in force in this process unless a Coordinator decides.
// Repeat it.
func (c *Cache[V]) Invalidate(ctx context.Context, keys ...string) error {
	if len(keys) == 0 {
		return nil
	}
	return c.invalidate(ctx, Target{Keys: keys})
}

// InvalidateTags is Invalidate for all values that carry one of the tags.
func (c *Cache[V]) InvalidateTags(ctx context.Context, tags ...string) error {
	if len(tags) == 0 {
		return nil
	}
	return c.invalidate(ctx, Target{Tags: tags})
}

// InvalidateAll is Invalidate for every value.
func (c *Cache[V]) InvalidateAll(ctx context.Context) error {
	return c.invalidate(ctx, Target{All: true})
}

func (c *Cache[V]) invalidate(ctx context.Context, target Target) error {
	if c.closed.Load() {
		return ErrClosed
	}
	inv := Invalidation{Target: target}
	if c.o.Coordinator == nil {
		inv = c.apply(inv)
	} else if err := c.o.Coordinator.Invalidate(ctx, target); err != nil {
		if errors.Is(err, ErrNotAcknowledged) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrNotAcknowledged, err)
	} else {
		inv.Revision = c.rules.applied.Load()
	}
	if c.o.Store == nil {
		return nil
	}
	if err := c.o.Store.Delete(ctx, inv); err != nil {
		c.storeFailed("", err)
		return fmt.Errorf("%w: the store may still have it: %w", ErrNotAcknowledged, err)
	}
	return nil
}

// apply puts an invalidation into force in this process: first the rule, by
// which every later decision goes, then the entries themselves.
func (c *Cache[V]) apply(inv Invalidation) Invalidation {
	inv = c.rules.apply(inv)
	if len(inv.Keys)+len(inv.Tags) == 0 && !inv.All {
		return inv
	}
	c.n.invalidations.inc()
	for _, key := range inv.Keys {
		if e := c.table.Get(key); e != nil {
			e.invalidate(c, inv.Revision)
		}
	}
	if inv.All {
		for e := range c.table.All() {
			e.invalidate(c, inv.Revision)
		}
	}
	c.afterwards()
	return inv
}

// Pauses between attempts to follow a coordinator.
const (
	firstFollowPause = 100 * time.Millisecond
	maxFollowPause   = 5 * time.Second
)

// follow keeps this process's revisions up with the coordinator's.
func (c *Cache[V]) follow() {
	for failures := 1; ; failures++ {
		began := time.Now()
		err := c.watchOnce()
		if c.ctx.Err() != nil {
			return
		}
		c.warn("the coordinator's watch ended", "", err)
		if time.Since(began) > maxFollowPause {
			failures = 1
		}
		if sleep(c.ctx, pauseAfter(failures, firstFollowPause, maxFollowPause, 0, 1)) != nil {
			return
		}
	}
}

func (c *Cache[V]) watchOnce() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = caught(p)
		}
	}()
	return c.o.Coordinator.Watch(c.ctx, func(inv Invalidation) { c.apply(inv) })
}
