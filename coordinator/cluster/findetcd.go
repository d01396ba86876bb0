package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
	"github.com/corralcache/corral/coordinator/cluster/internal/peer"
)

// findEtcd connects to the etcd that is there, or begins the one inside the
// first nodes.
func (n *Node) findEtcd(ctx context.Context, transport *peer.Transport) (err error) {
	endpoints := n.config.Etcd
	if len(endpoints) == 0 {
		if endpoints, err = n.embed(ctx, transport); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	config := etcd.Config{Endpoints: endpoints, Prefix: n.config.EtcdPrefix, Identity: n.secure, Log: n.log}
	if n.client, err = etcd.Dial(ctx, config); err != nil {
		if ctx.Err() != nil { // of which the client's connections speak in words of their own
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// embed finds out with the other nodes where etcd runs, and runs it if it is
// here.
func (n *Node) embed(ctx context.Context, transport *peer.Transport) ([]string, error) {
	bootstrap, err := etcd.NewBootstrap(etcd.BootstrapConfig{
		Self: n.advertised(), Peers: n.config.Peers, Dir: n.config.Dir, New: n.config.New,
		Listen: n.config.EtcdListen, Ask: transport.Contact, Log: n.log,
	})
	if err != nil {
		return nil, err
	}
	n.answers.bootstrap.Store(bootstrap)
	plan, err := bootstrap.Run(ctx)
	if err != nil {
		return nil, err
	}
	if plan.Server == nil {
		return plan.Endpoints, nil
	}
	plan.Server.Log, plan.Server.Identity, plan.Server.Refused = n.log, n.secure, n.refused
	return plan.Endpoints, n.startServer(ctx, *plan.Server)
}

// refused logs who was refused at a port of etcd, through the transport of this
// life, which etcd outlives.
func (n *Node) refused(port string) func(from string, cause error) {
	return func(from string, cause error) { n.transport().Refused(port)(from, cause) }
}

// answers is what processes are told that have no cluster yet.
type answers struct {
	bootstrap atomic.Pointer[etcd.Bootstrap]
}

// contact answers what another process announces.
func (n *Node) contact(ctx context.Context, theirs []byte) ([]byte, error) {
	if answer, is, err := n.ordered(ctx, theirs); is {
		return answer, err
	}
	bootstrap := n.answers.bootstrap.Load()
	if bootstrap == nil {
		return nil, errors.New("this node does not run etcd, and does not know yet who does")
	}
	return bootstrap.Answer(theirs, func(from string) error { return peer.Vouches(ctx, from) })
}
