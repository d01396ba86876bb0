package cluster

import (
	"sync/atomic"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// An estate is which partitions this node owns, as of the last step of its core,
// and how many nodes there are. It is read without the node's lock: a cache asks
// under locks of its own, which the core's steps take.
type estate struct {
	owned  atomic.Pointer[[]bool] // by partition
	of     *core.Core             // owned is of this one
	as     uint64                 // and of this state of it
	living atomic.Int64
}

// follow publishes what has changed. Called with the node's mu held.
func (e *estate) follow(c *core.Core) {
	if e.of == c && e.as == c.Layout() {
		return
	}
	e.of, e.as = c, c.Layout()
	e.living.Store(int64(c.Living()))
	owned := make([]bool, c.Partitions)
	for p := range owned {
		owner, _ := c.Route(p)
		owned[p] = owner == c.Self
	}
	e.owned.Store(&owned)
}

func (e *estate) owns(partition int) bool {
	owned := e.owned.Load()
	return owned != nil && (*owned)[partition]
}

// count is how many partitions this node owns.
func (e *estate) count() (count int) {
	owned := e.owned.Load()
	if owned == nil {
		return 0
	}
	for _, is := range *owned {
		if is {
			count++
		}
	}
	return count
}

// share is this node's part of what all nodes may do together.
func (e *estate) share() float64 { return 1 / float64(max(e.living.Load(), 1)) }

// Share implements corral.Divider: the part of a rate that falls to this node,
// one of as many as there are nodes that are not dead. Those that own nothing
// compute too, and count.
func (n *Node) Share() float64 { return n.estate.share() }
