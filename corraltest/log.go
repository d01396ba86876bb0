package corraltest

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// A Log is what the fakes that share it were called for, in the order of the
// calls. The zero value is ready; a nil Log notes nothing.
type Log struct {
	mu    sync.Mutex
	start time.Time
	calls []Call
}

// A Call is one line of a Log.
type Call struct {
	At   time.Duration // since the first call
	What string        // as "store get a"
}

// Add notes a call, its words joined by spaces.
func (l *Log) Add(words ...string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if len(l.calls) == 0 {
		l.start = now
	}
	l.calls = append(l.calls, Call{now.Sub(l.start), strings.Join(words, " ")})
}

// Calls gives what was noted so far.
func (l *Log) Calls() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

// Take gives what was noted since the last Take, one call a line, without
// times.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := make([]string, len(l.calls))
	for i, call := range l.calls {
		lines[i] = call.What
	}
	l.calls = nil
	return strings.Join(lines, "\n")
}

// Times gives when a call was made, for every time that it was.
func (l *Log) Times(what string) []time.Duration {
	var at []time.Duration
	for _, call := range l.Calls() {
		if call.What == what {
			at = append(at, call.At)
		}
	}
	return at
}
