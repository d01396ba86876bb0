package corraltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/corralcache/corral"
)

// Times of a Domain, as a cluster's.
const (
	leaseLimit = 5 * time.Second // a lease that is not extended for this long is void
	passMark   = time.Second     // for how long a pass answers those who come after it
)

// errLeft is what the calls of a process that has left come to.
var errLeft = errors.New("corraltest: the process has left the domain")

// A Domain is a set of processes that share keys, all in this one. It has one
// owner for each key: the first asker is granted a lease, the others are parked
// and given the outcome. It keeps what it is filled with, so that a process
// that asks later is answered at once; or, where there are Keepers, they do.
//
//	a key is   a Join
//	free       is given the value that is kept, while that is fresh; else a lease
//	leased     parks, until the lease ends or is void
//	paused     is given the failure, for the rest of its pause
//	passing    is told to compute for itself
//
// Promises, each tested:
//
//	D1. At most one lease of a key is neither void nor detached.
//	D2. A lease ends by Fill, Fail, Pass or Abandon once; after it is void, never.
//	D3. A lease that is void or abandoned goes on to exactly one of those who
//	    are parked.
//	D4. Nobody is given a value that an invalidation in (v, s] concerns, and none
//	    is kept that one in (v, now] concerns.
//	D5. Invalidate returns nil only once every process has applied it, or left.
//	D6. A holder that has left is told once, when nobody is parked.
//	D7. A request of a process that may not answer is never granted a lease, and
//	    what it is given holds for the newest revision.
//
// A process belongs to the domain from Process on until it leaves, or the
// context of its Watch ends: an Invalidate waits for it also before its Watch
// has begun and while it is broken.
type Domain struct {
	Log *Log // notes calls by process, as "A join a"; may be nil; set before use
	// Owner, if set before use, names the Keeper that owns a key: it alone is
	// given to keep what another has computed, and is asked for it. It is called
	// under locks. By default every Keeper owns every key, the first is given
	// what is to be kept, and all are asked.
	Owner func(key string) string

	mu        sync.Mutex
	keys      map[string]*owned
	revision  uint64
	granted   uint64 // leases so far
	history   []corral.Invalidation
	processes map[*Process]bool
	keepers   []*Keeper     // in the order in which they came
	moved     chan struct{} // closed and made anew when history or a process's applied moves on
}

// owned is a key at its owner.
type owned struct {
	lease  *grant
	record *held // kept
	until  time.Time
	err    error // of the pause that ends at until; nil: a pass
}

// held is a value at the owner. Its body may still arrive.
type held struct {
	record corral.Record
	body   *spool // nil: none
	at     time.Time
}

// A grant is a lease of a Domain.
type grant struct {
	d     *Domain
	p     *Process
	key   string
	id    uint64
	timer *time.Timer // voids it
	lost  chan struct{}

	// Guarded by d.mu.
	parked   []*parked
	unwanted func() // of the last Leave, until it is called
	ended    bool
	isLost   bool
}

// parked is a Join that waits.
type parked struct {
	p       *Process
	request corral.Request
	arrived uint64             // the newest lease at that moment
	answer  chan corral.Answer // of one; closed without an answer: ask again
	on      *grant             // nil once that has ended; guarded by d.mu
}

// NewDomain makes a domain without processes. In a virtual-time test it is made
// inside the bubble.
func NewDomain() *Domain {
	return &Domain{revision: 1, keys: map[string]*owned{}, processes: map[*Process]bool{}, moved: make(chan struct{})}
}

// A Process is the Coordinator of one cache in a Domain.
type Process struct {
	share
	d       *Domain
	name    string
	next    int // in d.history; guarded by d.mu, as what follows
	since   uint64
	begun   bool
	applied uint64
	gone    bool
	left    chan struct{}
	broken  chan struct{}
	why     error
}

var _ corral.Coordinator = (*Process)(nil)

// Process adds a process. It knows nothing of the invalidations before.
func (d *Domain) Process(name string) *Process { return d.ProcessSince(name, d.Revision()) }

