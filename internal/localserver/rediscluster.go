package localserver

import (
	"context"
	"strconv"
)

// clusterNodes is how many masters a cluster needs at least, and has here.
const clusterNodes = 3

const slots = 16384

// A RedisCluster is a Redis Cluster of three masters without replicas, which
// have a third of the slots each, in the order of Nodes.
type RedisCluster struct {
	Nodes []*RedisServer
}

// StartRedisCluster starts the nodes and returns when each of them says that
// all slots are served.
func StartRedisCluster(ctx context.Context, dir string, args ...string) (_ *RedisCluster, err error) {
	c := &RedisCluster{}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	for i := range clusterNodes {
		node, err := startRedis(ctx, dir, true, args)
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, node)
		from, to := i*slots/clusterNodes, (i+1)*slots/clusterNodes-1
		if _, err := node.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to)); err != nil {
			return nil, err
		}
		if _, err := node.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return nil, err
		}
	}
	for _, node := range c.Nodes[1:] {
		if _, err := c.Nodes[0].Do(ctx, "CLUSTER", "MEET", host, strconv.Itoa(node.port), strconv.Itoa(node.busPort)); err != nil {
			return nil, err
		}
	}
	for _, node := range c.Nodes {
		if err := waitFor(ctx, node, "cluster_state:ok", "CLUSTER", "INFO"); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Addrs are the addresses of all nodes.
func (c *RedisCluster) Addrs() []string {
	var all []string
	for _, node := range c.Nodes {
		all = append(all, node.Addr())
	}
	return all
}

// Stop ends the nodes that run.
func (c *RedisCluster) Stop() error { return stopAll(c.Nodes...) }
