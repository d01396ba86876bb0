package etcd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	lookEvery   = 250 * time.Millisecond  // how often a stream is looked after
	askAfter    = 500 * time.Millisecond  // of silence, for its progress
	silentFor   = 1500 * time.Millisecond // until it is given up
	mayLagFor   = 500 * time.Millisecond  // behind what calls have seen
	pauseBefore = 100 * time.Millisecond  // a stream is opened again
)

// A Change is all that one revision changed below the prefix, keys without it.
// One without keys says that nothing changed up to its revision.
type Change struct {
	Revision uint64
	Put      map[string]KV
	Deleted  []string
}

// Watch calls apply with every revision from one on, in order, each once, one
// call at a time. Revisions that concern other prefixes are passed over, and
// told about twice a second by a Change without keys.
//
// It returns when ctx ends, with its error, or when it cannot go on:
// ErrCompacted, ErrRolledBack or ErrRefused. Lost connections, members that are
// silent and members that lag behind what calls have seen are changed for
// others, and logged once.
func (c *Client) Watch(ctx context.Context, from uint64, apply func(Change)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.closed, cancel)()

	w := &watch{client: c, next: from, apply: apply}
	for {
		e := c.endpoints.pick()
		err := w.follow(ctx, e)
		switch {
		case c.closed.Err() != nil:
			return fmt.Errorf("etcd: watch: %w", ErrClosed)
		case ctx.Err() != nil:
			return ctx.Err()
		case final(err):
			return fmt.Errorf("etcd: watch %q from %d: %w", c.config.Prefix, w.next, err)
		}
		w.lost(e, err)
		c.endpoints.leave(e)
		pause(ctx, pauseBefore)
	}
}

// final reports whether a watch cannot go on.
func final(err error) bool {
	return errors.Is(err, ErrCompacted) || errors.Is(err, ErrRolledBack) || errors.Is(err, ErrRefused)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// confirm makes a call for the sake of what its answer shows: a watch from a
// revision that a restored etcd has yet to reach would wait without a word.
func (c *Client) confirm(ctx context.Context) error {
	return c.call(ctx, func(ctx context.Context, e *endpoint) error {
		since, err := c.history.seen()
		if err != nil {
			return err
		}
		answer, err := e.client.Get(ctx, c.config.Prefix, clientv3.WithKeysOnly())
		if err != nil {
			return explain(err)
		}
		return c.history.answered(since, answer.Header)
	})
}

// A watch follows revisions over one stream after the other.
//
// Invariants:
//
//	W1. All revisions below next have been applied, none from it on, and next
//	    never falls. A stream begins at next.
//	W2. Progress is asked for only once the stream has been created: before
//	    that, its answer may overtake events.
type watch struct {
	client *Client
	next   uint64
	apply  func(Change)
	down   bool // said in the log
}

func (w *watch) lost(e *endpoint, err error) {
	if !w.down {
		w.client.config.Log.Warn("etcd watch lost; it goes on from the same revision where a member answers", "endpoint", e.address, "revision", w.next, "cause", err,
			"effect", "none if it goes on within the node's lease; else the node gives nothing that it has",
			"remedy", "see whether that member of etcd runs, and whether the members have a leader: corral cluster members")
	}
	w.down = true
}

// created finds the member at the revision that it is to go on from, or lagging.
func (w *watch) created(ctx context.Context, e *endpoint, m *pb.WatchResponse) error {
	if uint64(m.Header.GetRevision())+1 < w.next {
		if err := w.client.confirm(ctx); final(err) {
			return err
		}
	}
	if w.down {
		w.client.config.Log.Info("etcd watch goes on", "endpoint", e.address, "revision", w.next)
	}
	w.down = false
	return nil
}

// follow applies what one member tells, until it fails.
func (w *watch) follow(ctx context.Context, e *endpoint) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	stream, err := w.open(ctx, e)
	if err != nil {
		cancel()
		return err
	}
	messages, ended := make(chan *pb.WatchResponse), make(chan error, 1)
	go receive(ctx, stream, messages, ended)
	defer func() {
		cancel()
		for range ended { // until receive has returned
		}
	}()

	p := pace{heard: time.Now()}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	created := false
	for {
		select {
		case m := <-messages:
			if err := w.take(m); err != nil {
				return err
			}
			if m.Created {
				if err := w.created(ctx, e, m); err != nil {
					return err
				}
				created = true
			}
			p.heard = time.Now()
		case err := <-ended:
			return explain(err)
		case now := <-look.C:
			seen, err := w.client.history.seen()
			if err != nil {
				return err
			}
			ask, err := p.look(now, w.next, seen)
			if err != nil {
				return err
			}
			if ask && created { // W2
				if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}); err != nil {
					return explain(err)
				}
			}
		}
	}
}

