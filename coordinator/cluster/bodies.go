package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/peer"
)

// fetchPatience is for how long what was announced to another node waits to be
// fetched.
const fetchPatience = 10 * time.Second

// maxServed is how much may be announced and not fetched yet. More is not sent:
// the node that asked is told that nothing is there.
const maxServed = 1 << 16

// errTooLarge is a value that no other node takes.
var errTooLarge = errors.New("cluster: a value is too large")

// bodies are the values and bodies that other nodes have been told of and fetch
// from this one.
type bodies struct {
	self core.Node
	mu   sync.Mutex
	last uint64
	of   map[uint64]*served
}

// again is a body that can be read more than once.
type again interface {
	Again(context.Context) *corral.Body
}

// A served is one of them: value and then body.
type served struct {
	id    uint64
	value []byte
	body  io.ReadCloser // nil: none
	once  bool          // fetched once; else each fetch reads it from the beginning
	timer *time.Timer
}

// offer announces the rest of a parcel: its value if that is too large to travel
// within a message, and its body. A parcel that has neither has no rest. once: a
// single fetch takes the body with it. It returns what ends the announcement.
func (b *bodies) offer(p *parcel, once bool) (end func(), err error) {
	large := len(p.record.Value) > inlineBytes
	if len(p.record.Value) > maxValueBytes {
		return nil, fmt.Errorf("%w: %d bytes, and at most %d are given to other nodes, each of which computes it: give it as a body", errTooLarge, len(p.record.Value), int64(maxValueBytes))
	}
	if head := p.headBytes(); head > maxHeadBytes {
		return nil, fmt.Errorf("%w: its tags and validator have %d bytes, and at most %d are given to other nodes, each of which computes it: give fewer or shorter ones", errTooLarge, head, maxHeadBytes)
	}
	if !large && p.body == nil {
		return func() {}, nil
	}
	if _, shared := p.body.(again); p.body != nil && !shared {
		once = true
	}
	s := &served{body: p.body, once: once}
	if large {
		s.value = p.record.Value
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.of) >= maxServed {
		return nil, fmt.Errorf("%w: %d values wait to be fetched by other nodes", corral.ErrOverloaded, maxServed)
	}
	b.last++
	s.id = b.last
	b.of[s.id] = s
	if once {
		s.timer = time.AfterFunc(fetchPatience, func() { b.end(s) })
	}
	p.ref = ref{node: b.self, id: s.id, valueSize: int64(len(s.value)), bodySize: -1}
	if p.body != nil {
		p.ref.hasBody, p.ref.bodySize = true, p.record.BodySize
	}
	return func() { b.end(s) }, nil
}

// end forgets an announcement, unless it has been fetched.
func (b *bodies) end(s *served) {
	b.mu.Lock()
	there := b.of[s.id] == s
	delete(b.of, s.id)
	b.mu.Unlock()
	if there && s.body != nil {
		s.body.Close()
	}
}

// endAll closes what nobody has fetched.
func (b *bodies) endAll() {
	b.mu.Lock()
	left := make([]*served, 0, len(b.of))
	for _, s := range b.of {
		left = append(left, s)
	}
	b.mu.Unlock()
	for _, s := range left {
		if s.timer != nil {
			s.timer.Stop()
		}
		b.end(s)
	}
}

// open is what another node fetches.
func (b *bodies) open(ctx context.Context, id uint64, offset int64) (io.ReadCloser, error) {
	b.mu.Lock()
	s := b.of[id]
	if s == nil {
		b.mu.Unlock()
		return nil, peer.ErrNoBody
	}
	if s.once {
		delete(b.of, id)
		s.timer.Stop()
	}
	b.mu.Unlock()
	body := s.body
	if shared, ok := body.(again); ok && !s.once {
		fresh := shared.Again(ctx)
		if fresh == nil {
			return nil, peer.ErrNoBody
		}
		body = fresh
	}
	r := &served{value: s.value, body: body}
	return r, r.skip(offset)
}

// skip leaves the first bytes out.
func (s *served) skip(n int64) error {
	from := min(n, int64(len(s.value)))
	s.value, n = s.value[from:], n-from
	if n == 0 || s.body == nil {
		return nil
	}
	_, err := io.CopyN(io.Discard, s.body, n)
	return err
}

// Read implements io.Reader.
func (s *served) Read(p []byte) (int, error) {
	if len(s.value) > 0 {
		n := copy(p, s.value)
		s.value = s.value[n:]
		return n, nil
	}
	if s.body == nil {
		return 0, io.EOF
	}
	return s.body.Read(p)
}

// Close implements io.Closer.
func (s *served) Close() error {
	if s.body == nil {
		return nil
	}
	return s.body.Close()
}

// rename is a new life of the node.
func (b *bodies) rename(self core.Node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.self = self
}

// is reports whether a node is this one.
func (b *bodies) is(node core.Node) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.self == node
}
