package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/identity"
	"github.com/corralcache/corral/coordinator/cluster/internal/peerpb"
)

// ErrNoBody is what Fetch returns for a body that the peer does not have. A
// Handler returns it from Body.
var ErrNoBody = errors.New("peer: the node does not have this body")

// A Handler is told what peers do. It must return soon from all but Body:
// nothing else is read from that peer meanwhile.
type Handler interface {
	// Opened says that Send takes messages for a session, now.
	Opened(peer core.Node, session uint64)
	// Received hands over a batch. The slice is the transport's again when
	// Received returns; what the messages hold is the handler's.
	Received(peer core.Node, session uint64, messages []core.Message)
	// Closed says that a session has ended, and why.
	Closed(peer core.Node, session uint64, cause error)
	// Body opens a body from an offset, in bytes, or returns ErrNoBody. Read
	// returns what is there and waits for more of a growing body; Close, which
	// may be called while Read waits, ends it. Calls of Body come at once.
	Body(ctx context.Context, id uint64, offset int64) (io.ReadCloser, error)
}

// Config is what a transport needs before its process knows which cluster it
// belongs to.
type Config struct {
	// Listener is where peers call. Close closes it.
	Listener net.Listener
	// Identity is what this node shows at both ends of a connection, and by what it
	// knows the others; nil: plain text, and whoever can call is taken for a node.
	Identity *identity.Identity
	// Contact answers what another process announces, of at most 64 KiB. Nil: it
	// is refused. Calls come at once, also before Start.
	Contact func(ctx context.Context, theirs []byte) (ours []byte, err error)
	// Dial connects to an address. Nil: TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Log may be nil.
	Log    *slog.Logger
	Limits Limits
}

// A Member is what a node is in its cluster.
type Member struct {
	Self       core.Node
	Cluster    string // the cluster's UUID
	Partitions int
}

// A Place says where the present incarnation of a node is called.
type Place struct {
	Address     string // host:port
	Incarnation uint64
}

// A Transport is one node's end of the streams to all others. All methods may be
// called at once.
//
// Invariants:
//
//	T1. Whoever holds Transport.mu may lock a peer.mu, never the other way round.
//	    No method of the handler is called under either.
//	T2. After closed nothing is spawned: running only falls.
type Transport struct {
	config Config
	log    *slog.Logger
	quiet  *quiet
	server *grpc.Server
	secure credentials.TransportCredentials

	running sync.WaitGroup
	ctx     context.Context // ends with Close
	stop    context.CancelFunc

	// peers has every node that SetPeers has ever named: a few hundred bytes each.
	// It is replaced under mu, and read without it.
	peers    atomic.Pointer[map[string]*peer]
	member   atomic.Pointer[membership]
	sessions atomic.Uint64 // the last number of a session

	mu     sync.Mutex
	live   map[*session]struct{}
	closed bool
}

// A membership is what Start gave.
type membership struct {
	Member
	handler Handler
}

