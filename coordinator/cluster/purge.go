package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
)

// invalidateTimeout bounds the writing of one batch to the log, repeated where
// its outcome is not known: a batch that is written twice invalidates twice.
const invalidateTimeout = 5 * time.Second

// A batcher writes invalidations to the log: what comes while one write is under
// way goes into the next, together.
type batcher struct {
	node *Node
	take chan purge
}

// A purge is one invalidation that waits to be written.
type purge struct {
	etcd.Invalidation
	size int
	done chan purged // of one
}

// purged is what became of a purge: the acknowledgement to wait for, or an
// error.
type purged struct {
	ack      <-chan struct{}
	revision uint64
	err      error
}

// maxBatchBytes is up to which size invalidations are written together.
const maxBatchBytes = 256 << 10

func newBatcher(n *Node) *batcher {
	return &batcher{node: n, take: make(chan purge, etcd.MaxInvalidations)}
}

// Invalidate implements corral.Coordinator.
func (k *keeper) Invalidate(ctx context.Context, target corral.Target) error {
	_, err := k.invalidate(ctx, target)
	if err != nil {
		k.node.n.notAcknowledged.Add(1)
	}
	return err
}

// invalidate is Invalidate, and says as of which revision.
func (k *keeper) invalidate(ctx context.Context, target corral.Target) (uint64, error) {
	n := k.node
	p := purge{Invalidation: etcd.Invalidation{Cache: k.name, Target: target}, size: len(k.name) + sizeOf(target), done: make(chan purged, 1)}
	if p.size > maxBatchBytes {
		return 0, fmt.Errorf("%w: one invalidation names %d bytes of keys, prefixes and tags: name at most %d, or split it", corral.ErrNotAcknowledged, p.size, maxBatchBytes)
	}
	select {
	case n.purges.take <- p:
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, context.Cause(ctx))
	case <-n.ctx.Done():
		return 0, fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, ErrLeft)
	}
	select {
	case r := <-p.done:
		if r.err != nil {
			return 0, fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, r.err)
		}
		select {
		case <-r.ack:
			return r.revision, nil
		case <-ctx.Done():
		case <-n.ctx.Done():
		}
	case <-ctx.Done():
	case <-n.ctx.Done():
	}
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, context.Cause(ctx))
	}
	return 0, fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, ErrLeft)
}

func sizeOf(t corral.Target) int {
	size := 0
	for _, list := range [][]string{t.Keys, t.Prefixes, t.Tags} {
		for _, s := range list {
			size += len(s) + 8
		}
	}
	return size
}

// run writes until the node leaves.
func (b *batcher) run() {
	var next *purge
	for {
		var batch []purge
		size := 0
		if next == nil {
			select {
			case p := <-b.take:
				next = &p
			case <-b.node.ctx.Done():
				return
			}
		}
		batch, size, next = append(batch, *next), next.size, nil
	more:
		for len(batch) < etcd.MaxInvalidations {
			select {
			case p := <-b.take:
				if size+p.size > maxBatchBytes {
					next = &p
					break more
				}
				batch, size = append(batch, p), size+p.size
			default:
				break more
			}
		}
		b.write(batch)
	}
}

// write writes one batch and tells those who wait for it.
func (b *batcher) write(batch []purge) {
	n := b.node
	revision, err := n.commit(batch)
	if err != nil {
		for _, p := range batch {
			p.done <- purged{err: err}
		}
		return
	}
	n.n.invalidations.Add(uint64(len(batch)))
	a := &ack{revision: revision, done: make(chan struct{})}
	id := n.ids.Add(1)
	n.mu.Lock()
	n.acks[id] = a
	n.stepLocked(core.Committed{ID: id, Revision: revision})
	n.mu.Unlock()
	for _, p := range batch {
		p.done <- purged{ack: a.done, revision: revision}
	}
}

// An ack is a batch that was written and not yet acknowledged. A new life of the
// node waits for it anew.
type ack struct {
	revision uint64
	done     chan struct{}
}

// commit writes a batch to the log.
func (n *Node) commit(batch []purge) (uint64, error) {
	targets := make([]etcd.Invalidation, len(batch))
	for i, p := range batch {
		targets[i] = p.Invalidation
	}
	data, err := etcd.EncodeInvalidations(targets)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(n.ctx, invalidateTimeout)
	defer cancel()
	for {
		result, err := n.client.Write(ctx, etcd.Txn{Put: map[string][]byte{etcd.InvalidationsKey: data}})
		if !errors.Is(err, etcd.ErrUnknown) || errors.Is(err, etcd.ErrFull) || pause(ctx, n.times.Retry) != nil {
			return result.Revision, err
		}
	}
}
