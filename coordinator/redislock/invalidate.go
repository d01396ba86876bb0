package redislock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redisconn"
)

// maxPending is how many keys, prefixes and tags wait to be told to a Redis that
// is away. One more, and everything does.
const maxPending = 1024

// touchBatch is how many keys are touched in one go.
const touchBatch = 256

// anybody is a process that Redis has lost, if there is one.
const anybody = "?"

// askAgain is how often an Invalidate looks itself who has applied it, and who
// is gone.
const askAgain = 250 * time.Millisecond

// Invalidate ends what a target concerns, in Redis first and then everywhere,
// and returns once every process that is there has applied it. One that does
// not answer is waited for until it counts as gone, four seconds after it was
// last heard of.
//
// While Redis is away the error is corral.ErrStorePending, which is an
// ErrNotAcknowledged: what is in this process's memory is spent, and Redis is told
// before this process reads from it again.
func (c *Coordinator) Invalidate(ctx context.Context, target corral.Target) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, err)
	}
	up, err := c.standing(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, err)
	}
	if !up {
		return c.later(ctx, target, errAway)
	}
	revision, missing, err := c.tell(&target, "")
	if err != nil {
		return c.later(ctx, target, err)
	}
	return c.everywhere(ctx, revision, missing)
}

// Overwrite grants a lease for a key whatever is kept of it or under way, and
// ends that by an invalidation.
func (c *Coordinator) Overwrite(ctx context.Context, key string) (corral.Lease, uint64, error) {
	if up, err := c.standing(ctx); !up {
		return nil, 0, fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, cmp.Or(err, errAway))
	}
	token, sent := c.nextToken(), time.Now()
	revision, missing, err := c.tell(&corral.Target{Keys: []string{key}}, token)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, err)
	}
	granted := c.grant(key, token, 0, sent)
	if err := c.everywhere(ctx, revision, missing); err != nil {
		go granted.Abandon(c.ctx)
		return nil, 0, err
	}
	return granted, revision, nil
}

// tell ends what Redis has under the target's keys, and then gives the target
// its revision, by which all hear of it (L5). With a token, a lease of the key is
// granted with it. missing are those who have not applied it yet, and from when on
// they need not.
func (c *Coordinator) tell(target *corral.Target, token string) (revision uint64, missing map[string]time.Time, err error) {
	if err := c.touch(target.Keys, token); err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.conf.Timeout)
	defer cancel()
	c.mu.Lock()
	heard := c.heard
	c.mu.Unlock()
	all := "0"
	if target.All {
		all = "1"
	}
	args := []string{c.me, micro(presence), decimal(heard), c.nextToken(), c.everybody(), all, strconv.Itoa(maxPrefixes), encodeTarget(target), strconv.Itoa(len(target.Tags))}
	for _, tag := range target.Tags {
		args = append(args, strconv.Itoa(int(slot(tag))))
	}
	reply, err := invalidateScript.on(ctx, c.client, c.global(), append(args, target.Prefixes...)...).ToArray()
	c.note(err)
	if err != nil {
		return 0, nil, redisconn.Explain(err)
	}
	if len(reply) != 4 {
		return 0, nil, errMessage
	}
	revision, err1 := reply[0].AsUint64()
	unsure, err2 := reply[1].AsInt64()
	now, err3 := reply[2].AsInt64()
	live, err4 := reply[3].AsStrSlice()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return 0, nil, err
	}
	_, missing = c.whoIsThere(revision, now, live)
	missing[c.me] = time.Time{} // knows by itself
	if unsure > 0 {             // Redis has lost who is there: they notice within a presence
		missing[anybody] = time.Now().Add(time.Duration(unsure) * time.Microsecond)
	}
	return revision, missing, nil
}

// touch ends what Redis has under keys: values, pauses, and what leases will
// come to. With a token it grants a lease of the one key in their place.
func (c *Coordinator) touch(keys []string, token string) error {
	c.mu.Lock()
	known := decimal(c.heard)
	c.mu.Unlock()
	for len(keys) > 0 {
		n := min(len(keys), touchBatch)
		commands := make([]rueidis.Completed, n)
		args := []string{c.channels(), token, micro(c.conf.Lease), known}
		for i, key := range keys[:n] {
			commands[i] = c.client.B().Evalsha().Sha1(touchScript.sha).Numkeys(1).Key(c.hash(key)...).Arg(args...).Build()
		}
		ctx, cancel := context.WithTimeout(context.Background(), c.conf.Timeout)
		results := c.client.DoMulti(ctx, commands...)
		cancel()
		for i, result := range results {
			err := redisconn.Explain(result.Error())
			if errors.Is(err, redisconn.ErrNoScript) {
				err = redisconn.Explain(c.call(touchScript, keys[i], args...).Error())
			}
			if err != nil {
				c.note(err)
				return err
			}
		}
		keys = keys[n:]
	}
	return nil
}

