package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	healthyKeys = 10_000
	// hungCallers ask for healthy keys at once.
	hungCallers = 64
	// delay is from when on a healthy key counts as delayed.
	delay = 50 * time.Millisecond
)

// hungKey is the key whose first load hangs.
const hungKey = "key:hung"

// hungTimes are the times of a run.
type hungTimes struct {
	deadline   time.Duration // of the load, where the library has one; the caller's context has twice that
	errorPause time.Duration // zero: the library's default
	patience   time.Duration // for how long the hung key is asked for when the caller's context has ended
}

// A hang is what one hung key does to a cache.
type hang struct {
	delayed int           // Gets of healthy keys that took longer than delay
	blocked int           // of these, until the hung load was let go
	again   time.Duration // from the start of the hung load until its key gave a value; zero: never
}

// hang hangs the load of one key in a cache of healthy ones, half of which it
// has and half of which it must load. The hung load heeds its context if told
// so, else nothing.
func (c contender) hang(ctx context.Context, times hungTimes, heeds bool) (h hang, err error) {
	letGo := make(chan struct{})
	hanging := make(chan struct{})
	var hung atomic.Bool
	opened, err := c.open(setup{
		entries: 2 * healthyKeys, keyLen: keyLen, valueLen: 64, loadTimeout: times.deadline, errorPause: times.errorPause,
		load: func(ctx context.Context, key string) ([]byte, error) {
			if key != hungKey || hung.Swap(true) {
				return make([]byte, 64), nil
			}
			close(hanging)
			if heeds {
				select {
				case <-ctx.Done():
					return nil, ctx.Err()
				case <-letGo:
				}
			}
			<-letGo
			return nil, errors.New("let go")
		},
	})
	if err != nil {
		return h, err
	}
	var callers sync.WaitGroup
	defer func() {
		callers.Wait()
		opened.Close()
	}()
	defer close(letGo)

	keys := keysUpTo(healthyKeys)
	for _, key := range keys[:healthyKeys/2] {
		if _, err := opened.Get(ctx, key); err != nil {
			return h, err
		}
	}
	opened.Settle()

	patience, stop := context.WithTimeout(ctx, 2*times.deadline)
	defer stop()
	began := time.Now()
	callers.Go(func() { opened.Get(patience, hungKey) })
	<-hanging
	h.delayed, h.blocked = askHealthy(ctx, opened, keys, &callers)
	h.again = askHung(ctx, opened, began, 2*times.deadline+times.patience, &callers)
	return h, nil
}

// askHealthy gets each key in a goroutine of its own, so that one that blocks
// holds up no other; it counts those that took longer than delay, and those
// that have not come back a second after the last was asked for.
func askHealthy(ctx context.Context, c cache, keys []string, callers *sync.WaitGroup) (delayed, blocked int) {
	var late, asked, answered atomic.Int64
	inParallel(hungCallers, func(int) error {
		for i := asked.Add(1) - 1; i < int64(len(keys)); i = asked.Add(1) - 1 {
			done := make(chan struct{})
			began := time.Now()
			callers.Go(func() {
				c.Get(ctx, keys[i])
				answered.Add(1)
				close(done)
			})
			timer := time.NewTimer(delay)
			select {
			case <-done:
				timer.Stop()
				if time.Since(began) > delay {
					late.Add(1)
				}
			case <-timer.C:
				late.Add(1)
			}
		}
		return nil
	})
	for end := time.Now().Add(time.Second); answered.Load() < int64(len(keys)) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return int(late.Load()), len(keys) - int(answered.Load())
}

// askHung asks for the hung key, time and again, until it gives a value or
// the time is up.
func askHung(ctx context.Context, c cache, began time.Time, give time.Duration, callers *sync.WaitGroup) time.Duration {
	end := began.Add(give)
	for time.Now().Before(end) {
		answer := make(chan error, 1)
		callers.Go(func() {
			patience, stop := context.WithTimeout(ctx, 50*time.Millisecond)
			defer stop()
			_, err := c.Get(patience, hungKey)
			answer <- err
		})
		select {
		case err := <-answer:
			if err == nil {
				return time.Since(began)
			}
			time.Sleep(5 * time.Millisecond)
		case <-time.After(time.Until(end)): // the library does not look at the caller's context
		}
	}
	return 0
}

func measureHung(ctx context.Context, quick bool) (section, error) {
	times, rounds := hungTimes{deadline: 500 * time.Millisecond, patience: 2 * time.Second}, 5
	if quick {
		times, rounds = hungTimes{100 * time.Millisecond, 10 * time.Millisecond, 500 * time.Millisecond}, 1
	}
	s := section{
		title: "A hung key",
		how: []string{
			fmt.Sprintf("The load of one key hangs; %d callers ask for %d others, half of them in the cache. Delayed: longer than %v. Blocked: not back a second after the last was asked for.", hungCallers, healthyKeys, delay),
			fmt.Sprintf("Corral's LoadTimeout is %v; the caller's context, which is the only deadline that the others have, ends after %v. Then the key is asked for again for %v: its load would now succeed. The median time until it gives a value includes the pause of a second that Corral lets a failed key rest.", times.deadline, 2*times.deadline, times.patience),
		},
		columns: []string{"", "others delayed", "others blocked", "works again, if the load heeds its context", "if it does not"},
	}
	cs := with(collapses, coarseClock)
	again := func(samples []hang) string {
		took := median(samples, func(h hang) float64 { return nanos(h.again) })
		if took == 0 {
			return "never"
		}
		return "after " + millis(time.Duration(took))
	}

	deaf, err := alternate(ctx, rounds, len(cs), func(i int) (hang, error) { return cs[i].hang(ctx, times, false) })
	if err != nil {
		return s, err
	}
	heeding, err := alternate(ctx, rounds, len(cs), func(i int) (hang, error) { return cs[i].hang(ctx, times, true) })
	if err != nil {
		return s, err
	}
	var broken error
	for i, c := range cs {
		delayed := median(deaf[i], func(h hang) float64 { return float64(h.delayed) })
		blocked := median(deaf[i], func(h hang) float64 { return float64(h.blocked) })
		s.line(c.name, fmt.Sprint(delayed), fmt.Sprint(blocked), again(heeding[i]), again(deaf[i]))
		if c.name != corralName {
			continue
		}
		for _, h := range append(heeding[i], deaf[i]...) {
			if h.blocked > 0 || h.again == 0 {
				broken = fmt.Errorf("corral: %d others blocked, the key works again after %v; want none, and that it does", h.blocked, h.again)
			}
		}
		s.bar(broken == nil && delayed == 0, "no other delayed; the key works again after its deadline", fmt.Sprintf("%v delayed, works again %s", delayed, again(deaf[i])))
	}
	return s, broken
}
