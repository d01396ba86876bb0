package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
)

// An ack is a batch that was written and not yet acknowledged. A new life of the
// node waits for it anew.
type ack struct {
	revision uint64
	done     chan struct{}
}

// Invalidate implements corral.Coordinator. What is larger than a batch may be is
// written as several, one after the other.
func (k *keeper) Invalidate(ctx context.Context, target corral.Target) error {
	_, err := k.invalidate(ctx, target)
	return err
}

// invalidate is Invalidate, and says as of which revision.
func (k *keeper) invalidate(ctx context.Context, target corral.Target) (uint64, error) {
	revision, err := k.acknowledged(ctx, target)
	if err != nil {
		k.node.n.notAcknowledged.Add(1)
		return 0, fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, err)
	}
	return revision, nil
}

func (k *keeper) acknowledged(ctx context.Context, target corral.Target) (revision uint64, err error) {
	parts, err := split(target, maxBatchBytes-len(k.name))
	if err != nil {
		return 0, err
	}
	var all []*ack
	for _, part := range parts {
		p := &purge{Invalidation: etcd.Invalidation{Cache: k.name, Target: part}, done: make(chan purged, 1)}
		p.size = len(k.name) + sizeOf(part)
		if err := k.node.purges.add(p); err != nil {
			return 0, err
		}
		written, err := await(ctx, k.node, p.done)
		if err := errors.Join(err, written.err); err != nil {
			return 0, err
		}
		all = append(all, written.ack)
	}
	for _, a := range all {
		if _, err := await(ctx, k.node, a.done); err != nil {
			return 0, err
		}
		revision = max(revision, a.revision)
	}
	return revision, nil
}

// await receives from a channel, or from its end, unless ctx ends or the node
// leaves.
func await[T any](ctx context.Context, n *Node, from <-chan T) (T, error) {
	var none T
	select {
	case v := <-from:
		return v, nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	case <-n.ctx.Done():
		return none, n.left()
	}
}

// committed asks the other nodes for a batch's acknowledgement.
func (n *Node) committed(revision uint64) *ack {
	a := &ack{revision: revision, done: make(chan struct{})}
	id := n.ids.Add(1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.acks[id] = a
	n.stepLocked(core.Committed{ID: id, Revision: revision})
	return a
}

// textBytes is what a text takes in a batch besides its bytes.
const textBytes = 8

func sizeOf(t corral.Target) int {
	size := 0
	for _, list := range [][]string{t.Keys, t.Prefixes, t.Tags} {
		for _, s := range list {
			size += len(s) + textBytes
		}
	}
	return size
}

// split makes targets of at most some bytes of one that may be larger.
func split(t corral.Target, most int) ([]corral.Target, error) {
	if sizeOf(t) <= most {
		return []corral.Target{t}, nil
	}
	if t.All {
		return []corral.Target{{All: true, Soft: t.Soft}}, nil
	}
	var parts []corral.Target
	part, size := corral.Target{Soft: t.Soft}, 0
	lists := func(t *corral.Target) []*[]string { return []*[]string{&t.Keys, &t.Prefixes, &t.Tags} }
	for i, list := range lists(&t) {
		for _, text := range *list {
			more := len(text) + textBytes
			if more > most {
				return nil, fmt.Errorf("a key, prefix or tag has %d bytes, %.32q…: %d are allowed", len(text), text, most-textBytes)
			}
			if size+more > most {
				parts, part, size = append(parts, part), corral.Target{Soft: t.Soft}, 0
			}
			into := lists(&part)[i]
			*into, size = append(*into, text), size+more
		}
	}
	return append(parts, part), nil
}
