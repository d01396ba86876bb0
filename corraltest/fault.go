package corraltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
)

// ErrInjected is the error of a call that a Trap has made fail.
var ErrInjected = errors.New("corraltest: injected failure")

// A Fault is what befalls a call.
type Fault uint8

const (
	Fails    Fault = iota // it returns ErrInjected
	Hangs                 // it does nothing until its context ends, or until Release
	GoesDeaf              // it does nothing until Release, whatever its context does
	Throws                // it panics with ErrInjected
)

func (f Fault) String() string {
	return [...]string{"fails", "hangs", "goes deaf", "panics"}[f&3]
}

// A Trap makes one call go wrong: the nth of all that go through what it is
// set around. To show that nothing a port does can hurt, run a scenario with
// n = 1, 2, 3 … until Sprung reports false.
type Trap struct {
	at      int64
	fault   Fault
	calls   atomic.Int64
	release chan struct{}
	once    sync.Once
}

// FailNth makes a Trap for the nth call, counted from 1.
func FailNth(n int, fault Fault) *Trap {
	return &Trap{at: int64(n), fault: fault, release: make(chan struct{})}
}

// Sprung reports whether there was an nth call.
func (t *Trap) Sprung() bool { return t.calls.Load() >= t.at }

// Release lets a call that hangs or is deaf return ErrInjected, now or when it is
// made. It may be called more than once.
func (t *Trap) Release() { t.once.Do(func() { close(t.release) }) }

func (t *Trap) step(ctx context.Context, call string) error {
	if t.calls.Add(1) != t.at {
		return nil
	}
	err := fmt.Errorf("%w: %s, call %d", ErrInjected, call, t.at)
	switch t.fault {
	case Hangs:
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.release:
		}
	case GoesDeaf:
		<-t.release
	case Throws:
		panic(err)
	}
	return err
}

// Store sets the trap around a store. What it gives is Revisioned and Bound if the
// store is; their methods, which New calls, are let be.
func (t *Trap) Store(store corral.Store) corral.Store {
	trapped := trappedStore{store, t}
	known, isRevisioned := store.(corral.Revisioned)
	bound, isBound := store.(corral.Bound)
	switch {
	case isRevisioned && isBound:
		return struct {
			trappedStore
			corral.Revisioned
			corral.Bound
		}{trapped, known, bound}
	case isRevisioned:
		return struct {
			trappedStore
			corral.Revisioned
		}{trapped, known}
	case isBound:
		return struct {
			trappedStore
			corral.Bound
		}{trapped, bound}
	}
	return trapped
}

type trappedStore struct {
	corral.Store
	trap *Trap
}

func (s trappedStore) Get(ctx context.Context, key string) (*corral.Record, error) {
	if err := s.trap.step(ctx, "store get"); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, key)
}

func (s trappedStore) Put(ctx context.Context, key string, record *corral.Record) error {
	if err := s.trap.step(ctx, "store put"); err != nil {
		return err
	}
	return s.Store.Put(ctx, key, record)
}

func (s trappedStore) Delete(ctx context.Context, invalidation corral.Invalidation) error {
	if err := s.trap.step(ctx, "store delete"); err != nil {
		return err
	}
	return s.Store.Delete(ctx, invalidation)
}

// Coordinator sets the trap around a coordinator and the leases it grants. What it
// gives is Sequenced and a Setter if the coordinator is, and no Keeper.
func (t *Trap) Coordinator(coordinator corral.Coordinator) corral.Coordinator {
	trapped := trappedCoordinator{coordinator, t}
	named, isSequenced := coordinator.(corral.Sequenced)
	setter, isSetter := coordinator.(corral.Setter)
	switch {
	case isSequenced && isSetter:
		return struct {
			trappedCoordinator
			corral.Sequenced
			trappedSetter
		}{trapped, named, trappedSetter{setter, t}}
	case isSequenced:
		return struct {
			trappedCoordinator
			corral.Sequenced
		}{trapped, named}
	case isSetter:
		return struct {
			trappedCoordinator
			trappedSetter
		}{trapped, trappedSetter{setter, t}}
	}
	return trapped
}

