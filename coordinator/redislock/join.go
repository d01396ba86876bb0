package redislock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redisconn"
	"github.com/corralcache/corral/internal/stored"
)

const (
	// maxEarly is how many letters a Join keeps while its question is under way.
	maxEarly = 64
	// afterEnd is how long after a lease's end the others ask, at most: not all
	// in the same moment.
	afterEnd = 20 * time.Millisecond
	// aside is how long one that may not compute lets the others go first.
	aside = 100 * time.Millisecond
)

// errGone says that the caller of a Join has left.
var errGone = errors.New("redislock: the caller has left")

// A waiter is one Join.
type waiter struct {
	c       *Coordinator
	request corral.Request
	token   string // its name, and that of the lease that it is granted, if it is
	floor   uint64 // values from before are no answer
	basis   uint64 // applied here when it asked last
	arrived uint64 // the fence of the lease that was there when it came
	ignore  bool   // the value in Redis, which cannot be read
	retried bool   // after a lost connection

	// Guarded by c.mu.
	behind string      // the token of the lease that it waits for
	early  []letter    // what came while its question was under way
	mail   chan letter // one letter about that lease
}

// Join asks Redis for the value or for the right to compute it.
func (c *Coordinator) Join(ctx context.Context, request corral.Request) (corral.Answer, error) {
	w := &waiter{c: c, request: request, token: c.nextToken(), mail: make(chan letter, 1)}
	for {
		up, err := c.standing(ctx)
		if err == nil {
			err = c.settled(ctx)
		}
		if err != nil {
			return corral.Answer{}, err
		}
		if !up {
			return c.without(w), nil
		}
		answer, again, err := w.round(ctx)
		if !again {
			return answer, err
		}
		if err := context.Cause(ctx); err != nil {
			return corral.Answer{}, fmt.Errorf("redislock: join %q: %w", request.Key, err)
		}
	}
}

// without answers while Redis is away.
func (c *Coordinator) without(w *waiter) corral.Answer {
	c.n.outages.Add(1)
	if c.conf.Outage == Refuse || w.request.Lapsed || w.request.Refresh {
		return corral.Answer{Kind: corral.AnswerUnavailable}
	}
	return corral.Answer{Kind: corral.AnswerLease, Lease: lostLease{}}
}

// round asks once, and waits if it must. again says that it is to be asked anew.
func (w *waiter) round(ctx context.Context) (answer corral.Answer, again bool, err error) {
	c := w.c
	r, err := w.ask(ctx)
	if errors.Is(err, errGone) {
		return corral.Answer{}, false, fmt.Errorf("redislock: join %q: %w", w.request.Key, context.Cause(ctx))
	}
	if err != nil {
		if redisconn.Outage(err) && !w.retried {
			w.retried = true
			return corral.Answer{}, true, nil
		}
		return c.without(w), false, nil
	}
	switch r.kind {
	case 'V', 'S':
		c.n.values.Add(1)
		return w.value(&r)
	case 'L':
		c.n.leases.Add(1)
		return w.leased(&r), false, nil
	case 'H':
		return w.wait(ctx, r.token, r.left)
	case 'E':
		return corral.Answer{Kind: corral.AnswerError, Err: decodeFailure(r.failure), RetryAfter: r.left}, false, nil
	case 'P':
		return corral.Answer{Kind: corral.AnswerPass}, false, nil
	}
	return corral.Answer{Kind: corral.AnswerUnavailable}, false, nil
}

// reply is what join.lua answers.
type reply struct {
	kind       byte
	form, body string
	hasBody    bool
	passed     time.Duration // since the value was written
	token      string        // of the lease that is held
	fence      uint64
	left       time.Duration // of the lease, or of the pause
	failure    string
	sent       time.Time
}

// asked is what a question came to.
type asked struct {
	reply
	err error
}

