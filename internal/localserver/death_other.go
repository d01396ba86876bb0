//go:build !linux

package localserver

import "syscall"

// endWithParent does nothing where there is no such thing.
func endWithParent(*syscall.SysProcAttr, syscall.Signal) {}
