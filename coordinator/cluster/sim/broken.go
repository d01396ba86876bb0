//go:build !sim

package sim

import "github.com/corralcache/corral/coordinator/cluster/core"

func broken(core.Variant) bool { return false }

// Break panics: rules can be switched off with the build tag sim only.
func Break(v core.Variant) {
	if v != core.Whole {
		panic("sim: build with the tag sim to switch off a rule")
	}
}
