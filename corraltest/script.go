package corraltest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/corralcache/corral"
)

// A Reply is what a Join comes to. Any function will do; the ones below are
// the usual ones.
type Reply func(ctx context.Context, request corral.Request) (corral.Answer, error)

// Gives answers with a copy of a record, of the kind AnswerValue, or
// AnswerStale when its TTL is negative.
func Gives(record corral.Record) Reply {
	return func(context.Context, corral.Request) (corral.Answer, error) {
		copied := record
		kind := corral.AnswerValue
		if record.TTL < 0 {
			kind = corral.AnswerStale
		}
		return corral.Answer{Kind: kind, Record: &copied}, nil
	}
}

// Grants answers with a lease.
func Grants(lease corral.Lease) Reply {
	return func(context.Context, corral.Request) (corral.Answer, error) {
		return corral.Answer{Kind: corral.AnswerLease, Lease: lease}, nil
	}
}

// Refuses answers with a kind that has nothing with it: AnswerPass,
// AnswerOverloaded or AnswerUnavailable.
func Refuses(kind corral.AnswerKind) Reply {
	return func(context.Context, corral.Request) (corral.Answer, error) {
		return corral.Answer{Kind: kind}, nil
	}
}

// Reports answers with the error of a load elsewhere and the pause of the key.
func Reports(err error, retryAfter time.Duration) Reply {
	return func(context.Context, corral.Request) (corral.Answer, error) {
		return corral.Answer{Kind: corral.AnswerError, Err: err, RetryAfter: retryAfter}, nil
	}
}

// Errs fails the Join itself.
func Errs(err error) Reply {
	return func(context.Context, corral.Request) (corral.Answer, error) { return corral.Answer{}, err }
}

// Late gives a reply after a time, and the cause of the context's end if that
// comes first.
func Late(after time.Duration, reply Reply) Reply {
	return func(ctx context.Context, request corral.Request) (corral.Answer, error) {
		if err := pause(ctx, after); err != nil {
			return corral.Answer{}, err
		}
		return reply(ctx, request)
	}
}

// Silent does not answer until the context ends.
func Silent() Reply {
	return func(ctx context.Context, _ corral.Request) (corral.Answer, error) {
		<-ctx.Done()
		return corral.Answer{}, context.Cause(ctx)
	}
}

// Held does not answer until release is closed, whatever its context does.
func Held(release <-chan struct{}, reply Reply) Reply {
	return func(ctx context.Context, request corral.Request) (corral.Answer, error) {
		<-release
		return reply(ctx, request)
	}
}

// A Script is a Coordinator for one cache that does as it is told. Joins of a
// key that it was told nothing of are granted a new Lease; all leases it grants
// so are listed by Leases. Invalidations get the next revision and are
// delivered to the Watch before Invalidate returns.
type Script struct {
	Log *Log // notes calls, as "join a"; may be nil

	// OnInvalidate, OnWatch and OnLease, if set before the Script is used,
	// replace Invalidate and Watch, and are shown each lease before it is granted.
	OnInvalidate func(ctx context.Context, target corral.Target) error
	OnWatch      func(ctx context.Context, apply func(corral.Invalidation)) error
	OnLease      func(lease *Lease)

	deliveries chan delivery

	mu       sync.Mutex
	replies  map[string][]Reply
	requests []corral.Request
	leases   []*Lease
	revision uint64
	broken   chan struct{} // closed by BreakWatch
	why      error
}

var _ corral.Coordinator = (*Script)(nil)

type delivery struct {
	invalidation corral.Invalidation
	applied      chan struct{}
}

// NewScript makes a Script. In a virtual-time test it is made inside the bubble.
func NewScript(log *Log) *Script {
	return &Script{Log: log, deliveries: make(chan delivery), replies: map[string][]Reply{}, broken: make(chan struct{})}
}

// On sets what the Joins of a key come to, one after another. The last reply
// stays.
func (s *Script) On(key string, replies ...Reply) *Script {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies[key] = replies
	return s
}

// Join answers as On says.
func (s *Script) Join(ctx context.Context, request corral.Request) (corral.Answer, error) {
	s.Log.Add("join", request.Key)
	s.mu.Lock()
	s.requests = append(s.requests, request)
	replies := s.replies[request.Key]
	if len(replies) > 1 {
		s.replies[request.Key] = replies[1:]
	}
	s.mu.Unlock()
	if len(replies) > 0 {
		return replies[0](ctx, request)
	}
	lease := NewLease(request.Key, s.Log)
	if s.OnLease != nil {
		s.OnLease(lease)
	}
	s.mu.Lock()
	s.leases = append(s.leases, lease)
	s.mu.Unlock()
	return corral.Answer{Kind: corral.AnswerLease, Lease: lease}, nil
}

// Requests are the requests of all Joins, in order.
func (s *Script) Requests() []corral.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]corral.Request(nil), s.requests...)
}

// Leases are those that the Script granted by itself, in order.
func (s *Script) Leases() []*Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Lease(nil), s.leases...)
}

// Invalidate takes the next revision and delivers the target.
func (s *Script) Invalidate(ctx context.Context, target corral.Target) error {
	s.Log.Add("invalidate", describe(target))
	if s.OnInvalidate != nil {
		return s.OnInvalidate(ctx, target)
	}
	s.mu.Lock()
	s.revision++
	revision := s.revision
	s.mu.Unlock()
	return s.Deliver(ctx, corral.Invalidation{Revision: revision, Target: target})
}

