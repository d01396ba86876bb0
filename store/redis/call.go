package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/redisconn"
)

// ErrBusy says that Options.MaxCalls calls are under way: Redis is slower than
// what is asked of it.
var ErrBusy = errors.New("redis: too many calls are under way")

// call makes a call of Redis on a goroutine of its own, which HardTimeout ends,
// and keeps its caller for no longer than patience. While the breaker is open
// it fails at once.
//
// A call that runs out of patience is a failure to the breaker, whatever comes
// of it later: a server that always answers a little too late is of no use.
func call[T any](ctx context.Context, s *Store, patience time.Duration, do func(context.Context) (T, error)) (none T, err error) {
	if err := context.Cause(ctx); err != nil {
		return none, err
	}
	if err := s.allowed(); err != nil {
		return none, err
	}
	select {
	case s.seats <- struct{}{}:
	default:
		return none, fmt.Errorf("%w: Options.MaxCalls is %d", ErrBusy, s.o.MaxCalls)
	}
	type outcome struct {
		value T
		err   error
	}
	var judged atomic.Bool // the breaker has been told
	done := make(chan outcome, 1)
	s.running.Go(func() {
		defer func() { <-s.seats }()
		hard, cancel := context.WithTimeout(s.life, s.o.HardTimeout)
		defer cancel()
		var out outcome
		if out.err = s.client.Ready(hard); out.err == nil {
			out.value, out.err = do(hard)
			out.err = redisconn.Explain(out.err)
		}
		if judged.CompareAndSwap(false, true) {
			s.judge(out.err)
		}
		done <- out
	})
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case out := <-done:
		return out.value, out.err
	case <-timer.C:
		err := fmt.Errorf("%w of %v", redisconn.ErrTimeout, patience)
		if judged.CompareAndSwap(false, true) {
			s.judge(err)
		}
		return none, err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// do is a call without an answer, for up to HardTimeout.
func (s *Store) do(ctx context.Context, do func(context.Context) error) error {
	_, err := call(ctx, s, s.o.HardTimeout, func(ctx context.Context) (struct{}, error) { return struct{}{}, do(ctx) })
	return err
}

// judge tells the breaker what came of a call.
func (s *Store) judge(err error) {
	if s.life.Err() != nil {
		return
	}
	if !redisconn.Outage(err) {
		err = nil
	}
	if s.breaker.Count(time.Now(), err) {
		s.o.Logger.Warn("redis: done without until it answers again", "cause", err)
	}
}

// allowed fails while the breaker is open, and probes Redis when that is due.
func (s *Store) allowed() error {
	probe, err := s.breaker.Allow(time.Now())
	if probe {
		s.running.Go(s.probe)
	}
	return err
}

// probe asks whether Redis answers in time again.
func (s *Store) probe() {
	hard, cancel := context.WithTimeout(s.life, s.o.HardTimeout)
	defer cancel()
	err := s.client.Ready(hard)
	if err == nil {
		soft, cancel := context.WithTimeout(hard, s.o.SoftTimeout)
		defer cancel()
		err = redisconn.Explain(s.client.Do(soft, s.client.B().Ping().Build()).Error())
	}
	if s.breaker.Probed(time.Now(), err) {
		s.o.Logger.Info("redis: it answers again")
	}
}
