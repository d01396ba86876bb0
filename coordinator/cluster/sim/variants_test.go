//go:build sim

package sim

import (
	"testing"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// within is how many seeds may pass before a broken rule is noticed.
const within = 500

func TestEveryBrokenRuleIsCaught(t *testing.T) {
	for _, v := range core.Variants() {
		t.Run(v.String(), func(t *testing.T) {
			after, f := Caught(v, within)
			if after == 0 {
				t.Fatalf("not caught within %d seeds", within)
			}
			t.Logf("caught after %d seeds (%s): %v", after, f.Theme, f.Violation)
		})
	}
}
