package cluster

import (
	"context"
	"io"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/peer"
)

// handler is what the transport tells the node.
type handler struct {
	*Node
	life core.Node // whose transport it is
}

var _ peer.Handler = handler{}

// Opened implements peer.Handler.
func (h handler) Opened(from core.Node, session uint64) {
	h.log.Info("a stream to a node is open", "node", from.String())
	h.hear(core.Opened{Peer: from, Session: session})
}

// Closed implements peer.Handler.
func (h handler) Closed(from core.Node, session uint64, cause error) {
	h.log.Info("the stream to a node has ended", "node", from.String(), "cause", cause)
	h.hear(core.Closed{Peer: from, Session: session})
}

// hear is step, unless the transport is of an earlier life of the node.
func (h handler) hear(event core.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hearLocked(boottime(), event)
}

func (h handler) hearLocked(now core.Time, event core.Event) {
	if h.life == h.self {
		h.stepAtLocked(now, event)
	}
}

// Received implements peer.Handler. Joins of values that are here are answered
// without the core: any node may give what it has, by the rule of revisions.
func (h handler) Received(from core.Node, session uint64, messages []core.Message) {
	locked := false
	var now core.Time // one reading for the batch
	lock := func() {
		if !locked {
			locked = true
			h.mu.Lock()
			now = boottime()
		}
	}
	defer func() {
		if locked {
			h.mu.Unlock()
		}
	}()
	for _, message := range messages {
		if join, is := message.(core.Join); is && !locked && h.answerAtOnce(from, session, join) {
			continue
		}
		message, err := received(message)
		if err != nil {
			h.quietly.say(saysBadMessage, err, "node", from.Name)
			reply, is := message.(core.Reply)
			if !is {
				continue
			}
			message = core.Reply{Ask: reply.Ask, Gen: reply.Gen, Flight: reply.Flight, Kind: core.KindUnavailable} // who asked is not left to wait
		}
		if rest, large := largeOutcome(message); large {
			h.spawn(func() { h.receiveLarge(from, session, message, rest) })
			continue
		}
		lock()
		h.hearLocked(now, core.Received{From: from, Session: session, Message: message})
	}
}

// answerAtOnce answers a Join with a value that this node has, if it is that
// easy.
func (h handler) answerAtOnce(from core.Node, session uint64, m core.Join) bool {
	if m.Fresh || m.Refresh || m.Since > h.applied.Load() || !h.tenure.standing() {
		return false
	}
	v, ok := shelves{h.Node}.peek(m.Key, m.Since, false, m.NoStale)
	if !ok {
		return false
	}
	p := v.Payload.(*parcel)
	if p.body != nil || len(p.record.Value) > inlineBytes || p.headBytes() > maxHeadBytes {
		p.drop()
		return false // it has to be announced, or refused
	}
	h.peers.Send(from.Name, session, core.Reply{Ask: m.Ask, Kind: core.KindValue, Gen: m.Gen, Value: v})
	return true
}

// largeOutcome is an outcome whose value has to be fetched before the core may
// see it: it is kept in the step that takes it.
func largeOutcome(m core.Message) (*parcel, bool) {
	outcome, is := m.(core.Outcome) // one that is presented must not be overtaken by End
	if !is {
		return nil, false
	}
	p, _ := outcome.Value.Payload.(*parcel)
	return p, p != nil && p.ref.valueSize > 0
}

// receiveLarge fetches the value of an outcome and hands it to the core. If it
// cannot be had, those who wait may still have it from its holder.
func (h handler) receiveLarge(from core.Node, session uint64, m core.Message, p *parcel) {
	rest := h.fetch(h.ctx, p.ref, 0)
	defer rest.Close()
	if value, err := rest.value(); err == nil {
		p.record.Value = value
	} else {
		h.quietly.say(saysNotKept, err)
	}
	h.hear(core.Received{From: from, Session: session, Message: m})
}

// Body implements peer.Handler.
func (h handler) Body(ctx context.Context, id uint64, offset int64) (io.ReadCloser, error) {
	return h.bodies.open(ctx, id, offset)
}
