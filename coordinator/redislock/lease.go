package redislock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redisconn"
	"github.com/corralcache/corral/internal/stored"
)

// passMark is how long a pass answers those who come after it.
const passMark = time.Second

// margin is how much earlier the holder holds its lease to be void than Redis
// does: what clocks may differ in rate, a twentieth.
const margin = 20

// A lease is the right to compute a key, by this process.
//
//	state   ends by
//	held    Fill, Fail, Pass, Abandon → ended; its time or Redis' word → void
//	ended   –
//	void    –: Lost is closed
type lease struct {
	c          *Coordinator
	key, token string
	fence      uint64
	lost       chan struct{}

	mu          sync.Mutex
	ended, void bool
	timer       *time.Timer // voids it
	unwanted    func()      // of the last Leave, until it is called
}

// grant makes the lease that Redis has granted to this process, as of when it
// was asked.
func (c *Coordinator) grant(key, token string, fence uint64, sent time.Time) *lease {
	l := &lease{c: c, key: key, token: token, fence: fence, lost: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(l.left(sent), l.expire)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held[token] = l
	return l
}

// left is how long the lease lasts that was asked for, or extended, at sent.
func (l *lease) left(sent time.Time) time.Duration {
	whole := l.c.conf.Lease
	return whole - whole/margin - time.Since(sent)
}

// expire declares the lease void, unless it has ended.
func (l *lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.void {
		return
	}
	l.void = true
	l.timer.Stop()
	close(l.lost)
	l.c.n.lost.Add(1)
	l.forgetLocked()
}

func (l *lease) forgetLocked() {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	delete(l.c.held, l.token)
}

// end makes sure that the lease ends once, and never after it is void.
func (l *lease) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.void:
		return ErrLost
	case l.ended:
		return errEnded
	}
	l.ended = true
	l.timer.Stop()
	l.forgetLocked()
	return nil
}

// outcome is what a lease ends with, as finish.lua wants it.
type outcome struct {
	kind                    string
	form                    []byte
	body                    string
	hasBody                 bool
	ttl, stale, usable, age time.Duration
	revision                uint64
	failure                 string
	pause                   time.Duration
}

// The kinds of outcomes.
const (
	kept      = "V"
	shared    = "W"
	failed    = "E"
	passed    = "P"
	abandoned = "A"
)

// Fill gives the value to those who wait, keeps it if it may be kept, and
// releases the key, in one step. A body is read to its end before.
func (l *lease) Fill(ctx context.Context, record *corral.Record) error {
	o := outcome{kind: kept, ttl: record.TTL, stale: record.StaleFor, age: record.Age, revision: record.Revision}
	o.usable = max(record.StaleFor, record.StaleOnError, record.StaleOnOutage, 0)
	limit := l.c.conf.MaxValueBytes - len(record.Value)
	if record.Body != nil {
		defer record.Body.Close()
		if limit >= 0 && record.BodySize <= int64(limit) {
			text, err := readBody(record.Body, limit+1)
			if err != nil {
				return errors.Join(fmt.Errorf("redislock: fill %q: body: %w", l.key, err), l.Fail(ctx, fmt.Errorf("%w: %w", corral.ErrBroken, err), 0))
			}
			o.body, o.hasBody = text, true
		}
	}
	if limit < 0 || record.Body != nil && (!o.hasBody || len(o.body) > limit) {
		l.c.n.tooLarge.Add(1)
		l.c.n.warn(l.c.conf.Log, "a value is not shared: raise Config.MaxValueBytes, or let each process compute it", fmt.Errorf("%q is over %d bytes", l.key, l.c.conf.MaxValueBytes))
		return l.Pass(ctx)
	}
	if record.Outcome == corral.Share || l.touched(record) {
		o.kind = shared
	}
	o.form = stored.Append(nil, l.key, record)
	return l.finish(ctx, &o)
}

// touched reports whether what is known to be invalidated concerns a record.
func (l *lease) touched(record *corral.Record) bool {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	return l.c.rules.last(l.key, record.Tags) > record.Revision
}

// readBody reads a body to its end, or up to the limit.
func readBody(body io.Reader, limit int) (string, error) {
	var text strings.Builder
	_, err := io.Copy(&text, io.LimitReader(body, int64(limit)))
	return text.String(), err
}

// newBody is the body of a value that has come whole.
func newBody(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }

