package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/internal/placement"
)

// A keeper is the Coordinator of one cache.
type keeper struct {
	node     *Node
	name     string
	shelf    corral.Shelf
	attached atomic.Bool
	watched  atomic.Pointer[corral.Shelf] // while everything up to applied has been applied to it; else nil

	// Guarded by the node's deliver; told is Watch's own until apply is set.
	watching bool                      // Watch is under way
	apply    func(corral.Invalidation) // from when on the cache has caught up; else nil
	told     uint64                    // the cache that is attached, up to this revision; 0: nothing
}

var (
	_ corral.Keeper  = (*keeper)(nil)
	_ corral.Setter  = (*keeper)(nil)
	_ corral.Divider = (*keeper)(nil)
)

// Cache is the Coordinator for a cache: the caches of one name on all nodes
// share their keys. It serves one cache of this process at a time, whose
// Options need a Codec that all nodes share. The same program on all nodes
// opens the same caches: a node keeps nothing for a cache that it has not open,
// although it may own keys of it.
func (n *Node) Cache(name string) corral.Coordinator {
	if strings.Contains(name, separator) {
		panic(fmt.Sprintf("cluster: a cache's name is %q: leave out the zero byte", name))
	}
	n.deliver.Lock()
	defer n.deliver.Unlock()
	if k := n.openKeeper(name); k != nil {
		return k
	}
	k := &keeper{node: n, name: name}
	all := map[string]*keeper{name: k}
	for other, k := range n.allKeepers() {
		all[other] = k
	}
	n.keepers.Store(&all)
	return k
}

func (n *Node) allKeepers() map[string]*keeper {
	if all := n.keepers.Load(); all != nil {
		return *all
	}
	return nil
}

func (n *Node) openKeeper(name string) *keeper { return n.allKeepers()[name] }

// Attach implements corral.Keeper.
func (k *keeper) Attach(shelf corral.Shelf) (detach func(), err error) {
	k.node.deliver.Lock()
	defer k.node.deliver.Unlock()
	if !k.attached.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("cluster: another cache of this process uses the name %q: close it first, or choose another name", k.name)
	}
	k.shelf, k.told = shelf, 0
	return func() { k.attached.Store(false) }, nil
}

// Standing implements corral.Keeper.
func (k *keeper) Standing() bool { return k.watched.Load() != nil && k.node.tenure.standing() }

// Owns implements corral.Keeper.
func (k *keeper) Owns(key string) bool {
	return k.node.estate.owns(k.node.partition(k.name + separator + key))
}

// partition is that of a composite key.
func (n *Node) partition(composite string) int {
	return placement.Partition(n.cluster.HashKey, composite, n.cluster.Partitions)
}

// Sequence is the cluster's UUID: revisions are those of its etcd.
func (k *keeper) Sequence() string { return k.node.cluster.UUID }

// Share implements corral.Divider.
func (k *keeper) Share() float64 { return k.node.Share() }

// view is the cache, while it hears of invalidations; else nil.
func (k *keeper) view() corral.Shelf {
	if shelf := k.watched.Load(); shelf != nil {
		return *shelf
	}
	return nil
}

// awaitLimit is for how long a call waits for a node that is about to stand.
const awaitLimit = time.Second

// Await implements corral.Keeper.
func (k *keeper) Await(ctx context.Context) bool {
	n := k.node
	ctx, cancel := context.WithTimeout(ctx, awaitLimit)
	defer cancel()
	for {
		n.mu.Lock()
		stood, soon := n.stood, n.ctx.Err() == nil && (k.watched.Load() == nil && k.attached.Load() || n.fenced || n.core.LapsedFor(boottime()) <= n.times.Renew)
		n.mu.Unlock()
		if k.Standing() || !soon {
			return k.Standing()
		}
		select {
		case <-stood:
		case <-ctx.Done():
			return k.Standing()
		}
	}
}

// Watch implements corral.Coordinator. It begins with what the log of invalidations
// has and this cache was not told: all of it, at first. The cache is not asked
// for anything before it has caught up.
func (k *keeper) Watch(ctx context.Context, apply func(corral.Invalidation)) error {
	n := k.node
	n.deliver.Lock()
	if k.watching {
		n.deliver.Unlock()
		return errors.New("cluster: Watch of this cache is under way already")
	}
	k.watching = true
	if err := k.catchUp(ctx, apply); err != nil {
		k.watching = false
		n.deliver.Unlock()
		return err
	}
	k.apply = apply
	if k.attached.Load() {
		shelf := k.shelf
		k.watched.Store(&shelf)
	}
	n.mu.Lock()
	n.stoodLocked()
	n.mu.Unlock()
	n.deliver.Unlock()

	var err error
	select {
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-n.ctx.Done():
		err = context.Cause(n.ctx)
	}
	n.deliver.Lock()
	defer n.deliver.Unlock()
	n.mu.Lock() // who peeks has finished
	k.watched.Store(nil)
	n.mu.Unlock()
	k.watching, k.apply = false, nil
	return err
}

// Join implements corral.Coordinator.
func (k *keeper) Join(ctx context.Context, r corral.Request) (corral.Answer, error) {
	n := k.node
	if err := k.checkKey(r.Key); err != nil {
		return corral.Answer{}, err
	}
	for {
		answered, err := n.ask(ctx, core.Ask{
			Key: k.name + separator + r.Key, Since: r.Revision, Wait: r.Wait,
			Fresh: r.Fresh, NoStale: r.NoStale, Refresh: r.Refresh, Lapsed: r.Lapsed, Behind: flightsBehind(r.Behind),
		})
		if err != nil {
			return corral.Answer{}, err
		}
		if answered.Kind == core.KindUnavailable && !r.Lapsed && n.nextLife(ctx) {
			continue
		}
		return k.answer(ctx, r.Key, answered)
	}
}

