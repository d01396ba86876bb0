package etcd

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestWhatIsUrgedIsSentToAnotherMemberWithinOneCall(t *testing.T) {
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	s, _ := one(t)
	c := dial(t, Config{Endpoints: []string{hung.Addr().String(), s.Client()}})
	c.endpoints.current = 0
	first, err := c.Urge(t.Context(), Txn{Require: map[string]uint64{"a": 0}, Put: map[string][]byte{"a": []byte("1")}}, 50*time.Millisecond, soon)
	if err != nil || !first.OK {
		t.Fatalf("Urge: got %+v, %v, want OK", first, err)
	}
	second, err := c.Urge(t.Context(), Txn{Require: map[string]uint64{"a": 0}, Put: map[string][]byte{"a": []byte("2")}}, 50*time.Millisecond, soon)
	if err != nil || second.OK || string(second.Keys["a"].Value) != "1" || second.Keys["a"].Revision != first.Revision {
		t.Fatalf("Urge of what cannot be: got %+v, %v, want what the first has written", second, err)
	}
}

// Txn is never answered.
func (f *fakeMember) Txn(ctx context.Context, _ *pb.TxnRequest) (*pb.TxnResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestWhatIsUrgedInVainEndsInTime(t *testing.T) {
	hangs := &fakeMember{version: "3.7.0", hangs: true}
	c := dial(t, Config{Endpoints: []string{hangs.serve(t)}})
	began := time.Now()
	_, err := c.Urge(t.Context(), Txn{Require: map[string]uint64{"a": 0}, Put: map[string][]byte{"a": nil}}, 50*time.Millisecond, 200*time.Millisecond)
	if took := time.Since(began); !errors.Is(err, ErrUnknown) || took > soon/2 {
		t.Fatalf("Urge of a member that hangs: got %v after %v, want ErrUnknown in time", err, took)
	}
}
