package peer

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/corralcache/corral/coordinator/cluster/internal/peerpb"
)

// service is what peers call.
type service struct {
	peerpb.UnimplementedPeerServer
	transport *Transport
}

var (
	errNotStarted = later("this process is not in a cluster yet")
	errClosing    = later("this node closes")
)

// Control has one session. It returns as soon as the session ends, because that
// is what ends the reading and writing of its goroutines.
func (v *service) Control(stream grpc.BidiStreamingServer[peerpb.Frames, peerpb.Frames]) error {
	t := v.transport
	member := t.member.Load()
	if member == nil {
		return errNotStarted
	}
	s := t.newSession(stream.Context(), nil, member)
	if s == nil {
		return errClosing
	}
	s.stream = stream
	answer := func() {
		defer t.over(s)
		if err := t.answer(s, member); err != nil {
			s.end(err)
			t.sayRefused("a call was refused", "", err, "from", callerOf(stream.Context()))
		}
	}
	if !t.spawn(answer) {
		t.over(s)
		return errClosing
	}
	<-s.ctx.Done()
	return farewell(context.Cause(s.ctx))
}

// answer has a session with a caller, or says why not.
func (t *Transport) answer(s *session, member *membership) error {
	late := time.AfterFunc(dialTimeout, func() { s.end(errLate) })
	defer late.Stop()
	b, err := s.hear()
	if err != nil {
		return err
	}
	g, err := member.judgeCaller(b)
	if err != nil {
		return err
	}
	p := (*t.peers.Load())[g.node.Name]
	if p == nil {
		return later("node %v is not known here yet", g.node)
	}
	s.peer = p
	if err := Vouches(s.ctx, p.address()); err != nil {
		return err
	}
	if err := p.admit(s, g.node, g.call); err != nil {
		return err
	}
	late.Stop()
	if err := s.greet(member.hello(g.version, g.version, g.call)); err != nil {
		return err
	}
	s.run()
	return nil
}

// farewell is what the caller of a session is told at its end.
func farewell(cause error) error {
	var r *refusal
	switch {
	case errors.Is(cause, errLeft), errors.Is(cause, errClosed):
		return nil
	case errors.As(cause, &r):
		return r
	default:
		return status.Error(codes.Aborted, cause.Error())
	}
}

func callerOf(ctx context.Context) string {
	if p, ok := grpcpeer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}
