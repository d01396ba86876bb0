package peer

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
)

// A listener hands its events over: on real sockets nothing else may be waited
// for.
type listener struct {
	opened, closed chan uint64
	came           chan core.Message
}

func newListener() *listener {
	return &listener{opened: make(chan uint64, 10), closed: make(chan uint64, 10), came: make(chan core.Message, 10)}
}

func (l *listener) Opened(_ core.Node, session uint64)          { l.opened <- session }
func (l *listener) Closed(_ core.Node, session uint64, _ error) { l.closed <- session }
func (l *listener) Received(_ core.Node, _ uint64, messages []core.Message) {
	for _, message := range messages {
		l.came <- message
	}
}
func (l *listener) Body(context.Context, uint64, int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("body")), nil
}

// loopback starts two nodes on real sockets, which know of each other.
func loopback(t *testing.T, secure [2]*identity.Identity) (transports [2]*Transport, heard [2]*listener) {
	t.Helper()
	places := map[string]Place{}
	for i, name := range []string{"a", "b"} {
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		heard[i] = newListener()
		if transports[i], err = New(Config{Listener: socket, Identity: secure[i]}); err != nil {
			t.Fatal(err)
		}
		if err := transports[i].Start(Member{Self: core.Node{Name: name, Incarnation: 1}, Cluster: "herd", Partitions: 64}, heard[i]); err != nil {
			t.Fatal(err)
		}
		places[name] = Place{socket.Addr().String(), 1}
	}
	for _, transport := range transports {
		transport.SetPeers(places)
	}
	return transports, heard
}

func TestNoGoroutineIsLeftAfterClose(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	transports, heard := loopback(t, [2]*identity.Identity{})
	session := <-heard[0].opened
	<-heard[1].opened
	transports[0].Send("b", session, core.Leave{Ask: 7})
	if got := <-heard[1].came; got != (core.Leave{Ask: 7}) {
		t.Errorf("got %v", got)
	}
	body, err := transports[1].Fetch(t.Context(), "a", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(body); err != nil || string(got) != "body" {
		t.Errorf("got %q, %v", got, err)
	}
	left, err := transports[0].Fetch(t.Context(), "b", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	transports[1].Close()
	if got := <-heard[0].closed; got != session {
		t.Errorf("session %d ended, not %d", got, session)
	}
	transports[0].Close()
	body.Close()
	left.Close()
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	socket := func() net.Listener { return newNetwork(t).listen("a") }
	for _, row := range []struct {
		config Config
		member Member
		want   string
	}{
		{Config{}, Member{}, "peer: Config.Listener is nil: set where other nodes reach this one"},
		{Config{Listener: socket(), Limits: Limits{Fetches: -1}}, Member{}, "peer: Limits.Fetches is -1: set it above 0, or leave it 0 for the default"},
		{Config{Listener: socket(), Limits: Limits{QueuedBytes: 1000}}, Member{}, "peer: Limits.QueuedBytes is 1000, below Limits.MessageBytes, 1048576: no such message could be sent"},
		{Config{Listener: socket()}, Member{}, "peer: Member.Self is nobody: it needs a name and an incarnation"},
		{Config{Listener: socket()}, Member{Self: core.Node{Name: "a"}}, "peer: Member.Self is a/0: it needs a name and an incarnation"},
		{Config{Listener: socket()}, Member{Self: core.Node{Name: "\xff", Incarnation: 1}, Cluster: "herd"}, `peer: Member is "\xff" of "herd": names are UTF-8, of at most 255 bytes`},
		{Config{Listener: socket()}, Member{Self: core.Node{Name: "a", Incarnation: 1}}, "peer: Member.Cluster is empty: it is the cluster's UUID"},
		{Config{Listener: socket()}, Member{Self: core.Node{Name: "a", Incarnation: 1}, Cluster: "herd"}, "peer: Member.Partitions is 0: it is the cluster's, and above 0"},
	} {
		transport, err := New(row.config)
		if err == nil {
			err = transport.Start(row.member, newListener())
			transport.Close()
		}
		if err == nil || err.Error() != row.want {
			t.Errorf("got  %v\nwant %s", err, row.want)
		}
	}
}
