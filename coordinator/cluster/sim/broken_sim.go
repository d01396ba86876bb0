//go:build sim

package sim

import "github.com/corralcache/corral/coordinator/cluster/core"

// broken reports whether a rule is switched off, of those that the cell keeps.
func broken(v core.Variant) bool { return core.Broken == v }

// Break switches a rule off, in this process and for all runs that follow.
func Break(v core.Variant) { core.Broken = v }
