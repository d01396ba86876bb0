package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
	"github.com/corralcache/corral/coordinator/cluster/internal/peer"
)

var (
	errUnreachable = errors.New("no stream to it")
	errMalformed   = errors.New("it breaks a rule of the protocol")
	errSilent      = errors.New("it did not say that it had applied it")
	errClock       = errors.New("one of the two is wrong")
)

// version is of the records that this code writes.
const version = 1

// errName is a node that finds its name in use.
var errName = errors.New("another node of this name is alive")

// read reads what is agreed, again where no member of etcd answers in time: they
// may be choosing a leader.
func (n *Node) read(ctx context.Context) (etcd.Snapshot, error) {
	for {
		snapshot, err := n.client.Read(ctx)
		if !errors.Is(err, etcd.ErrUnknown) || pause(ctx, n.times.Retry) != nil {
			return snapshot, err
		}
	}
}

// readCluster finds the cluster, or creates it if it may.
func (n *Node) readCluster(ctx context.Context) error {
	for {
		snapshot, err := n.read(ctx)
		if err != nil {
			return fmt.Errorf("cluster: read what is agreed: %w", err)
		}
		if kv, there := snapshot.Keys[etcd.ClusterKey]; there {
			n.cluster, err = etcd.DecodeCluster(kv.Value)
			if err != nil {
				return fmt.Errorf("cluster: read the cluster's record: %w: a newer version may have made it: update this node", err)
			}
			if n.cluster.Version > version {
				return fmt.Errorf("cluster: the cluster was made by version %d of the protocol and this node speaks %d: update it", n.cluster.Version, version)
			}
			return nil
		}
		if !n.config.New {
			return fmt.Errorf("cluster: there is no cluster below %q: set Config.New (--cluster.new) once to create one, or correct the endpoints or the prefix", n.config.EtcdPrefix)
		}
		fresh := etcd.Cluster{UUID: rand.Text(), Partitions: n.config.Partitions, Version: version}
		rand.Read(fresh.HashKey[:])
		data, err := fresh.Encode()
		if err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		// Whoever is first creates it; in any case it is read again.
		_, err = n.client.Write(ctx, etcd.Txn{Require: map[string]uint64{etcd.ClusterKey: 0}, Put: map[string][]byte{etcd.ClusterKey: data}})
		if err != nil && !errors.Is(err, etcd.ErrUnknown) {
			return fmt.Errorf("cluster: create the cluster: %w", err)
		}
	}
}

