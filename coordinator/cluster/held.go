package cluster

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
)

// errVoid is what ending a lease comes to that was not valid any more.
var errVoid = errors.New("cluster: the lease was void: its outcome is kept by nobody else")

// errEnded is what ending a lease twice comes to.
var errEnded = errors.New("cluster: the lease has been ended before")

// outcomeGrace is for how long the body of an outcome stays announced once those
// who waited have been told of it: they fetch it over another connection, and one
// that is short of processor time for a moment is not to have it computed again.
const outcomeGrace = time.Second

// neglect is for how long the cache may leave a lease alone: then it goes on to
// another. The core extends leases as long as the process lives; this is for a
// cache that has lost its way.
const neglect = 5 * time.Second

// A lease is the right of this node to compute a key.
type lease struct {
	node      *Node
	flight    core.Flight
	lost      chan struct{}
	neglected *time.Timer

	mu       sync.Mutex
	ending   bool
	settled  chan struct{} // closed by the acknowledgement
	void     bool
	unwanted func()
}

var _ corral.Lease = (*lease)(nil)

// hold makes a lease of a flight that was granted. It may be void by now. Until
// it is extended for the first time it may be left alone for as long as given.
func (n *Node) hold(flight core.Flight, alone time.Duration) *lease {
	l := &lease{node: n, flight: flight, lost: make(chan struct{}), settled: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.core.Holds(flight) {
		n.leases[flight] = l
	} else {
		close(l.lost)
	}
	l.neglected = time.AfterFunc(alone, l.forsake)
	return l
}

// forsake gives up a lease that nobody extends.
func (l *lease) forsake() {
	n := l.node
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.leases[l.flight] == l {
		l.lose()
		n.stepLocked(core.Done{Flight: l.flight, Kind: core.KindAbandon})
	}
}

// Fill implements corral.Lease.
func (l *lease) Fill(ctx context.Context, r *corral.Record) error {
	p := pack(r)
	end, err := l.node.bodies.offer(p, false)
	if err != nil {
		if p.body != nil {
			p.body.Close()
		}
		if errors.Is(err, errTooLarge) { // the next holder's would be, too
			l.node.quietly.say(saysNotShared, err)
			return errors.Join(err, l.Pass(ctx))
		}
		return errors.Join(err, l.Abandon(ctx))
	}
	p.body = nil // it is where ref says
	v := value(r, p)
	v.Stale = false
	err = l.finish(ctx, core.Done{Kind: core.KindValue, Value: v})
	if p.ref.id != 0 {
		l.node.endLater(end, err == nil)
	}
	return err
}

// endLater ends the announcement of an outcome.
func (n *Node) endLater(end func(), told bool) {
	if !told {
		end()
		return
	}
	time.AfterFunc(outcomeGrace, end)
}

// Fail implements corral.Lease.
func (l *lease) Fail(ctx context.Context, cause error, retryAfter time.Duration) error {
	code, text := corral.EncodeError(cause)
	text = strings.ToValidUTF8(text[:min(len(text), maxErrorBytes)], "")
	return l.finish(ctx, core.Done{Kind: core.KindError, Failure: core.Failure{Code: code, Text: text, RetryAfter: retryAfter}})
}

// Pass implements corral.Lease.
func (l *lease) Pass(ctx context.Context) error {
	return l.finish(ctx, core.Done{Kind: core.KindPass})
}

// Abandon implements corral.Lease.
func (l *lease) Abandon(ctx context.Context) error {
	return l.finish(ctx, core.Done{Kind: core.KindAbandon})
}

// Extend implements corral.Lease.
func (l *lease) Extend(context.Context) error {
	select {
	case <-l.lost:
		return errVoid
	default:
		l.neglected.Reset(neglect)
		return nil
	}
}

// Lost implements corral.Lease.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// Leave implements corral.Lease.
func (l *lease) Leave(unwanted func()) {
	l.mu.Lock()
	l.unwanted = unwanted
	l.mu.Unlock()
	l.node.step(core.NobodyHere{Flight: l.flight})
}

// finish ends the lease and waits for the acknowledgement.
func (l *lease) finish(ctx context.Context, done core.Done) error {
	l.mu.Lock()
	again := l.ending
	l.ending = true
	l.mu.Unlock()
	l.neglected.Stop()
	if again {
		return errEnded
	}
	done.Flight = l.flight
	l.node.step(done)
	select {
	case <-l.settled:
		if l.void {
			return errVoid
		}
		return nil
	case <-l.lost:
		return errVoid
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-l.node.ctx.Done():
		return ErrLeft
	}
}

// end is the acknowledgement. Called once, under the node's mu.
func (l *lease) end(void bool) {
	l.void = void
	close(l.settled)
}

// lose says that the lease is void. Called under the node's mu.
func (l *lease) lose() {
	delete(l.node.leases, l.flight)
	close(l.lost)
}

// nobody says that nobody anywhere waits. Called under the node's mu.
func (l *lease) nobody() {
	l.mu.Lock()
	unwanted := l.unwanted
	l.unwanted = nil
	l.mu.Unlock()
	if unwanted != nil {
		unwanted()
	}
}