// Fail gives the error to those who wait and lets the key rest.
func (l *lease) Fail(ctx context.Context, cause error, retryAfter time.Duration) error {
	return l.finish(ctx, &outcome{kind: failed, failure: encodeFailure(cause), pause: max(retryAfter, 0)})
}

// Pass tells those who wait to compute for themselves.
func (l *lease) Pass(ctx context.Context) error {
	return l.finish(ctx, &outcome{kind: passed, pause: passMark})
}

// Abandon lets one of those who wait compute instead.
func (l *lease) Abandon(ctx context.Context) error { return l.finish(ctx, &outcome{kind: abandoned}) }

// finish ends the lease. After a lost connection it tries once more: a step
// that was made already is then answered as a lease that is void.
func (l *lease) finish(ctx context.Context, o *outcome) error {
	if err := l.end(); err != nil {
		return fmt.Errorf("%w: %q", err, l.key)
	}
	err := l.tryFinish(ctx, o)
	if !redisconn.Outage(err) {
		return err
	}
	if up, _ := l.c.standing(ctx); !up {
		return err
	}
	return l.tryFinish(ctx, o)
}

func (l *lease) tryFinish(ctx context.Context, o *outcome) error {
	c := l.c
	ctx, cancel := context.WithTimeout(ctx, c.conf.Timeout+time.Duration(len(o.form)+len(o.body))*slowest)
	defer cancel()
	hasBody := "0"
	if o.hasBody {
		hasBody = "1"
	}
	result, err := finishScript.on(ctx, c.client, c.hash(l.key), l.token, c.channels(), o.kind, micro(c.conf.Lease), decimal(uint64(c.conf.InlineBytes)),
		string(o.form), o.body, hasBody, micro(o.ttl), micro(o.stale), micro(o.usable), decimal(o.revision), micro(o.age), o.failure, micro(o.pause)).AsInt64()
	c.note(err)
	if err != nil {
		return fmt.Errorf("redislock: %q: %w", l.key, redisconn.Explain(err))
	}
	if result == 0 {
		c.n.lost.Add(1)
		return fmt.Errorf("%w: %q", ErrLost, l.key)
	}
	return nil
}

// slowest is how long a byte may take on its way: 1 MB/s.
const slowest = time.Microsecond

// Extend is the heartbeat.
func (l *lease) Extend(context.Context) error {
	l.mu.Lock()
	over := l.void || l.ended
	l.mu.Unlock()
	if over {
		return fmt.Errorf("%w: %q", ErrLost, l.key)
	}
	sent := time.Now()
	result, err := l.c.call(extendScript, l.key, l.token, micro(l.c.conf.Lease)).AsInt64()
	if err != nil {
		return fmt.Errorf("redislock: extend %q: %w", l.key, redisconn.Explain(err))
	}
	if result == 0 {
		l.expire()
		return fmt.Errorf("%w: %q", ErrLost, l.key)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.void && !l.ended {
		l.timer.Reset(l.left(sent))
	}
	return nil
}

// Leave has Redis say when nobody waits any more.
func (l *lease) Leave(unwanted func()) {
	l.mu.Lock()
	l.unwanted = unwanted
	l.mu.Unlock()
	go func() {
		if nobody, err := l.c.call(leaveScript, l.key, l.token).AsInt64(); err == nil && nobody == 1 {
			l.notWanted()
		}
	}()
}

// notWanted tells the cache, if it has left.
func (l *lease) notWanted() {
	l.mu.Lock()
	unwanted := l.unwanted
	l.unwanted = nil
	l.mu.Unlock()
	if unwanted != nil {
		unwanted()
	}
}

// Lost is closed when the lease is void.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// A lostLease is one that no Redis has granted: what is computed under it goes to
// the callers of this process, and is kept by nobody.
type lostLease struct{}

var never = func() chan struct{} {
	lost := make(chan struct{})
	close(lost)
	return lost
}()

func (lostLease) Fill(_ context.Context, record *corral.Record) error {
	if record.Body != nil {
		record.Body.Close()
	}
	return ErrLost
}
func (lostLease) Fail(context.Context, error, time.Duration) error { return ErrLost }
func (lostLease) Pass(context.Context) error                       { return ErrLost }
func (lostLease) Abandon(context.Context) error                    { return ErrLost }
func (lostLease) Extend(context.Context) error                     { return ErrLost }
func (lostLease) Leave(unwanted func())                            { unwanted() }
func (lostLease) Lost() <-chan struct{}                            { return never }
