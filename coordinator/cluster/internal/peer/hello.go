package peer

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/peerpb"
)

// hello is this node's Hello. Its callee names one version as both.
func (m *membership) hello(newest, oldest uint32, call uint64) []byte {
	b, err := proto.Marshal(&peerpb.Hello{
		Version: newest, Oldest: oldest,
		Cluster: m.Cluster, Partitions: uint32(m.Partitions),
		Node:    &peerpb.Node{Name: m.Self.Name, Incarnation: m.Self.Incarnation},
		Session: call,
	})
	if err != nil {
		panic(fmt.Sprintf("peer: a Hello cannot be encoded: %v", err)) // Start has looked at what could not
	}
	return b
}

// A greeting is what a Hello says.
type greeting struct {
	node    core.Node
	version uint32 // that both have in common
	call    uint64
}

// judge says whether a peer may have a session, as far as its Hello tells.
func (m *membership) judge(b batch) (greeting, error) {
	switch {
	case b.hello == nil || len(b.messages) > 0:
		return greeting{}, refuse("the first batch is not a Hello")
	case len(b.hello) > helloBytes:
		return greeting{}, refuse("its Hello has %d bytes, more than %d", len(b.hello), helloBytes)
	}
	var h peerpb.Hello
	if err := proto.Unmarshal(b.hello, &h); err != nil {
		return greeting{}, refuse("its Hello is not one: %v", err)
	}
	node := core.Node{Name: h.Node.GetName(), Incarnation: h.Node.GetIncarnation()}
	version := min(h.Version, Version)
	switch {
	case version < max(h.Oldest, OldestVersion):
		return greeting{}, refuse("node %v speaks the protocol's versions %d to %d, and node %v %d to %d: update by one release at a time",
			node, h.Oldest, h.Version, m.Self, OldestVersion, Version)
	case h.Cluster != m.Cluster:
		return greeting{}, refuse("two clusters meet: node %v belongs to %q, and node %v to %q: one of them has an address of the other", node, h.Cluster, m.Self, m.Cluster)
	case h.Partitions != uint32(m.Partitions):
		return greeting{}, refuse("node %v counts %d partitions, and node %v %d: all nodes of a cluster count the same", node, h.Partitions, m.Self, m.Partitions)
	}
	return greeting{node, version, h.Session}, nil
}

// judgeCaller is judge for a call that came in.
func (m *membership) judgeCaller(b batch) (greeting, error) {
	g, err := m.judge(b)
	switch {
	case err != nil:
		return greeting{}, err
	case g.node.Name == m.Self.Name:
		return greeting{}, refuse("two nodes have the name %q, %v and %v: give one of them another", m.Self.Name, m.Self, g.node)
	case g.node.Name > m.Self.Name:
		return greeting{}, refuse("node %v called node %v: the node with the smaller name calls", g.node, m.Self)
	case g.call == 0:
		return greeting{}, refuse("node %v does not count its calls", g.node)
	}
	return g, nil
}

// judgeCallee is judge for the answer to a call of a node.
func (m *membership) judgeCallee(b batch, called core.Node, address string) error {
	g, err := m.judge(b)
	switch {
	case err != nil:
		return err
	case g.node.Name != called.Name:
		return refuse("at %s there is node %v, not %v", address, g.node, called)
	case g.node != called:
		return later("at %s there is node %v, not %v", address, g.node, called)
	}
	return nil
}

// hear receives the batch with the Hello.
func (s *session) hear() (batch, error) {
	var b batch
	if err := s.receive(&b); err != nil {
		return batch{}, s.why(err)
	}
	s.received.Store(b.sequence)
	return b, nil
}

// greet sends the batch with the Hello.
func (s *session) greet(hello []byte) error {
	if err := s.send(outgoing{frames: buffers.Get(0)}, hello); err != nil {
		return s.why(err)
	}
	return nil
}
