package peer

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// An echo answers each Join with a kilobyte, as the owner of a kept value does,
// and hands each Reply to who waits for it.
type echo struct {
	*Transport
	opened  chan uint64
	payload []byte
	waiting [1024]chan core.Message
}

func (e *echo) Opened(_ core.Node, session uint64) { e.opened <- session }
func (e *echo) Closed(core.Node, uint64, error)    {}
func (e *echo) Received(peer core.Node, session uint64, messages []core.Message) {
	for _, message := range messages {
		switch m := message.(type) {
		case core.Join:
			e.Send(peer.Name, session, core.Reply{Ask: m.Ask, Kind: core.KindValue, Gen: m.Gen, Value: core.Value{Revision: 9, Keep: true, Payload: e.payload}})
		case core.Reply:
			e.waiting[m.Ask] <- m
		}
	}
}

func (e *echo) Body(context.Context, uint64, int64) (io.ReadCloser, error) { return nil, ErrNoBody }

func pair(b *testing.B) (caller *echo, session uint64) {
	b.Helper()
	places := map[string]Place{}
	var nodes []*echo
	for _, name := range []string{"a", "b"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		e := &echo{opened: make(chan uint64, 1), payload: make([]byte, 1024)}
		for i := range e.waiting {
			e.waiting[i] = make(chan core.Message, 1)
		}
		if e.Transport, err = New(Config{Listener: listener}); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(e.Close)
		if err := e.Start(Member{Self: core.Node{Name: name, Incarnation: 1}, Cluster: "herd", Partitions: 1024}, e); err != nil {
			b.Fatal(err)
		}
		places[name] = Place{listener.Addr().String(), 1}
		nodes = append(nodes, e)
	}
	for _, e := range nodes {
		e.SetPeers(places)
	}
	return nodes[0], <-nodes[0].opened
}

// processorTime is what this process has used, which on a busy machine says more
// than the time that passed.
func processorTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkRoundTrip is a Join for a value of a kilobyte that the other node has,
// from one caller and from many, both nodes in this process, over loopback.
func BenchmarkRoundTrip(b *testing.B) {
	for _, callers := range []int{1, 8, 512} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			a, session := pair(b)
			b.ReportAllocs()
			b.ResetTimer()
			before := processorTime(b)
			var left atomic.Int64
			left.Store(int64(b.N))
			var wait sync.WaitGroup
			for ask := range uint64(callers) {
				wait.Go(func() {
					for left.Add(-1) >= 0 {
						if !a.Send("b", session, core.Join{Ask: ask, Key: "shop\x00product:123456", Gen: 17, Since: 4711, Wait: 3e10}) {
							b.Error("the session has ended")
							return
						}
						<-a.waiting[ask]
					}
				})
			}
			wait.Wait()
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
		})
	}
}
