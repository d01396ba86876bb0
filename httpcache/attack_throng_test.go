package httpcache_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/corralcache/corral"
)

// A throng is many clients that ask at once, each by a stream of its own.
type throng struct {
	*world
	conns []*multiplexed
	size  int
}

// streamsPerConn is below what net/http lets a client have at once, 250.
const streamsPerConn = 200

// throng opens the connections of a throng, whose streams take window bytes each.
func (w *world) throng(size int, window uint32) *throng {
	w.t.Helper()
	c := &throng{world: w, size: size}
	for range (size + streamsPerConn - 1) / streamsPerConn {
		c.conns = append(c.conns, w.multiplexed(window))
	}
	return c
}

// ask lets each client ask. fields gives what the i-th one says, the path with it.
func (c *throng) ask(fields func(i int) []string) {
	for i := range c.size {
		conn, stream := c.conns[i/streamsPerConn], uint32(i%streamsPerConn*2+1)
		conn.request(stream, fields(i)...)
	}
}

// answers gives what each client got, in the order in which they asked.
func (c *throng) answers() []*h2Answer {
	c.t.Helper()
	all := make([]*h2Answer, c.size)
	together(len(c.conns), func(n int) got {
		first := n * streamsPerConn
		for stream, answer := range c.conns[n].answers(min(streamsPerConn, c.size-first)) {
			all[first+int(stream/2)] = answer
		}
		return got{}
	})
	for i := range all {
		if all[i] == nil {
			all[i] = &h2Answer{status: "nothing"}
		}
	}
	return all
}

func (c *throng) leave() {
	for _, conn := range c.conns {
		conn.close()
	}
}

// joined gives a channel that is closed when so many more requests wait for
// another's fetch.
func (w *world) joined(t *testing.T, n int) <-chan struct{} {
	events, stop := w.proxy.Cache().Subscribe(4*n + 1000)
	t.Cleanup(stop)
	all := make(chan struct{})
	go func() {
		for e := range events {
			if e.Kind == corral.EventJoined {
				n--
			}
			if n == 0 {
				close(all)
				return
			}
		}
	}()
	return all
}

// held is what the process holds: live objects and stacks, in bytes.
func held() int64 {
	runtime.GC()
	runtime.GC() // what had a finalizer
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// wantHeld reports what is held beyond what was before, and that it is no more
// than a limit.
func wantHeld(t *testing.T, what string, before, limit int64) {
	t.Helper()
	grown := held() - before
	t.Logf("%s: %s held, of %s at most", what, mebibytes(grown), mebibytes(limit))
	if grown > limit && !underRace { // the detector keeps books of its own
		t.Errorf("%s: %s held, want %s at most", what, mebibytes(grown), mebibytes(limit))
	}
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
