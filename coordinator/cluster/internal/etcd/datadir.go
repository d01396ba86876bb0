package etcd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

// In a data directory are:
//
//	lock         the directory's id, locked while a node uses it
//	etcd-member  the cluster and the member that etcd's files are of
//	etcd-begin   what was agreed on with the other nodes about etcd, see Bootstrap
//	etcd/        etcd's own files
const lockFile = "lock"

// directoryID is what a lock file holds.
var directoryID = regexp.MustCompile(`^[A-Z2-7]{26}\n$`)

// LockDir makes the data directory, if need be, and keeps it for this process
// until unlock, or until the process ends, however it does. The id names this
// directory among all that there are, for its life.
//
// Who holds the lock has proof that every earlier user of the id is dead.
func LockDir(dir string) (unlock func(), id string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("data directory: %w", Embedded{Dir: dir}.explain(err))
	}
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("data directory: %w", Embedded{Dir: dir}.explain(err))
	}
	unlock = func() { _ = f.Close() } // which frees the lock, whatever it says
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		unlock()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, "", fmt.Errorf("data directory %s: another process uses it: stop that one, or name another directory (--cluster.dir)", dir)
		}
		return nil, "", fmt.Errorf("data directory %s: lock: %w: it must be on a file system that locks", dir, err)
	}
	if id, err = identify(f); err != nil {
		unlock()
		return nil, "", fmt.Errorf("data directory %s: %w", dir, err)
	}
	return unlock, id, nil
}

// identify reads the id from the locked file, or writes one into it. A write
// that was cut short is no id, and nobody has been told of it.
func identify(f *os.File) (string, error) {
	found := make([]byte, 64)
	n, _ := f.ReadAt(found, 0)
	if found = found[:n]; directoryID.Match(found) {
		return string(found[:n-1]), nil
	}
	id := rand.Text()
	if err := f.Truncate(0); err != nil {
		return "", err
	}
	if _, err := f.WriteAt([]byte(id+"\n"), 0); err != nil {
		return "", err
	}
	if err := errors.Join(f.Sync(), syncDir(filepath.Dir(f.Name()))); err != nil {
		return "", err
	}
	return id, nil
}
