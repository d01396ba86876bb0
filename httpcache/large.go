package httpcache

import (
	"sync"
	"time"
)

// maxLarge bounds the addresses that are remembered for being too large.
const maxLarge = 4096

// large remembers which responses are too large to be kept. Requests for parts
// of one go to the origin as they are: to fetch the whole for each would send
// a film through here for every second of it that somebody watches.
type large struct {
	mu    sync.Mutex
	until map[string]time.Time
}

// add remembers a name for as long as its answer would not be waited for.
func (l *large) add(name string, now time.Time, keep time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until == nil {
		l.until = map[string]time.Time{}
	}
	if len(l.until) >= maxLarge {
		for other, until := range l.until {
			if !now.Before(until) {
				delete(l.until, other)
			}
		}
	}
	if len(l.until) < maxLarge {
		l.until[name] = now.Add(keep)
	}
}

func (l *large) has(name string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	until, ok := l.until[name]
	return ok && now.Before(until)
}
