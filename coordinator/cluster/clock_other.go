//go:build !linux

package cluster

import (
	"time"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// started is before any reading.
var started = time.Now()

// boottime is the monotonic clock. On systems other than Linux a machine that is
// suspended and wakes may take its lease to run on for as long as it was away:
// do not suspend nodes there.
func boottime() core.Time { return core.Time(time.Since(started)) + 1 }
