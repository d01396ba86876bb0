package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/corralcache/corral/server"
)

// clusterDrain is "corral cluster drain".
type clusterDrain struct {
	adminClient `embed:""`
	Node        string        `arg:"" help:"Name of the node."`
	Undo        bool          `name:"undo" flagonly:"" help:"Let it own keys again."`
	Timeout     time.Duration `name:"timeout" flagonly:"" default:"30s" help:"How long to wait until its keys have moved; else ${default}. The order holds all the same."`
}

// drainPoll is how often is looked whether the keys have moved.
const drainPoll = 200 * time.Millisecond

// Run gives the order, and waits until the keys have moved.
func (c *clusterDrain) Run(s *session) error {
	path := "/cluster/drain?node=" + url.QueryEscape(c.Node)
	if c.Undo {
		path += "&undo=on"
	}
	var order server.ClusterOrder
	raw, err := c.ask(s, http.MethodPost, path, &order)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, c.Timeout)
	defer cancel()
	if err := c.await(ctx, s); err != nil {
		return err
	}
	if c.JSON {
		_, err = s.out.Write(raw)
	}
	return err
}

// await waits until the node owns nothing, or with --undo something, and says
// what it owns meanwhile.
func (c *clusterDrain) await(ctx context.Context, s *session) error {
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for said := -1; ; {
		var status server.ClusterStatus
		if _, err := c.ask(s, http.MethodGet, "/cluster/status", &status); err != nil {
			return fmt.Errorf("%w: the order holds, whether the keys have moved is not known", err)
		}
		i := slices.IndexFunc(status.Nodes, func(n server.ClusterNode) bool { return n.Name == c.Node })
		if i < 0 {
			return fmt.Errorf("corral: node %s is gone", c.Node)
		}
		node := status.Nodes[i]
		if node.Owned != said && !c.JSON {
			fmt.Fprintf(s.out, "node %s is %s and owns %d of %d partitions\n", node.Name, node.State, node.Owned, status.Partitions)
		}
		said = node.Owned
		if c.done(node) {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("corral: after %v node %s is %s and owns %d of %d partitions: the order holds and goes on; look again with corral cluster table, and at etcd with corral cluster members", c.Timeout, c.Node, node.State, node.Owned, status.Partitions)
		}
	}
}

// done reports whether a node is as the order wants it.
func (c *clusterDrain) done(node server.ClusterNode) bool {
	if c.Undo {
		return node.State == "live" && (node.Owned > 0 || node.Weight == 0)
	}
	return node.State == "draining" && node.Owned == 0
}
