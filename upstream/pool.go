package upstream

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/corralcache/corral/internal/pace"
)

// ErrBusy is the error of a request for which there was no room at any server:
// MaxRequests, Rate, MaxQueued or QueueTimeout, as its text says. It, or what it
// is wrapped in, is found by errors.As for interface{ Busy() bool } as well.
var ErrBusy error = busy{}

// ErrClosed is the error of a request to a pool that is closed.
var ErrClosed = errors.New("the pool is closed")

type busy struct{}

func (busy) Error() string { return "no server has room" }
func (busy) Busy() bool    { return true }

// A Pool is an http.RoundTripper over several servers. Its methods may be called
// at the same time.
//
// Invariants:
//
//	P1. A request in flight is counted at its server from when the server is
//	    chosen until the answer's body has ended or is closed, or there is none;
//	    once. Guarded by mu.
//	P2. While a request waits in queue, no request that came later is sent
//	    before it. Guarded by mu.
//	P3. While a request waits in queue and could be sent, mu is held by whoever
//	    will send it, or timer runs to when it could be.
//	P4. Nothing waits for a server, a client or a channel while it holds mu.
type Pool struct {
	o       Options // with defaults
	servers []*server

	mu      sync.Mutex // guards what is below, and in servers what says so
	roster  roster
	rate    pace.Bucket
	budget  budget
	queue   list.List // of *waiter
	timer   *time.Timer
	closed  bool
	refused uint64
	denied  uint64

	stop   context.CancelFunc // of the questions
	asking sync.WaitGroup
}

// A server is one with its connections.
type server struct {
	member                     // guarded by Pool.mu
	requests, failures         uint64
	retries, ejections         uint64
	questions, failedQuestions uint64

	url       *url.URL
	name      string // url's text
	transport *http.Transport
	http2     bool // by prior knowledge
}

// New makes a pool. It makes no connection, but that questions of Health begin
// at once. The servers' URLs are copied.
func New(o Options) (*Pool, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	p := &Pool{o: o.withDefaults()}
	p.rate = pace.New(time.Now(), p.o.Rate, p.o.Burst, p.o.Share)
	p.budget = budget{part: p.o.RetryBudget}
	p.roster = roster{
		policy: p.o.Policy, limit: p.o.MaxRequests,
		hashBound: p.o.HashBound, minHealthy: p.o.MinHealthy,
	}
	for i, s := range o.Servers {
		server := p.newServer(i, s)
		p.servers = append(p.servers, server)
		p.roster.members = append(p.roster.members, &server.member)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	if p.o.Health.Path != "" {
		for _, s := range p.servers {
			p.asking.Go(func() { p.watch(ctx, s) })
		}
	}
	return p, nil
}

func (p *Pool) newServer(index int, s Server) *server {
	where := *s.URL
	name := where.String()
	h2c := p.o.HTTP2Cleartext && where.Scheme == "http"
	return &server{
		url: &where, name: name, http2: h2c, transport: newTransport(p.o, h2c),
		member: member{
			index: index, weight: max(s.Weight, 1), seed: mix(hash(name)),
			standing: standing{
				after: p.o.EjectAfter, forTime: p.o.EjectFor, maxTime: p.o.MaxEjectFor,
				downAfter: p.o.Health.UnhealthyAfter, upAfter: p.o.Health.HealthyAfter,
			},
		},
	}
}

// Name is Options.Name.
func (p *Pool) Name() string { return p.o.Name }

// Close ends the questions, the connections that are idle, and with ErrClosed
// the requests that wait for a server. Those that a server has may end; their
// connections are not kept. It does not wait for them.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	if p.timer != nil {
		p.timer.Stop()
	}
	for e := p.queue.Front(); e != nil; e = p.queue.Front() {
		w := p.queue.Remove(e).(*waiter)
		w.err = p.fault(ErrClosed)
		close(w.ready)
	}
	p.mu.Unlock()
	p.stop()
	p.asking.Wait()
	for _, s := range p.servers {
		s.transport.CloseIdleConnections()
	}
	return nil
}

// Stats are a pool's counts, from its making on, and its state at one moment.
type Stats struct {
	Servers []ServerStats // in the order of Options.Servers
	Waiting int           // requests that wait for a server at this moment
	Refused uint64        // requests that ended in ErrBusy
	Denied  uint64        // retries that RetryBudget did not allow
}

// ServerStats are what Stats says of a server.
type ServerStats struct {
	URL             string
	Healthy         bool   // neither Health nor failures of requests speak against it
	InFlight        int    // requests that it has at this moment
	Requests        uint64 // requests that were given to it, retries included
	Failures        uint64 // of those, the ones that it did not answer
	Retries         uint64 // of those, the ones that had failed before, here or elsewhere
	Ejections       uint64 // times that it was left alone because of failures
	Questions       uint64 // of Health that have been answered or have failed
	FailedQuestions uint64
}

// Stats may be called at any time, also after Close.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := Stats{Waiting: p.queue.Len(), Refused: p.refused, Denied: p.denied}
	for _, s := range p.servers {
		stats.Servers = append(stats.Servers, ServerStats{
			URL: s.name, Healthy: s.standing.healthy(), InFlight: s.inFlight,
			Requests: s.requests, Failures: s.failures, Retries: s.retries, Ejections: s.ejections,
			Questions: s.questions, FailedQuestions: s.failedQuestions,
		})
	}
	return stats
}

// fault says whose error it is.
func (p *Pool) fault(err error) error { return fmt.Errorf("upstream: pool %q: %w", p.o.Name, err) }

// tell logs that a server's health changed.
func (p *Pool) tell(s *server, healthy bool, text string) {
	if p.o.Logger == nil {
		return
	}
	level := slog.LevelWarn
	if healthy {
		level = slog.LevelInfo
	}
	p.o.Logger.Log(context.Background(), level, text, "pool", p.o.Name, "server", s.name)
}
