package peer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/test/bufconn"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A network is in memory, so that time in a bubble of synctest can pass.
type network struct {
	t *testing.T

	mu        sync.Mutex
	listeners map[string]*bufconn.Listener
	cut       chan struct{} // closed while nothing gets through
	calls     int

	written atomic.Int64 // bytes, by all callers
}

func newNetwork(t *testing.T) *network {
	return &network{t: t, listeners: map[string]*bufconn.Listener{}, cut: make(chan struct{})}
}

func (n *network) listen(address string) net.Listener {
	l := bufconn.Listen(64 << 10)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[address] = l
	return l
}

func (n *network) dial(ctx context.Context, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.calls++
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("nobody listens at %s", address)
	}
	c, err := l.DialContext(ctx)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: c, network: n, closed: make(chan struct{})}, nil
}

// cutAll lets nothing through on the connections that there are and those that
// come, without an end that anybody could see.
func (n *network) cutAll() { close(n.cut) }

func (n *network) callsMade() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls
}

func (n *network) isCut() bool {
	select {
	case <-n.cut:
		return true
	default:
		return false
	}
}

// A wire is the caller's end of a connection.
type wire struct {
	net.Conn
	network *network
	once    sync.Once
	closed  chan struct{}
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if w.network.isCut() {
		<-w.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	if w.network.isCut() {
		return len(b), nil
	}
	w.network.written.Add(int64(len(b)))
	return w.Conn.Write(b)
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	if w.network.isCut() {
		return nil // the other end does not see it either
	}
	return w.Conn.Close()
}

// A node is a transport and what its handler was told.
type node struct {
	*Transport
	self core.Node
	log  bytes.Buffer

	mu       sync.Mutex
	told     []string
	session  uint64 // the last one opened
	messages []core.Message
	block    chan struct{}        // Received waits for it, if not nil
	during   func(session uint64) // called in Opened and Closed, if not nil
	body     func(ctx context.Context, id uint64, offset int64) (io.ReadCloser, error)
}

func (n *network) node(name string, incarnation uint64, change ...func(*Config, *Member)) *node {
	n.t.Helper()
	d := &node{self: core.Node{Name: name, Incarnation: incarnation}}
	config := Config{Listener: n.listen(name), Dial: n.dial, Log: slog.New(slog.NewTextHandler(&locked{d: d}, nil))}
	member := Member{Self: d.self, Cluster: "herd", Partitions: 1024}
	for _, c := range change {
		c(&config, &member)
	}
	var err error
	if d.Transport, err = New(config); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(d.Close)
	if err := d.Start(member, d); err != nil {
		n.t.Fatal(err)
	}
	return d
}

// locked is a node's log.
type locked struct{ d *node }

func (l *locked) Write(b []byte) (int, error) {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	return l.d.log.Write(b)
}

func (d *node) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// acquaint tells all nodes of each other, and waits for what comes of it. Who is
// called hears of who calls first: else that one is told to come again, later.
func acquaint(nodes ...*node) {
	called := slices.SortedFunc(slices.Values(nodes), func(a, b *node) int { return strings.Compare(b.self.Name, a.self.Name) })
	for _, d := range called {
		d.SetPeers(places(nodes...))
	}
	synctest.Wait()
}

func places(nodes ...*node) map[string]Place {
	all := map[string]Place{}
	for _, d := range nodes {
		all[d.self.Name] = Place{Address: d.self.Name, Incarnation: d.self.Incarnation}
	}
	return all
}

func (d *node) Opened(peer core.Node, session uint64) {
	if d.during != nil {
		d.during(session)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.session = session
	d.told = append(d.told, fmt.Sprintf("opened %v", peer))
}

func (d *node) Received(peer core.Node, session uint64, messages []core.Message) {
	d.mu.Lock()
	d.messages = append(d.messages, messages...)
	block := d.block
	d.mu.Unlock()
	if block != nil {
		<-block
	}
}

func (d *node) Closed(peer core.Node, session uint64, cause error) {
	if d.during != nil {
		d.during(session)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, fmt.Sprintf("closed %v: %s", peer, reason(cause)))
}

func (d *node) Body(ctx context.Context, id uint64, offset int64) (io.ReadCloser, error) {
	if d.body == nil {
		return nil, ErrNoBody
	}
	return d.body(ctx, id, offset)
}

// hears returns what the handler was told since the last call, and what came.
func (d *node) hears() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	told := strings.Join(d.told, "; ")
	d.told = nil
	return told
}

func (d *node) gets() []core.Message {
	d.mu.Lock()
	defer d.mu.Unlock()
	messages := d.messages
	d.messages = nil
	return messages
}

func (d *node) number() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.session
}

// say sends in the last session that was opened.
func (d *node) say(to *node, message core.Message) bool {
	return d.Send(to.self.Name, d.number(), message)
}

func hears(t *testing.T, d *node, want string) {
	t.Helper()
	synctest.Wait()
	if got := d.hears(); got != want {
		t.Errorf("%v was told\n\t%s\nwant\n\t%s", d.self, got, want)
	}
}