// register writes the node's record under a new incarnation, once no earlier one
// can be alive: it is buried, or its directory is locked by this process, or its
// record has not changed for L + g.
func (n *Node) register(ctx context.Context, address string) error {
	key := etcd.NodeKey(n.config.Name)
	var seen uint64
	var since core.Time
	for {
		snapshot, err := n.read(ctx)
		if err != nil {
			return fmt.Errorf("cluster: read the record of node %q: %w", n.config.Name, err)
		}
		kv := snapshot.Keys[key]
		var old etcd.Node
		if kv.Revision != 0 {
			if old, err = etcd.DecodeNode(kv.Value); err != nil {
				return fmt.Errorf("cluster: read the record of node %q: %w", n.config.Name, err)
			}
		}
		// What this process has locked was used by none that lives when it began;
		// whoever shows its id later has a copy.
		proved := n.dirID != "" && old.Dir == n.dirID && n.self == (core.Node{})
		dead := kv.Revision == 0 || old.State == core.Tombstone || proved || old.Node == n.self
		if !dead {
			switch now := boottime(); {
			case seen == 0:
				seen, since = kv.Revision, now
			case seen != kv.Revision:
				return fmt.Errorf("cluster: node %q: %w, at %s: give each node a Config.Name of its own", n.config.Name, errName, old.Address)
			case now.Sub(since) >= n.times.Lease+n.times.Guard:
				dead = true
			}
		}
		if !dead {
			if err := pause(ctx, n.times.Retry); err != nil {
				return fmt.Errorf("cluster: node %q: wait until its earlier life, at %s, cannot be alive any more: %w", n.config.Name, old.Address, err)
			}
			continue
		}
		n.mu.Lock()
		state := core.Live
		if n.drained { // in an earlier life, and so it is given nothing in this one
			state = core.Draining
		}
		n.mu.Unlock()
		record := etcd.Node{Version: version, NodeRecord: core.NodeRecord{
			Node: core.Node{Name: n.config.Name, Incarnation: old.Incarnation + 1}, State: state,
			Weight: n.config.Weight, Address: address, Zone: n.config.Zone, Dir: n.dirID, Clock: boottime(),
		}}
		data, err := record.Encode()
		if err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		result, err := n.client.Write(ctx, etcd.Txn{Require: map[string]uint64{key: kv.Revision}, Put: map[string][]byte{key: data}})
		if err == nil && result.OK {
			n.mu.Lock()
			n.record, n.rev, n.self = record, result.Revision, record.Node
			n.mu.Unlock()
			return nil
		}
		if err != nil && !errors.Is(err, etcd.ErrUnknown) {
			return fmt.Errorf("cluster: write the record of node %q: %w", n.config.Name, err)
		}
		if err := pause(ctx, n.times.Retry); err != nil { // somebody was faster, or nobody knows
			return err
		}
		seen = 0
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// live begins a life: a core and a transport under the incarnation that was
// registered. What is agreed is what the caches have applied (N2). Called with
// deliver held.
func (n *Node) live(transport *peer.Transport) error {
	n.mu.Lock()
	snapshot := n.agreed
	for name, c := range n.records {
		if name != n.self.Name || c.Record != nil && c.Record.Node == n.self {
			snapshot.Nodes = append(snapshot.Nodes, c)
		}
	}
	n.bodies.rename(n.self)
	n.core = core.New(core.Config{
		Self: n.self, HashKey: n.cluster.HashKey, Partitions: n.cluster.Partitions,
		Times: n.times, Limits: n.config.Limits, Shelf: shelves{n},
	}, snapshot, boottime())
	n.peers, n.wakes = transport, math.MaxInt64
	life := n.self
	n.mu.Unlock()
	if err := transport.Start(peer.Member{Self: life, Cluster: n.cluster.UUID, Partitions: n.cluster.Partitions}, handler{n, life}); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	transport.SetPeers(n.places)
	n.stepLocked(core.Tick{})
	if n.drained {
		n.stepLocked(core.Drain{Stay: true})
	}
	for id, a := range n.acks {
		n.stepLocked(core.Committed{ID: id, Revision: a.revision})
	}
	return nil
}

// rebirth follows a fence: the others took this node for dead, and so it is
// another one from now on. What its caches have stays: the watch has no gap.
func (n *Node) rebirth() {
	for n.ctx.Err() == nil {
		n.mu.Lock()
		old, address := n.peers, n.record.Address
		n.refenced = false
		n.mu.Unlock()
		old.Close()
		err := n.register(n.ctx, address)
		if err == nil {
			err = n.reopen()
		}
		if err == nil {
			n.awaitLease()
			n.mu.Lock()
			over := !n.refenced
			if over {
				n.fenced = false
				close(n.reborn)
				n.reborn = make(chan struct{})
			}
			n.mu.Unlock()
			if over {
				return
			}
			continue
		}
		n.quietly.say(saysStillDead, err)
		if pause(n.ctx, n.times.Renew) != nil {
			return
		}
	}
}

// awaitLease waits for the new life's lease: those who ask again before it would
// be told that nobody may answer them. Without etcd they are told so after L.
func (n *Node) awaitLease() {
	ctx, cancel := context.WithTimeout(n.ctx, n.times.Lease)
	defer cancel()
	for !n.tenure.standing() {
		if pause(ctx, n.times.Retry/10) != nil {
			return
		}
	}
}

// reopen listens again where the node was known.
func (n *Node) reopen() error {
	listener, err := new(net.ListenConfig).Listen(n.ctx, "tcp", n.listens)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	transport, err := n.newTransport(listener)
	if err != nil {
		listener.Close()
		return err
	}
	n.deliver.Lock()
	defer n.deliver.Unlock()
	return n.live(transport)
}
