// Package invariant checks what must be true, where the race detector runs.
//
// Checks cost nothing in an ordinary build: Enabled is a constant, and the
// compiler removes what stands behind it.
package invariant

import (
	"fmt"
	"os"
	"runtime/debug"
)

// Check ends the process with the invariant's number and text when it does not
// hold. It does not panic: whoever recovers from a loader's panics would take
// it for one.
func Check(holds bool, text string) {
	if Enabled && !holds {
		fmt.Fprintf(os.Stderr, "corral: invariant broken: %s\n%s", text, debug.Stack())
		os.Exit(2)
	}
}
