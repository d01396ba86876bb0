// Package ramdir gives tests a directory with no disk under it. What they start
// writes as it always does and waits for each write to be kept; on a machine whose
// disk has other work that takes longer than a lease lasts, and then a test is of
// the disk. Where the disk is the subject, take testing.T.TempDir.
package ramdir

import (
	"os"
	"testing"
)

// memory is where Linux has a file system in memory, for whoever wants one.
const memory = "/dev/shm"

// Member is what one embedded etcd takes, in bytes: two segments of its log, which
// it sets aside at once, and its database.
const Member = 256 << 20

// Dir is a directory that ends with the test. It is in memory if there is room for
// room bytes, and four times as much for others; else it is TempDir. Programs may
// not run from there.
func Dir(t testing.TB, room int64) string {
	t.Helper()
	if !roomy(memory, 5*room) {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "corral-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("a directory in memory is left: %v", err)
		}
	})
	return dir
}
