package corraltest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

func TestTheStoreConforms(t *testing.T) {
	open := func(*testing.T) corral.Store { return &corraltest.Store{} }
	options := []corraltest.Option{corraltest.Weak(corraltest.TakesLatePuts), reopening}
	t.Run("in virtual time", func(t *testing.T) {
		corraltest.TestStore(t, open, append(options, corraltest.VirtualTime())...)
	})
	t.Run("in real time", func(t *testing.T) { corraltest.TestStore(t, open, options...) })
}

func TestNoFaultOfAStoreHurts(t *testing.T) {
	corraltest.TestStoreFaults(t, func(*testing.T) corral.Store { return &corraltest.Store{} }, corraltest.VirtualTime(), reopening)
}

func TestNoFaultOfACoordinatorHurts(t *testing.T) {
	corraltest.TestCoordinatorFaults(t, processes, corraltest.VirtualTime())
}

// reopening gives a store in memory back: it has not been away.
var reopening = corraltest.Reopening(func(_ *testing.T, store corral.Store) corral.Store { return store })

func TestAStoreThatRemembersDeletesConforms(t *testing.T) {
	corraltest.TestStore(t, func(*testing.T) corral.Store { return &remembering{} }, corraltest.VirtualTime(), reopening)
}

// remembering is a store that takes no late puts.
type remembering struct {
	corraltest.Store
	mu      sync.Mutex
	deletes []corral.Invalidation
}

func (s *remembering) Put(ctx context.Context, key string, record *corral.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, inv := range s.deletes {
		if inv.Revision > record.Revision && concerns(inv.Target, key, record.Tags) {
			return ctx.Err()
		}
	}
	return s.Store.Put(ctx, key, record)
}

func (s *remembering) Delete(ctx context.Context, inv corral.Invalidation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.Store.Delete(ctx, inv); err != nil {
		return err
	}
	if !inv.Forget {
		s.deletes = append(s.deletes, inv)
	}
	return nil
}

func (s *remembering) Bind(sequence string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stat, _ := s.Stat(context.Background()); stat.Sequence != sequence {
		s.deletes = nil
	}
	return s.Store.Bind(sequence)
}

func concerns(target corral.Target, key string, tags []string) bool {
	return target.All || slices.Contains(target.Keys, key) ||
		slices.ContainsFunc(target.Prefixes, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) ||
		slices.ContainsFunc(target.Tags, func(tag string) bool { return slices.Contains(tags, tag) })
}

func TestATrapThatIsNotSprungChangesNothing(t *testing.T) {
	corraltest.TestStore(t, func(*testing.T) corral.Store {
		return corraltest.FailNth(1_000_000, corraltest.Fails).Store(&corraltest.Store{})
	}, corraltest.VirtualTime(), corraltest.Weak(corraltest.TakesLatePuts))
	corraltest.TestCoordinator(t, func(t *testing.T, n int) []corral.Coordinator {
		trapped := processes(t, n)
		for i := range trapped {
			trapped[i] = corraltest.FailNth(1_000_000, corraltest.Fails).Coordinator(trapped[i])
		}
		return trapped
	}, corraltest.VirtualTime())
}

func TestTheDomainConforms(t *testing.T) {
	corraltest.TestCoordinator(t, processes, corraltest.VirtualTime())
}

func TestTheDomainOfKeepersConforms(t *testing.T) {
	corraltest.TestCoordinator(t, func(_ *testing.T, n int) []corral.Coordinator {
		domain := corraltest.NewDomain()
		all := make([]corral.Coordinator, n)
		for i := range all {
			all[i] = domain.Keeper(fmt.Sprint(i))
		}
		return all
	}, corraltest.VirtualTime())
}

func TestTheDomainOfKeepersThatOwnConforms(t *testing.T) {
	corraltest.TestCoordinator(t, func(_ *testing.T, n int) []corral.Coordinator { return keepersThatOwn(n, "0") }, corraltest.VirtualTime())
	corraltest.TestCoordinator(t, func(_ *testing.T, n int) []corral.Coordinator { return keepersThatOwn(n, fmt.Sprint(n-1)) }, corraltest.VirtualTime())
}

// keepersThatOwn are the processes of a domain of which one owns every key.
func keepersThatOwn(n int, owner string) []corral.Coordinator {
	domain := corraltest.NewDomain()
	domain.Owner = func(string) string { return owner }
	all := make([]corral.Coordinator, n)
	for i := range all {
		all[i] = domain.Keeper(fmt.Sprint(i))
	}
	return all
}

func processes(_ *testing.T, n int) []corral.Coordinator {
	domain := corraltest.NewDomain()
	all := make([]corral.Coordinator, n)
	for i := range all {
		all[i] = domain.Process(fmt.Sprint(i))
	}
	return all
}
