package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
)

const (
	// invalidateTimeout bounds the writing of one batch to the log, repeated where
	// its outcome is not known: a batch that is written twice invalidates twice.
	invalidateTimeout = 5 * time.Second

	// maxBatchBytes is up to which size invalidations are written together: etcd
	// takes six times as much, and base64 makes a third more of it.
	maxBatchBytes = 256 << 10

	// maxQueued and maxQueuedBytes bound the invalidations that wait to be
	// written. Over it, they are refused at once: with a deadline of its own each
	// would learn the same, later.
	maxQueued      = 10_000
	maxQueuedBytes = 32 << 20
)

// A batcher writes invalidations to the log. What comes while one write is under
// way goes into the next, together: under load batches are large, and one that
// is alone waits for nothing.
type batcher struct {
	node *Node
	wake chan struct{} // of one: something waits

	mu    sync.Mutex
	queue []*purge
	bytes int // of the queue
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
	ack *ack
	err error
}

func newBatcher(n *Node) *batcher {
	return &batcher{node: n, wake: make(chan struct{}, 1)}
}

// add puts an invalidation into the queue.
func (b *batcher) add(p *purge) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.queue); n == maxQueued || b.bytes+p.size > maxQueuedBytes && n > 0 {
		return fmt.Errorf("%w: %d invalidations of %d bytes wait to be written already: name more keys in each, or invalidate by tag or prefix", corral.ErrOverloaded, n, b.bytes)
	}
	b.queue, b.bytes = append(b.queue, p), b.bytes+p.size
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return nil
}

// run writes until the node leaves.
func (b *batcher) run() {
	for {
		select {
		case <-b.wake:
			for batch := b.take(); batch != nil; batch = b.take() {
				b.write(batch)
			}
		case <-b.node.ctx.Done():
			return
		}
	}
}

// take takes what fits into one batch out of the queue; nil: nothing waits.
func (b *batcher) take() []*purge {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, size := 0, 0
	for n < min(len(b.queue), etcd.MaxInvalidations) && (n == 0 || size+b.queue[n].size <= maxBatchBytes) {
		size += b.queue[n].size
		n++
	}
	if n == 0 {
		b.queue = nil
		return nil
	}
	batch := b.queue[:n:n]
	b.queue, b.bytes = b.queue[n:], b.bytes-size
	return batch
}

// write writes one batch and tells those who wait for it.
func (b *batcher) write(batch []*purge) {
	revision, err := b.node.commit(merge(batch))
	var outcome purged
	if outcome.err = err; err == nil {
		b.node.n.invalidations.Add(uint64(len(batch)))
		outcome.ack = b.node.committed(revision)
	}
	for _, p := range batch {
		p.done <- outcome
	}
}

// commit writes a batch to the log.
func (n *Node) commit(batch []etcd.Invalidation) (uint64, error) {
	data, err := etcd.EncodeInvalidations(batch)
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

// merge makes one target of those of a cache, as far as they are alike: what is
// named twice is written once, and everything makes the rest superfluous.
func merge(batch []*purge) []etcd.Invalidation {
	if len(batch) == 1 {
		return []etcd.Invalidation{batch[0].Invalidation}
	}
	type kind struct {
		cache string
		soft  bool
	}
	var merged []etcd.Invalidation
	at := map[kind]int{}
	named := map[kind]*[3]map[string]bool{}
	for _, p := range batch {
		of := kind{p.Cache, p.Soft}
		i, there := at[of]
		if !there {
			i = len(merged)
			at[of], named[of] = i, &[3]map[string]bool{{}, {}, {}}
			merged = append(merged, etcd.Invalidation{Cache: p.Cache, Target: corral.Target{Soft: p.Soft}})
		}
		into := &merged[i].Target
		if into.All = into.All || p.All; into.All {
			into.Keys, into.Prefixes, into.Tags = nil, nil, nil
			continue
		}
		into.Keys = appendNew(into.Keys, named[of][0], p.Keys)
		into.Prefixes = appendNew(into.Prefixes, named[of][1], p.Prefixes)
		into.Tags = appendNew(into.Tags, named[of][2], p.Tags)
	}
	return merged
}

func appendNew(to []string, there map[string]bool, texts []string) []string {
	for _, text := range texts {
		if !there[text] {
			there[text] = true
			to = append(to, text)
		}
	}
	return to
}
