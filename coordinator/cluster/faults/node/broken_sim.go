//go:build sim

package main

import (
	"os"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A node of the simulator's build breaks the rule that CORRAL_BROKEN names, for
// the tests that the tests notice.
func init() {
	for _, rule := range core.Variants() {
		if rule.String() == os.Getenv("CORRAL_BROKEN") {
			core.Broken = rule
		}
	}
}
