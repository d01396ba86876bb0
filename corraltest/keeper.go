package corraltest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/corralcache/corral"
)

// A Keeper is a process of a Domain that keeps what it owns in its cache, and
// may stop to stand. Where a domain has Keepers it keeps nothing itself:
// Domain.Owner says which of them does. It calls the cache's shelf under a lock that all its methods take.
type Keeper struct {
	*Process
	// OnStanding, if set before the Keeper is used, is called by each Standing,
	// which reports what it does.
	OnStanding func() bool

	shelf  corral.Shelf // guarded by d.mu
	lapsed atomic.Bool
}

var (
	_ corral.Keeper = (*Keeper)(nil)
	_ corral.Setter = (*Keeper)(nil)
)

// Keeper adds a process that keeps in its cache. It stands.
func (d *Domain) Keeper(name string) *Keeper {
	k := &Keeper{Process: d.Process(name)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keepers = append(d.keepers, k)
	return k
}

// Attach takes the cache's shelf.
func (k *Keeper) Attach(shelf corral.Shelf) (detach func(), err error) {
	k.d.Log.Add(k.name, "attach")
	k.attach(shelf)
	return func() { k.attach(nil) }, nil
}

func (k *Keeper) attach(shelf corral.Shelf) {
	k.d.mu.Lock()
	defer k.d.mu.Unlock()
	k.shelf = shelf
}

// Standing reports whether the process may answer from what it has.
func (k *Keeper) Standing() bool {
	if k.OnStanding != nil {
		return k.OnStanding()
	}
	return !k.lapsed.Load()
}

// Await reports Standing: nothing is about to change.
func (k *Keeper) Await(context.Context) bool { return k.Standing() }

// Owns reports what Domain.Owner says.
func (k *Keeper) Owns(key string) bool { return k.d.Owner == nil || k.d.Owner(key) == k.name }

// Lapse makes the process one that may not answer, until Stand.
func (k *Keeper) Lapse() { k.lapsed.Store(true) }

// Stand ends Lapse.
func (k *Keeper) Stand() { k.lapsed.Store(false) }

// Join marks the requests of a process that does not stand.
func (k *Keeper) Join(ctx context.Context, request corral.Request) (corral.Answer, error) {
	request.Lapsed = request.Lapsed || k.lapsed.Load()
	return k.Process.Join(ctx, request)
}

// Overwrite grants a lease in the place of any other of the key, once every
// process has applied the invalidation that it comes with.
func (k *Keeper) Overwrite(ctx context.Context, key string) (corral.Lease, uint64, error) {
	d := k.d
	d.Log.Add(k.name, "overwrite", key)
	d.mu.Lock()
	defer d.mu.Unlock()
	if k.gone {
		return nil, 0, fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, errLeft)
	}
	revision := d.invalidateLocked(corral.Target{Keys: []string{key}})
	at := d.keys[key]
	if at == nil {
		at = &owned{}
		d.keys[key] = at
	}
	g := d.grantLocked(k.Process, key)
	at.lease = g
	if err := d.awaitLocked(ctx, revision); err != nil {
		g.voidLocked()
		return nil, 0, err
	}
	return g, revision, nil
}

// peekLocked is what a standing Keeper gives a request.
func (d *Domain) peekLocked(request corral.Request) *corral.Record {
	for _, k := range d.keepers {
		if k.shelf == nil || k.lapsed.Load() || !k.Owns(request.Key) {
			continue
		}
		if record := k.shelf.Peek(context.Background(), request); record != nil {
			return record
		}
	}
	return nil
}

// keepLocked keeps what a lease was filled with: at the key's owner, whose cache
// has it already when it held the lease itself, or in the domain if that has no
// Keepers.
func (d *Domain) keepLocked(g *grant, value *held) {
	if len(d.keepers) == 0 {
		d.keys[g.key].record = value
		return
	}
	at := slices.IndexFunc(d.keepers, func(k *Keeper) bool { return k.Owns(g.key) })
	if at < 0 {
		return // its owner has left
	}
	owner := d.keepers[at]
	if owner.Process == g.p || owner.shelf == nil {
		return
	}
	record := detached(&value.record)
	if value.body != nil {
		record.Body, record.BodySize = value.body.open(), value.record.BodySize
	}
	owner.shelf.Keep(g.key, &record)
}
