package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/etcd"
	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
	"github.com/corralcache/corral/coordinator/cluster/internal/peer"
)

// ErrLeft is what the calls of a node come to after Close.
var ErrLeft = errors.New("cluster: this node has left")

// A Node is one process's part of a cluster. Its methods may be called from any
// goroutine.
//
// Invariants:
//
//	N1. The core is stepped under mu, one event at a time, and what a step wants
//	    done is done, or handed to whoever does it, before mu is let go: Keep
//	    before the next event, and sends in their order.
//	N2. A revision is applied by every cache before the core hears of it: deliver
//	    is held meanwhile.
//	N3. standing is true only while the core's lease runs. It is published under
//	    mu and read without it.
//	N4. Whatever waits for an answer of the core is in calls or leases, once, and
//	    taken out by the answer.
type Node struct {
	config  Config
	log     *slog.Logger
	cluster etcd.Cluster
	client  *etcd.Client
	server  atomic.Pointer[etcd.Server] // nil: etcd is elsewhere
	secure  *identity.Identity          // nil: plain text
	answers answers
	unlock  func()
	dirID   string
	times   core.Times
	listens string // the address
	bodies  bodies
	purges  *batcher
	n       counters
	quietly once
	rates   rates

	ctx      context.Context
	cancel   context.CancelCauseFunc
	running  sync.WaitGroup
	spawning sync.Mutex // orders running.Go before cancel

	tenure  tenure
	estate  estate
	applied atomic.Uint64
	ids     atomic.Uint64

	deliver sync.Mutex // before mu; orders who changes keepers too
	keepers atomic.Pointer[map[string]*keeper]
	quiet   quiet // of caches that nobody here has opened
	journal journal

	mu       sync.Mutex
	core     *core.Core
	peers    *peer.Transport // of this life
	self     core.Node
	record   etcd.Node // as last written
	rev      uint64    // of the record
	calls    map[uint64]chan core.Answered
	leases   map[core.Flight]*lease
	acks     map[uint64]*ack
	timer    *time.Timer
	wakes    core.Time
	margin   margin
	reborn   chan struct{} // closed when a fenced node has a new incarnation
	stands   bool          // at the last step
	stood    chan struct{} // closed when that changes, or a cache begins to watch
	gone     chan struct{} // closed when the node has given everything away
	fenced   bool          // until a new life has a lease
	refenced bool          // and that one is dead by now, too
	leaving  bool          // Close was called
	drained  bool          // by Drain, until Undrain
	doubted  bool          // this machine's clock
	peeked   []*parcel     // with bodies, in this step
	places   map[string]peer.Place

	// What is agreed as of applied, for the node's next life.
	agreed  core.Snapshot // without Nodes
	records map[string]core.NodeChange
}

// step hands the core an event and does what it wants done.
func (n *Node) step(event core.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stepLocked(event)
}

func (n *Node) stepLocked(event core.Event) { n.stepAtLocked(boottime(), event) }

// stepAtLocked is stepLocked at a reading of the clock.
func (n *Node) stepAtLocked(now core.Time, event core.Event) {
	for _, action := range n.core.Step(now, event) {
		n.doLocked(action)
	}
	for _, p := range n.peeked {
		if !p.taken {
			p.drop()
		}
	}
	clear(n.peeked)
	n.peeked = n.peeked[:0]
	n.margin.extend(now, n.core.Until())
	n.tenure.extend(n.core.Until())
	n.estate.follow(n.core)
	if n.core.Standing(now) != n.stands {
		n.stands = !n.stands
		n.stoodLocked()
	}
	if next := n.core.Next(); next != n.wakes {
		n.wakes = next
		if next == math.MaxInt64 {
			n.timer.Stop()
		} else {
			n.timer.Reset(max(next.Sub(now), 0))
		}
	}
}

// stoodLocked wakes those who wait for the node to stand: they look again.
func (n *Node) stoodLocked() {
	close(n.stood)
	n.stood = make(chan struct{})
}

// tick is the timer's function.
func (n *Node) tick() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() == nil {
		n.wakes = 0 // the timer has fired: whatever comes next sets it
		n.stepLocked(core.Tick{})
	}
}

// doLocked carries out one action. None of it waits.
func (n *Node) doLocked(action core.Action) {
	switch a := action.(type) {
	case core.Send:
		n.sendLocked(a)
	case core.Answered:
		if call := n.calls[a.Ask]; call != nil {
			delete(n.calls, a.Ask)
			if p, _ := a.Value.Payload.(*parcel); p != nil {
				p.taken = true
			}
			call <- a
		}
	case core.Keep:
		n.keepLocked(a)
	case core.Settled:
		if l := n.leases[a.Flight]; l != nil {
			delete(n.leases, a.Flight)
			l.end(a.Void)
		}
	case core.Lost:
		n.n.lost.Add(1)
		if l := n.leases[a.Flight]; l != nil {
			l.lose()
		}
	case core.NobodyAnywhere:
		if l := n.leases[a.Flight]; l != nil {
			l.nobody()
		}
	case core.Renew:
		n.spawn(func() { n.renew(a, boottime()) })
	case core.HandOver:
		n.spawn(func() { n.handOver(a) })
	case core.Write:
		n.spawn(func() { n.write(a) })
	case core.Acknowledged:
		if ack := n.acks[a.ID]; ack != nil {
			delete(n.acks, a.ID)
			close(ack.done)
		}
	case core.Fenced:
		n.fencedLocked()
	case core.Drained:
		close(n.gone)
	case core.Note:
		n.tell(a)
	default:
		panic(fmt.Sprintf("cluster: unknown action %T", a))
	}
}

