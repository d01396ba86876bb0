package corraltest

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
)

// A Counter is a Loader that counts the calls of another.
type Counter[V any] struct {
	Loader corral.Loader[V]
	calls  atomic.Int64
}

// Load counts and calls Loader.
func (c *Counter[V]) Load(ctx context.Context, key string, prev *corral.Item[V]) (corral.Item[V], error) {
	c.calls.Add(1)
	return c.Loader.Load(ctx, key, prev)
}

// Calls is how often Load was called.
func (c *Counter[V]) Calls() int64 { return c.calls.Load() }

// Value is a Loader that gives every key the same value.
func Value[V any](value V) corral.Loader[V] {
	return corral.Func(func(context.Context, string) (V, error) { return value, nil })
}

// FailTimes is a Loader whose first n calls fail, whatever their keys; later
// ones go to then.
func FailTimes[V any](n int, err error, then corral.Loader[V]) corral.Loader[V] {
	var calls atomic.Int64
	return corral.LoaderFunc[V](func(ctx context.Context, key string, prev *corral.Item[V]) (corral.Item[V], error) {
		if calls.Add(1) <= int64(n) {
			return corral.Item[V]{}, err
		}
		return then.Load(ctx, key, prev)
	})
}

// Slow is a Loader that takes a time before it calls then, and heeds its
// context meanwhile.
func Slow[V any](takes time.Duration, then corral.Loader[V]) corral.Loader[V] {
	return corral.LoaderFunc[V](func(ctx context.Context, key string, prev *corral.Item[V]) (corral.Item[V], error) {
		if err := pause(ctx, takes); err != nil {
			return corral.Item[V]{}, err
		}
		return then.Load(ctx, key, prev)
	})
}

// Hang is a Loader that does nothing until its context ends.
func Hang[V any]() corral.Loader[V] {
	return corral.Func(func(ctx context.Context, _ string) (value V, err error) {
		<-ctx.Done()
		return value, context.Cause(ctx)
	})
}

// Deaf is a Loader that does not heed its context: it calls then when release
// is closed.
func Deaf[V any](release <-chan struct{}, then corral.Loader[V]) corral.Loader[V] {
	return corral.LoaderFunc[V](func(ctx context.Context, key string, prev *corral.Item[V]) (corral.Item[V], error) {
		<-release
		return then.Load(ctx, key, prev)
	})
}

// Panics is a Loader that panics.
func Panics[V any](with any) corral.Loader[V] {
	return corral.Func(func(context.Context, string) (V, error) { panic(with) })
}

// Exits is a Loader that calls runtime.Goexit, as a failed assertion of a test
// does.
func Exits[V any]() corral.Loader[V] {
	return corral.Func(func(context.Context, string) (value V, err error) {
		runtime.Goexit()
		return value, nil
	})
}

// pause waits, or gives the cause of the context's end when that comes first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
