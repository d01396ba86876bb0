package core

import "time"

// A Peer is what a core knows of a node, itself included.
type Peer struct {
	NodeRecord
	Stream bool          // a session is open
	Seen   time.Duration // since a new version of the record was seen
}

// Peers is every node that the core knows, in no order.
func (c *Core) Peers(now Time) []Peer {
	peers := make([]Peer, 0, len(c.nodes))
	for _, n := range c.nodes {
		peers = append(peers, Peer{n.NodeRecord, n.session != 0, now.Sub(n.seen)})
	}
	return peers
}

// LapsedFor is for how long the node's lease has been out, 0 if it is not.
func (c *Core) LapsedFor(now Time) time.Duration {
	if c.restored == 0 {
		return 0
	}
	return now.Sub(c.restored)
}

// Shares is how many partitions each node owns.
func (c *Core) Shares() map[Node]int {
	shares := map[Node]int{}
	for _, r := range c.routes {
		shares[r.owner]++
	}
	return shares
}

// Route is who owns a partition, and its generation.
func (c *Core) Route(p int) (Node, uint64) { return c.routes[p].owner, c.routes[p].gen }

// Layout grows whenever the owner of a partition, or who is alive, changes as
// far as this node knows.
func (c *Core) Layout() uint64 { return c.layout }

// Living is how many nodes are not dead, this one among them.
func (c *Core) Living() int {
	living := 1 // its own record it may not have seen yet
	for _, n := range c.nodes {
		if n.Node != c.Self && !n.dead() {
			living++
		}
	}
	return living
}

// Drainable reports whether another node could own what this one does.
func (c *Core) Drainable() bool {
	for _, n := range c.nodes {
		if n.Node != c.Self && n.State == Live && n.Weight > 0 {
			return true
		}
	}
	return false
}

// Epoch is the table's.
func (c *Core) Epoch() uint64 { return c.tableOrEmpty().Epoch }
