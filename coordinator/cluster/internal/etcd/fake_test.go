package etcd

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A fakeMember says what no real one can be brought to say.
type fakeMember struct {
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedKVServer
	pb.UnimplementedWatchServer

	version  string
	revision int64                      // that calls see
	watch    func(pb.Watch_WatchServer) // once it was created
	hangs    bool                       // calls are not answered
}

func (f *fakeMember) header() *pb.ResponseHeader {
	return &pb.ResponseHeader{ClusterId: 1, Revision: f.revision}
}

func (f *fakeMember) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{Header: f.header(), Version: f.version}, nil
}

func (f *fakeMember) Range(ctx context.Context, _ *pb.RangeRequest) (*pb.RangeResponse, error) {
	if f.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pb.RangeResponse{Header: f.header()}, nil
}

func (f *fakeMember) Watch(stream pb.Watch_WatchServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	if err := stream.Send(&pb.WatchResponse{Header: f.header(), Created: true}); err != nil {
		return err
	}
	f.watch(stream)
	<-stream.Context().Done()
	return nil
}

func (f *fakeMember) serve(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	pb.RegisterMaintenanceServer(s, f)
	pb.RegisterKVServer(s, f)
	pb.RegisterWatchServer(s, f)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func TestAReleaseOfEtcdWhoseWatchMaySkipIsRefused(t *testing.T) {
	for version, refused := range map[string]bool{
		"3.4.30": true, "3.5.12": true, "3.5.13": false, "3.6.0": false, "4.0.0": false, "": true, "x": true,
	} {
		f := &fakeMember{version: version}
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		c, err := Dial(ctx, Config{Endpoints: []string{f.serve(t)}})
		cancel()
		if got := errors.Is(err, ErrRefused) && strings.Contains(err.Error(), "upgrade it to 3.5.13"); got != refused || !refused && err != nil {
			t.Errorf("release %q: got %v, want refused: %v", version, err, refused)
		}
		if err == nil {
			c.Close()
		}
	}
}

func TestAfterACallWithoutAnAnswerTheNextGoesToAnotherMember(t *testing.T) {
	hangs, answers := &fakeMember{version: "3.7.0", hangs: true}, &fakeMember{version: "3.7.0", revision: 9}
	c := dial(t, Config{Endpoints: []string{hangs.serve(t), answers.serve(t)}, Timeout: 200 * time.Millisecond})
	for _, e := range c.endpoints.all { // connected, so that the first is asked
		if err := e.suitable(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.endpoints.current = 0
	if _, err := c.Read(t.Context()); !errors.Is(err, ErrUnknown) {
		t.Fatalf("Read from a member that hangs: got %v, want ErrUnknown", err)
	}
	for range 3 {
		if _, err := c.Read(t.Context()); err != nil {
			t.Fatalf("Read after that: %v", err)
		}
	}
	c.endpoints.current = 0
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Read(ctx); !errors.Is(err, context.Canceled) || c.endpoints.current != 0 {
		t.Fatalf("Read that its caller gave up: got %v, and turned to member %d: that says nothing of the member", err, c.endpoints.current)
	}
}

// It answers, and is cut off from the leader.
func TestAMemberThatLagsIsLeftForAnother(t *testing.T) {
	lags := &fakeMember{version: "3.7.0", revision: 9, watch: func(stream pb.Watch_WatchServer) {
		for {
			if _, err := stream.Recv(); err != nil { // a request for progress
				return
			}
			if stream.Send(&pb.WatchResponse{Header: &pb.ResponseHeader{ClusterId: 1, Revision: 5}, WatchId: -1}) != nil {
				return
			}
		}
	}}
	leads := &fakeMember{version: "3.7.0", revision: 9, watch: func(stream pb.Watch_WatchServer) {
		_ = stream.Send(&pb.WatchResponse{Header: &pb.ResponseHeader{ClusterId: 1, Revision: 9}, Events: []*mvccpb.Event{
			{Kv: &mvccpb.KeyValue{Key: []byte("/corral/a"), ModRevision: 9}},
		}})
	}}
	log := new(logged)
	c := dial(t, Config{Endpoints: []string{lags.serve(t), leads.serve(t)}, Log: log.logger()})
	if _, err := c.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	changes, _ := watched(t, c, 3)
	if got := next(t, changes); got.Revision != 9 {
		t.Fatalf("got %+v, want revision 9", got)
	}
	if !strings.Contains(log.String(), "has not come to revision 9") {
		t.Errorf("the log does not say why the member was left:\n%s", log)
	}
}

func TestOnlyWhatIsCertainIsRefused(t *testing.T) {
	for _, test := range []struct {
		err           error
		refused, full bool
	}{
		{rpctypes.ErrGRPCRequestTooLarge, true, false},
		{rpctypes.ErrGRPCTooManyOps, true, false},
		{rpctypes.ErrGRPCPermissionDenied, true, false},
		{rpctypes.ErrGRPCUserEmpty, true, false},
		{rpctypes.ErrGRPCInvalidAuthToken, true, false},
		{rpctypes.ErrGRPCRequestTooManyRequests, true, false},
		{status.Error(codes.Unimplemented, "unknown service"), true, false},
		{status.Error(codes.Unauthenticated, "who are you"), true, false},
		{rpctypes.ErrGRPCNoSpace, false, true},
		{rpctypes.ErrGRPCNoLeader, false, false},
		{rpctypes.ErrGRPCLeaderChanged, false, false},
		{rpctypes.ErrGRPCStopped, false, false},
		{rpctypes.ErrGRPCTimeout, false, false},
		{rpctypes.ErrGRPCTimeoutDueToLeaderFail, false, false},
		{rpctypes.ErrGRPCCorrupt, false, false},
		{status.Error(codes.Unavailable, "connection refused"), false, false},
		{status.Error(codes.Unknown, "raft proposal dropped"), false, false},
		{status.Error(codes.ResourceExhausted, "a message too large"), false, false},
		{context.DeadlineExceeded, false, false},
		{context.Canceled, false, false},
	} {
		for _, err := range []error{test.err, rpctypes.Error(test.err)} { // from a stream, and from clientv3
			got := explain(err)
			if errors.Is(got, ErrRefused) != test.refused || errors.Is(got, ErrUnknown) == test.refused || errors.Is(got, ErrFull) != test.full || !errors.Is(got, err) {
				t.Errorf("%v: got %v, want refused: %v, full: %v", err, got, test.refused, test.full)
			}
		}
	}
	if got := explain(rpctypes.ErrGRPCRequestTooLarge).Error(); !strings.HasSuffix(got, "write less at once") {
		t.Errorf("got %q, want a remedy", got)
	}
}
