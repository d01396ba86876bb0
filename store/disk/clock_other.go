//go:build !linux

package disk

// uptime is not known here: times pass by the wall clock.
func uptime() (nanoseconds int64, known bool) { return 0, false }
