package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Shop is one of the processes of a contender. Its exported methods are called
// by the parent.
type Shop struct {
	cache cache
	loads loads
}

// Start says how a shop is started.
type Start struct {
	Contender string
	Redis     string // its address
	Load      time.Duration
	Lease     time.Duration // of Corral's holder
	Lock      time.Duration // of the rivals' holders
	Holds     bool          // loads of held keys end with the process only
}

// patience is how long anything may take that is no figure.
const patience = 30 * time.Second

// Begin opens the cache.
func (p *Shop) Begin(s Start, _ *Nothing) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, ok := contenders[s.Contender]
	if !ok {
		return fmt.Errorf("contender %q: there is none of that name", s.Contender)
	}
	p.loads.wait, p.loads.holds = s.Load, s.Holds
	p.cache, err = c.open(ctx, s, p.loads.load)
	return err
}

// Close closes it.
func (p *Shop) Close() error {
	if p.cache == nil {
		return nil
	}
	return p.cache.Close()
}

// warming is the number of keys that a shop gets before it is measured, all at
// once, so that each of its connections is open.
const warming = 64

// Warm gets values that take no time: of keys that other shops get too, and of
// others.
func (p *Shop) Warm(own string, _ *Nothing) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	errs := make([]error, 2*warming)
	var all sync.WaitGroup
	for i := range warming {
		all.Go(func() {
			_, errs[2*i] = p.cache.Get(ctx, fmt.Sprintf("warm/%s/%d", own, i))
			_, errs[2*i+1] = p.cache.Get(ctx, fmt.Sprintf("warm/shared/%d", i))
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// A Burst is callers who ask for one key: all at one instant, or spread evenly
// over a time.
type Burst struct {
	Key      string
	Callers  int
	At       time.Time
	Over     time.Duration // zero: all at At
	Deadline time.Duration // of each, from its own instant; zero: patience
	// The callers of one shop are number Index, Index+Of, Index+2·Of and so on of
	// all.
	Index, Of int
}

// due is the instant of the i-th caller of this shop.
func (b Burst) due(i int) time.Time {
	return b.At.Add(b.Over * time.Duration(b.Index+i*b.Of) / time.Duration(b.Callers))
}

// part is the number of callers of this shop.
func (b Burst) part() int { return (b.Callers - b.Index + b.Of - 1) / b.Of }

// Burned is what came of a burst at one shop.
type Burned struct {
	Values []time.Duration // of those who have the value, from their own instants
	Errors []time.Duration // of those who have the error of the load
	Late   int             // who have come to their deadline
	Begun  []time.Time     // loads of the key in this process
	Error  string          // one of the errors
}

// Burst is this shop's part of a burst.
func (p *Shop) Burst(burst Burst, seen *Burned) error {
	took := make([]time.Duration, burst.part())
	errs := make([]error, len(took))
	deadline := burst.Deadline
	if deadline == 0 {
		deadline = patience
	}
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range took {
		all.Go(func() {
			<-begin
			due := burst.due(i)
			time.Sleep(time.Until(due))
			ctx, cancel := context.WithDeadline(context.Background(), due.Add(deadline))
			defer cancel()
			var value []byte
			if value, errs[i] = p.cache.Get(ctx, burst.Key); errs[i] == nil && len(value) != valueBytes {
				errs[i] = fmt.Errorf("key %q: a value of %d bytes, want %d", burst.Key, len(value), valueBytes)
			}
			took[i] = time.Since(due)
		})
	}
	time.Sleep(time.Until(burst.At))
	close(begin)
	all.Wait()
	for i, err := range errs {
		switch {
		case err == nil:
			seen.Values = append(seen.Values, took[i])
		case errors.Is(err, context.DeadlineExceeded):
			seen.Late++
		default:
			seen.Errors, seen.Error = append(seen.Errors, took[i]), err.Error()
		}
	}
	seen.Begun = p.loads.of(burst.Key)
	return nil
}

// Hold begins a load that lasts as long as the process, and returns once it has
// begun.
func (p *Shop) Hold(key string, _ *Nothing) error {
	go p.cache.Get(context.Background(), key)
	for began := time.Now(); len(p.loads.of(key)) == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			return fmt.Errorf("key %q: no load has begun within %v", key, patience)
		}
	}
	return nil
}
