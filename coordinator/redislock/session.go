package redislock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redisconn"
)

// Times of a session.
const (
	beatEvery = time.Second
	// presence is how long a process counts as there after it was last heard of.
	// By then it has long noticed that it is not (L7): beatEvery and beatTimeout
	// are half of it together.
	presence     = 4 * time.Second
	beatTimeout  = time.Second
	firstAgain   = 50 * time.Millisecond // between sessions; the first is begun at once
	lastAgain    = time.Second
	readyTimeout = 3 * time.Second
)

// errGap says that a message of the session is missing.
var errGap = errors.New("redislock: an invalidation was not heard")

// run keeps a session up. first is told what the first came to.
func (c *Coordinator) run(first chan<- error) {
	pause := time.Duration(0)
	for c.ctx.Err() == nil {
		stood, err := c.hold(func() {
			if first != nil {
				first <- nil
				first = nil
			}
		})
		err = redisconn.Explain(err)
		c.fall(err)
		if first != nil {
			first <- err
			first = nil
		}
		if stood {
			pause = 0
		} else {
			pause = min(max(2*pause, firstAgain), lastAgain)
		}
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
		}
	}
}

// hold opens a session and keeps it until it ends. It reports whether it stood.
func (c *Coordinator) hold(standing func()) (stood bool, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, readyTimeout)
	defer cancel()
	if err := c.client.Ready(ctx); err != nil {
		return false, err
	}
	conn, release := c.client.Dedicate()
	defer release()
	defer conn.Close()
	over, err := c.open(ctx, conn)
	if err != nil {
		return false, err
	}
	for !c.rise() {
		if err := c.tellPending(); err != nil {
			return false, err
		}
	}
	standing()
	return true, c.keep(conn, over)
}

// open subscribes, and then reads what was invalidated before: nothing falls
// between. In a Cluster the connection is to the node that has the state.
func (c *Coordinator) open(ctx context.Context, conn rueidis.DedicatedClient) (<-chan error, error) {
	c.mu.Lock()
	c.session++
	session := c.session
	c.syncing, c.backlog = true, nil
	seen, heard := c.seen, c.heard
	c.mu.Unlock()
	select { // of the session before
	case <-c.broken:
	default:
	}
	over := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(m rueidis.PubSubMessage) { c.receive(session, m) }})
	ctx, cancel := context.WithTimeout(ctx, c.conf.Timeout)
	defer cancel()
	state := c.global()
	if err := conn.Do(ctx, conn.B().Hget().Key(state[0]).Field("id").Build()).Error(); err != nil && !rueidis.IsRedisNil(err) {
		return nil, err
	}
	if err := conn.Do(ctx, conn.B().Subscribe().Channel(c.everybody(), c.channels()+c.me).Build()).Error(); err != nil {
		return nil, err
	}
	reply, err := syncScript.on(ctx, conn, state, c.me, micro(presence), decimal(seen), decimal(heard), c.nextToken(), c.everybody()).ToArray()
	if err != nil {
		return nil, err
	}
	return over, c.synced(reply)
}

// synced takes in what was invalidated before the session.
func (c *Coordinator) synced(reply []rueidis.RedisMessage) error {
	if len(reply) != 4 {
		return errMessage
	}
	history, err1 := reply[0].ToString()
	revision, err2 := reply[1].AsUint64()
	all, err3 := reply[2].AsUint64()
	state, err4 := reply[3].AsStrSlice()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history, c.seen = history, revision
	c.rules.read(all, state)
	if revision > c.heard {
		c.heard = revision
		c.tellLocked(told{inv: corral.Invalidation{Revision: revision, Missed: true}})
	}
	c.syncing = false
	for _, n := range c.backlog {
		c.hearLocked(n)
	}
	c.backlog = nil
	return nil
}

// keep makes sure, beat by beat, that nothing is missing.
func (c *Coordinator) keep(conn rueidis.DedicatedClient, over <-chan error) error {
	timer := time.NewTimer(rand.N(beatEvery)) // processes that begin together do not beat together
	defer timer.Stop()
	for {
		select {
		case err := <-over:
			if err == nil {
				err = redisconn.ErrUnreachable
			}
			return err
		case err := <-c.broken:
			return err
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		case <-timer.C:
		case <-c.poke:
		}
		if err := c.beat(conn); err != nil {
			return err
		}
		timer.Reset(beatEvery)
	}
}

// beat says that this process is there. What Redis says on the same connection
// comes behind every message that it has sent before, so a revision that has not
// been heard by then never will be.
func (c *Coordinator) beat(conn rueidis.DedicatedClient) error {
	ctx, cancel := context.WithTimeout(c.ctx, min(c.conf.Timeout, beatTimeout))
	defer cancel()
	c.mu.Lock()
	applied, before := c.applied, c.seen
	c.mu.Unlock()
	reply, err := beatScript.on(ctx, conn, c.global(), c.me, micro(presence), decimal(applied)).AsStrSlice()
	if err != nil {
		return err
	}
	if len(reply) != 2 {
		return errMessage
	}
	revision, err := strconv.ParseUint(reply[1], 10, 64)
	if err != nil {
		return errMessage
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if reply[0] != c.history || revision < before || revision > c.seen {
		c.n.gaps.Add(1)
		return errGap
	}
	return nil
}

// rise says that Redis is there, unless it is to be told something first (L8).
func (c *Coordinator) rise() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending != nil {
		if c.rising.IsZero() {
			c.rising = time.Now() // who comes now waits: else there might be always one more
		}
		return false
	}
	c.up, c.rising = true, time.Time{}
	c.n.sessions.Add(1)
	c.turnLocked()
	return true
}

