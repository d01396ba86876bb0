package corral

import (
	"context"
	"fmt"
	"time"
)

// dress makes an Item of an answer. It reports false when the body broke off,
// or was let go, just now.
func (c *Cache[V]) dress(ctx context.Context, key string, found *found[V]) (item Item[V], ok bool, err error) {
	item = c.item(found.record)
	if item.Value, err = c.clone(key, item.Value); err != nil {
		found.letBodyGo()
		return Item[V]{}, false, err
	}
	if body := found.record.body(); body != nil {
		item.Body = body.join(ctx, found.counted)
		return item, item.Body != nil, nil
	}
	return item, true, nil
}

// item is what a caller or a loader is shown of a record, without its body.
func (c *Cache[V]) item(r *record[V]) Item[V] {
	w := c.windowsOf(r)
	item := Item[V]{
		Value: r.value, TTL: remaining(r.expiry, r.born),
		StaleFor: w.staleFor, StaleOnError: w.staleOnError, StaleOnOutage: w.staleOnOutage, EarlyRefresh: w.beta,
	}
	if r.more != nil {
		item.Tags, item.Validator, item.Outcome = r.more.tags, r.more.validator, r.more.outcome
	}
	return item
}

func (c *Cache[V]) info(f *found[V]) Info {
	now := c.now()
	info := Info{
		Source: f.source, Kept: f.kept, Age: time.Duration(now - f.record.born), TTL: remaining(f.record.expiry, now),
		Waiters: f.waiters, Version: f.record.version(), Revision: f.record.revision, LoadTime: f.took, Err: f.err,
	}
	if f.record.more != nil {
		info.Outcome = f.record.more.outcome
	}
	return info
}

func (c *Cache[V]) clone(key string, value V) (copied V, err error) {
	if c.o.Clone == nil {
		return value, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("corral: get %q: Options.Clone panicked: %v: it must take every value", key, p)
		}
	}()
	if copied, err = c.o.Clone(value); err != nil {
		return copied, fmt.Errorf("corral: get %q: clone: %w", key, err)
	}
	return copied, nil
}
