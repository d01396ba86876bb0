package corral

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The closed set of errors that Corral itself answers. Test for them with
// errors.Is; the text around them names the operation, the cache and the key.
// An error of the loader comes through as a *LoadError that unwraps to it.
//
//	error               what happened                              what the caller should do
//	ErrInvalidKey       the key is empty or over MaxKeyLen         mend the key; never retry
//	ErrNoLoader         Get on a cache made with a nil loader      use GetWith
//	ErrNotFound         the loader knows no value for this key     treat as absent
//	ErrLoadTimeout      no outcome within LoadTimeout              retry later; the key is free again
//	ErrOutage           the source could not be reached            retry later
//	ErrOverloaded       a limit with a name was reached            do not retry at once; shed load
//	ErrCycle            the load waits, in the end, for itself     mend the loader
//	ErrPanic            the loader panicked or called Goexit       mend the loader
//	ErrBroken           a growing body broke off                   ask again: nothing of it was kept
//	ErrPassed           OrPassed, and nothing is shared           get it another way
//	ErrUnavailable      the coordinator could not say who computes retry with backoff
//	ErrNotAcknowledged  an invalidation may or may not be in force repeat it: it is safe to
//	ErrStorePending     the store has not been told of it yet      wait, or repeat it; see below
//	ErrClosed           Shutdown or Close has begun                stop using this cache
//
// An ErrStorePending is an ErrNotAcknowledged, too: the invalidation is in force
// in this process, and with a Coordinator other than the store in all, but the
// store may still have what it concerns. It is told as soon as it answers again,
// and is not read by this process before; one that ends before that forgets to.
var (
	ErrInvalidKey      = errors.New("corral: invalid key")
	ErrNoLoader        = errors.New("corral: no loader: the cache was made with a nil loader; use GetWith")
	ErrNotFound        = errors.New("corral: not found")
	ErrOutage          = errors.New("corral: outage")
	ErrLoadTimeout     = Outage(errors.New("corral: load timed out"))
	ErrOverloaded      = errors.New("corral: overloaded")
	ErrCycle           = errors.New("corral: load cycle")
	ErrPanic           = errors.New("corral: loader panicked")
	ErrBroken          = errors.New("corral: body broke off")
	ErrPassed          = errors.New("corral: not shared: each caller is to load for itself")
	ErrUnavailable     = errors.New("corral: coordinator unavailable")
	ErrNotAcknowledged = errors.New("corral: invalidation not acknowledged")
	ErrStorePending    = fmt.Errorf("%w: the store has not been told yet", ErrNotAcknowledged)
	ErrClosed          = errors.New("corral: cache closed")
)

// errAbandoned cancels a load that nobody waits for any more. No caller sees
// it; a loader finds it with context.Cause.
var errAbandoned = errors.New("corral: load abandoned: nobody waits for it")

// A LoadError says that the value of a key could not be computed. All who
// waited for the same load receive the same LoadError, and so does everybody
// who asks during the pause that follows it.
type LoadError struct {
	Cache string // Options.Name
	Key   string
	Err   error // what the loader returned, or one of the errors above

	// RetryAfter is how long the key is not tried again, counted from the
	// moment at which this error was given out; zero means that the next
	// Get tries.
	RetryAfter time.Duration
}

func (e *LoadError) Error() string {
	text := fmt.Sprintf("corral: load %s %q: %v", e.Cache, e.Key, e.Err)
	if e.RetryAfter > 0 {
		text += fmt.Sprintf(" (not tried again for %v)", e.RetryAfter.Round(time.Millisecond))
	}
	return text
}

func (e *LoadError) Unwrap() error { return e.Err }

// A PanicError is what a loader's panic, or its call of runtime.Goexit,
// becomes for those who wait. errors.Is(err, ErrPanic) holds for it.
type PanicError struct {
	Value  any    // what was passed to panic; nil after runtime.Goexit
	Goexit bool   // the loader called runtime.Goexit
	Stack  []byte // of the goroutine, as by runtime/debug.Stack
}

func (e *PanicError) Error() string {
	if e.Goexit {
		return fmt.Sprintf("corral: loader called runtime.Goexit\n%s", e.Stack)
	}
	return fmt.Sprintf("corral: loader panicked: %v\n%s", e.Value, e.Stack)
}

func (e *PanicError) Is(target error) bool { return target == ErrPanic }

// Unwrap gives the panic's value when that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// A ManyError holds what GetMany could not get, by key.
type ManyError struct {
	Errors map[string]error
}

// Error names the first key in order, so that one failure has one text.
func (e *ManyError) Error() string {
	if len(e.Errors) == 0 {
		return "corral: no key failed"
	}
	first := slices.Min(slices.Collect(maps.Keys(e.Errors)))
	if len(e.Errors) == 1 {
		return e.Errors[first].Error()
	}
	return fmt.Sprintf("corral: %d keys failed, %q among them: %v", len(e.Errors), first, e.Errors[first])
}

// Unwrap gives the errors in no particular order.
func (e *ManyError) Unwrap() []error {
	all := make([]error, 0, len(e.Errors))
	for _, err := range e.Errors {
		all = append(all, err)
	}
	return all
}

// RetryAfter wraps a loader's error with the time for which its key is not to
// be tried again, as an upstream says it with a Retry-After field. It
// overrides ErrorPause and its doubling; zero or less means no pause. It is
// nil for a nil error.
func RetryAfter(err error, pause time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfter{err, pause}
}

type retryAfter struct {
	error
	pause time.Duration
}

func (e *retryAfter) Unwrap() error { return e.error }

// NoRetry wraps a loader's error that a repetition within the same load would
// not mend, so that Options.Retries leaves it alone. It
// is nil for a nil error.
func NoRetry(err error) error {
	if err == nil {
		return nil
	}
	return &noRetry{err}
}

type noRetry struct{ error }

func (e *noRetry) Unwrap() error { return e.error }

// Outage wraps a loader's error that says nothing about the value, because the
// source could not be reached or did not answer: errors.Is(err, ErrOutage)
// holds for it, and StaleOnOutage says for how long a value covers it. Every
// other failure goes by StaleOnError. It may be inside or outside of RetryAfter
// and NoRetry. It is nil for a nil error.
func Outage(err error) error {
	switch advice := err.(type) {
	case nil:
		return nil
	case *retryAfter:
		return &retryAfter{Outage(advice.error), advice.pause}
	case *noRetry:
		return &noRetry{Outage(advice.error)}
	}
	return &outage{err}
}

type outage struct{ error }

func (e *outage) Unwrap() error { return e.error }

func (e *outage) Is(target error) bool { return target == ErrOutage }

// overloaded names the limit that refused a call.
func overloaded(limit string, value any) error {
	return fmt.Errorf("%w: %s %v reached", ErrOverloaded, limit, value)
}
