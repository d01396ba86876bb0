package disk

import (
	"os"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// reopening opens a store's directory again.
var reopening = corraltest.Reopening(func(t *testing.T, store corral.Store) corral.Store {
	return reopened(t, store.(*Store))
})

func TestTheStoreConforms(t *testing.T) {
	plainly(t)
	corraltest.TestStore(t, func(t *testing.T) corral.Store {
		o := options(t.TempDir())
		o.MaxBytes = 1 << 30
		return opened(t, o)
	}, reopening, corraltest.Weak(corraltest.TakesLatePutsReopened))
}

func TestACacheLivesWithEveryCallOfTheStoreThatGoesWrong(t *testing.T) {
	plainly(t)
	set := []corraltest.Option{reopening}
	if os.Getenv("CORRAL_SOAK") == "" {
		set = append(set, corraltest.ByTurns())
	}
	corraltest.TestStoreFaults(t, func(t *testing.T) corral.Store { return opened(t, options(t.TempDir())) }, set...)
}
