package cluster

import (
	"golang.org/x/sys/unix"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// boottime is CLOCK_BOOTTIME, which goes on while the machine is suspended. Go's
// own monotonic reading stands still then.
func boottime() core.Time {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &at); err != nil {
		panic("cluster: this kernel has no CLOCK_BOOTTIME, which node leases are counted on: " + err.Error())
	}
	return core.Time(at.Nano())
}