func (w *watch) open(ctx context.Context, e *endpoint) (pb.Watch_WatchClient, error) {
	within, cancel := context.WithTimeout(ctx, w.client.config.Timeout)
	defer cancel()
	if err := e.suitable(within); err != nil {
		return nil, err
	}
	stream, err := pb.NewWatchClient(e.client.ActiveConnection()).Watch(ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err != nil {
		return nil, explain(err)
	}
	prefix := w.client.config.Prefix
	err = stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key:           []byte(prefix),
		RangeEnd:      []byte(clientv3.GetPrefixRangeEnd(prefix)),
		StartRevision: int64(w.next), // W1
	}}})
	if err != nil {
		return nil, explain(err)
	}
	return stream, nil
}

func receive(ctx context.Context, stream pb.Watch_WatchClient, messages chan<- *pb.WatchResponse, ended chan<- error) {
	defer close(ended)
	for {
		m, err := stream.Recv()
		if err != nil {
			ended <- err
			return
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			ended <- ctx.Err()
			return
		}
	}
}

// take applies one message. etcd never splits a revision over two of them,
// unless asked to.
func (w *watch) take(m *pb.WatchResponse) error {
	if err := w.client.history.told(m.Header); err != nil {
		return err
	}
	switch {
	case m.CompactRevision != 0:
		return fmt.Errorf("%w: %d is, up to %d: read anew", ErrCompacted, w.next, m.CompactRevision)
	case m.Canceled:
		return canceled(m.CancelReason)
	case m.Created:
		return nil
	case len(m.Events) == 0:
		w.reach(Change{Revision: uint64(m.Header.GetRevision())})
		return nil
	}
	for rest := m.Events; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Kv.ModRevision == rest[0].Kv.ModRevision {
			n++
		}
		w.reach(w.client.change(rest[:n]))
		rest = rest[n:]
	}
	return nil
}

func canceled(reason string) error {
	err := rpctypes.Error(status.Error(codes.FailedPrecondition, reason))
	if errors.Is(err, rpctypes.ErrCompacted) {
		return fmt.Errorf("%w: read anew", ErrCompacted)
	}
	return explain(err)
}

func (w *watch) reach(change Change) {
	if change.Revision < w.next { // progress, of what is known
		return
	}
	w.apply(change)
	w.next = change.Revision + 1
}

func (c *Client) change(events []*mvccpb.Event) Change {
	change := Change{Revision: uint64(events[0].Kv.ModRevision)}
	for _, event := range events {
		key := c.relative(event.Kv.Key)
		if event.Type == mvccpb.Event_DELETE {
			change.Deleted = append(change.Deleted, key)
			continue
		}
		if change.Put == nil {
			change.Put = make(map[string]KV)
		}
		change.Put[key] = KV{Value: event.Kv.Value, Revision: change.Revision}
	}
	return change
}

// A pace judges whether a stream keeps up. Time is a parameter.
type pace struct {
	heard  time.Time // when anything last came
	behind time.Time // since when the stream has not reached mark; zero: it has
	mark   uint64
}

// look tells whether to ask for progress, and fails if the stream is to be left.
func (p *pace) look(now time.Time, next, seen uint64) (ask bool, err error) {
	if silent := now.Sub(p.heard); silent >= silentFor {
		return false, fmt.Errorf("%w: nothing came for %v, and progress was asked for", ErrUnknown, silent)
	}
	if next > p.mark { // reached it, or there was none
		p.behind = time.Time{}
		if next <= seen {
			p.behind, p.mark = now, seen
		}
	}
	if p.behind.IsZero() {
		return now.Sub(p.heard) >= askAfter, nil
	}
	if lag := now.Sub(p.behind); lag >= mayLagFor {
		return false, fmt.Errorf("%w: the member has not come to revision %d, which was seen %v ago", ErrUnknown, p.mark, lag)
	}
	return true, nil
}
