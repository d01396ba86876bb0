package corral

import (
	"syscall"
	"unsafe"
)

// clockBoottime is CLOCK_BOOTTIME: monotonic, and it counts the time for which
// the machine was suspended, which Go's monotonic reading does not. A value
// must not live an hour longer because the laptop's lid was closed.
const clockBoottime = 7

func boottime() int64 {
	var now syscall.Timespec
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&now)), 0); errno != 0 {
		return monotonic()
	}
	return now.Nano()
}
