package redislock

import (
	"context"
	"errors"
	"fmt"

	"github.com/corralcache/corral"
)

// maxQueue is how many invalidations may wait for Watch's callback. One more,
// and all of them are told as one: Missed.
const maxQueue = 4096

// told is an invalidation on its way to Watch's callback, and who waits for it.
type told struct {
	inv  corral.Invalidation
	from string
}

// tellLocked queues an invalidation for Watch. Before the first it counts as
// applied, for nothing is in memory, unless a Join has been answered already. So
// it does after one whose cache is closed. Else it is applied by the next Watch's
// first word, and who waits for it waits for that.
func (c *Coordinator) tellLocked(t told) {
	if !c.watching {
		if c.early || c.broke {
			c.ackLocked(t.from, t.inv.Revision)
		} else {
			c.appliedHereLocked(t)
		}
		return
	}
	if len(c.queue) == maxQueue {
		for _, lost := range c.queue {
			c.ackLocked(lost.from, t.inv.Revision) // told once that is applied
		}
		c.queue = nil
		t.inv = corral.Invalidation{Revision: t.inv.Revision, Missed: true}
	}
	if t.inv.Missed {
		c.missed = t.inv.Revision
	}
	c.queue = append(c.queue, t)
	select {
	case c.queued <- struct{}{}:
	default:
	}
}

// appliedHereLocked notes that the callback has returned for an invalidation.
func (c *Coordinator) appliedHereLocked(t told) {
	c.applied = max(c.applied, t.inv.Revision)
	c.appliedLocked(c.me, c.applied)
	c.ackLocked(t.from, t.inv.Revision)
	if len(c.acks) > 0 {
		c.wakeAcksLocked()
	}
	if t.inv.Revision == c.missed {
		close(c.moved)
		c.moved = make(chan struct{})
	}
}

// ackLocked has a process told that a revision is applied here.
func (c *Coordinator) ackLocked(process string, revision uint64) {
	if process == "" || process == c.me {
		return
	}
	c.acks[process] = max(c.acks[process], revision)
	c.wakeAcksLocked()
}

func (c *Coordinator) wakeAcksLocked() {
	select {
	case c.acked <- struct{}{}:
	default:
	}
}

// acknowledge tells others what is applied here, the newest only.
func (c *Coordinator) acknowledge() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.acked:
		}
		c.mu.Lock()
		due := map[string]uint64{}
		for process, revision := range c.acks {
			if revision <= c.applied {
				due[process] = revision
				delete(c.acks, process)
			}
		}
		c.mu.Unlock()
		for process, revision := range due {
			c.send(process, letterApplied, c.me, revision, "")
		}
	}
}

// Watch tells of every invalidation, from the first word on, which says up to
// where this process has heard of all. It does not end when the connection does: then it tells of
// Missed too, at a revision of this process's own, which Redis makes everybody's
// once it is back. There is one Watch at a time.
func (c *Coordinator) Watch(ctx context.Context, apply func(corral.Invalidation)) error {
	c.mu.Lock()
	if c.watching {
		c.mu.Unlock()
		return errors.New("redislock: a Watch is under way: a Coordinator is for one cache")
	}
	c.watching = true
	// What came before is in memory, and is to be below. At the first Watch there
	// is nothing, and those who ask already wait: their loads are not to be spent.
	missed := c.begun || c.early
	if missed {
		c.heard++
	}
	c.begun, c.early, c.broke = true, false, false
	c.queue = nil
	c.tellLocked(told{inv: corral.Invalidation{Revision: c.heard, Missed: missed}})
	c.missed = c.heard
	c.mu.Unlock()
	defer c.unwatch(ctx)
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("redislock: watch: %w", context.Cause(ctx))
		case <-c.ctx.Done():
			return errClosed
		case <-c.queued:
		}
		for ctx.Err() == nil {
			t, ok := c.next()
			if !ok {
				break
			}
			apply(t.inv)
			c.mu.Lock()
			c.appliedHereLocked(t)
			c.mu.Unlock()
		}
	}
}

func (c *Coordinator) next() (t told, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return t, false
	}
	t = c.queue[0]
	c.queue = c.queue[1:]
	return t, true
}

// unwatch ends a Watch. If the cache is closed, nobody here has anything in memory
// any more, and those who wait for it to be told are let go. If the callback has
// panicked, they are not.
func (c *Coordinator) unwatch(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watching = false
	c.broke = ctx.Err() == nil && c.ctx.Err() == nil
	queue := c.queue
	c.queue = nil
	for _, t := range queue {
		c.tellLocked(t)
	}
	if !c.broke {
		c.appliedHereLocked(told{inv: corral.Invalidation{Revision: c.heard}})
	}
}
