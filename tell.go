package corral

import (
	"fmt"
	"log/slog"
	"time"
)

// removal is a value that has left, until OnRemove is told.
type removal[V any] struct {
	key    string
	record *record[V]
	cause  RemovalCause
}

// afterwards tells OnRemove of what has left, with no lock held.
func (c *Cache[V]) afterwards() {
	if !c.removed.some.Load() {
		return
	}
	c.removed.Lock()
	list := c.removed.list
	c.removed.list = nil
	c.removed.some.Store(false)
	c.removed.Unlock()
	for _, gone := range list {
		if gone.cause == Evicted {
			c.tell(EventEvicted, nil, gone.key, nil)
		}
		if c.o.OnRemove != nil {
			c.o.OnRemove(gone.key, gone.record.value, gone.cause)
		}
	}
}

// removeLater notes a value that has left, for afterwards.
func (c *Cache[V]) removeLater(key string, r *record[V], cause RemovalCause) {
	if r == nil || c.o.OnRemove == nil && !c.events.listening() {
		return
	}
	c.removed.Lock()
	defer c.removed.Unlock()
	c.removed.list = append(c.removed.list, removal[V]{key, r, cause})
	c.removed.some.Store(true)
}

func (c *Cache[V]) refuse(key, limit string, value any) error {
	c.n.refused.inc()
	err := overloaded(limit, value)
	c.tell(EventRefused, nil, key, err)
	return err
}

func (c *Cache[V]) cycle(key string) error {
	c.n.cycles.inc()
	return fmt.Errorf("%w: the load of %q waits, in the end, for itself", ErrCycle, key)
}

// tell emits an event, if somebody listens.
func (c *Cache[V]) tell(kind EventKind, r *run, key string, err error) {
	if !c.events.listening() {
		return
	}
	event := Event{Kind: kind, Cache: c.o.Name, Key: key, Time: time.Now(), Err: err}
	if r != nil {
		event.Flight, event.Took = r.id, time.Since(r.started)
	}
	c.events.emit(event)
}

func (c *Cache[V]) warn(message, key string, err error) {
	if c.o.Logger != nil {
		c.o.Logger.LogAttrs(c.ctx, slog.LevelWarn, message,
			slog.String("cache", c.o.Name), slog.String("key", key), slog.Any("error", err))
	}
}