// whoIsThere reads which processes have applied a revision, and until when those
// count as there that have not.
func (c *Coordinator) whoIsThere(revision uint64, now int64, live []string) (done []string, missing map[string]time.Time) {
	missing = map[string]time.Time{}
	for i := 0; i+1 < len(live); i += 2 {
		till, applied, _ := strings.Cut(live[i+1], " ")
		deadline, err1 := strconv.ParseInt(till, 10, 64)
		has, err2 := strconv.ParseUint(applied, 10, 64)
		switch {
		case err1 != nil, err2 != nil, live[i] == c.me:
		case has >= revision:
			done = append(done, live[i])
		case deadline > now:
			missing[live[i]] = time.Now().Add(time.Duration(deadline-now) * time.Microsecond)
		}
	}
	return done, missing
}

// await is an Invalidate that waits until its revision is applied.
type await struct {
	revision uint64
	missing  map[string]time.Time // who has not, and until when they count as there
	done     chan struct{}        // closed when missing is empty
}

// appliedLocked notes up to where a process has applied.
func (c *Coordinator) appliedLocked(process string, revision uint64) {
	for a := range c.awaits {
		if a.revision <= revision {
			c.strikeLocked(a, process)
		}
	}
}

func (c *Coordinator) strikeLocked(a *await, process string) {
	if _, known := a.missing[process]; !known {
		return
	}
	if delete(a.missing, process); len(a.missing) == 0 {
		close(a.done)
	}
}

// everywhere waits until a revision is applied by everybody who is there.
func (c *Coordinator) everywhere(ctx context.Context, revision uint64, missing map[string]time.Time) error {
	a := &await{revision, missing, make(chan struct{})}
	c.mu.Lock()
	c.awaits[a] = struct{}{}
	if c.applied >= revision {
		c.strikeLocked(a, c.me)
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.awaits, a)
	}()
	ticker := time.NewTicker(askAgain)
	defer ticker.Stop()
	for {
		select {
		case <-a.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w: not every process has applied it yet: %w", corral.ErrNotAcknowledged, context.Cause(ctx))
		case <-c.ctx.Done():
			return fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, errClosed)
		case <-ticker.C:
			c.look(ctx, a)
		}
	}
}

// look asks Redis who is still missing: a letter may be lost, and a process gone.
func (c *Coordinator) look(ctx context.Context, a *await) {
	ctx, cancel := context.WithTimeout(ctx, c.conf.Timeout)
	defer cancel()
	reply, err := liveScript.on(ctx, c.client, c.global()).ToArray()
	if err != nil || len(reply) != 2 {
		c.note(err)
		return
	}
	now, err1 := reply[0].AsInt64()
	live, err2 := reply[1].AsStrSlice()
	if errors.Join(err1, err2) != nil {
		return
	}
	applied, there := c.whoIsThere(a.revision, now, live)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, process := range applied {
		c.strikeLocked(a, process)
	}
	for process, till := range a.missing {
		if later, still := there[process]; still {
			a.missing[process] = later
		} else if process != c.me && time.Now().After(till) {
			c.strikeLocked(a, process)
		}
	}
}

// later keeps an invalidation for when Redis is back, and returns once it is in
// force here: Redis counts as away from now on, and memory is spent.
func (c *Coordinator) later(ctx context.Context, target corral.Target, why error) error {
	c.mu.Lock()
	c.pending = merge(c.pending, &target)
	c.downLocked()
	c.mu.Unlock()
	select { // a session that stands begins anew
	case c.broken <- errPending:
	default:
	}
	if err := c.settled(ctx); err != nil {
		return fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, err)
	}
	return fmt.Errorf("%w: %w", corral.ErrStorePending, why)
}

// merge makes one target of two. Over maxPending names it is everything.
func merge(a, b *corral.Target) *corral.Target {
	if a == nil {
		a = &corral.Target{}
	}
	merged := &corral.Target{
		Keys: union(a.Keys, b.Keys), Prefixes: union(a.Prefixes, b.Prefixes), Tags: union(a.Tags, b.Tags), All: a.All || b.All,
	}
	if len(merged.Keys)+len(merged.Prefixes)+len(merged.Tags) > maxPending {
		return &corral.Target{All: true}
	}
	return merged
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

var (
	errAway    = errors.New("redislock: Redis is away: this process gives nothing that it concerns, and others hear of it when Redis is told")
	errPending = errors.New("redislock: an invalidation was not taken")
)

// tellPending tells Redis what was invalidated while it was away. What it does not
// take stays.
func (c *Coordinator) tellPending() error {
	c.mu.Lock()
	target := c.pending
	c.pending = nil
	c.mu.Unlock()
	if target == nil {
		return nil
	}
	_, _, err := c.tell(target, "")
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pending = merge(c.pending, target)
	}
	return err
}