// ProcessSince adds a process that is told of everything that was invalidated
// after a revision: one that has been away, and reads a log that reaches back
// to there.
func (d *Domain) ProcessSince(name string, since uint64) *Process {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := slices.IndexFunc(d.history, func(inv corral.Invalidation) bool { return inv.Revision > since })
	if first < 0 {
		first = len(d.history)
	}
	p := &Process{d: d, name: name, next: first, since: since, left: make(chan struct{}), broken: make(chan struct{})}
	d.processes[p] = true
	return p
}

// Revision is that of the newest invalidation.
func (d *Domain) Revision() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.revision
}

// Lose declares the lease of a key void, as if its heartbeats had stopped, and
// reports whether there was one.
func (d *Domain) Lose(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[key]
	if k == nil || k.lease == nil {
		return false
	}
	k.lease.voidLocked()
	return true
}

// Leave is the sudden death of a process: its leases are void, what it waits
// for comes to an error, its Watch ends, and nobody waits for it any more.
func (p *Process) Leave() {
	d := p.d
	d.mu.Lock()
	defer d.mu.Unlock()
	p.leaveLocked()
}

func (p *Process) leaveLocked() {
	if p.gone {
		return
	}
	p.gone = true
	close(p.left)
	delete(p.d.processes, p)
	p.d.keepers = slices.DeleteFunc(p.d.keepers, func(k *Keeper) bool { return k.Process == p })
	for _, k := range p.d.keys {
		if k.lease != nil && k.lease.p == p {
			k.lease.voidLocked()
		}
	}
	p.d.movedLocked()
}

// BreakWatch makes the Watch that runs, or the next one, end with an error.
// The Watch after it goes on where that one ended.
func (p *Process) BreakWatch(why error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.why = why
	close(p.broken)
}

func (d *Domain) movedLocked() {
	close(d.moved)
	d.moved = make(chan struct{})
}

// Join asks for a value or for the right to compute it.
func (p *Process) Join(ctx context.Context, request corral.Request) (corral.Answer, error) {
	d := p.d
	d.Log.Add(p.name, "join", request.Key)
	d.mu.Lock()
	arrived := d.granted
	d.mu.Unlock()
	for {
		answer, wait := d.ask(p, request, arrived)
		if wait == nil {
			return answer, p.check()
		}
		select {
		case answer, ok := <-wait.answer:
			if ok {
				return answer, nil
			}
		case <-ctx.Done():
			d.giveUp(wait)
			return corral.Answer{}, fmt.Errorf("corraltest: join %q: %w", request.Key, context.Cause(ctx))
		case <-p.left:
			d.giveUp(wait)
			return corral.Answer{}, errLeft
		}
	}
}

func (p *Process) check() error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	if p.gone {
		return errLeft
	}
	return nil
}

// ask answers a Join from what is known of its key, or parks it.
func (d *Domain) ask(p *Process, request corral.Request, arrived uint64) (corral.Answer, *parked) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[request.Key]
	if k == nil {
		k = &owned{}
		d.keys[request.Key] = k
	}
	if request.Lapsed {
		request.Revision = d.revision // D7
	}
	if record := k.answerLocked(request); record != nil {
		record.Revision = max(record.Revision, d.revision) // nothing concerns it, or it would not be kept
		return corral.Answer{Kind: corral.AnswerValue, Record: record}, nil
	}
	if record := d.peekLocked(request); record != nil {
		kind := corral.AnswerValue
		if record.TTL <= 0 {
			kind = corral.AnswerStale
		}
		return corral.Answer{Kind: kind, Record: record}, nil
	}
	if k.lease != nil {
		wait := &parked{p, request, arrived, make(chan corral.Answer, 1), k.lease}
		k.lease.parked = append(k.lease.parked, wait)
		return corral.Answer{}, wait
	}
	switch left := time.Until(k.until); {
	case left > 0 && k.err != nil:
		return corral.Answer{Kind: corral.AnswerError, Err: k.err, RetryAfter: left}, nil
	case left > 0:
		return corral.Answer{Kind: corral.AnswerPass}, nil
	case request.Lapsed:
		return corral.Answer{Kind: corral.AnswerUnavailable}, nil
	}
	k.lease = d.grantLocked(p, request.Key)
	return corral.Answer{Kind: corral.AnswerLease, Lease: k.lease}, nil
}

