package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
)

// overwriteTimeout bounds what Overwrite does, and the lease that it gives: an
// invalidation, and the handing over of a value that is there.
const overwriteTimeout = 10 * time.Second

// Overwrite implements corral.Setter. The lease comes first: from then on
// nobody else computes the key, and who asks while the log is written waits for
// the value instead of loading what it is about to replace. The value holds as
// of the invalidation, which ends whatever was computed before.
func (k *keeper) Overwrite(ctx context.Context, key string) (corral.Lease, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, overwriteTimeout)
	defer cancel()
	l, err := k.seize(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	revision, err := k.invalidate(ctx, corral.Target{Keys: []string{key}})
	if err != nil {
		k.node.spawn(func() { l.Abandon(k.node.ctx) })
		return nil, 0, err
	}
	l.Extend(ctx) // or Fill says that it was lost meanwhile
	return l, revision, nil
}

// seize asks for the lease of a key whose value is here.
func (k *keeper) seize(ctx context.Context, key string) (*lease, error) {
	n := k.node
	if err := k.checkKey(key); err != nil {
		return nil, err
	}
	for {
		answered, err := n.ask(ctx, core.Ask{
			Key: k.name + separator + key, Since: n.applied.Load(), Wait: overwriteTimeout, Fresh: true, Set: true,
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %w", corral.ErrUnavailable, err)
		case answered.Kind == core.KindLease:
			return n.hold(answered.Flight, overwriteTimeout), nil
		case answered.Kind == core.KindOverloaded:
			return nil, fmt.Errorf("%w: the owner of %q refuses", corral.ErrOverloaded, key)
		case answered.Kind == core.KindUnavailable && n.nextLife(ctx):
			continue
		}
		if p, _ := answered.Value.Payload.(*parcel); p != nil { // of an owner that does not know of Set
			p.drop()
		}
		return nil, fmt.Errorf("%w: the owner of %q grants no lease", corral.ErrUnavailable, key)
	}
}
