package peer

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/peerpb"
)

// stranger calls a node with the generated code, as any program could.
func (n *network) stranger(address string) peerpb.PeerClient {
	n.t.Helper()
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithContextDialer(n.dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { connection.Close() })
	return peerpb.NewPeerClient(connection)
}

func hello(change ...func(*peerpb.Hello)) *peerpb.Frames {
	h := &peerpb.Hello{
		Version: Version, Oldest: OldestVersion, Cluster: "herd", Partitions: 1024,
		Node: &peerpb.Node{Name: "a", Incarnation: 2}, Session: 1,
	}
	for _, c := range change {
		c(h)
	}
	return &peerpb.Frames{Sequence: 1, Hello: h}
}

// says sends batches in one call and returns how the call ends.
func says(t *testing.T, client peerpb.PeerClient, batches ...*peerpb.Frames) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := client.Control(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := stream.Send(b); err != nil {
			break // Recv says why
		}
	}
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

func TestAStrangerIsRefusedWithTheReason(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*peerpb.Hello)
		want   string
		level  string
	}{
		{"another cluster", func(h *peerpb.Hello) { h.Cluster = "flock" },
			`two clusters meet: node a/2 belongs to "flock", and node b/1 to "herd": one of them has an address of the other`, "WARN"},
		{"a newer protocol", func(h *peerpb.Hello) { h.Version, h.Oldest = 3, 2 },
			"node a/2 speaks the protocol's versions 2 to 3, and node b/1 1 to 1: update by one release at a time", "WARN"},
		{"no protocol", func(h *peerpb.Hello) { h.Version, h.Oldest = 0, 0 },
			"node a/2 speaks the protocol's versions 0 to 0, and node b/1 1 to 1: update by one release at a time", "WARN"},
		{"another P", func(h *peerpb.Hello) { h.Partitions = 512 },
			"node a/2 counts 512 partitions, and node b/1 1024: all nodes of a cluster count the same", "WARN"},
		{"the same name", func(h *peerpb.Hello) { h.Node.Name = "b" },
			`two nodes have the name "b", b/1 and b/2: give one of them another`, "WARN"},
		{"the greater name", func(h *peerpb.Hello) { h.Node.Name = "c" },
			"node c/2 called node b/1: the node with the smaller name calls", "WARN"},
		{"nobody", func(h *peerpb.Hello) { h.Node = nil }, "node nobody is not known here yet", "INFO"},
		{"not in the records", func(h *peerpb.Hello) { h.Node.Name = "aa" }, "node aa/2 is not known here yet", "INFO"},
		{"a later incarnation", func(h *peerpb.Hello) { h.Node.Incarnation = 3 }, "node a/3 is not known here yet", "INFO"},
		{"an earlier incarnation", func(h *peerpb.Hello) { h.Node.Incarnation = 1 },
			`node a/1 has a successor, 2: is there another node of the name "a"?`, "WARN"},
		{"a call without a number", func(h *peerpb.Hello) { h.Session = 0 }, "node a/2 does not count its calls", "WARN"},
		{"a long Hello", func(h *peerpb.Hello) { h.Node.Name = strings.Repeat("a", helloBytes) },
			"its Hello has 4119 bytes, more than 4096", "WARN"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				b := n.node("b", 1)
				b.SetPeers(map[string]Place{"a": {"a", 2}, "b": {"b", 1}})
				for range 3 {
					if err := says(t, n.stranger("b"), hello(row.change)); status.Convert(err).Message() != row.want {
						t.Errorf("got  %v\nwant %s", err, row.want)
					}
				}
				hears(t, b, "")
				if lines := strings.Count(b.logged(), "\n"); lines != 1 || !strings.Contains(b.logged(), "level="+row.level) {
					t.Errorf("%d log lines, want 1 of level %s:\n%s", lines, row.level, b.logged())
				}
			})
		})
	}
}