// answerLocked is the value that is kept, if it answers a request. A refresh
// wants a newer one than it has.
func (k *owned) answerLocked(request corral.Request) *corral.Record {
	if k.record == nil || request.Fresh {
		return nil
	}
	record := later(k.record.record, time.Since(k.record.at))
	if record.TTL <= 0 || request.Refresh && (request.Previous == nil || record.Age >= request.Previous.Age) {
		return nil
	}
	if k.record.body != nil {
		record.Body, record.BodySize = k.record.body.open(), k.record.record.BodySize
	}
	return &record
}

func (d *Domain) grantLocked(p *Process, key string) *grant {
	d.granted++
	g := &grant{d: d, p: p, key: key, id: d.granted, lost: make(chan struct{})}
	g.timer = time.AfterFunc(leaseLimit, g.expire)
	return g
}

// giveUp takes a Join out that nobody waits for any more, and hands on what it
// was given in that moment.
func (d *Domain) giveUp(wait *parked) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if g := wait.on; g != nil {
		g.parked = slices.DeleteFunc(g.parked, func(other *parked) bool { return other == wait })
		g.unwantedLocked()
	}
	select {
	case answer := <-wait.answer:
		if g, ok := answer.Lease.(*grant); ok {
			g.voidLocked()
		}
		if answer.Record != nil && answer.Record.Body != nil {
			answer.Record.Body.Close()
		}
	default:
	}
}

// expire voids a lease whose heartbeats have stopped.
func (g *grant) expire() {
	g.d.mu.Lock()
	defer g.d.mu.Unlock()
	g.voidLocked()
}

// voidLocked declares a lease lost, unless it has ended (D2).
func (g *grant) voidLocked() {
	if g.isLost || g.ended {
		return
	}
	g.isLost = true
	close(g.lost)
	g.timer.Stop()
	g.handOnLocked(g.takeParkedLocked(), g.leaveKeyLocked())
}

func (g *grant) takeParkedLocked() []*parked {
	waiting := g.parked
	g.parked = nil
	for _, wait := range waiting {
		wait.on = nil
	}
	return waiting
}

// handOnLocked lets one of those who are parked compute instead (D3). If the
// lease was detached, they ask again.
func (g *grant) handOnLocked(waiting []*parked, attached bool) {
	if !attached {
		for _, wait := range waiting {
			close(wait.answer)
		}
		return
	}
	waiting = slices.DeleteFunc(waiting, func(wait *parked) bool { return wait.p.gone })
	heir := slices.IndexFunc(waiting, func(wait *parked) bool { return !wait.request.Lapsed })
	if heir < 0 {
		for _, wait := range waiting {
			wait.answer <- corral.Answer{Kind: corral.AnswerUnavailable} // D7
		}
		return
	}
	next := g.d.grantLocked(waiting[heir].p, g.key)
	g.d.keys[g.key].lease = next
	waiting[heir].answer <- corral.Answer{Kind: corral.AnswerLease, Lease: next}
	next.parked = slices.Delete(waiting, heir, heir+1)
	for _, wait := range next.parked {
		wait.on = next
	}
}

// leaveKeyLocked frees the key of a lease, unless an invalidation has detached
// it before: then it reports false.
func (g *grant) leaveKeyLocked() bool {
	k := g.d.keys[g.key]
	if k.lease != g {
		return false
	}
	k.lease = nil
	return true
}

// endLocked ends a lease with an outcome. attached says that the outcome also
// counts for those who come later.
func (g *grant) endLocked() (waiting []*parked, attached bool, err error) {
	switch {
	case g.isLost:
		return nil, false, ErrLeaseLost
	case g.ended:
		return nil, false, fmt.Errorf("corraltest: the lease of %q has ended before", g.key)
	}
	g.ended = true
	g.timer.Stop()
	return g.takeParkedLocked(), g.leaveKeyLocked(), nil
}

