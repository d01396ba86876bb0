package localserver

import "syscall"

// endWithParent makes the kernel end a process when the one that started it
// dies. It is asked for after the change of user, which would undo it.
func endWithParent(a *syscall.SysProcAttr, s syscall.Signal) { a.Pdeathsig = s }
