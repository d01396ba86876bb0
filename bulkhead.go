package corral

import (
	"context"
	"sync"
)

// A bulkhead lets a bounded number of loads run at once, first come, first
// served.
//
//	seat     means
//	outside  not asked for yet
//	queued   waits its turn
//	held     runs, and gives the seat on when it ends
//	lent     runs on the seat of a load that waits for it
//	left     has ended
//
// A load that is started inside a load, or that such a load waits for, is lent
// its parent's seat: else N parents that wait for N children stand still.
type bulkhead struct {
	mu          sync.Mutex // guards what is below and every seat's state
	free        int
	first, last *seat // the queue
}

type seatState uint8

const (
	outside seatState = iota
	queued
	held
	lent
	left
)

type seat struct {
	state      seatState
	ready      chan struct{} // closed when a queued seat becomes held or lent
	prev, next *seat
}

// take gives a seat at once, or reports that there is none free.
func (b *bulkhead) take(s *seat) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.takeLocked(s)
}

func (b *bulkhead) takeLocked(s *seat) bool {
	if s.state == lent {
		return true
	}
	if b.free == 0 {
		return false
	}
	b.free--
	s.state = held
	return true
}

// wait takes a seat, waiting for it until ctx ends.
func (b *bulkhead) wait(ctx context.Context, s *seat) error {
	b.mu.Lock()
	if b.takeLocked(s) {
		b.mu.Unlock()
		return nil
	}
	s.state, s.ready = queued, make(chan struct{})
	s.prev = b.last
	if b.last == nil {
		b.first = s
	} else {
		b.last.next = s
	}
	b.last = s
	b.mu.Unlock()
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lend lets a load run at once that a running load waits for.
func (b *bulkhead) lend(s *seat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch s.state {
	case outside:
		s.state = lent
	case queued:
		b.removeLocked(s)
		s.state = lent
		close(s.ready)
	}
}

// leave gives a seat back, or takes it out of the queue.
func (b *bulkhead) leave(s *seat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch s.state {
	case queued:
		b.removeLocked(s)
	case held:
		if next := b.first; next != nil {
			b.removeLocked(next)
			next.state = held
			close(next.ready)
		} else {
			b.free++
		}
	}
	s.state = left
}

func (b *bulkhead) removeLocked(s *seat) {
	if s.prev == nil {
		b.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		b.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}

// retryBurst is how many retries are allowed before the budget has filled.
const retryBurst = 10

// A budget allows retries as a part of loads.
type budget struct {
	mu     sync.Mutex
	part   float64
	tokens float64
}

func newBudget(part float64) budget { return budget{part: part, tokens: retryBurst} }

func (b *budget) load() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.tokens+b.part, retryBurst)
}

func (b *budget) retry() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
