// Package invariant checks what must be true, where the race detector runs.
//
// Checks cost nothing in an ordinary build: Enabled is a constant, and the
// compiler removes what stands behind it.
package invariant

// Check panics with the invariant's number and text when it does not hold.
func Check(holds bool, text string) {
	if Enabled && !holds {
		panic("corral: invariant broken: " + text)
	}
}