// spawn runs what end waits for. After the node has left it runs nothing.
func (n *Node) spawn(run func()) {
	n.spawning.Lock()
	defer n.spawning.Unlock()
	if n.ctx.Err() == nil {
		n.running.Go(run)
	}
}

// sendLocked hands a message to its stream. Values that are too large to travel
// within it, and bodies, are announced instead.
func (n *Node) sendLocked(s core.Send) {
	message := s.Message
	switch m := message.(type) {
	case core.Reply:
		if err := n.sealLocked(&m.Value, m.Kind == core.KindLease); err != nil {
			n.quietly.say(saysNotShared, err)
			m.Value, m.Kind = core.Value{}, core.KindOverloaded
			if errors.Is(err, errTooLarge) {
				m.Kind = core.KindPass
			}
		}
		message = m
	case core.Outcome:
		if n.sealLocked(&m.Value, false) != nil {
			m.Value, m.Kind = core.Value{}, core.KindPass
		}
		message = m
	case core.Rejoin:
		if m.Outcome != nil {
			outcome := *m.Outcome
			if n.sealLocked(&outcome.Value, false) != nil {
				outcome.Value, outcome.Kind = core.Value{}, core.KindPass
			}
			m.Outcome = &outcome
		}
		message = m
	}
	if !n.peers.Send(s.To.Name, s.Session, message) {
		n.n.unsent.Add(1)
	}
}

// sealLocked makes a value's payload fit to be sent. What a lease may validate is
// sent only if all of it fits into the message. With an error there is nothing
// to be sent.
func (n *Node) sealLocked(v *core.Value, bare bool) error {
	p, _ := v.Payload.(*parcel)
	if p == nil {
		return nil
	}
	if bare && (p.headBytes() > maxHeadBytes || p.hasBody() || len(p.record.Value) > inlineBytes) {
		*v = core.Value{}
		return nil
	}
	if p.ref.id == 0 && !bare {
		copied := *p
		if _, err := n.bodies.offer(&copied, true); err != nil {
			return err
		}
		p.taken = true
		p = &copied
	}
	v.Payload = p
	return nil
}

// received makes parcels of the payloads in a message from another node.
func received(m core.Message) (core.Message, error) {
	var err error
	switch r := m.(type) {
	case core.Reply:
		if r.Value.Payload, err = unseal(r.Value.Payload); err == nil && r.Value.Payload != nil {
			r.Value.Payload.(*parcel).sole = true
		}
		return r, err
	case core.Outcome:
		r.Value.Payload, err = unseal(r.Value.Payload)
		return r, err
	case core.Rejoin:
		if r.Outcome != nil {
			outcome := *r.Outcome
			outcome.Value.Payload, err = unseal(outcome.Value.Payload)
			r.Outcome = &outcome
		}
		return r, err
	}
	return m, nil
}

func unseal(payload any) (any, error) {
	b, ok := payload.([]byte)
	if !ok {
		return nil, nil
	}
	p, err := decodeParcel(b)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// keepLocked gives a cache of this node, which owns the key, what another node
// has computed.
func (n *Node) keepLocked(a core.Keep) {
	k, key := n.keeperOf(a.Key)
	if k == nil {
		return // no such cache is open here
	}
	record, p := recordOf(a.Value)
	if record == nil || p.ref.valueSize > 0 && record.Value == nil {
		return
	}
	if p.ref.hasBody {
		record.Body, record.BodySize = n.fetch(n.ctx, p.ref, p.ref.valueSize), p.ref.bodySize
	}
	if err := k.view().Keep(key, record); err != nil {
		n.quietly.say(saysNotKept, err, "cache", k.name)
		return
	}
	p.kept = true
}

// fencedLocked begins a new life: the others took this one for dead.
func (n *Node) fencedLocked() {
	again := n.fenced
	n.fenced, n.refenced = true, again
	select {
	case <-n.gone:
		return
	default:
	}
	if !again {
		n.spawn(n.rebirth)
	}
}

// nextLife waits for the node's next incarnation, and reports false if it needs
// none, or does not come.
func (n *Node) nextLife(ctx context.Context) bool {
	n.mu.Lock()
	fenced, reborn := n.fenced, n.reborn
	n.mu.Unlock()
	if !fenced {
		return false
	}
	select {
	case <-reborn:
		return true
	case <-ctx.Done():
	case <-n.ctx.Done():
	}
	return false
}

// fetch is the rest of a parcel at another node, from an offset. It is opened at
// once, so that it is there before it is not announced any more.
func (n *Node) fetch(ctx context.Context, r ref, offset int64) *remote {
	ctx, cancel := context.WithCancel(ctx)
	m := &remote{node: n, ctx: ctx, cancel: cancel, ref: r, opened: make(chan struct{})}
	n.spawn(func() { m.open(offset) })
	return m
}

// answerError is the error of a load elsewhere.
func answerError(f core.Failure) error {
	if f.Code == core.CodeCycle {
		return corral.ErrCycle
	}
	return corral.DecodeError(f.Code, f.Text)
}