// ask runs join.lua. It comes to its end also when the caller has left: a lease
// that is granted to nobody would be one for all of its time.
func (w *waiter) ask(ctx context.Context) (reply, error) {
	c := w.c
	c.mu.Lock()
	w.basis = c.applied
	known := c.heard
	floor := max(w.floor, c.rules.last(w.request.Key, nil))
	w.early, w.behind = nil, ""
	c.asking[w] = struct{}{}
	c.mu.Unlock()
	c.n.joins.Add(1)
	done := make(chan asked, 1)
	go func() {
		sent := time.Now()
		r, err := parseReply(c.call(joinScript, w.request.Key,
			w.token, micro(c.conf.Lease), decimal(floor), w.flags(), w.previous(), decimal(w.arrived), decimal(known), c.channels()))
		r.sent = sent
		if err == nil && r.kind == 'H' {
			w.park(&r)
		} else {
			w.settle()
		}
		done <- asked{r, err}
	}()
	select {
	case a := <-done:
		return a.reply, a.err
	case <-ctx.Done():
		go w.forsake(done)
		return reply{}, errGone
	}
}

func (w *waiter) flags() string {
	var b strings.Builder
	for _, flag := range []struct {
		set  bool
		name byte
	}{
		{w.request.Fresh, 'F'}, {w.request.NoStale, 'S'}, {w.request.Refresh, 'R'}, {w.request.Lapsed, 'L'},
		{w.request.Previous != nil, 'P'}, {w.ignore, 'X'},
	} {
		if flag.set {
			b.WriteByte(flag.name)
		}
	}
	return b.String()
}

// previous is the age of what a refresh has.
func (w *waiter) previous() string {
	if w.request.Previous == nil {
		return "-1"
	}
	return micro(w.request.Previous.Age)
}

func parseReply(result rueidis.RedisResult) (r reply, err error) {
	fields, err := result.ToArray()
	if err != nil {
		return r, redisconn.Explain(err)
	}
	text := func(i int) string {
		if i >= len(fields) {
			return ""
		}
		s, _ := fields[i].ToString()
		return s
	}
	number := func(i int) int64 {
		n, bad := strconv.ParseInt(text(i), 10, 64)
		if bad != nil && err == nil {
			err = errMessage
		}
		return n
	}
	if len(text(0)) != 1 {
		return r, errMessage
	}
	r.kind = text(0)[0]
	switch r.kind {
	case 'V', 'S':
		r.form, r.body, r.passed = text(1), text(2), time.Duration(number(3))*time.Microsecond
		flag, _ := fields[len(fields)-1].AsInt64()
		r.hasBody = flag == 1
	case 'L':
		r.fence = uint64(number(1))
		if len(fields) > 2 {
			r.form, r.passed = text(2), time.Duration(number(3))*time.Microsecond
		}
	case 'H':
		r.token, r.left, r.fence = text(1), time.Duration(number(2))*time.Microsecond, uint64(number(3))
	case 'E':
		r.failure, r.left = text(1), time.Duration(number(2))*time.Microsecond
	}
	return r, err
}

// settle ends the time of early letters.
func (w *waiter) settle() {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	delete(w.c.asking, w)
	w.early = nil
}

// park makes w one that waits for a lease. A letter about it that has come
// already is its own.
func (w *waiter) park(r *reply) {
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.asking, w)
	w.behind = r.token
	select { // of a lease before
	case <-w.mail:
	default:
	}
	for _, l := range w.early {
		if l.token == r.token {
			w.mail <- l
			break
		}
	}
	w.early = nil
	if c.parked[r.token] == nil {
		c.parked[r.token] = map[*waiter]struct{}{}
	}
	c.parked[r.token][w] = struct{}{}
	if w.arrived == 0 {
		w.arrived = r.fence
	}
}

// deliver gives a letter to those who wait for its lease.
func (c *Coordinator) deliver(l letter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.parked[l.token] {
		select {
		case w.mail <- l:
		default:
		}
	}
	for w := range c.asking {
		if len(w.early) < maxEarly {
			w.early = append(w.early, l)
		}
	}
}

// unpark ends a wait.
func (w *waiter) unpark() {
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.parked[w.behind]
	if delete(of, w); len(of) == 0 {
		delete(c.parked, w.behind)
	}
}

// forsake gives back what comes for a Join whose caller has left.
func (w *waiter) forsake(done <-chan asked) {
	a := <-done
	switch {
	case a.err != nil:
	case a.kind == 'L':
		w.c.grant(w.request.Key, w.token, a.fence, a.sent).Abandon(context.Background())
	case a.kind == 'H':
		w.unpark()
		w.quit()
	}
}

// quit says that w waits no longer.
func (w *waiter) quit() {
	w.c.call(quitScript, w.request.Key, w.behind, w.token, w.c.channels())
}