// Deliver hands an invalidation to the Watch, waiting for one to begin if there
// is none, and returns when it has been applied. The Script neither orders nor
// remembers what it is given: an invalidation may be delivered twice.
func (s *Script) Deliver(ctx context.Context, invalidation corral.Invalidation) error {
	s.mu.Lock()
	s.revision = max(s.revision, invalidation.Revision)
	s.mu.Unlock()
	d := delivery{invalidation, make(chan struct{})}
	select {
	case s.deliveries <- d:
	case <-ctx.Done():
		return corral.ErrNotAcknowledged
	}
	select {
	case <-d.applied:
		return nil
	case <-ctx.Done():
		return corral.ErrNotAcknowledged
	}
}

// BreakWatch makes the Watch that runs, or the next one, end with an error.
func (s *Script) BreakWatch(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = why
	close(s.broken)
}

// Watch applies what Deliver is given.
func (s *Script) Watch(ctx context.Context, apply func(corral.Invalidation)) error {
	s.Log.Add("watch")
	if s.OnWatch != nil {
		return s.OnWatch(ctx, apply)
	}
	s.mu.Lock()
	broken := s.broken
	s.mu.Unlock()
	for {
		select {
		case d := <-s.deliveries:
			apply(d.invalidation)
			close(d.applied)
		case <-broken:
			s.mu.Lock()
			defer s.mu.Unlock()
			s.broken = make(chan struct{})
			return s.why
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ErrLeaseLost is what the methods of a lost lease return.
var ErrLeaseLost = errors.New("corraltest: lease lost")

// A Lease notes what the cache does with it. The hooks, if set before it is
// granted, run in place of an acknowledgement, once the call is noted.
type Lease struct {
	OnFill    func(ctx context.Context, record *corral.Record) error
	OnFail    func(ctx context.Context, cause error, retryAfter time.Duration) error
	OnPass    func(ctx context.Context) error
	OnAbandon func(ctx context.Context) error
	OnExtend  func(ctx context.Context) error
	OnLeave   func(unwanted func())

	key  string
	log  *Log
	lost chan struct{}

	mu      sync.Mutex
	gone    bool
	endings []Ending
}

var _ corral.Lease = (*Lease)(nil)

// An Ending is one call of Fill, Fail, Pass or Abandon. The contract allows one
// a lease.
type Ending struct {
	Record     *corral.Record // of Fill
	Cause      error          // of Fail
	RetryAfter time.Duration  // of Fail
	Pass       bool
	Abandoned  bool
	Alive      bool // the context of the call had not ended when it came
}

// NewLease makes a lease that notes its calls in log, as "fill a".
func NewLease(key string, log *Log) *Lease {
	return &Lease{key: key, log: log, lost: make(chan struct{})}
}

// Lose declares the lease lost. It may be called more than once.
func (l *Lease) Lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gone {
		l.gone = true
		close(l.lost)
	}
}

// Endings are the calls of Fill, Fail, Pass and Abandon so far, those of a lost
// lease included.
func (l *Lease) Endings() []Ending {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Ending(nil), l.endings...)
}

func (l *Lease) end(call string, ending Ending) error {
	l.log.Add(call, l.key)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endings = append(l.endings, ending)
	if l.gone {
		return ErrLeaseLost
	}
	return nil
}

// Fill notes a record. Without OnFill its body is left unread and closed.
func (l *Lease) Fill(ctx context.Context, record *corral.Record) error {
	err := l.end("fill", Ending{Record: record, Alive: ctx.Err() == nil})
	if err == nil && l.OnFill != nil {
		return l.OnFill(ctx, record)
	}
	if record.Body != nil {
		record.Body.Close()
	}
	return err
}

// Fail notes a failure.
func (l *Lease) Fail(ctx context.Context, cause error, retryAfter time.Duration) error {
	err := l.end("fail", Ending{Cause: cause, RetryAfter: retryAfter, Alive: ctx.Err() == nil})
	if err == nil && l.OnFail != nil {
		return l.OnFail(ctx, cause, retryAfter)
	}
	return err
}

// Pass notes a pass.
func (l *Lease) Pass(ctx context.Context) error {
	err := l.end("pass", Ending{Pass: true, Alive: ctx.Err() == nil})
	if err == nil && l.OnPass != nil {
		return l.OnPass(ctx)
	}
	return err
}

// Abandon notes that the cache gives the lease back.
func (l *Lease) Abandon(ctx context.Context) error {
	err := l.end("abandon", Ending{Abandoned: true, Alive: ctx.Err() == nil})
	if err == nil && l.OnAbandon != nil {
		return l.OnAbandon(ctx)
	}
	return err
}

// Extend notes a heartbeat.
func (l *Lease) Extend(ctx context.Context) error {
	l.log.Add("extend", l.key)
	if l.OnExtend != nil {
		return l.OnExtend(ctx)
	}
	select {
	case <-l.lost:
		return ErrLeaseLost
	default:
		return nil
	}
}

// Leave notes that nobody waits in the cache. Without OnLeave somebody waits
// elsewhere.
func (l *Lease) Leave(unwanted func()) {
	l.log.Add("leave", l.key)
	if l.OnLeave != nil {
		l.OnLeave(unwanted)
	}
}

// Lost is closed by Lose.
func (l *Lease) Lost() <-chan struct{} { return l.lost }
