package ramdir

import "syscall"

// roomy reports whether a file system has that many bytes to spare.
func roomy(path string, bytes int64) bool {
	var stat syscall.Statfs_t
	return syscall.Statfs(path, &stat) == nil && int64(stat.Bavail)*stat.Bsize >= bytes
}
