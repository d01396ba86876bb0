package peer

import (
	"context"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A peer is another node, by name, through all its incarnations.
//
// Invariants:
//
//	N1. At most one goroutine holds turn: a session that waits for it has ended
//	    the one before, or will find out that it has ended itself.
//	N2. present is the youngest session that was let in, and all older ones have
//	    been ended. Guarded by mu.
type peer struct {
	transport *Transport
	name      string
	turn      chan struct{} // of capacity 1
	session   atomic.Pointer[session]

	mu      sync.Mutex
	place   Place // zero: there is no such node now
	hangUp  context.CancelFunc
	calls   uint64 // the greatest Hello.session of this incarnation
	present *session
	bodies  *grpc.ClientConn
}

// address is where the peer is called, empty if there is no such node now.
func (p *peer) address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.place.Address
}

// aim makes what is known of the peer its place. Called with Transport.mu held.
func (p *peer) aim(member *membership, place Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.place == place {
		return
	}
	p.releaseLocked()
	p.place, p.calls = place, 0
	if place == (Place{}) || p.name < member.Self.Name {
		return
	}
	ctx, hangUp := context.WithCancel(p.transport.ctx)
	p.hangUp = hangUp
	p.transport.spawnLocked(func() { p.keepCalling(ctx, member, place) })
}

// release lets go of everything that goes to the peer's present place.
func (p *peer) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releaseLocked()
}

func (p *peer) releaseLocked() {
	if p.present != nil {
		p.present.end(errRenamed)
		p.present = nil
	}
	if p.hangUp != nil {
		p.hangUp()
		p.hangUp = nil
	}
	if p.bodies != nil {
		p.bodies.Close()
		p.bodies = nil
	}
}

// admit makes a session the present one, if it is with the incarnation at the
// peer's place. A caller numbers its calls; others pass 0.
func (p *peer) admit(s *session, node core.Node, call uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.place == (Place{}) || node.Incarnation > p.place.Incarnation:
		return later("node %v is not known here yet", node)
	case node.Incarnation < p.place.Incarnation:
		return refuse("node %v has a successor, %d: is there another node of the name %q?", node, p.place.Incarnation, p.name)
	case call != 0 && call <= p.calls:
		return later("call %d of node %v came after its call %d", call, node, p.calls)
	}
	if p.present != nil {
		p.present.end(errReplaced)
	}
	p.present, p.calls, s.node = s, call, node
	return nil
}
