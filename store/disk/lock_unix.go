//go:build unix

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lock takes a file for this process, until it is closed or the process ends.
// It writes its number into it for those who come too late.
func lock(path string) (io.Closer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %q: %w", path, err)
		}
		return nil, fmt.Errorf("%w%s: end that one, or give each its own directory", ErrInUse, holder(file))
	}
	number := strconv.Itoa(os.Getpid()) + "\n"
	if err := errors.Join(file.Truncate(0), second(file.WriteAt([]byte(number), 0))); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	return file, nil
}

// holder is the process that has written its number into a lock, if it has.
func holder(file *os.File) string {
	text := make([]byte, len("18446744073709551615\n"))
	n, _ := file.ReadAt(text, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	switch {
	case err != nil:
		return ""
	case pid == os.Getpid():
		return " (this one, which has opened it already)"
	default:
		return fmt.Sprintf(" (%d)", pid)
	}
}

func second[T any](_ T, err error) error { return err }
