package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
	"github.com/corralcache/corral/coordinator/cluster/internal/peer"
)

// How long a node that stops gives partitions away, before it leaves them to be
// taken: while there is a cache to be handed over, and after that.
const (
	leaveTimeout = 8 * time.Second
	closeTimeout = 3 * time.Second
)

// Join makes this process a node of a cluster. It returns once the node has a
// lease and every partition an owner, or ctx has ended: then nothing is left
// behind. Close ends it.
func Join(ctx context.Context, config Config) (*Node, error) {
	config, err := config.withDefaults()
	if err != nil {
		if config.Listener != nil {
			config.Listener.Close()
		}
		return nil, err
	}
	n := &Node{
		config: config, log: config.Log, quietly: once{log: config.Log}, times: core.DefaultTimes(),
		bodies: bodies{of: map[uint64]*served{}}, records: map[string]core.NodeChange{}, places: map[string]peer.Place{},
		calls: map[uint64]chan core.Answered{}, leases: map[core.Flight]*lease{}, acks: map[uint64]*ack{},
		reborn: make(chan struct{}), stood: make(chan struct{}), gone: make(chan struct{}), unlock: func() {},
	}
	if len(config.Etcd) > 0 {
		n.times = core.ExternalTimes()
	}
	n.purges = newBatcher(n)
	n.ctx, n.cancel = context.WithCancelCause(context.Background())
	n.timer = time.AfterFunc(time.Hour, n.tick)
	if err := n.begin(ctx); err != nil {
		n.end(err)
		return nil, err
	}
	return n, nil
}

func (n *Node) begin(ctx context.Context) (err error) {
	if n.config.Dir != "" {
		if n.unlock, n.dirID, err = etcd.LockDir(n.config.Dir); err != nil {
			n.unlock = func() {}
			return fmt.Errorf("cluster: %w", err)
		}
	}
	listener := n.config.Listener
	if listener == nil {
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", n.config.Listen); err != nil {
			return fmt.Errorf("cluster: Config.Listen is %q: %w", n.config.Listen, err)
		}
	}
	n.listens = listener.Addr().String()
	if err := n.identify(); err != nil {
		listener.Close()
		return err
	}
	transport, err := n.newTransport(listener)
	if err != nil {
		listener.Close()
		return err
	}
	n.peers = transport
	if err := n.findEtcd(ctx, transport); err != nil {
		return err
	}
	if err := n.readCluster(ctx); err != nil {
		return err
	}
	if err := n.register(ctx, n.advertised()); err != nil {
		return err
	}
	snapshot, err := n.read(ctx)
	if err != nil {
		return fmt.Errorf("cluster: read what is agreed: %w", err)
	}
	past, floor := n.past(ctx, snapshot.Revision, 0)
	n.begins(past, max(floor, snapshot.Keys[etcd.ClusterKey].Revision)) // what is older was no part of this cluster
	if err := n.first(snapshot, transport); err != nil {
		return err
	}
	n.spawn(func() { n.follow(snapshot.Revision + 1) })
	n.spawn(n.purges.run)
	return n.settle(ctx)
}

// first takes in the state as it was read, and begins to live.
func (n *Node) first(s etcd.Snapshot, transport *peer.Transport) error {
	n.deliver.Lock()
	defer n.deliver.Unlock()
	n.agreed.Revision = s.Revision
	n.applied.Store(s.Revision)
	n.n.heard.Store(int64(boottime()))
	for _, c := range n.nodeChanges(s) {
		n.records[c.Name] = c
		n.notePlace(c)
	}
	if table, there := s.Keys[etcd.TableKey]; there {
		if n.agreed.Table = n.readTable(table); n.agreed.Table == nil {
			return context.Cause(n.ctx)
		}
		n.agreed.TableRevision = table.Revision
	}
	return n.live(transport)
}

// settle waits until the node may answer and keys have owners.
func (n *Node) settle(ctx context.Context) error {
	ticker := time.NewTicker(n.times.Retry / 10)
	defer ticker.Stop()
	for {
		n.mu.Lock()
		ready := n.core.Standing(boottime()) && n.core.Owned()
		n.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-ticker.C:
		case <-n.ctx.Done():
			return context.Cause(n.ctx)
		case <-ctx.Done():
			return fmt.Errorf("cluster: node %q has no lease, or keys have no owner yet: %w: is etcd writable?", n.config.Name, context.Cause(ctx))
		}
	}
}

func (n *Node) newTransport(listener net.Listener) (*peer.Transport, error) {
	transport, err := peer.New(peer.Config{Listener: listener, Identity: n.secure, Contact: n.contact, Log: n.log})
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return transport, nil
}

// advertised is the address that the node's record says.
func (n *Node) advertised() string {
	if n.config.Advertise != "" {
		return n.config.Advertise
	}
	host, port, err := net.SplitHostPort(n.listens)
	if err != nil {
		return n.listens
	}
	if configured, _, err := net.SplitHostPort(n.config.Listen); err == nil && configured != "" {
		host = configured
	}
	return net.JoinHostPort(host, port)
}

// Close gives this node's partitions to the others and leaves. Caches that use
// it are closed before, and Leave is called before that, so that what they have
// kept is not lost. It waits until nothing of the node runs any more.
func (n *Node) Close() error {
	n.mu.Lock()
	n.leaving = true
	alive := n.ctx.Err() == nil && !n.fenced // who was taken for dead has nothing to give away
	if alive {
		n.stepLocked(core.Drain{})
	}
	n.mu.Unlock()
	if alive {
		patience := closeTimeout
		if n.keeps() {
			patience = leaveTimeout
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-n.gone:
		case <-timer.C:
			n.say(saysLeftEarly)
		case <-n.ctx.Done():
		}
	}
	return n.end(ErrLeft)
}

// end stops everything, in whatever state it is.
func (n *Node) end(why error) error {
	n.spawning.Lock()
	n.cancel(why)
	n.spawning.Unlock()
	n.timer.Stop()
	n.mu.Lock()
	transport := n.peers
	n.tenure.now.Store(nil)
	for id, call := range n.calls {
		delete(n.calls, id)
		close(call)
	}
	n.mu.Unlock()
	if transport != nil {
		transport.Close()
	} else if n.config.Listener != nil {
		n.config.Listener.Close()
	}
	n.running.Wait()
	if last := n.transport(); last != transport {
		last.Close() // of a new life that began meanwhile
	}
	n.bodies.endAll()
	if n.client != nil {
		n.client.Close()
	}
	if server := n.server.Load(); server != nil {
		server.Stop()
	}
	n.unlock()
	if cause := context.Cause(n.ctx); !errors.Is(cause, ErrLeft) && errors.Is(why, ErrLeft) {
		return cause
	}
	return nil
}
