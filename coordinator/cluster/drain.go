package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// What Drain and Undrain come to, besides what a node that cannot be reached
// says. Nothing has changed then.
var (
	ErrUnknownNode = errors.New("cluster: no node of this name is alive")
	ErrLastOwner   = errors.New("cluster: no other node could own this one's keys: start one, or undrain one, first")
	ErrNoLease     = errors.New("cluster: the node has no lease, and cannot say so to the others: see that it reaches etcd, and that etcd has a majority")
)

// Drain makes a node of the cluster, this one or another, give its keys away,
// and stay as one that owns none: it answers, asks and computes as before. It is
// for before a node is stopped, or looked into; stopping it drains it too. The
// order holds until Undrain, or until the node's process ends.
//
// It returns once the node has taken the order. The keys move in one write of the
// table, once what is kept of them is handed over to their next owners, which takes
// five seconds at most: Status shows what the node owns, and its state.
func (n *Node) Drain(ctx context.Context, name string) error {
	return n.order(ctx, name, orderDrain)
}

// Undrain ends Drain: the node is given its share of the keys again.
func (n *Node) Undrain(ctx context.Context, name string) error {
	return n.order(ctx, name, orderUndrain)
}

// What an order tells a node to do.
const (
	orderDrain   = "drain"
	orderUndrain = "undrain"
	orderTake    = "take" // what From has announced as Body, and hands over
)

// An order is what one node tells another by Contact, in JSON. It is for one
// life of a node of one cluster.
type order struct {
	Order       string `json:"order"`
	Cluster     string `json:"cluster"`
	Node        string `json:"node"`
	Incarnation uint64 `json:"incarnation"`
	From        string `json:"from,omitempty"`
	Body        uint64 `json:"body,omitempty"`
}

// A receipt answers an order. Refused is one of the reasons below, or empty.
type receipt struct {
	Refused string `json:"refused"`
}

func (r receipt) error() error {
	if r.Refused == "" {
		return nil
	}
	return cmp.Or(refusals[r.Refused], errors.New(r.Refused))
}

// refusals are the reasons by which an order may be refused, on the wire.
var refusals = map[string]error{
	"unknown-node": ErrUnknownNode,
	"last-owner":   ErrLastOwner,
	"no-lease":     ErrNoLease,
}

func (n *Node) order(ctx context.Context, name, what string) error {
	if name = cmp.Or(name, n.config.Name); name == n.config.Name {
		return n.obey(what)
	}
	n.mu.Lock()
	place, known := n.places[name]
	n.mu.Unlock()
	if !known {
		return fmt.Errorf("%w: %q", ErrUnknownNode, name)
	}
	err := n.command(ctx, place.Address, order{Order: what, Node: name, Incarnation: place.Incarnation})
	if err != nil {
		return fmt.Errorf("cluster: %s node %q at %s: %w", what, name, place.Address, err)
	}
	return nil
}

// obey does what an order says, unless that would leave keys without an owner.
func (n *Node) obey(what string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.leaving || n.ctx.Err() != nil:
		return ErrLeft
	case !n.core.Standing(boottime()):
		return ErrNoLease
	case what == orderUndrain:
		n.drained = false
		n.stepLocked(core.Undrain{})
	case n.config.Weight > 0 && !n.core.Drainable():
		return ErrLastOwner
	default:
		n.drained = true
		n.stepLocked(core.Drain{Stay: true})
	}
	n.log.Info("this node was told to "+what, "owns", n.estate.count())
	return nil
}

// ordered answers an order from another node; is reports whether it is one.
func (n *Node) ordered(ctx context.Context, theirs []byte) (answer []byte, is bool, err error) {
	var o order
	if json.Unmarshal(theirs, &o) != nil || o.Order == "" {
		return nil, false, nil
	}
	n.mu.Lock()
	self, lives := n.self, n.core != nil // the cluster's record is known by then
	n.mu.Unlock()
	var r receipt
	switch {
	case !lives:
		r.Refused = reasonOf(ErrUnknownNode)
	case o.Order != orderDrain && o.Order != orderUndrain && o.Order != orderTake:
		r.Refused = fmt.Sprintf("this node does not know the order %.32q: update it", o.Order)
	case o.Cluster != n.cluster.UUID || self != core.Node{Name: o.Node, Incarnation: o.Incarnation}:
		r.Refused = reasonOf(ErrUnknownNode)
	case o.Order == orderTake:
		r.Refused = reasonOf(n.takeGifts(ctx, o.From, o.Body))
	default:
		r.Refused = reasonOf(n.obey(o.Order))
	}
	answer, err = json.Marshal(r)
	return answer, true, err
}

// reasonOf is an error as a receipt says it.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	for reason, is := range refusals {
		if errors.Is(err, is) {
			return reason
		}
	}
	return err.Error()
}
