package etcd

import (
	"fmt"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// A history is what is known of etcd's past, so that a rewritten one is noticed.
//
// Invariants:
//
//	H1. An answer to a linearizable call shows no lower revision than had been
//	    seen when the call began. Answers that overtake each other are no sign.
//	H2. All answers are one cluster's.
//	H3. Once broken, it stays broken: the client can vouch for nothing any more.
type history struct {
	mu      sync.Mutex
	cluster uint64 // etcd's own id of itself, 0 until the first answer
	newest  uint64
	broken  error
}

// seen is the newest revision that was ever seen, or how the history broke.
func (h *history) seen() (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.newest, h.broken
}

// answered takes in the answer to a linearizable call that began when since was
// the newest revision seen.
func (h *history) answered(since uint64, header *pb.ResponseHeader) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sameClusterLocked(header)
	if r := uint64(header.GetRevision()); h.broken == nil && r < since {
		h.broken = fmt.Errorf("%w: it is at revision %d, and was at %d before: restore the newer state, or stop all nodes and begin a new cluster", ErrRolledBack, r, since)
	} else {
		h.newest = max(h.newest, r)
	}
	return h.broken
}

// told takes in a message of a watch, whose member may lag behind: only H2 holds.
func (h *history) told(header *pb.ResponseHeader) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sameClusterLocked(header)
	return h.broken
}

func (h *history) sameClusterLocked(header *pb.ResponseHeader) {
	switch id := header.GetClusterId(); {
	case h.broken != nil:
	case h.cluster == 0:
		h.cluster = id
	case h.cluster != id:
		h.broken = fmt.Errorf("%w: cluster %x answers where %x did before: check the endpoints, and start the nodes anew if it was replaced on purpose", ErrRolledBack, id, h.cluster)
	}
}
