package corral

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	return c.Purge(ctx, Target{Keys: keys})
}

// InvalidateTags is Invalidate for all values that carry one of the tags.
func (c *Cache[V]) InvalidateTags(ctx context.Context, tags ...string) error {
	return c.Purge(ctx, Target{Tags: tags})
}

// InvalidatePrefixes is Invalidate for all values whose key begins with one of
// the prefixes: all there are, with the empty one. It looks at every entry.
func (c *Cache[V]) InvalidatePrefixes(ctx context.Context, prefixes ...string) error {
	return c.Purge(ctx, Target{Prefixes: prefixes})
}

// Purge is Invalidate for all that a target concerns. With Target.Soft no value
// goes: once it has returned nil, no later Get is given as fresh a value whose
// load began before. A load that is running lands already expired, and answers
// nobody who asked later unless StaleFor allows it.
func (c *Cache[V]) Purge(ctx context.Context, target Target) error {
	if target.empty() {
		return nil
	}
	return c.invalidate(ctx, target)
}

// InvalidateAll is Invalidate for every value.
func (c *Cache[V]) InvalidateAll(ctx context.Context) error {
	return c.Purge(ctx, Target{All: true})
}

func (c *Cache[V]) invalidate(ctx context.Context, target Target) error {
	if c.closed.Load() {
		return ErrClosed
	}
	if c.o.Coordinator != nil {
		return c.invalidateEverywhere(ctx, target)
	}
	inv := c.apply(Invalidation{Target: target})
	if c.o.Store == nil {
		return nil
	}
	return c.deletions.await(ctx, c.deleteBehind(inv))
}

// invalidateEverywhere asks the coordinator. Each process applies the
// invalidation when its Watch hears of it, which is before this returns nil, and
// takes what it concerns out of its store behind that. This process's store, which
// may be the others' too, has nothing of it any more either.
func (c *Cache[V]) invalidateEverywhere(ctx context.Context, target Target) error {
	if err := guard("Coordinator", func() error { return c.o.Coordinator.Invalidate(ctx, target) }); err != nil || c.o.Store == nil {
		return notAcknowledged(err)
	}
	return c.deletions.await(ctx, c.deletions.last())
}

// notAcknowledged makes of an error of a Coordinator one that says what to do.
func notAcknowledged(err error) error {
	if err == nil || errors.Is(err, ErrNotAcknowledged) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotAcknowledged, err)
}

// apply puts an invalidation into force in this process: first the rule, by
// which every later decision goes, then the entries themselves.
func (c *Cache[V]) apply(inv Invalidation) Invalidation {
	inv = c.rules.apply(inv)
	if inv.empty() {
		return inv
	}
	c.n.invalidations.inc()
	for _, key := range inv.Keys {
		if e := c.table.Get(key); e != nil {
			c.applyTo(e, &inv)
		}
	}
	switch {
	case inv.All && !inv.Soft:
		c.applyToAll(inv.Revision)
	case len(inv.Prefixes) > 0:
		c.applyToPrefixes(&inv)
	}
	c.afterwards()
	return inv
}

// applyToPrefixes looks at every entry. One that comes meanwhile and is missed
// has no value, and a flight that has not called its loader, which takes its
// revision anew when it does.
func (c *Cache[V]) applyToPrefixes(inv *Invalidation) {
	for e := range c.table.All() {
		key := e.node.Key()
		if slices.ContainsFunc(inv.Prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			c.applyTo(e, inv)
		}
	}
}

func (c *Cache[V]) applyTo(e *entry[V], inv *Invalidation) {
	if !inv.Soft {
		e.invalidate(c, inv.Revision)
	} else if e.expire(c, inv.Revision) {
		c.tell(EventExpired, nil, e.node.Key(), nil)
	}
}

// Pauses between attempts to follow a coordinator.
const (
	firstFollowPause = 100 * time.Millisecond
	maxFollowPause   = 5 * time.Second
)

// watch keeps this process's revisions up with the coordinator's.
func (c *Cache[V]) watch() {
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

func (c *Cache[V]) watchOnce() error {
	return guard("Coordinator", func() error {
		return c.o.Coordinator.Watch(c.ctx, func(inv Invalidation) {
			if inv.Revision == 0 {
				c.warn("the coordinator told of an invalidation without a revision, which begin at 1", "", nil)
				return
			}
			if inv.Missed {
				c.known.Store(inv.Revision)
				inv.Target = Target{All: true} // of what is in memory: a store's records are of use
			}
			inv = c.apply(inv)
			if !inv.More {
				raise(&c.covered, inv.Revision) // S1
			}
			c.known.CompareAndSwap(forever, inv.Revision)
			if c.o.Store != nil && !inv.empty() && !inv.Missed {
				c.deleteBehind(inv) // T4
			}
		})
	})
}

// empty reports whether an invalidation only moves the revision on.
func (t *Target) empty() bool { return len(t.Keys)+len(t.Prefixes)+len(t.Tags) == 0 && !t.All }

// keepable is R2.
func (c *Cache[V]) keepable(key string, r *record[V]) bool {
	return c.answers(key, r, forever)
}

// answers is R1: no invalidation that concerns the value lies in (v, s].
func (c *Cache[V]) answers(key string, r *record[V], s uint64) bool {
	if r.is(elsewhere) {
		return c.rules.untouchedElsewhere(key, r.slots(), r.revision, s)
	}
	return c.rules.untouched(r.slots(), r.revision, s)
}
