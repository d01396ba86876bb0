package corral

import (
	"context"
	"sync"
	"time"
)

// loadContext is the context that a load derives from: it has the load's
// deadline and ends with it, and it has none of a caller's values but those let
// through.
//
// The standard library's context behind it is made when somebody first wants to
// wait for the end or derives another one. Most loads of a busy cache are short
// and do neither; for them it would be a third of what a load allocates.
type loadContext struct {
	run  *run
	from *origin // nil unless something of the caller's is let through

	mu    sync.Mutex // guards what is below
	ended error      // why, once it has
	inner *cancellable
}

// origin is what a load may know of the caller who began it.
type origin struct {
	caller context.Context
	let    []any // Options.ContextValues
}

type cancellable struct {
	context.Context
	cancel context.CancelCauseFunc
}

type runKey struct{}

// runOf is the load that a context belongs to, nil outside of loads.
func runOf(ctx context.Context) *run {
	r, _ := ctx.Value(runKey{}).(*run)
	return r
}

func (l *loadContext) Deadline() (time.Time, bool) {
	return l.run.started.Add(l.run.roster.timeout), true
}

func (l *loadContext) Done() <-chan struct{} { return l.standard().Done() }

func (l *loadContext) Err() error {
	if l.cause() != nil {
		return context.Canceled
	}
	return nil
}

// Value also answers context.Cause and contexts that derive from this one,
// which ask for the standard library's own.
func (l *loadContext) Value(key any) any {
	if key == (runKey{}) {
		return l.run
	}
	if l.from != nil {
		for _, let := range l.from.let {
			if key == let {
				return l.from.caller.Value(key)
			}
		}
	}
	return l.standard().Value(key)
}

func (l *loadContext) standard() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner == nil {
		ctx, cancel := context.WithCancelCause(context.Background())
		l.inner = &cancellable{ctx, cancel}
		if l.ended != nil {
			cancel(l.ended)
		}
	}
	return l.inner
}

func (l *loadContext) cause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}

// cancel ends the context for a reason; nil is none in particular. Only the
// first one counts.
func (l *loadContext) cancel(cause error) {
	if cause == nil {
		cause = context.Canceled
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return
	}
	l.ended = cause
	if l.inner != nil {
		l.inner.cancel(cause)
	}
}
