package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/corralcache/corral/coordinator/cluster"
)

// A Registry is an etcd apart from the nodes that use it: the one that runs
// inside a node of a cluster to which nobody else belongs.
type Registry struct{ node *cluster.Node }

// Start starts it and returns its endpoint.
func (r *Registry) Start(dir string, endpoint *string) error {
	ctx, cancel := context.WithTimeout(context.Background(), joining)
	defer cancel()
	addresses, err := freeAddresses(3)
	if err != nil {
		return err
	}
	*endpoint = addresses[2]
	r.node, err = cluster.Join(ctx, cluster.Config{
		Name: "etcd", Listen: addresses[0], Peers: addresses[:1], Dir: dir, New: true, EtcdPrefix: "/alone/",
		EtcdListen: fmt.Sprintf("%s,%s", addresses[1], portOf(addresses[2])),
		Log:        slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	return err
}

// Close stops it.
func (r *Registry) Close() error {
	if r.node == nil {
		return nil
	}
	return r.node.Close()
}
