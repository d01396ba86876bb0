package peer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
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
	took    []time.Duration
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

const echoBody = 1 << 20

func (e *echo) Body(context.Context, uint64, int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(make([]byte, echoBody))), nil
}

// pair is a node here and one in this process or another.
func pair(b *testing.B, processes int) (caller *echo, session uint64) {
	b.Helper()
	a, here, err := newEcho("a")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(a.Close)
	places := map[string]Place{"a": {here, 1}}
	if processes == 2 {
		places["b"] = Place{inAnotherProcess(b), 1}
	} else {
		other, there, err := newEcho("b")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(other.Close)
		places["b"] = Place{there, 1}
		other.SetPeers(places)
	}
	a.SetPeers(places)
	return a, <-a.opened
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
// from one caller and from many, over loopback. cpu-ns/op is of this process.
func BenchmarkRoundTrip(b *testing.B) {
	for _, processes := range []int{1, 2} {
		for _, callers := range []int{1, 8, 512} {
			b.Run(fmt.Sprintf("processes=%d/callers=%d", processes, callers), func(b *testing.B) {
				e, session := pair(b, processes)
				b.ReportAllocs()
				b.ResetTimer()
				before := processorTime(b)
				e.callFrom(b, session, callers)
				b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
				slices.Sort(e.took)
				b.ReportMetric(float64(e.took[len(e.took)/2]), "p50-ns")
				b.ReportMetric(float64(e.took[len(e.took)*99/100]), "p99-ns")
			})
		}
	}
}

// callFrom sends b.N Joins, each caller one at a time.
func (e *echo) callFrom(b *testing.B, session uint64, callers int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	e.took = make([]time.Duration, b.N)
	var wait sync.WaitGroup
	for ask := range uint64(callers) {
		wait.Go(func() {
			for next := left.Add(-1); next >= 0; next = left.Add(-1) {
				begun := time.Now()
				if !e.Send("b", session, core.Join{Ask: ask, Key: "shop\x00product:123456", Gen: 17, Since: 4711, Wait: 3e10}) {
					b.Error("the session has ended")
					return
				}
				<-e.waiting[ask]
				e.took[next] = time.Since(begun)
			}
		})
	}
	wait.Wait()
}

// BenchmarkFetch is a body of a mebibyte.
func BenchmarkFetch(b *testing.B) {
	for _, processes := range []int{1, 2} {
		b.Run(fmt.Sprintf("processes=%d", processes), func(b *testing.B) {
			a, _ := pair(b, processes)
			b.SetBytes(echoBody)
			b.ReportAllocs()
			buffer := make([]byte, chunkBytes)
			for b.Loop() {
				body, err := a.Fetch(b.Context(), "b", 1, 0)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, buffer); err != nil || n != echoBody {
					b.Fatalf("%d bytes, %v", n, err)
				}
				body.Close()
			}
		})
	}
}