func TestWhatBreaksTheOrderEndsTheSessionBeforeTheHandlerSeesIt(t *testing.T) {
	leave := func(sequence uint64, asks ...uint64) *peerpb.Frames {
		f := &peerpb.Frames{Sequence: sequence}
		for _, ask := range asks {
			f.Frames = append(f.Frames, &peerpb.Frame{Message: &peerpb.Frame_Leave{Leave: &peerpb.Leave{Ask: ask}}})
		}
		return f
	}
	for _, row := range []struct {
		name    string
		batches []*peerpb.Frames
		want    string
	}{
		{"a gap", []*peerpb.Frames{hello(), leave(2, 1), leave(4, 2)}, "batch 4 came after batch 2"},
		{"a repeat", []*peerpb.Frames{hello(), leave(2, 1), leave(2, 2)}, "batch 2 came after batch 2"},
		{"no number", []*peerpb.Frames{hello(), leave(2, 1), leave(0, 2)}, "batch 0 came after batch 2"},
		{"what was not sent", []*peerpb.Frames{hello(), leave(2, 1), {Sequence: 3, Received: 99}}, "it says that it has batch 99, but 1 were sent"},
		{"two Hellos", []*peerpb.Frames{hello(), leave(2, 1), {Sequence: 3, Hello: hello().Hello}}, "a Hello came in the middle of the session"},
		{"no message", []*peerpb.Frames{hello(), leave(2, 1), {Sequence: 3, Frames: []*peerpb.Frame{{}}}}, "a frame without a message"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				b := n.node("b", 1)
				b.SetPeers(map[string]Place{"a": {"a", 2}})
				err := says(t, n.stranger("b"), row.batches...)
				if err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("got  %v\nwant %s", err, row.want)
				}
				synctest.Wait()
				if got := b.hears(); !strings.HasPrefix(got, "opened a/2; closed a/2: ") || !strings.Contains(got, row.want) {
					t.Errorf("b was told %s", got)
				}
				if got := fmt.Sprint(b.gets()); got != "[{1}]" {
					t.Errorf("b got %s", got)
				}
			})
		})
	}
}

func TestGarbageIsRefused(t *testing.T) {
	for _, row := range []struct {
		name  string
		first []byte
		want  string
	}{
		{"noise", []byte("GET / HTTP/1.1\r\n\r\n"), "cannot parse"},
		{"nothing", nil, "batch 0 came after batch 0"},
		{"no Hello", appendUint(nil, framesSequence, 1), "the first batch is not a Hello"},
		{"a Hello that is none", append(appendUint(nil, framesSequence, 1), byte(framesHello<<3|2), 2, 0xff, 0xff), "its Hello is not one"},
		{"a batch over the limit", make([]byte, 1<<20+batchSlack+1), "larger than max"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				b := n.node("b", 1)
				b.SetPeers(map[string]Place{"a": {"a", 2}})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stream, err := n.stranger("b").Control(ctx, grpc.ForceCodecV2(codec{}))
				if err != nil {
					t.Fatal(err)
				}
				if err := stream.SendMsg(sealed{&row.first}); err != nil {
					t.Fatal(err)
				}
				err = stream.RecvMsg(&batch{})
				if err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("got  %v\nwant %s", err, row.want)
				}
				hears(t, b, "")
			})
		})
	}
}

func TestACallerThatSaysNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		b := n.node("b", 1)
		b.SetPeers(map[string]Place{"a": {"a", 2}})
		begun := time.Now()
		err := says(t, n.stranger("b"))
		if took := time.Since(begun); took != dialTimeout || status.Convert(err).Message() != errLate.Error() {
			t.Errorf("after %v: %v", took, err)
		}
	})
}

func TestALaterCallReplacesTheSessionAndAnEarlierOneDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		b := n.node("b", 1)
		b.SetPeers(map[string]Place{"a": {"a", 2}})
		call := func(number uint64) <-chan error {
			ended := make(chan error, 1)
			go func() { ended <- says(t, n.stranger("b"), hello(func(h *peerpb.Hello) { h.Session = number })) }()
			synctest.Wait()
			return ended
		}
		first := call(7)
		hears(t, b, "opened a/2")
		if err := <-call(7); status.Convert(err).Message() != "call 7 of node a/2 came after its call 7" {
			t.Errorf("a repeated call: %v", err)
		}
		hears(t, b, "")
		second := call(8)
		hears(t, b, "closed a/2: it began another session; opened a/2")
		if err := <-first; status.Convert(err).Message() != "it began another session" {
			t.Errorf("the first call: %v", err)
		}
		b.SetPeers(map[string]Place{"a": {"elsewhere", 2}})
		hears(t, b, "closed a/2: its record says another address or incarnation, or is gone")
		<-second
		third := call(1)
		hears(t, b, "opened a/2")
		b.SetPeers(nil)
		hears(t, b, "closed a/2: its record says another address or incarnation, or is gone")
		<-third
	})
}

