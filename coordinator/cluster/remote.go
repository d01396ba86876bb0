package cluster

import (
	"context"
	"io"

	"github.com/corralcache/corral/coordinator/cluster/internal/peer"
)

// A remote is the rest of a parcel at another node, while it is fetched. Read is
// for one goroutine; Close may be called from any.
type remote struct {
	node   *Node
	ctx    context.Context
	cancel context.CancelFunc
	ref    ref
	opened chan struct{} // closed once what follows is there
	from   io.ReadCloser
	err    error
}

func (r *remote) open(offset int64) {
	defer close(r.opened)
	if r.node.bodies.is(r.ref.node) {
		r.from, r.err = r.node.bodies.open(r.ctx, r.ref.id, offset)
	} else {
		r.from, r.err = r.node.transport().Fetch(r.ctx, r.ref.node.Name, r.ref.id, offset)
	}
	if r.err == nil {
		context.AfterFunc(r.ctx, func() { r.from.Close() })
	}
}

// transport is that of the node's present life.
func (n *Node) transport() *peer.Transport {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.peers
}

// Read implements io.Reader.
func (r *remote) Read(p []byte) (int, error) {
	select {
	case <-r.opened:
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	}
	if r.err != nil {
		return 0, r.err
	}
	return r.from.Read(p)
}

// value reads the value that precedes the body.
func (r *remote) value() ([]byte, error) {
	value := make([]byte, r.ref.valueSize)
	_, err := io.ReadFull(r, value)
	return value, err
}

// Close ends the fetch.
func (r *remote) Close() error {
	r.cancel()
	return nil
}
