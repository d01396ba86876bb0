package cluster

import (
	"context"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
)

const (
	// turnLasts is for how long a node may be starting its member of etcd anew
	// before another takes it for gone.
	turnLasts = 30 * time.Second
	turnAgain = 250 * time.Millisecond
)

// startServer starts the member of etcd in this process, and keeps its
// certificates those of the node.
func (n *Node) startServer(ctx context.Context, plan etcd.Embedded) error {
	server, err := etcd.Start(ctx, plan)
	if err != nil {
		return err
	}
	n.server.Store(server)
	others := make(chan struct{}, 1)
	if n.secure != nil {
		n.secure.OnChange(func(authorities bool) { n.renewServer(authorities, others) })
	}
	n.spawn(func() { n.tendServer(plan, others) })
	return nil
}

// renewServer hands the member what the node's identity has in use now. Its
// authorities etcd reads only when it starts.
func (n *Node) renewServer(authorities bool, others chan<- struct{}) {
	if err := n.server.Load().Renew(); err != nil {
		n.say(saysNotRenewedPair, "cause", err)
	}
	if authorities {
		select {
		case others <- struct{}{}:
		default: // it starts with what it finds then
		}
	}
}

// tendServer says when the member has ended by itself, with which the node goes on
// with the others, and starts it anew for other authorities.
func (n *Node) tendServer(plan etcd.Embedded, others <-chan struct{}) {
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.server.Load().Stopped():
			if err := n.server.Load().Err(); err != nil {
				n.say(saysMemberEnded, "cause", err)
			}
			return
		case <-others:
			n.restartServer(plan)
		}
	}
}

// restartServer starts the member anew, one at a time of all nodes: two that are
// away at once would leave three without a majority.
func (n *Node) restartServer(plan etcd.Embedded) {
	give := func() {}
	if len(plan.Members) > 1 {
		var err error
		if give, err = n.takeTurn(n.ctx, plan, turnLasts); err != nil {
			return // the node ends
		}
	}
	began := time.Now()
	n.server.Load().Stop()
	for {
		server, err := etcd.Start(n.ctx, plan)
		if err == nil {
			n.server.Store(server)
			break
		}
		if n.ctx.Err() != nil {
			return
		}
		n.quietly.say(saysMemberEnded, err)
		_ = pause(n.ctx, time.Second)
	}
	select {
	case <-n.server.Load().Ready():
		n.log.Info("the member of etcd in this node has started anew, with other authorities", "after", time.Since(began))
		give()
	case <-n.server.Load().Stopped():
	case <-n.ctx.Done():
	}
}

// takeTurn waits until no other node starts its member anew, and all other members
// serve. A turn that stays the same for as long as lasts is taken.
func (n *Node) takeTurn(ctx context.Context, plan etcd.Embedded, lasts time.Duration) (give func(), err error) {
	var seen, expected uint64
	since := boottime()
	for ; ; err = pause(ctx, turnAgain) {
		if err != nil {
			return nil, err
		}
		result, err := n.client.Write(ctx, etcd.Txn{
			Require: map[string]uint64{etcd.TurnKey: expected}, Put: map[string][]byte{etcd.TurnKey: []byte(n.config.Name)},
		})
		if err != nil {
			continue
		}
		turn, mine := result.Revision, result.OK
		if !result.OK { // also where the answer to a write that succeeded was lost
			found := result.Keys[etcd.TurnKey]
			turn, mine = found.Revision, string(found.Value) == n.config.Name
		}
		if mine && n.othersServe(plan) {
			return func() { n.giveTurn(turn) }, nil
		}
		if turn != seen {
			seen, since = turn, boottime()
		}
		expected = 0
		if time.Duration(boottime()-since) > lasts {
			expected = seen
		}
	}
}

func (n *Node) giveTurn(turn uint64) {
	for n.ctx.Err() == nil {
		_, err := n.client.Write(n.ctx, etcd.Txn{Require: map[string]uint64{etcd.TurnKey: turn}, Delete: []string{etcd.TurnKey}})
		if err == nil {
			return // gone, or another's
		}
		_ = pause(n.ctx, turnAgain)
	}
}

// othersServe reports whether each member but this process's answers and has a
// leader.
func (n *Node) othersServe(plan etcd.Embedded) bool {
	members, err := n.client.Members(n.ctx)
	if err != nil {
		return false
	}
	for _, m := range members {
		if m.Client != plan.Client && !(m.Reachable && m.Led) {
			return false
		}
	}
	return true
}
