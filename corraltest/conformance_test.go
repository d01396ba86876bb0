package corraltest_test

import (
	"fmt"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

func TestTheStoreConforms(t *testing.T) {
	open := func(*testing.T) corral.Store { return &corraltest.Store{} }
	t.Run("in virtual time", func(t *testing.T) { corraltest.TestStore(t, open, corraltest.VirtualTime()) })
	t.Run("in real time", func(t *testing.T) { corraltest.TestStore(t, open) })
}

func TestATrapThatIsNotSprungChangesNothing(t *testing.T) {
	corraltest.TestStore(t, func(*testing.T) corral.Store {
		return corraltest.FailNth(1_000_000, corraltest.Fails).Store(&corraltest.Store{})
	}, corraltest.VirtualTime())
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
