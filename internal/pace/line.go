package pace

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// ErrTooLong is the error of Wait for a turn that would come later than its
// caller can wait.
var ErrTooLong = errors.New("pace: the turn would come too late")

// LookEvery is how long who waits for a turn of a bucket with a share sleeps at
// most before looking again at how long it takes.
const LookEvery = 100 * time.Millisecond

// A Line gives the turns of a Bucket to goroutines, first come, first served.
//
// Invariants:
//
//	L1. While somebody waits, one of them alone is first, and it sleeps until its
//	    turn. Whoever ceases to be first tells the next. Guarded by mu.
//	L2. Who leaves without a turn spends none.
type Line struct {
	mu      sync.Mutex
	bucket  Bucket
	waiting list.List // of chan struct{}, each closed when it is first
}

// NewLine makes a line at a bucket, whose share may be asked for from any
// goroutine. A bucket that does not limit lets everybody through.
func NewLine(b Bucket) *Line { return &Line{bucket: b} }

// Try takes a turn if one is there and nobody waits for it.
func (l *Line) Try() bool {
	if !l.bucket.Limits() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tryLocked(time.Now())
}

func (l *Line) tryLocked(now time.Time) bool {
	if l.waiting.Len() > 0 || l.bucket.Wait(now, 1) > 0 {
		return false
	}
	l.bucket.Take(now)
	return true
}

// Wait returns once it is the caller's turn; with ErrTooLong, at once, if that
// takes longer than patience with the share as it is; or with the cause of ctx's
// end.
func (l *Line) Wait(ctx context.Context, patience time.Duration) error {
	if !l.bucket.Limits() {
		return nil
	}
	l.mu.Lock()
	now := time.Now()
	if wait := l.bucket.Wait(now, l.waiting.Len()+1); wait > patience {
		l.mu.Unlock()
		return ErrTooLong
	}
	if l.tryLocked(now) {
		l.mu.Unlock()
		return nil
	}
	first := make(chan struct{})
	place := l.waiting.PushBack(first)
	if l.waiting.Len() == 1 {
		close(first)
	}
	l.mu.Unlock()

	select {
	case <-first:
	case <-ctx.Done():
		return l.leave(place, context.Cause(ctx))
	}
	for {
		wait := l.come(place)
		if wait == 0 {
			return nil
		}
		if err := sleep(ctx, wait); err != nil {
			return l.leave(place, err)
		}
	}
}

// come takes the turn of who is first if it is there, or says how long to sleep.
func (l *Line) come(place *list.Element) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := l.bucket.Wait(time.Now(), 1); wait > 0 {
		if l.bucket.share != nil {
			wait = min(wait, LookEvery)
		}
		return wait
	}
	l.bucket.takeLate()
	l.leaveLocked(place)
	return 0
}

func (l *Line) leave(place *list.Element, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaveLocked(place)
	return err
}

func (l *Line) leaveLocked(place *list.Element) {
	wasFirst := place == l.waiting.Front()
	l.waiting.Remove(place)
	if next := l.waiting.Front(); wasFirst && next != nil {
		close(next.Value.(chan struct{}))
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