// impostor answers calls with a Hello of its own making.
type impostor struct {
	peerpb.UnimplementedPeerServer
	hello *peerpb.Frames
}

func (i *impostor) Control(stream grpc.BidiStreamingServer[peerpb.Frames, peerpb.Frames]) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	if err := stream.Send(i.hello); err != nil {
		return err
	}
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func TestACallerLeavesWhoIsNotWhomItCalled(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*peerpb.Hello)
		told   string
		logged string
	}{
		{"as called", func(*peerpb.Hello) {}, "opened b/5", ""},
		{"another cluster", func(h *peerpb.Hello) { h.Cluster = "flock" }, "", "two clusters meet: node b/5 belongs to"},
		{"another P", func(h *peerpb.Hello) { h.Partitions = 2 }, "", "node b/5 counts 2 partitions, and node a/1 1024"},
		{"a version that was not offered", func(h *peerpb.Hello) { h.Version, h.Oldest = 2, 2 }, "", "versions 2 to 2"},
		{"another name", func(h *peerpb.Hello) { h.Node.Name = "c" }, "", `level=WARN msg="peer: a call was in vain" peer=b cause="at b there is node c/5, not b/5"`},
		{"another incarnation", func(h *peerpb.Hello) { h.Node.Incarnation = 6 }, "", `level=INFO msg="peer: a call was in vain" peer=b cause="at b there is node b/6, not b/5"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork(t)
				server := grpc.NewServer()
				answer := hello(func(h *peerpb.Hello) { h.Node = &peerpb.Node{Name: "b", Incarnation: 5} }, row.change)
				answer.Received = 1
				peerpb.RegisterPeerServer(server, &impostor{hello: answer})
				listener := n.listen("b")
				go server.Serve(listener)
				defer server.Stop()
				a := n.node("a", 1)
				defer a.Close()
				a.SetPeers(map[string]Place{"b": {"b", 5}})
				time.Sleep(time.Second)
				hears(t, a, row.told)
				if lines := strings.Count(a.logged(), "\n"); row.logged == "" && lines > 0 || row.logged != "" && lines != 1 {
					t.Errorf("%d log lines:\n%s", lines, a.logged())
				}
				if !strings.Contains(a.logged(), row.logged) {
					t.Errorf("a logged\n%s\nwant %s", a.logged(), row.logged)
				}
			})
		})
	}
}

func TestBeforeStartAndAfterCloseCallersAreToldToComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		b, err := New(Config{Listener: n.listen("b"), Dial: n.dial})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if err := says(t, n.stranger("b"), hello()); status.Convert(err).Message() != "this process is not in a cluster yet" {
			t.Errorf("before Start: %v", err)
		}
		b.SetPeers(map[string]Place{"a": {"a", 1}})
		if b.Send("a", 0, core.Leave{}) {
			t.Error("Send took a message before Start")
		}
	})
}

func FuzzAnyFirstBatchIsJudged(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendUint(nil, framesSequence, 1))
	f.Add(protowire.AppendBytes([]byte{byte(framesHello<<3 | 2)}, (&membership{Member: Member{Self: core.Node{Name: "a", Incarnation: 2}, Cluster: "herd", Partitions: 1024}}).hello(1, 1, 1)))
	member := &membership{Member: Member{Self: core.Node{Name: "b", Incarnation: 1}, Cluster: "herd", Partitions: 1024}}
	f.Fuzz(func(t *testing.T, data []byte) {
		var b batch
		if b.parse(data) != nil {
			return
		}
		g, err := member.judgeCaller(b)
		if err == nil && (g.node.Name >= "b" || g.version != 1 || g.call == 0) {
			t.Fatalf("let in: %+v", g)
		}
	})
}
