package marker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// passMark is how long a pass answers those who come after it.
const passMark = time.Second

// lingering is how many polls the outcome of a lease stays for those who wait
// for it, where it is not kept for others.
const lingering = 20

var errEnded = errors.New("marker: the lease has ended")

// A lease is a marker of this process.
//
// Invariants:
//
//	N1. It is ended once. Guarded by mu.
//	N2. Extend and the end do not overlap in the KV: a marker is not put again
//	    after its outcome. turn has room for one.
//	N3. lost is closed at the latest Config.Lease after the marker was last put,
//	    unless the lease has ended.
type lease struct {
	c    *Coordinator
	key  string
	id   uint64
	lost chan struct{}
	turn chan struct{}

	mu    sync.Mutex
	ended bool
	timer *time.Timer // closes lost
}

var _ corral.Lease = (*lease)(nil)

func newLease(c *Coordinator, key string, id uint64) *lease {
	return &lease{c: c, key: key, id: id, lost: make(chan struct{}), turn: make(chan struct{}, 1)}
}

// mark puts the marker, for Config.Lease from now on.
func (l *lease) mark(ctx context.Context) error {
	began := time.Now()
	if err := l.put(ctx, &entry{kind: inProgress}, l.c.conf.Lease); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	left := l.c.conf.Lease - time.Since(began)
	switch {
	case l.timer == nil:
		l.timer = time.AfterFunc(left, l.expire) // N3
	case !l.ended && l.timer.Stop():
		l.timer.Reset(left)
	}
	return nil
}

// put puts an entry of this lease under the key's marker.
func (l *lease) put(ctx context.Context, e *entry, ttl time.Duration) error {
	return l.putAt(ctx, l.c.markerName(l.key), e, ttl)
}

func (l *lease) putAt(ctx context.Context, name string, e *entry, ttl time.Duration) error {
	e.id, e.at = l.id, time.Now()
	return l.c.conf.KV.Put(ctx, name, e.append(nil, name), ttl)
}

func (l *lease) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		close(l.lost)
	}
}

// Lost is closed when the marker has not been put again for Config.Lease. That
// another has put one over it is not seen.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// Leave tells nobody: who waits is not known.
func (l *lease) Leave(func()) {}

// Extend puts the marker again, over whatever is there.
func (l *lease) Extend(ctx context.Context) error {
	return l.inTurn(ctx, "extend", func() error {
		l.mu.Lock()
		ended := l.ended
		l.mu.Unlock()
		if ended {
			return errEnded
		}
		select {
		case <-l.lost:
			return errors.New("marker: the lease is void")
		default:
			return l.mark(ctx)
		}
	})
}

// inTurn does something of this lease in the KV, one at a time (N2).
func (l *lease) inTurn(ctx context.Context, what string, do func() error) error {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return fmt.Errorf("marker: %s %q: %w", what, l.key, context.Cause(ctx))
	}
	if err := do(); err != nil {
		return fmt.Errorf("marker: %s %q: %w", what, l.key, err)
	}
	return nil
}

// end ends the lease. Whether it is void does not matter: nobody compares.
func (l *lease) end(ctx context.Context, what string, tell func() error) error {
	l.mu.Lock()
	already := l.ended
	l.ended = true // N1
	l.timer.Stop()
	l.mu.Unlock()
	if already {
		return fmt.Errorf("marker: %s %q: %w", what, l.key, errEnded)
	}
	return l.inTurn(ctx, what, tell)
}

// Fill puts the value and takes the marker away, in two steps. A value that is
// too large is a pass.
func (l *lease) Fill(ctx context.Context, record *corral.Record) error {
	if record.Body != nil {
		defer record.Body.Close()
	}
	// Read outside of the turn: a body may still arrive, and Extend goes on meanwhile.
	form, body, err := l.form(record)
	if err != nil {
		return errors.Join(fmt.Errorf("marker: fill %q: body: %w", l.key, err), l.Fail(ctx, err, 0))
	}
	if len(form)+len(body) > l.c.conf.MaxValueBytes {
		return l.Pass(ctx)
	}
	return l.end(ctx, "fill", func() error {
		if record.Outcome != corral.Keep {
			return l.put(ctx, &entry{kind: shared, record: form, body: body}, l.linger(0))
		}
		if ttl := lifetime(record); ttl > 0 {
			if err := l.putAt(ctx, l.c.valueName(l.key), &entry{kind: value, record: form, body: body}, ttl); err != nil {
				return err
			}
		}
		return l.c.conf.KV.Delete(ctx, l.c.markerName(l.key)) // M4
	})
}

// form is a record's bytes and those of its body, of which no more is read than
// shows that it is too large.
func (l *lease) form(record *corral.Record) (form, body []byte, err error) {
	form = stored.Append(nil, l.key, record)
	if record.Body == nil {
		return form, nil, nil
	}
	body, err = io.ReadAll(io.LimitReader(record.Body, int64(l.c.conf.MaxValueBytes)+1))
	return form, body, err
}

// lifetime is for how long a value is of use: until its windows have passed.
func lifetime(record *corral.Record) time.Duration {
	windows := max(0, record.StaleFor, record.StaleOnError, record.StaleOnOutage)
	if record.TTL > math.MaxInt64-windows {
		return maxTTL
	}
	return min(record.TTL+windows, maxTTL)
}

// linger is how long an outcome stays for those who wait.
func (l *lease) linger(pause time.Duration) time.Duration {
	return max(pause, lingering*l.c.conf.Poll)
}

// Fail puts the error in the marker's place, for the pause.
func (l *lease) Fail(ctx context.Context, cause error, retryAfter time.Duration) error {
	code, text := corral.EncodeError(cause)
	return l.end(ctx, "fail", func() error {
		return l.put(ctx, &entry{kind: failed, pause: max(0, retryAfter), code: code, text: text}, l.linger(retryAfter))
	})
}

// Pass says in the marker's place that each computes for itself.
func (l *lease) Pass(ctx context.Context) error {
	return l.end(ctx, "pass", func() error {
		return l.put(ctx, &entry{kind: passed, pause: passMark}, l.linger(passMark))
	})
}

// Abandon takes the marker away. All who wait and see that compute.
func (l *lease) Abandon(ctx context.Context) error {
	return l.end(ctx, "abandon", func() error { return l.c.conf.KV.Delete(ctx, l.c.markerName(l.key)) })
}
