package corral

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// closeGrace is how long Close waits for loaders to heed their context.
const closeGrace = time.Second

// Shutdown lets no further load begin and waits for those that run, and until the
// store has what they came to and has been told what was invalidated, unless it
// is away, until ctx ends. Values stay readable meanwhile. It then closes the cache; if ctx ends
// first it returns ctx's error and the cache stays as it is, to be closed by Close.
func (c *Cache[V]) Shutdown(ctx context.Context) error {
	c.closing.Store(true)
	select {
	case <-c.roster.empty():
		if c.deletions.await(ctx, c.deletions.last()) != nil && ctx.Err() != nil {
			return ended(ctx)
		}
		return c.Close()
	case <-ctx.Done():
		return ended(ctx)
	}
}

// Close ends every load with ErrClosed, forgets every value and ends every
// goroutine of the cache. An error names the loads that did not heed their
// context within a second: those goroutines end when their loaders return.
func (c *Cache[V]) Close() error {
	c.closing.Store(true)
	if c.closed.Swap(true) {
		return nil
	}
	c.roster.close()
	for _, r := range c.roster.running() {
		r.flight.end(ErrClosed)
	}
	c.cancel()
	for e := range c.table.All() {
		e.release(c)
	}
	c.afterwards()
	err := c.awaitQuiet()
	if n := c.deletions.waiting(); n > 0 {
		c.warn("closed before the store was told of what was invalidated: it may still have it", "", fmt.Errorf("%w: %d times", ErrStorePending, n))
	}
	if c.detach != nil {
		guard("Coordinator", func() error { c.detach(); return nil })
	}
	c.roster.stop()
	c.events.stopAll()
	if c.exact == nil {
		coarse.release()
	}
	return err
}

func (c *Cache[V]) awaitQuiet() error {
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	for _, quiet := range []<-chan struct{}{c.roster.empty(), c.chores.empty()} {
		select {
		case <-quiet:
			continue
		case <-timer.C:
		}
		return c.unheeding()
	}
	return nil
}

// unheeding names what has not ended although its context has.
func (c *Cache[V]) unheeding() error {
	var errs []error
	for _, r := range c.roster.running() {
		errs = append(errs, fmt.Errorf("corral: close %s: the load of %q has not heeded the end of its context for %v", c.o.Name, r.key, closeGrace))
	}
	if n := c.chores.count(); n > 0 {
		errs = append(errs, fmt.Errorf("corral: close %s: %d calls of the store or the coordinator have not heeded the end of their context for %v", c.o.Name, n, closeGrace))
	}
	return errors.Join(errs...)
}