func (c *Coordinator) turnLocked() {
	close(c.turned)
	c.turned = make(chan struct{})
}

// fall says that it is not. What this process has in memory is spent: nobody
// knows what it misses.
func (c *Coordinator) fall(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session++
	c.rising = time.Time{}
	if c.downLocked() && c.ctx.Err() == nil {
		c.n.warn(c.conf.Log, "the connection is lost: what is in memory is read again once it is back", err)
	}
}

// downLocked reports whether Redis was there before.
func (c *Coordinator) downLocked() bool {
	if !c.up {
		return false
	}
	c.up, c.downAt = false, time.Now()
	c.heard++
	c.tellLocked(told{inv: corral.Invalidation{Revision: c.heard, Missed: true}})
	c.turnLocked()
	return true
}

const (
	// grace is how long a Join waits for a connection that has just been lost.
	grace = 250 * time.Millisecond
	// firstWord is how long after Open a Join waits for Watch to begin.
	firstWord = time.Second
)

// standing waits, for a short while after a loss, until Redis is there, and
// reports whether it is.
func (c *Coordinator) standing(ctx context.Context) (bool, error) {
	for {
		c.mu.Lock()
		up, turned, left := c.up, c.turned, grace-time.Since(c.downAt)
		if !c.rising.IsZero() {
			left = c.conf.Timeout - time.Since(c.rising)
		}
		c.mu.Unlock()
		switch {
		case c.ctx.Err() != nil:
			return false, errClosed
		case up || left <= 0:
			return up, nil
		}
		if err := c.pass(ctx, turned, left); err != nil {
			return false, err
		}
	}
}

// settled waits until the cache has heard what its memory may have missed. What
// is loaded or given before would be spent by that word.
func (c *Coordinator) settled(ctx context.Context) error {
	end := time.Now().Add(c.conf.Timeout)
	for {
		c.mu.Lock()
		moved, left := c.moved, time.Until(end)
		switch {
		case c.begun && c.applied >= c.missed:
			left = 0
		case !c.begun:
			left = min(left, firstWord-time.Since(c.opened))
		}
		if left <= 0 || c.ctx.Err() != nil {
			c.early = c.early || !c.begun
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		if err := c.pass(ctx, moved, left); err != nil {
			return err
		}
	}
}

// pass waits for an event, for a time, and no longer than ctx lasts.
func (c *Coordinator) pass(ctx context.Context, event <-chan struct{}, left time.Duration) error {
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-event:
	case <-timer.C:
	case <-c.ctx.Done():
	case <-ctx.Done():
		return fmt.Errorf("redislock: %w", context.Cause(ctx))
	}
	return nil
}

// receive takes a message of a session's subscription.
func (c *Coordinator) receive(session uint64, m rueidis.PubSubMessage) {
	if m.Channel != c.everybody() {
		if l, err := parseLetter(m.Message); err == nil {
			c.read(l)
		}
		return
	}
	n, err := parseNotice(m.Message)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case session != c.session:
	case err != nil:
		c.breakLocked()
	case c.syncing:
		c.backlog = append(c.backlog, n)
	default:
		c.hearLocked(n)
	}
}

// hearLocked takes in an invalidation, if it is the next.
func (c *Coordinator) hearLocked(n notice) {
	switch {
	case n.history == c.history && n.revision <= c.seen:
		return // read already
	case n.history != c.history, n.before != c.seen, n.revision <= c.heard:
		c.breakLocked()
		return
	}
	c.heard, c.seen = n.revision, n.revision
	for _, tag := range n.target.Tags {
		c.rules.tag(slot(tag), n.revision)
	}
	for _, prefix := range n.target.Prefixes {
		c.rules.prefix(prefix, n.revision)
	}
	if n.target.All {
		c.rules.all = n.revision
	}
	c.tellLocked(told{corral.Invalidation{Revision: n.revision, Target: n.target}, n.from})
}

// breakLocked ends the session: something is missing.
func (c *Coordinator) breakLocked() {
	c.n.gaps.Add(1)
	select {
	case c.broken <- errGap:
	default:
	}
}

// read sees to a letter.
func (c *Coordinator) read(l letter) {
	switch l.kind {
	case letterApplied:
		c.mu.Lock()
		c.appliedLocked(l.token, l.fence)
		c.mu.Unlock()
	case letterUnwanted:
		c.mu.Lock()
		held := c.held[l.token]
		c.mu.Unlock()
		if held != nil {
			go held.notWanted()
		}
	case letterProbe:
		go probed(l)
	default:
		c.deliver(l)
	}
}
