package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
)

// Leave gives this node's keys away, and what its caches have kept of them to
// their next owners. It is called first where a process stops in order: before
// its caches are closed, and the node last; without it what was kept is computed
// again. It returns once this node owns nothing, or nobody is there to take what
// it owns (the last nodes of a cluster may all leave at once), or nobody can be
// told. It takes eight seconds at most, and ends with an error if ctx ends before.
func (n *Node) Leave(ctx context.Context) error {
	if n.Drain(ctx, "") != nil {
		return nil
	}
	bound, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	for n.estate.count() > 0 && n.mayGiveAway() {
		if err := pause(bound, leavePause); err != nil {
			if ctx.Err() == nil {
				return nil // Close says so
			}
			return fmt.Errorf("cluster: leave: %d partitions are still this node's: %w", n.estate.count(), err)
		}
	}
	return nil
}

// mayGiveAway reports whether somebody is there who could own what this node
// does, and this node can say so.
func (n *Node) mayGiveAway() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ctx.Err() == nil && n.drained && n.core.Standing(boottime()) && n.core.Drainable()
}

// leavePause is how often Leave looks.
const leavePause = 10 * time.Millisecond

// handOver gives what this node has kept of partitions to their next owners, each
// over a connection of its own. Who does not take it computes it when it is asked
// for.
func (n *Node) handOver(a core.HandOver) {
	ctx, cancel := context.WithTimeout(n.ctx, n.times.Handover)
	defer cancel()
	parts := map[core.Node]map[int]bool{}
	for _, gift := range a.Gifts {
		if parts[gift.To] == nil {
			parts[gift.To] = map[int]bool{}
		}
		parts[gift.To][int(gift.Part)] = true
	}
	var giving sync.WaitGroup
	for to, parts := range parts {
		giving.Go(func() { n.handOverTo(ctx, to, parts) })
	}
	giving.Wait()
	n.step(core.HandedOver{Round: a.Round})
}

func (n *Node) handOverTo(ctx context.Context, to core.Node, parts map[int]bool) {
	if !n.keepsAny(parts) {
		return
	}
	began := boottime()
	given, err := n.give(ctx, to, parts)
	n.n.handedOver.Add(uint64(given))
	if err != nil {
		n.say(saysNotHandedOver, "node", to.String(), "values", given, "cause", err)
		return
	}
	n.log.Info("what this node has kept is handed over to the next owner", "node", to.String(), "values", given, "took", boottime().Sub(began))
}

// keeps reports whether a cache is open.
func (n *Node) keeps() bool {
	for _, k := range n.allKeepers() {
		if k.view() != nil {
			return true
		}
	}
	return false
}

// keepsAny reports whether anything is kept of some partitions.
func (n *Node) keepsAny(parts map[int]bool) bool {
	for range n.kept(parts) {
		return true
	}
	return false
}

// give announces a stream of gifts, and tells a node to fetch it. It reports how
// many were sent.
func (n *Node) give(ctx context.Context, to core.Node, parts map[int]bool) (given int, err error) {
	from, into := io.Pipe()
	defer from.Close()
	announced := &parcel{body: from, record: corral.Record{BodySize: -1}}
	end, err := n.bodies.offer(announced, true)
	if err != nil {
		return 0, err
	}
	defer end()
	sent := make(chan int, 1)
	n.spawn(func() {
		count, err := n.writeGifts(ctx, into, parts)
		into.CloseWithError(err)
		sent <- count
	})
	stop := context.AfterFunc(ctx, func() { from.CloseWithError(context.Cause(ctx)) })
	defer stop()
	n.mu.Lock()
	place, known := n.places[to.Name]
	n.mu.Unlock()
	if !known || place.Incarnation != to.Incarnation {
		err = fmt.Errorf("%w: %v", ErrUnknownNode, to)
	} else {
		err = n.command(ctx, place.Address, order{Order: orderTake, Node: to.Name, Incarnation: to.Incarnation, From: n.config.Name, Body: announced.ref.id})
	}
	from.CloseWithError(io.ErrClosedPipe)
	select {
	case given = <-sent:
	case <-n.ctx.Done():
	}
	return given, err
}

// writeGifts writes what is kept of some partitions, until all is written or
// nobody reads any more.
func (n *Node) writeGifts(ctx context.Context, into io.Writer, parts map[int]bool) (count int, err error) {
	w := bufio.NewWriterSize(into, giftBuffer)
	for k, key := range n.kept(parts) {
		shelf := k.view()
		if shelf == nil {
			continue
		}
		record := shelf.Peek(ctx, corral.Request{Key: key, Behind: nobody})
		if record == nil {
			continue
		}
		sent, err := writeGift(w, k.name+separator+key, record)
		if err != nil {
			return count, err
		}
		if sent {
			count++
		}
	}
	return count, w.Flush()
}

// kept yields what the caches of this node have of some partitions.
func (n *Node) kept(parts map[int]bool) func(yield func(*keeper, string) bool) {
	return func(yield func(*keeper, string) bool) {
		for _, k := range n.allKeepers() {
			shelf := k.view()
			if shelf == nil {
				continue
			}
			for key := range shelf.Keys() {
				if parts[n.partition(k.name+separator+key)] && !yield(k, key) {
					return
				}
			}
		}
	}
}

// takeGifts fetches what another node hands over. What it keeps it keeps by the
// rule of revisions, as a copy of what that node owns, until the table says that
// it is this node's.
func (n *Node) takeGifts(ctx context.Context, from string, body uint64) error {
	stream, err := n.transport().Fetch(ctx, from, body, 0)
	if err != nil {
		return err
	}
	defer stream.Close()
	r := bufio.NewReaderSize(stream, giftBuffer)
	open := map[string]corral.Shelf{}
	for {
		composite, record, err := readGift(r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("what node %q hands over: %w", from, err)
		}
		name, key, _ := strings.Cut(composite, separator)
		shelf, known := open[name]
		if !known {
			shelf = n.awaitShelf(ctx, name)
			open[name] = shelf // nil: no such cache is open here
		}
		if shelf != nil && shelf.Keep(key, record) == nil {
			n.n.takenOver.Add(1)
		}
	}
}

// awaitShelf is the cache of a name, once it hears of invalidations: a process
// that has just joined opens its caches after that. It is nil if none is opened.
func (n *Node) awaitShelf(ctx context.Context, name string) corral.Shelf {
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	for {
		n.mu.Lock()
		stood := n.stood
		n.mu.Unlock()
		if k := n.openKeeper(name); k != nil {
			if shelf := k.view(); shelf != nil {
				return shelf
			}
		}
		select {
		case <-stood:
		case <-ctx.Done():
			return nil
		}
	}
}

// command sends an order to the node at an address.
func (n *Node) command(ctx context.Context, address string, o order) error {
	o.Cluster = n.cluster.UUID
	ours, err := json.Marshal(o)
	if err != nil {
		return err
	}
	theirs, err := n.transport().Contact(ctx, address, ours)
	if err != nil {
		return err
	}
	var answer receipt
	if err := json.Unmarshal(theirs, &answer); err != nil {
		return fmt.Errorf("its answer cannot be read: %w", err)
	}
	return answer.error()
}