// Fill hands a value to those who are parked, and keeps it if it may. A body
// is handed out as it arrives, and let go when it breaks.
func (g *grant) Fill(ctx context.Context, record *corral.Record) error {
	d := g.d
	d.Log.Add(g.p.name, "fill", g.key)
	value := &held{record: detached(record), at: time.Now()}
	if record.Body != nil {
		defer record.Body.Close()
		value.body, value.record.BodySize = newSpool(), record.BodySize
	}
	if err := d.take(g, value); err != nil || value.body == nil {
		return err
	}
	if err := value.body.fill(ctx, record.Body); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if k := d.keys[g.key]; k.record == value {
			k.record = nil
		}
		return fmt.Errorf("corraltest: fill %q: body: %w", g.key, err)
	}
	return nil
}

// take ends a lease with a value.
func (d *Domain) take(g *grant, value *held) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	waiting, attached, err := g.endLocked()
	if err != nil {
		return err
	}
	for _, wait := range waiting {
		d.handLocked(g, wait, value)
	}
	if attached && value.record.Outcome == corral.Keep && !d.touchedLocked(g.key, &value.record, d.revision) {
		d.keepLocked(g, value)
	}
	return nil
}

// handLocked gives a value to one who was parked, unless the rule of revisions
// forbids it (D4), or it wants a value that was begun later than it came: it
// asks again then.
func (d *Domain) handLocked(g *grant, wait *parked, value *held) {
	if wait.request.Fresh && g.id <= wait.arrived || d.touchedLocked(wait.request.Key, &value.record, wait.request.Revision) {
		close(wait.answer)
		return
	}
	copied := detached(&value.record)
	if value.body != nil {
		copied.Body, copied.BodySize = value.body.open(), value.record.BodySize
	}
	wait.answer <- corral.Answer{Kind: corral.AnswerValue, Record: &copied}
}

// touchedLocked reports whether an invalidation in (v, s] concerns a record.
func (d *Domain) touchedLocked(key string, record *corral.Record, s uint64) bool {
	return slices.ContainsFunc(d.history, func(inv corral.Invalidation) bool {
		return inv.Revision > record.Revision && inv.Revision <= s && concerns(inv.Target, key, record.Tags)
	})
}

// Fail hands a failure to those who are parked and lets the key rest.
func (g *grant) Fail(_ context.Context, cause error, retryAfter time.Duration) error {
	g.d.Log.Add(g.p.name, "fail", g.key)
	answer := corral.Answer{Kind: corral.AnswerError, Err: cause, RetryAfter: retryAfter}
	return g.tell(answer, cause, retryAfter)
}

// Pass tells those who are parked to compute for themselves.
func (g *grant) Pass(context.Context) error {
	g.d.Log.Add(g.p.name, "pass", g.key)
	return g.tell(corral.Answer{Kind: corral.AnswerPass}, nil, passMark)
}

// Abandon gives the lease to one of those who are parked.
func (g *grant) Abandon(context.Context) error {
	g.d.Log.Add(g.p.name, "abandon", g.key)
	g.d.mu.Lock()
	defer g.d.mu.Unlock()
	waiting, attached, err := g.endLocked()
	if err == nil {
		g.handOnLocked(waiting, attached)
	}
	return err
}

func (g *grant) tell(answer corral.Answer, err error, rest time.Duration) error {
	g.d.mu.Lock()
	defer g.d.mu.Unlock()
	waiting, attached, ended := g.endLocked()
	if ended != nil {
		return ended
	}
	for _, wait := range waiting {
		wait.answer <- answer
	}
	if attached {
		k := g.d.keys[g.key]
		k.err, k.until = err, time.Now().Add(rest)
	}
	return nil
}

