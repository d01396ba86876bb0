package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
	"github.com/corralcache/corral/coordinator/cluster/internal/peer"
)

// findEtcd connects to the etcd that is there, or begins the one inside the
// first nodes.
func (n *Node) findEtcd(ctx context.Context, transport *peer.Transport) (err error) {
	endpoints := n.config.Etcd
	if len(endpoints) == 0 {
		return errors.New("embedded etcd: not yet")
	}
	n.client, err = etcd.Dial(ctx, etcd.Config{Endpoints: endpoints, Prefix: n.config.EtcdPrefix, TLS: n.config.TLS, Log: n.log})
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// contact answers what another process announces before it has a cluster.
func (n *Node) contact(ctx context.Context, theirs []byte) ([]byte, error) {
	return nil, errors.New("nothing to announce")
}
