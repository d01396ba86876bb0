package etcd

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"
)

// soon is how long a test waits for what must come; it fails after that.
const soon = 20 * time.Second

// logged is a log that a test reads.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// members are the configurations of n members of one new cluster.
func members(t *testing.T, n int) []Embedded {
	t.Helper()
	log, all := new(logged), make(map[string]string)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log)
		}
	})
	configs := make([]Embedded, n)
	for i := range configs {
		configs[i] = Embedded{
			Dir: t.TempDir(), Name: fmt.Sprintf("m%d", i), Peer: freeAddress(t), Client: freeAddress(t),
			Members: all, New: true, Token: "test", Log: log.logger(),
		}
		all[configs[i].Name] = configs[i].Peer
	}
	return configs
}

func start(t *testing.T, config Embedded) *Server {
	t.Helper()
	s, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func ready(t *testing.T, servers ...*Server) {
	t.Helper()
	for _, s := range servers {
		wait(t, s.Ready(), "the member to serve")
	}
}

func wait[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(soon):
		t.Fatalf("waited %v for %s", soon, what)
	}
	return v
}

func dial(t *testing.T, config Config) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	c, err := Dial(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// one is a single member and a client of it.
func one(t *testing.T) (*Server, *Client) {
	t.Helper()
	s := start(t, members(t, 1)[0])
	ready(t, s)
	return s, dial(t, Config{Endpoints: []string{s.Client()}, Log: new(logged).logger()})
}

func write(t *testing.T, c *Client, txn Txn) Result {
	t.Helper()
	r, err := c.Write(t.Context(), txn)
	if err != nil {
		t.Fatalf("Write(%v): %v", txn, err)
	}
	return r
}

func put(t *testing.T, c *Client, key, value string) uint64 {
	t.Helper()
	return write(t, c, Txn{Put: map[string][]byte{key: []byte(value)}}).Revision
}

// watched follows a client's watch.
func watched(t *testing.T, c *Client, from uint64) (<-chan Change, <-chan error) {
	t.Helper()
	changes, ended := make(chan Change, 10_000), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- c.Watch(ctx, from, func(change Change) { changes <- change })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return changes, ended
}

// next is the next change with keys.
func next(t *testing.T, changes <-chan Change) Change {
	t.Helper()
	for {
		if c := wait(t, changes, "a change"); c.Put != nil || c.Deleted != nil {
			return c
		}
	}
}

// untilDone calls do again while it fails.
func untilDone(t *testing.T, what string, do func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	for {
		err := do(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: %v", what, err)
		}
		pause(ctx, 20*time.Millisecond)
	}
}
