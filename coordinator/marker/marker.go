package marker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/corralcache/corral"
)

// A Coordinator is one process among those that use a KV.
//
// Invariants:
//
//	M1. A value is given with a revision that this process had applied before it
//	    was read: what has been invalidated here since concerns it.
//	M2. The KV has let go of a key before the invalidation is applied here: who
//	    reads after that reads nothing older, of a KV that gives what was put last.
//	M3. applied rises by one with each invalidation, under Watch alone.
//	M4. A value is put before its marker goes, and the marker is read before the
//	    value: who waited and sees no marker sees what it came to.
//
// It is of one cache, whose Watch is told what Invalidate does.
type Coordinator struct {
	conf    Config
	applied atomic.Uint64
	told    chan telling
}

var _ corral.Coordinator = (*Coordinator)(nil)

// A telling is an invalidation on its way to Watch.
type telling struct {
	target corral.Target
	done   chan struct{} // closed when it is applied
}

// Open makes a Coordinator. It has nothing of its own to be closed: the KV is the
// caller's.
func Open(conf Config) (*Coordinator, error) {
	if err := conf.Validate(); err != nil {
		return nil, err
	}
	c := &Coordinator{conf: conf.withDefaults(), told: make(chan telling)}
	c.applied.Store(1)
	return c, nil
}

// Names in the KV.
func (c *Coordinator) valueName(key string) string  { return c.conf.Prefix + "value:" + key }
func (c *Coordinator) markerName(key string) string { return c.conf.Prefix + "marker:" + key }

var errKeysOnly = errors.New("marker: a KV cannot be searched by prefix or tag: values stay in it and in other processes until their TTL ends; invalidate keys")

// Invalidate takes keys, and what says that they are being computed, out of the
// KV, and then out of this process. Other processes are not told. Prefixes, tags
// and everything are invalidated in this process, with ErrNotAcknowledged.
func (c *Coordinator) Invalidate(ctx context.Context, target corral.Target) error {
	var errs []error
	for _, key := range target.Keys {
		errs = append(errs, c.conf.KV.Delete(ctx, c.valueName(key)), c.conf.KV.Delete(ctx, c.markerName(key))) // M2
	}
	if target.All || len(target.Prefixes)+len(target.Tags) > 0 {
		errs = append(errs, errKeysOnly)
	}
	if err := errors.Join(append(errs, c.tell(ctx, target))...); err != nil {
		return fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, err)
	}
	return nil
}

// tell hands a target to Watch and waits until it is applied.
func (c *Coordinator) tell(ctx context.Context, target corral.Target) error {
	t := telling{target, make(chan struct{})}
	select {
	case c.told <- t:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Watch applies what this process invalidates. It misses nothing of that, for
// Invalidate waits for it; what others invalidate it never hears of.
func (c *Coordinator) Watch(ctx context.Context, apply func(corral.Invalidation)) error {
	apply(corral.Invalidation{Revision: c.applied.Load()})
	for {
		select {
		case t := <-c.told:
			apply(corral.Invalidation{Revision: c.applied.Load() + 1, Target: t.target})
			c.applied.Add(1) // M3
			close(t.done)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