type trappedSetter struct {
	setter corral.Setter
	trap   *Trap
}

func (s trappedSetter) Overwrite(ctx context.Context, key string) (corral.Lease, uint64, error) {
	if err := s.trap.step(ctx, "overwrite"); err != nil {
		return nil, 0, err
	}
	lease, revision, err := s.setter.Overwrite(ctx, key)
	if lease != nil {
		lease = trappedLease{lease, s.trap}
	}
	return lease, revision, err
}

type trappedCoordinator struct {
	corral.Coordinator
	trap *Trap
}

func (c trappedCoordinator) Join(ctx context.Context, request corral.Request) (corral.Answer, error) {
	if err := c.trap.step(ctx, "join"); err != nil {
		return corral.Answer{}, err
	}
	if behind := request.Behind; behind != nil {
		request.Behind = func() []corral.Lease { return freed(behind()) }
	}
	answer, err := c.Coordinator.Join(ctx, request)
	if answer.Lease != nil {
		answer.Lease = trappedLease{answer.Lease, c.trap}
	}
	return answer, err
}

// freed is leases as the coordinator has granted them.
func freed(leases []corral.Lease) []corral.Lease {
	all := slices.Clone(leases)
	for i, lease := range all {
		if trapped, ok := lease.(trappedLease); ok {
			all[i] = trapped.Lease
		}
	}
	return all
}

func (c trappedCoordinator) Invalidate(ctx context.Context, target corral.Target) error {
	if err := c.trap.step(ctx, "invalidate"); err != nil {
		return err
	}
	return c.Coordinator.Invalidate(ctx, target)
}

func (c trappedCoordinator) Watch(ctx context.Context, apply func(corral.Invalidation)) error {
	if err := c.trap.step(ctx, "watch"); err != nil {
		return err
	}
	return c.Coordinator.Watch(ctx, apply)
}

type trappedLease struct {
	corral.Lease
	trap *Trap
}

func (l trappedLease) Fill(ctx context.Context, record *corral.Record) error {
	if err := l.trap.step(ctx, "fill"); err != nil {
		return err
	}
	return l.Lease.Fill(ctx, record)
}

func (l trappedLease) Fail(ctx context.Context, cause error, retryAfter time.Duration) error {
	if err := l.trap.step(ctx, "fail"); err != nil {
		return err
	}
	return l.Lease.Fail(ctx, cause, retryAfter)
}

func (l trappedLease) Pass(ctx context.Context) error {
	if err := l.trap.step(ctx, "pass"); err != nil {
		return err
	}
	return l.Lease.Pass(ctx)
}

func (l trappedLease) Abandon(ctx context.Context) error {
	if err := l.trap.step(ctx, "abandon"); err != nil {
		return err
	}
	return l.Lease.Abandon(ctx)
}

func (l trappedLease) Extend(ctx context.Context) error {
	if err := l.trap.step(ctx, "extend"); err != nil {
		return err
	}
	return l.Lease.Extend(ctx)
}

// TrapCodec sets a trap around a codec. Its calls have no context: a fault
// that hangs waits for Release.
func TrapCodec[V any](t *Trap, codec corral.Codec[V]) corral.Codec[V] {
	return CodecFunc[V]{
		EncodeFunc: func(value V) ([]byte, error) {
			if err := t.stepWithout("encode"); err != nil {
				return nil, err
			}
			return codec.Encode(value)
		},
		DecodeFunc: func(data []byte) (value V, err error) {
			if err := t.stepWithout("decode"); err != nil {
				return value, err
			}
			return codec.Decode(data)
		},
	}
}

func (t *Trap) stepWithout(call string) error { return t.step(context.Background(), call) }
