package corral

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Set writes a value under key. It wins over a load that is running: those who
// wait for that load get the load's value, which is not kept. The item's
// Outcome, Tail and Body are not looked at.
//
// With a Coordinator everybody who asks once Set has returned nil, in whatever
// process, is given this value or a newer one; with one that is no Setter, this
// process alone has it, and the others compute theirs. After ErrNotAcknowledged
// the value may or may not be there, and what was there before may still be:
// repeat it.
func (c *Cache[V]) Set(ctx context.Context, key string, item Item[V]) error {
	if err := c.checkKey(key); err != nil {
		return err
	}
	if len(item.Tags) > c.o.MaxTags {
		return fmt.Errorf("corral: set %q: %d tags, MaxTags is %d: give fewer, or raise it", key, len(item.Tags), c.o.MaxTags)
	}
	if c.closing.Load() {
		return ErrClosed
	}
	item.Outcome, item.Tail, item.Body = Keep, nil, nil
	setter, shared := c.o.Coordinator.(Setter)
	if shared {
		return c.setEverywhere(ctx, setter, key, &item)
	}
	if c.o.Coordinator != nil {
		if err := c.invalidateEverywhere(ctx, Target{Keys: []string{key}}); err != nil {
			return err
		}
	}
	r, weight, err := c.written(key, &item)
	if err != nil {
		return err
	}
	return c.storeSet(ctx, key, r, c.place(key, r, weight))
}

// storeSet writes a value that was set to the store. Where that does not come
// about, what the store has from before goes.
func (c *Cache[V]) storeSet(ctx context.Context, key string, r *record[V], keep bool) error {
	if c.o.Store == nil || keep && c.keepInStore(key, r) == nil {
		return nil
	}
	return c.deletions.await(ctx, c.deleteBehind(c.goneNow(key)))
}

// written is the record of a value that is here without a load.
func (c *Cache[V]) written(key string, item *Item[V]) (*record[V], int64, error) {
	f := &flight[V]{run: run{id: c.lastFlight.Add(1), key: key, started: time.Now()}, revision: c.rules.applied.Load()}
	r, weight, err := c.record(f, item)
	if err != nil {
		return nil, 0, fmt.Errorf("corral: set %q: %w", key, err)
	}
	return r, weight, nil
}

// place puts a record into the key's entry, and reports whether it is kept.
func (c *Cache[V]) place(key string, r *record[V], weight int64) (kept bool) {
	for {
		e, _ := c.table.GetOrAdd(key, func() *entry[V] { return new(entry[V]) })
		if kept, ok := e.set(c, r, weight); ok {
			c.tell(EventSet, nil, key, nil)
			return kept
		}
	}
}

// setEverywhere gives a value to the key's owner, under a lease that those who
// ask meanwhile wait for. It is kept here before the owner has it, for where
// this process is the owner the next who asks is answered from here.
func (c *Cache[V]) setEverywhere(ctx context.Context, setter Setter, key string, item *Item[V]) error {
	if _, _, err := c.written(key, item); err != nil {
		return err // before anybody is told
	}
	var lease Lease
	var revision uint64
	err := guard("Coordinator", func() (err error) {
		lease, revision, err = setter.Overwrite(ctx, key)
		return err
	})
	switch {
	case errors.Is(err, ErrNotAcknowledged):
		return err
	case errors.Is(err, ErrInvalidKey), errors.Is(err, ErrOverloaded): // and so nothing has been written
		return fmt.Errorf("corral: set %q: %w", key, err)
	case err != nil:
		return notAcknowledged(err)
	}
	r, weight, err := c.written(key, item)
	if err != nil {
		return errors.Join(err, lease.Abandon(ctx))
	}
	r.revision = revision
	r.stamp |= elsewhere // what was invalidated since then is judged by the key, too: its entry did not have this value
	record, err := c.encode(r)
	if err != nil {
		return errors.Join(fmt.Errorf("corral: set %q: %w", key, err), lease.Abandon(ctx))
	}
	if c.owns(key) {
		c.place(key, r, weight)
	} else {
		c.tell(EventSet, nil, key, nil)
	}
	if err := guard("Coordinator", func() error { return lease.Fill(ctx, record) }); err != nil {
		return fmt.Errorf("%w: the owner has not taken the value: %w", ErrNotAcknowledged, err)
	}
	return c.storeSet(ctx, key, r, true)
}

// owns reports whether this process is the one that others ask for a key.
func (c *Cache[V]) owns(key string) bool { return c.keeper == nil || c.keeper.Owns(key) }

// Expire makes the values of keys stale now: StaleFor and StaleOnError count
// from this moment. A value that is being loaded is stale when it lands. With a
// Coordinator or a Store it is a Purge with Target.Soft, and ends as one does.
func (c *Cache[V]) Expire(ctx context.Context, keys ...string) error {
	if c.o.Coordinator != nil || c.o.Store != nil {
		return c.Purge(ctx, Target{Keys: keys, Soft: true})
	}
	for _, key := range keys {
		if e := c.table.Get(key); e != nil && e.expire(c, forever) {
			c.tell(EventExpired, nil, key, nil)
		}
	}
	c.afterwards()
	return nil
}
