package cluster

import (
	"fmt"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

func TestANodesCachesConform(t *testing.T) {
	nodes := joinAll(t, 3)
	cases := 0
	corraltest.TestCoordinator(t, func(_ *testing.T, n int) []corral.Coordinator {
		cases++
		all := make([]corral.Coordinator, n)
		for i := range all {
			all[i] = nodes[i].Cache(fmt.Sprintf("case %d", cases))
		}
		return all
	})
}
