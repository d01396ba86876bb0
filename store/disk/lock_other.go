//go:build !unix

package disk

import (
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lock takes a file for this process, until it is closed or the process ends.
func lock(path string) (io.Closer, error) {
	held, err := vfs.Default.Lock(path)
	if err != nil {
		return nil, fmt.Errorf("another process has it: end that one, or give each its own directory: %w", err)
	}
	return held, nil
}
