package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral/internal/localserver"
)

// Names of those who let one of several processes compute.
const (
	corralName   = "corral"
	markerName   = "corral, marker"
	tutorialName = "tutorial lock"
	pollingName  = "tutorial, 10 ms"
	asideName    = "rueidisaside"
)

// computers are the contenders, ours first.
var computers = []string{corralName, markerName, tutorialName, pollingName, asideName}

// lifetime is that of every value.
const lifetime = 10 * time.Minute

// A cache is a contender in one process, as its callers see it.
type cache interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Close() error
}

// A loader computes the value of a key.
type loader func(ctx context.Context, key string) ([]byte, error)

// A contender is how its caches are opened, and when the right of a process that
// has died lapses.
type contender struct {
	open func(ctx context.Context, s Start, load loader) (cache, error)
	// lapse is the time until nobody's right to compute a key is in force.
	lapse func(ctx context.Context, redis *localserver.RedisServer, key string) (time.Duration, error)
}

var contenders = map[string]contender{
	corralName:   {openCorral, corralLapse},
	markerName:   {openMarker, markerLapse},
	tutorialName: {openTutorial(200*time.Millisecond, 10), tutorialLapse},
	pollingName:  {openTutorial(10*time.Millisecond, 200), tutorialLapse},
	asideName:    {openAside, asideLapse},
}

// valueBytes is the size of values.
const valueBytes = 1 << 10

// loads are what the loaders of this process have done.
type loads struct {
	wait  time.Duration // of one
	holds bool          // those of held keys end with the process only
	mu    sync.Mutex
	begun map[string][]time.Time
}

// load is the loader of all contenders. How the key begins says what it does:
// "warm" has its value at once, "failing" fails after its time, and "held" never
// ends in the process that is to be killed.
func (l *loads) load(ctx context.Context, key string) ([]byte, error) {
	kind, _, _ := strings.Cut(key, "/")
	if kind == "warm" {
		return make([]byte, valueBytes), nil
	}
	l.mu.Lock()
	if l.begun == nil {
		l.begun = make(map[string][]time.Time)
	}
	l.begun[key] = append(l.begun[key], time.Now())
	l.mu.Unlock()
	wait := l.wait
	if kind == "held" && l.holds {
		wait = time.Hour
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if kind == "failing" {
		return nil, fmt.Errorf("key %q: the source does not answer", key)
	}
	return make([]byte, valueBytes), nil
}

// of are the instants at which loads of a key began.
func (l *loads) of(key string) []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun[key]
}
