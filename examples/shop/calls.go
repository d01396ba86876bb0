package main

import (
	"sync"
	"time"
)

// Limits of the call log. Beyond them calls are counted and no longer listed.
const (
	maxLoggedPaths = 10_000
	maxLoggedCalls = 2_000 // of one path
)

// A callLog is the origin's own log: what it was asked, when, and how often.
// The zero value is empty and ready.
type callLog struct {
	mu    sync.Mutex
	last  int                   // number of the newest call
	paths map[string]*pathCalls // at most maxLoggedPaths and one for the rest
}

// pathCalls are the calls of one path.
type pathCalls struct {
	Count      int     `json:"count"`       // calls that began
	Running    int     `json:"running"`     // calls that have not ended
	MaxRunning int     `json:"max_running"` // the most that ran at once
	Calls      []*call `json:"calls"`       // the first maxLoggedCalls
}

// A call is one request that reached the shop.
type call struct {
	Number int        `json:"number"` // also in the answer's X-Shop-Call
	Start  time.Time  `json:"start"`
	End    *time.Time `json:"end"` // null while it runs
}

// begin logs a call of path and returns its number and what to call at its end.
func (l *callLog) begin(path string) (number int, end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls := l.ofLocked(path)
	l.last++
	c := &call{Number: l.last, Start: time.Now()}
	calls.Count++
	calls.Running++
	calls.MaxRunning = max(calls.MaxRunning, calls.Running)
	if len(calls.Calls) < maxLoggedCalls {
		calls.Calls = append(calls.Calls, c)
	}
	return c.Number, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		now := time.Now()
		c.End = &now
		calls.Running--
	}
}

func (l *callLog) ofLocked(path string) *pathCalls {
	if l.paths == nil {
		l.paths = map[string]*pathCalls{}
	}
	if l.paths[path] == nil && len(l.paths) >= maxLoggedPaths {
		path = "(other paths)"
	}
	if l.paths[path] == nil {
		l.paths[path] = &pathCalls{Calls: []*call{}}
	}
	return l.paths[path]
}

// snapshot copies the log of every path, or of one when path is not empty.
func (l *callLog) snapshot(path string) map[string]pathCalls {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[string]pathCalls{}
	for name, calls := range l.paths {
		if path != "" && path != name {
			continue
		}
		copied := *calls
		copied.Calls = make([]*call, len(calls.Calls))
		for i, c := range calls.Calls {
			one := *c
			copied.Calls[i] = &one
		}
		all[name] = copied
	}
	return all
}
