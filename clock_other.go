//go:build !linux

package corral

func boottime() int64 { return monotonic() }