// wait waits for the outcome of another's lease.
func (w *waiter) wait(ctx context.Context, token string, left time.Duration) (answer corral.Answer, again bool, err error) {
	c := w.c
	c.n.waits.Add(1)
	c.mu.Lock()
	up, turned := c.up, c.turned
	c.mu.Unlock()
	if !up {
		w.unpark()
		return corral.Answer{}, true, nil
	}
	leave := w.search()
	defer leave()
	timer := time.NewTimer(left + time.Millisecond + rand.N(afterEnd))
	defer timer.Stop()
	select {
	case l := <-w.mail:
		w.unpark()
		return w.outcome(ctx, &l)
	case <-timer.C:
		c.n.polls.Add(1)
		w.unpark()
		w.stepAside(ctx)
		return corral.Answer{}, true, nil
	case <-turned:
		w.unpark()
		return corral.Answer{}, true, nil
	case <-ctx.Done():
		w.unpark()
		go w.quit()
		return corral.Answer{}, false, fmt.Errorf("redislock: join %q: %w", w.request.Key, context.Cause(ctx))
	}
}

// stepAside lets those go first who may compute.
func (w *waiter) stepAside(ctx context.Context) {
	if !w.request.Lapsed {
		return
	}
	select {
	case <-time.After(aside):
	case <-ctx.Done():
	}
}

// outcome is what the holder of the lease has come to.
func (w *waiter) outcome(ctx context.Context, l *letter) (answer corral.Answer, again bool, err error) {
	again = true
	switch l.kind {
	case letterValue:
		if w.request.Fresh && l.fence <= w.arrived { // begun before this came
			return
		}
		var r reply
		if r.form, r.body, r.hasBody, err = l.value(); err != nil {
			return answer, true, nil
		}
		r.kind = 'V'
		return w.value(&r)
	case letterError:
		pause, failure, err := l.failure()
		if err != nil {
			return answer, true, nil
		}
		return corral.Answer{Kind: corral.AnswerError, Err: decodeFailure(failure), RetryAfter: time.Duration(pause) * time.Microsecond}, false, nil
	case letterPass:
		return corral.Answer{Kind: corral.AnswerPass}, false, nil
	case letterProbe:
		return corral.Answer{Kind: corral.AnswerError, Err: corral.ErrCycle}, false, nil
	case letterAgain:
		w.stepAside(ctx)
	}
	return
}

// leased is the answer with a lease that is granted.
func (w *waiter) leased(r *reply) corral.Answer {
	answer := corral.Answer{Kind: corral.AnswerLease, Lease: w.c.grant(w.request.Key, w.token, r.fence, r.sent)}
	if r.form == "" {
		return answer
	}
	record, err := stored.Parse(w.request.Key, []byte(r.form))
	if err != nil {
		w.c.n.corrupt.Add(1)
		return answer
	}
	stored.Pass(record, r.passed)
	if revision, _, ok := w.rule(record); ok {
		record.Revision = revision
		answer.Record = record
	}
	return answer
}

// value is the answer with a value, if the rule of revisions allows it (L4).
func (w *waiter) value(r *reply) (answer corral.Answer, again bool, err error) {
	record, err := stored.Parse(w.request.Key, []byte(r.form))
	if err != nil {
		w.c.n.corrupt.Add(1)
		w.c.n.warn(w.c.conf.Log, "a value in Redis cannot be read: it is computed anew", err)
		w.ignore = true
		return answer, true, nil
	}
	revision, floor, ok := w.rule(record)
	if !ok {
		w.floor = max(w.floor, floor)
		return answer, true, nil
	}
	stored.Pass(record, r.passed)
	record.Revision = revision
	if r.hasBody {
		record.Body, record.BodySize = newBody(r.body), int64(len(r.body))
	}
	answer = corral.Answer{Kind: corral.AnswerValue, Record: record}
	if r.kind == 'S' {
		answer.Kind = corral.AnswerStale
	}
	return answer, false, nil
}

// rule reports whether a record may be given, and up to which revision nothing
// concerns it. Else it must be newer than floor.
func (w *waiter) rule(record *corral.Record) (revision, floor uint64, ok bool) {
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.rules.last(w.request.Key, record.Tags)
	switch v := record.Revision; {
	case last <= v:
		return max(v, w.basis), 0, true
	case !w.request.Lapsed && w.request.Revision <= v:
		return v, 0, true
	}
	return 0, last, false
}