// New listens. Until Start only Contact is answered; all else is told to come
// again.
func New(config Config) (*Transport, error) {
	if config.Listener == nil {
		return nil, errors.New("peer: Config.Listener is nil: set where other nodes reach this one")
	}
	config.Limits = config.Limits.withDefaults()
	if err := config.Limits.validate(); err != nil {
		return nil, err
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Dial == nil {
		config.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	t := &Transport{config: config, log: config.Log, quiet: newQuiet(config.Log), live: map[*session]struct{}{}}
	t.peers.Store(&map[string]*peer{})
	t.ctx, t.stop = context.WithCancel(context.Background())
	t.secure = plaintext{t.Refused("this node's port")}
	if config.Identity != nil {
		t.secure = config.Identity.Credentials(t.Refused("this node's port"))
	}
	t.server = grpc.NewServer(t.serverOptions()...)
	peerpb.RegisterPeerServer(t.server, &service{transport: t})
	t.spawn(func() {
		if err := t.server.Serve(config.Listener); err != nil && t.ctx.Err() == nil {
			t.log.Error("peer: no other node can call this one any more", "address", config.Listener.Addr().String(), "cause", err)
		}
	})
	return t, nil
}

// Start lets peers in, and calls those that SetPeers has named or will name. It
// is called once.
func (t *Transport) Start(member Member, handler Handler) error {
	switch {
	case member.Self.Name == "" || member.Self.Incarnation == 0:
		return fmt.Errorf("peer: Member.Self is %v: it needs a name and an incarnation", member.Self)
	case len(member.Self.Name) > nameBytes || !utf8.ValidString(member.Self.Name) || !utf8.ValidString(member.Cluster):
		return fmt.Errorf("peer: Member is %q of %q: names are UTF-8, of at most %d bytes", member.Self.Name, member.Cluster, nameBytes)
	case member.Cluster == "":
		return errors.New("peer: Member.Cluster is empty: it is the cluster's UUID")
	case member.Partitions <= 0:
		return fmt.Errorf("peer: Member.Partitions is %d: it is the cluster's, and above 0", member.Partitions)
	case !t.member.CompareAndSwap(nil, &membership{member, handler}):
		return errors.New("peer: Start was called before")
	}
	t.spawn(t.beat)
	return nil
}

// SetPeers says which nodes there are, by name, and is called again whenever that
// changes, after Start. Sessions with nodes that are not in it any more, or are in
// it with another place, end. The node itself may be in it.
func (t *Transport) SetPeers(places map[string]Place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	member := t.member.Load()
	if t.closed || member == nil {
		return
	}
	peers := maps.Clone(*t.peers.Load())
	for name := range places {
		if _, known := peers[name]; !known && name != member.Self.Name {
			peers[name] = &peer{transport: t, name: name, turn: make(chan struct{}, 1)}
		}
	}
	t.peers.Store(&peers)
	for name, p := range peers {
		p.aim(member, places[name])
	}
}

// Send hands a message to a session. It never waits, and has encoded the message
// when it returns. It returns false if the session has ended, or ends because of this message: then what was sent before
// may be lost too, and Closed follows. A message that cannot be sent by any
// session is an error in the log, and false.
func (t *Transport) Send(name string, number uint64, message core.Message) bool {
	p := (*t.peers.Load())[name]
	if p == nil {
		return false
	}
	s := p.session.Load()
	if s == nil || s.number != number {
		return false
	}
	err := s.queue.put(message)
	switch {
	case err == nil:
		return true
	case errors.Is(err, errFull):
		s.end(err)
	case !errors.Is(err, errFinished):
		t.quiet.say(slog.LevelError, "a message was not sent", name, err.Error())
	}
	return false
}

// Close ends all sessions, after what has been sent has left or half a second has
// passed, and everything else; Send refuses from its beginning. It waits for the
// handler's methods to return, and so is not called from one.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	leaving := maps.Clone(t.live)
	t.mu.Unlock()
	flushed := time.NewTimer(flushTimeout)
	defer flushed.Stop()
	for s := range leaving {
		s.finish()
	}
	for s := range leaving {
		select {
		case <-s.done:
		case <-flushed.C:
			flushed.Reset(0) // for the others
		}
	}
	t.stop()
	for _, p := range *t.peers.Load() {
		p.release()
	}
	graceful := time.AfterFunc(flushTimeout, t.server.Stop)
	t.server.GracefulStop()
	graceful.Stop()
	t.running.Wait()
}

// spawn runs what Close waits for. It returns false after Close has begun.
func (t *Transport) spawn(run func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.spawnLocked(run)
}

func (t *Transport) spawnLocked(run func()) bool {
	if t.closed {
		return false
	}
	t.running.Go(run)
	return true
}

// beat keeps P5 for all sessions.
func (t *Transport) beat() {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-t.ctx.Done():
			return
		}
		t.mu.Lock()
		for s := range t.live {
			s.beat()
		}
		t.mu.Unlock()
	}
}

// newSession makes a session that lives no longer than ctx and the transport. It
// returns nil after Close has begun.
func (t *Transport) newSession(ctx context.Context, p *peer, member *membership) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	s := &session{
		number: t.sessions.Add(1), peer: p, handler: member.handler,
		queue: newQueue(t.config.Limits), done: make(chan struct{}),
	}
	s.ctx, s.end = context.WithCancelCause(ctx)
	t.live[s] = struct{}{}
	return s
}

// over is called once a session has ended, in whichever way.
func (t *Transport) over(s *session) {
	s.end(errClosed) // frees the context of one that ended by itself
	t.mu.Lock()
	delete(t.live, s)
	t.mu.Unlock()
	close(s.done)
}
