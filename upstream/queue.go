package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/corralcache/corral/internal/pace"
)

// A seat is a request's place at a server.
type seat struct {
	server *server
	ticket ticket
}

// A waiter is a request that waits for a seat. What it gets is written before
// ready closes, under Pool.mu.
type waiter struct {
	key   uint64
	ready chan struct{}
	seat  seat
	err   error
}

// enter gives a new request a seat, when it is its turn.
func (p *Pool) enter(ctx context.Context, key uint64) (seat, error) {
	w, err := p.join(key)
	if err != nil {
		return seat{}, err
	}
	if w.ready == nil {
		return w.seat, nil
	}
	patience := time.NewTimer(p.o.QueueTimeout)
	defer patience.Stop()
	select {
	case <-w.ready:
		return w.seat, w.err
	case <-ctx.Done():
		return p.giveUp(w, p.fault(context.Cause(ctx)))
	case <-patience.C:
		return p.giveUp(w, p.fault(fmt.Errorf("%w: waited for %v", ErrBusy, p.o.QueueTimeout)))
	}
}

// join gives a request a seat at once, or puts it in the queue and has ready
// made.
func (p *Pool) join(key uint64) (*waiter, error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, p.fault(ErrClosed)
	}
	w := &waiter{key: key}
	if p.queue.Len() == 0 { // P2
		if s, ok := p.takeLocked(now, key); ok {
			w.seat = s
			return w, nil
		}
	}
	if p.queue.Len() >= p.o.MaxQueued {
		p.refused++
		return nil, p.fault(fmt.Errorf("%w: %d requests wait already", ErrBusy, p.queue.Len()))
	}
	w.ready = make(chan struct{})
	p.queue.PushBack(w)
	p.admitLocked(now)
	return w, nil
}

// giveUp takes a waiter out of the queue. If it has got a seat meanwhile, the
// seat is its.
func (p *Pool) giveUp(w *waiter, err error) (seat, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.queue.Front(); e != nil; e = e.Next() {
		if e.Value == w {
			p.queue.Remove(e)
			if errors.Is(err, ErrBusy) {
				p.refused++
			}
			return seat{}, err
		}
	}
	return w.seat, w.err
}

// takeLocked gives a new request a seat if there is one that may be had now. By
// C4 that does not depend on the key.
func (p *Pool) takeLocked(now time.Time, key uint64) (seat, bool) {
	if p.rate.Wait(now, 1) > 0 {
		return seat{}, false
	}
	m := p.roster.choose(now, key, nil)
	if m == nil {
		return seat{}, false
	}
	p.budget.request(now)
	return p.seatLocked(now, m), true
}

func (p *Pool) seatLocked(now time.Time, m *member) seat {
	p.rate.Take(now)
	s := p.servers[m.index]
	s.inFlight++
	s.requests++
	return seat{s, s.standing.begin(now)}
}

// retake gives a request that failed a seat, if there is one, it is nobody's
// turn, and the budget allows it. Elsewhere, if it must not be a server that was
// tried.
func (p *Pool) retake(key uint64, tried []*member, elsewhere bool) (seat, bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.queue.Len() > 0 || p.rate.Wait(now, 1) > 0 {
		return seat{}, false
	}
	m := p.roster.choose(now, key, tried)
	if m == nil || elsewhere && slices.Contains(tried, m) {
		return seat{}, false
	}
	if !p.budget.retry(now) {
		p.denied++
		return seat{}, false
	}
	p.servers[m.index].retries++
	return p.seatLocked(now, m), true
}

// settle takes what a request says of its server.
func (p *Pool) settle(at seat, o outcome) {
	now := time.Now()
	p.mu.Lock()
	s := at.server
	if o == failed {
		s.failures++
	}
	changed := s.standing.end(now, at.ticket, o)
	healthy, span := !s.standing.ejected, s.standing.span
	switch {
	case changed && healthy:
		p.roster.returned(now, &s.member)
	case changed:
		s.ejections++
	}
	p.admitLocked(now)
	p.mu.Unlock()
	switch {
	case !changed:
	case healthy:
		p.tell(s, true, "a server answers again")
	default:
		p.tell(s, false, fmt.Sprintf("a server did not answer: it is left alone for %v", span))
	}
}

// leave gives a seat back.
func (p *Pool) leave(s *server) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.inFlight--
	p.admitLocked(time.Now())
}

// admitLocked seats those whose turn it is, and has the timer run to when the
// next may be (P3).
func (p *Pool) admitLocked(now time.Time) {
	for e := p.queue.Front(); e != nil; e = p.queue.Front() {
		w := e.Value.(*waiter)
		got, ok := p.takeLocked(now, w.key)
		if !ok {
			p.wakeLocked(now)
			return
		}
		p.queue.Remove(e)
		w.seat = got
		close(w.ready)
	}
}

func (p *Pool) wakeLocked(now time.Time) {
	d := p.rate.Wait(now, 1)
	if p.o.Share != nil {
		d = min(d, pace.LookEvery)
	}
	if d == 0 {
		d = p.roster.nextTrial(now)
	}
	switch {
	case d == 0: // somebody leaves, or a server comes up
	case p.timer == nil:
		p.timer = time.AfterFunc(d, p.wake)
	default:
		p.timer.Reset(d)
	}
}

func (p *Pool) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admitLocked(time.Now())
}
