package disk

import (
	"fmt"
	"sync"
	"testing"

	"github.com/corralcache/corral"
)

// A floor that the keeper has swept before its Delete has written it would stay
// on the disk for good, and more of them than maxPrefixes empty the store when it
// is opened again.
func TestPrefixesThatAreInvalidatedAtOnceLeaveTheDiskOnceTheyAreSwept(t *testing.T) {
	s := opened(t, options(t.TempDir()))
	if err := s.Put(t.Context(), "kept", record("v", 1000)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 100 {
				inv := corral.Invalidation{Revision: 2, Target: corral.Target{Prefixes: []string{fmt.Sprintf("%d/%d/", g, i)}}}
				if err := s.Delete(t.Context(), inv); err != nil {
					t.Errorf("Delete: %v", err)
				}
			}
		})
	}
	all.Wait()
	for is := true; is; {
		s.roomMu.Lock()
		swept := s.swept
		s.roomMu.Unlock()
		if _, _, is = s.floors.unswept(); is {
			<-swept
		}
	}
	s = reopened(t, s)
	s.floors.mu.RLock()
	defer s.floors.mu.RUnlock()
	for prefix, floor := range s.floors.prefixes {
		t.Errorf("the floor of %q came back at revision %d", prefix, floor.revision)
	}
}
