package cluster

import (
	"fmt"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

func TestANodesCachesConform(t *testing.T) {
	clusters := map[int][]*Node{} // by size: every node opens every cache
	for n := 1; n <= 3; n++ {
		clusters[n] = joinAll(t, n)
	}
	cases := 0
	corraltest.TestCoordinator(t, func(_ *testing.T, n int) []corral.Coordinator {
		cases++
		all := make([]corral.Coordinator, n)
		for i := range all {
			all[i] = clusters[n][i].Cache(fmt.Sprintf("case %d", cases))
		}
		return all
	})
}