func (k *keeper) checkKey(key string) error {
	if size := len(k.name) + len(key); size > maxKeyBytes {
		return fmt.Errorf("cluster: %w: %.32q… has %d bytes with the name of its cache, and nodes tell each other of at most %d: hash it", corral.ErrInvalidKey, key, size, maxKeyBytes)
	}
	return nil
}

// ask puts a question to the core and waits for its answer.
func (n *Node) ask(ctx context.Context, ask core.Ask) (core.Answered, error) {
	ask.ID = n.ids.Add(1)
	answer := make(chan core.Answered, 1)
	n.mu.Lock()
	if n.ctx.Err() != nil {
		n.mu.Unlock()
		return core.Answered{}, n.left()
	}
	n.calls[ask.ID] = answer
	n.stepLocked(ask)
	n.mu.Unlock()
	select {
	case answered, ok := <-answer:
		if !ok {
			return core.Answered{}, n.left()
		}
		return answered, nil
	case <-ctx.Done():
		n.leave(ask.ID, answer)
		return core.Answered{}, context.Cause(ctx)
	case <-n.ctx.Done(): // also where nobody has called Close: the node may have to leave
		n.leave(ask.ID, answer)
		return core.Answered{}, n.left()
	}
}

// left is ErrLeft, with what made the node leave if nobody has asked it to.
func (n *Node) left() error {
	if cause := context.Cause(n.ctx); !errors.Is(cause, ErrLeft) {
		return fmt.Errorf("%w: %w", ErrLeft, cause)
	}
	return ErrLeft
}

// leave takes a question back. An answer that has come meanwhile is given up: a
// lease goes to another.
func (n *Node) leave(id uint64, answer chan core.Answered) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.calls, id)
	select {
	case answered, ok := <-answer:
		if !ok {
			return
		}
		if answered.Kind == core.KindLease {
			n.stepLocked(core.Done{Flight: answered.Flight, Kind: core.KindAbandon})
		}
		if p, _ := answered.Value.Payload.(*parcel); p != nil {
			p.drop()
		}
	default:
		n.stepLocked(core.LeaveAsk{ID: id})
	}
}

// flightsBehind is the leases whose loads wait for a Join, as the core knows
// them.
func flightsBehind(behind func() []corral.Lease) func() []core.Flight {
	if behind == nil {
		return nil
	}
	return func() []core.Flight {
		var flights []core.Flight
		for _, held := range behind() {
			if l, ok := held.(*lease); ok {
				flights = append(flights, l.flight)
			}
		}
		return flights
	}
}

// answer makes of the core's answer what the cache is told.
func (k *keeper) answer(ctx context.Context, key string, a core.Answered) (corral.Answer, error) {
	n := k.node
	switch a.Kind {
	case core.KindValue:
		n.n.values.Add(1)
		return k.valueAnswer(ctx, key, a)
	case core.KindLease:
		n.n.leases.Add(1)
		record, p := recordOf(a.Value)
		if record != nil && (record.Value == nil || p.hasBody()) {
			record = nil // it would be lent without its body
		}
		return corral.Answer{Kind: corral.AnswerLease, Lease: n.hold(a.Flight, neglect), Record: record}, nil
	case core.KindPass:
		return corral.Answer{Kind: corral.AnswerPass}, nil
	case core.KindError:
		return corral.Answer{Kind: corral.AnswerError, Err: answerError(a.Failure), RetryAfter: a.Failure.RetryAfter}, nil
	case core.KindOverloaded:
		return corral.Answer{Kind: corral.AnswerOverloaded}, nil
	}
	return corral.Answer{Kind: corral.AnswerUnavailable}, nil
}

// peekKept is what this node's cache has of a parcel that it has kept: its body is
// fetched once.
func (k *keeper) peekKept(key string, p *parcel, record *corral.Record) *corral.Record {
	k.node.mu.Lock()
	kept := p.kept
	k.node.mu.Unlock()
	if !kept {
		return nil
	}
	shelf := k.view()
	if shelf == nil {
		return nil
	}
	return shelf.Peek(k.node.ctx, corral.Request{Key: key, Revision: record.Revision, Behind: nobody})
}

// valueAnswer is a value, fetched if it was too large to come with the answer.
// A body is fetched as it is read.
func (k *keeper) valueAnswer(ctx context.Context, key string, a core.Answered) (corral.Answer, error) {
	record, p := recordOf(a.Value)
	if record == nil {
		return corral.Answer{Kind: corral.AnswerUnavailable}, nil
	}
	kind := corral.AnswerValue
	if record.TTL <= 0 {
		kind = corral.AnswerStale
	}
	switch {
	case p.body != nil: // of this node
		record.Body, record.BodySize = p.body, p.record.BodySize
	case p.ref.id != 0:
		if here := k.peekKept(key, p, record); here != nil {
			return corral.Answer{Kind: kind, Record: here}, nil
		}
		var offset int64
		if record.Value != nil {
			offset = p.ref.valueSize
		}
		rest := k.node.fetch(k.node.ctx, p.ref, offset) // a body outlives the Join
		if p.ref.valueSize > offset {
			stop := context.AfterFunc(ctx, func() { rest.Close() })
			value, err := rest.value()
			if !stop() || err != nil {
				rest.Close()
				return corral.Answer{}, fmt.Errorf("cluster: a value of %d bytes at node %v: %w", p.ref.valueSize, p.ref.node, errors.Join(err, ctx.Err()))
			}
			record.Value = value
		}
		if !p.ref.hasBody {
			rest.Close()
			break
		}
		record.Body, record.BodySize = rest, p.ref.bodySize
	}
	return corral.Answer{Kind: kind, Record: record}, nil
}