// Extend is the heartbeat.
func (g *grant) Extend(context.Context) error {
	g.d.Log.Add(g.p.name, "extend", g.key)
	g.d.mu.Lock()
	defer g.d.mu.Unlock()
	switch {
	case g.isLost:
		return ErrLeaseLost
	case g.ended:
		return fmt.Errorf("corraltest: extend %q: the lease has ended", g.key)
	}
	g.timer.Reset(leaseLimit)
	return nil
}

// Leave calls unwanted when nobody is parked, now or once the last one who is
// has given up (D6).
func (g *grant) Leave(unwanted func()) {
	g.d.Log.Add(g.p.name, "leave", g.key)
	g.d.mu.Lock()
	defer g.d.mu.Unlock()
	g.unwanted = unwanted
	g.unwantedLocked()
}

// unwantedLocked tells the holder, if it has left, that nobody is parked.
func (g *grant) unwantedLocked() {
	if unwanted := g.unwanted; unwanted != nil && len(g.parked) == 0 {
		g.unwanted = nil
		unwanted()
	}
}

// Lost is closed when the lease is void.
func (g *grant) Lost() <-chan struct{} { return g.lost }

// Invalidate takes the next revision and waits until every process has applied
// it.
func (p *Process) Invalidate(ctx context.Context, target corral.Target) error {
	d := p.d
	d.Log.Add(p.name, "invalidate", describe(target))
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.gone {
		return fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, errLeft)
	}
	return d.awaitLocked(ctx, d.invalidateLocked(target))
}

// invalidateLocked puts an invalidation into force at the next revision.
func (d *Domain) invalidateLocked(target corral.Target) (revision uint64) {
	d.revision++
	d.history = append(d.history, corral.Invalidation{Revision: d.revision, Target: target})
	for key, k := range d.keys {
		d.touchLocked(key, k, target)
	}
	d.movedLocked()
	return d.revision
}

// awaitLocked waits, without the lock, until every process has applied a
// revision (D5).
func (d *Domain) awaitLocked(ctx context.Context, revision uint64) error {
	for !d.appliedLocked(revision) {
		moved := d.moved
		d.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			d.mu.Lock()
			return fmt.Errorf("%w: %w", corral.ErrNotAcknowledged, context.Cause(ctx))
		}
		d.mu.Lock()
	}
	return nil
}

// touchLocked drops what is kept under a key that an invalidation concerns and
// detaches its lease: those who are parked have asked before it, those who
// come now get a lease of their own. Of a lease's value the tags are not
// known; Fill sees to them.
func (d *Domain) touchLocked(key string, k *owned, target corral.Target) {
	var tags []string
	if k.record != nil {
		tags = k.record.record.Tags
	}
	if !concerns(target, key, tags) {
		return
	}
	k.record, k.until = nil, time.Time{}
	if concerns(target, key, nil) {
		k.lease = nil
	}
}

func (d *Domain) appliedLocked(revision uint64) bool {
	for p := range d.processes {
		if p.applied < revision {
			return false
		}
	}
	return true
}

// Watch applies every invalidation since the process came, and begins by saying
// that what was before is not known. Begun again, it goes on where it ended.
func (p *Process) Watch(ctx context.Context, apply func(corral.Invalidation)) error {
	d := p.d
	d.Log.Add(p.name, "watch")
	d.mu.Lock()
	again := p.begun
	p.begun = true
	d.mu.Unlock()
	if !again {
		apply(corral.Invalidation{Revision: p.since, Missed: true})
	}
	for {
		d.mu.Lock()
		moved, broken := d.moved, p.broken
		if p.next < len(d.history) {
			inv := d.history[p.next]
			d.mu.Unlock()
			apply(inv)
			d.mu.Lock()
			p.next++
			p.applied = inv.Revision
			d.movedLocked()
			d.mu.Unlock()
			continue
		}
		d.mu.Unlock()
		select {
		case <-moved:
		case <-broken:
			d.mu.Lock()
			defer d.mu.Unlock()
			p.broken = make(chan struct{})
			return p.why
		case <-p.left:
			return errLeft
		case <-ctx.Done():
			p.Leave()
			return context.Cause(ctx)
		}
	}
}
