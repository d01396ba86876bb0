package corraltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// Times of the caches of a fault suite.
const (
	faultLoad    = 5 * time.Millisecond
	faultStore   = 100 * time.Millisecond // Options.StoreTimeout
	faultTimeout = 2 * time.Second        // Options.LoadTimeout
	faultWait    = 200 * time.Millisecond // of who invalidates or sets
)

// faults are what befalls a call.
var faults = []Fault{Fails, Hangs, GoesDeaf, Throws}

// TestStoreFaults puts a store under a whole cache and lets one of the store's
// calls go wrong, in each way that a Fault names: the first of a day with reads,
// writes and invalidations of all kinds, then the second, and so on. Nobody is
// given an error, or what was invalidated, or waits for more than a timeout; when
// the store works again, so does all else; and what was acknowledged then holds
// for the next process, too, where there is Reopening. open is that of TestStore.
func TestStoreFaults(t *testing.T, open func(t *testing.T) corral.Store, options ...Option) {
	s := newSuite(options)
	s.atEachCall(t, faults, func(t *testing.T, trap *Trap) {
		store := open(t)
		o := faultOptions()
		o.MaxBytes = 900 // three values: the others are in the store
		o.Store = trap.Store(store)
		d := &day{t: t, s: s, source: &source{versions: map[string]int{}}, limit: faultStore + faultTimeout}
		c := d.cache(o)
		d.withStore(c)
		trap.Release()
		d.recovers(c)
		if s.reopen == nil {
			return
		}
		d.leaves(c)
		d.close(c)
		o.Store = trap.Store(s.reopen(t, store))
		next := d.cache(o)
		d.inherit(next, c)
		for _, key := range dayKeys {
			d.get(next, key)
		}
		d.recovers(next)
	})
}

// TestCoordinatorFaults puts a coordinator under the caches of two processes and
// lets one of the calls of the first go wrong, as TestStoreFaults does. Nobody is
// given what was invalidated, or waits beyond a timeout, in either process; and
// when all calls work again, no key is left that cannot be had. open is that of
// TestCoordinator.
func TestCoordinatorFaults(t *testing.T, open func(t *testing.T, n int) []corral.Coordinator, options ...Option) {
	s := newSuite(options)
	kinds := []Fault{Fails, Hangs, Throws} // none is deaf: who invalidates waits for the call itself
	s.atEachCall(t, kinds, func(t *testing.T, trap *Trap) {
		processes := open(t, 2)
		d := &day{
			t: t, s: s, source: &source{versions: map[string]int{}}, limit: 2 * faultTimeout, // a flight that began before an invalidation, and one of its own
			allowed: []error{ErrInjected, corral.ErrUnavailable, corral.ErrLoadTimeout, corral.ErrNotAcknowledged, corral.ErrPanic},
		}
		o := faultOptions()
		o.MaxBytes = 1 << 20
		o.Coordinator = trap.Coordinator(processes[0])
		first := d.cache(o)
		o.Coordinator = processes[1]
		second := d.cache(o)
		d.withCoordinator(first, second)
		trap.Release()
		d.recovers(first, second)
	})
}

func faultOptions() corral.Options[string] {
	return corral.Options[string]{
		Name: "faults", TTL: time.Hour, Jitter: -1, Codec: Text(), Now: time.Now,
		LoadTimeout: faultTimeout, ErrorPause: 10 * time.Millisecond, MaxErrorPause: 10 * time.Millisecond,
	}
}

// atEachCall runs a scenario once to see how many calls it makes, and then for
// each of them and each fault: in real time many at once, for they wait.
func (s suite) atEachCall(t *testing.T, kinds []Fault, scenario func(t *testing.T, trap *Trap)) {
	free := FailNth(1<<60, Fails)
	s.run(t, "no call goes wrong", func(t *testing.T) { scenario(t, free) })
	if t.Failed() {
		return // nothing goes right as it is
	}
	calls := int(free.calls.Load())
	if calls == 0 {
		t.Fatal("the scenario made no calls")
	}
	abreast := 32
	if s.virtual {
		abreast = 1
	}
	seats := make(chan bool, abreast)
	var all sync.WaitGroup
	for i, fault := range kinds {
		for n := 1; n <= calls; n++ {
			if s.byTurns && n%len(kinds) != i {
				continue
			}
			seats <- true
			all.Go(func() {
				defer func() { <-seats }()
				s.run(t, fmt.Sprintf("call %d %v", n, fault), func(t *testing.T) {
					trap := FailNth(n, fault)
					t.Cleanup(trap.Release) // before the caches are closed, which wait for it
					scenario(t, trap)
				})
			})
		}
	}
	all.Wait()
}

// A source is what a day's caches load from: each key's value is its name and
// version.
type source struct {
	mu       sync.Mutex
	versions map[string]int
}

var errBad = errors.New("corraltest: the source has no such thing")

// Keys of a day whose loads are not ordinary.
const (
	badKey  = "bad"  // fails
	passKey = "pass" // may not be shared
	slowKey = "slow" // takes longer than a heartbeat
)

func (s *source) load(ctx context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
	item := corral.Item[string]{Value: s.now(key), Tags: []string{"tag of " + key[:1]}}
	wait := faultLoad
	if key == slowKey {
		wait = 1200 * time.Millisecond
	}
	if err := pause(ctx, wait); err != nil {
		return corral.Item[string]{}, err
	}
	switch key {
	case badKey:
		return corral.Item[string]{}, errBad
	case passKey:
		item.Outcome = corral.Pass
	}
	return item, nil
}

func (s *source) now(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return valueOf(key, s.versions[key])
}

func valueOf(key string, version int) string { return fmt.Sprintf("%s#%d", key, version) }

// change makes keys newer.
func (s *source) change(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		s.versions[key]++
	}
}

func (s *source) version(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.versions[key]
}
