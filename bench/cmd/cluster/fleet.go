package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/corralcache/corral/bench/internal/child"
	"github.com/corralcache/corral/coordinator/cluster"
)

// joining is how long a fleet may take until it is one cluster.
const joining = 60 * time.Second

// A fleet is the nodes of one cluster, and the NATS server that they share.
type fleet struct {
	dir    string
	apart  bool // etcd is in a process of its own
	nodes  []*child.Process
	starts []Start          // how each was started, by which it is started again
	others []*child.Process // that are not nodes of the cluster
}

// open starts a cluster of n nodes, a, b, c and so on, and waits until all know
// each other and each owns its share.
func open(ctx context.Context, dir string, n int, apart bool) (*fleet, error) {
	f := &fleet{dir: dir, apart: apart}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := f.start(ctx, n); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *fleet) start(ctx context.Context, n int) (err error) {
	exchange, err := f.other("nats", Nothing{})
	if err != nil {
		return err
	}
	var etcd string
	if f.apart {
		if etcd, err = f.other("etcd", filepath.Join(f.dir, "etcd")); err != nil {
			return err
		}
	}
	addresses, err := freeAddresses(2 * n)
	if err != nil {
		return err
	}
	peers, rivals := addresses[:n], addresses[n:]
	for i := range n {
		name := string(rune('a' + i))
		f.starts = append(f.starts, Start{
			Name: name, Peers: peers, Etcd: etcd, Listen: peers[i], Dir: filepath.Join(f.dir, name),
			Groupcache: rivals, Index: i, Exchange: exchange,
		})
		p, err := child.Start(f.dir, "node", name)
		if err != nil {
			return err
		}
		f.nodes = append(f.nodes, p)
	}
	began := make(chan error, n)
	rival := make([]string, n)
	for i, p := range f.nodes {
		go func() { began <- p.Ask("Begin", f.starts[i], &rival[i]) }()
	}
	for range n {
		if err := <-began; err != nil {
			return err
		}
	}
	if err := f.whole(ctx); err != nil {
		return err
	}
	if n == 1 {
		return nil
	}
	return f.nodes[0].Ask("Meet", Meet{Owner: f.nodes[1].Name, Address: rival[1]}, &Nothing{})
}

// other starts a child that is no node, and returns where it listens.
func (f *fleet) other(role string, argument any) (address string, err error) {
	p, err := child.Start(f.dir, role, role)
	if err != nil {
		return "", err
	}
	f.others = append(f.others, p)
	return address, p.Ask("Start", argument, &address)
}

// whole waits until every node has a stream to every other and owns something.
func (f *fleet) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joining)
	defer cancel()
	for {
		ready := 0
		var last cluster.Status
		for _, p := range f.nodes {
			last = cluster.Status{}
			if err := p.Ask("Status", Nothing{}, &last); err != nil {
				return err
			}
			if last.Standing && last.Streams() == len(f.nodes)-1 && last.Owned > 0 && last.Owned <= last.Partitions/len(f.nodes)+2 {
				ready++
			}
		}
		if ready == len(f.nodes) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d nodes are ready, the last one says %+v: %w", ready, len(f.nodes), last, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// again starts a node anew that was killed.
func (f *fleet) again(i int) error {
	p, err := child.Start(f.dir, "node", f.starts[i].Name)
	if err != nil {
		return err
	}
	f.nodes[i] = p
	var rival string
	return p.Ask("Begin", f.starts[i], &rival)
}

// owned are keys of a node, which begin with a prefix.
func (f *fleet) owned(owner int, prefix string, count int) (keys []string, err error) {
	return keys, f.nodes[0].Ask("Owned", Owned{Owner: f.starts[owner].Name, Prefix: prefix, Count: count}, &keys)
}

// status is what the nodes know of themselves.
func (f *fleet) status() ([]cluster.Status, error) {
	all := make([]cluster.Status, len(f.nodes))
	for i, p := range f.nodes {
		if err := p.Ask("Status", Nothing{}, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// close ends all processes. Nobody needs what they have.
func (f *fleet) close() {
	for _, p := range slices.Concat(f.nodes, f.others) {
		p.Kill()
	}
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// freeAddresses are loopback addresses at which nobody listened just now.
func freeAddresses(n int) ([]string, error) {
	addresses := make([]string, n)
	for i := range addresses {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addresses[i] = l.Addr().String()
	}
	return addresses, nil
}
