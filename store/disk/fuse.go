package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A fuse stands between Pebble and the file system, and blows at the first write
// that fails. From then on nothing reaches the disk any more, and Pebble is told
// that everything went well.
//
// The reason: Pebble cannot go on after a failed write to its log or manifest. It
// calls Logger.Fatalf, or panics with its locks held, and can then not even be
// closed. Behind a blown fuse it can, and the disk is as if the process had been
// killed at the first failure, which is a state that Pebble recovers from.
//
//	U1. Once blown, a fuse lets no write, creation, rename or removal through.
//	U2. It has blown before the operation that failed, or any later one, returns:
//	    who sees that it has not blown after a sync knows that all before was
//	    synced.
//
// Reads fail as they fail: Pebble gives their errors to its callers.
type fuse struct {
	vfs.FS
	blown chan struct{} // closed when it blows
	once  sync.Once
	cause error      // why; written before blown closes
	void  *vfs.MemFS // what is created behind a blown fuse
}

func newFuse(fs vfs.FS) *fuse { return &fuse{FS: fs, blown: make(chan struct{}), void: vfs.NewMem()} }

// blow ends all writing. The first reason is kept.
func (f *fuse) blow(cause error) {
	f.once.Do(func() {
		f.cause = cause
		close(f.blown)
	})
}

// err is why the fuse has blown, or nil.
func (f *fuse) err() error {
	select {
	case <-f.blown:
		return f.cause
	default:
		return nil
	}
}

// change does something to the disk, unless the fuse has blown, and blows it if
// that fails.
func (f *fuse) change(what, name string, do func() error) {
	if f.err() != nil {
		return // U1
	}
	if err := do(); err != nil {
		f.blow(fmt.Errorf("%s %s: %w", what, name, err)) // U2
	}
}

// make opens a file for writing, in the void if it cannot be on disk.
func (f *fuse) make(what, name string, open func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	f.change(what, name, func() (err error) {
		file, err = open()
		return err
	})
	if f.err() != nil {
		if file != nil {
			file.Close()
		}
		return f.void.Create(f.FS.PathBase(name), vfs.WriteCategoryUnspecified)
	}
	return &fusedFile{File: file, fuse: f, name: name}, nil
}

func (f *fuse) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.make("create", name, func() (vfs.File, error) { return f.FS.Create(name, category) })
}

func (f *fuse) OpenReadWrite(name string, category vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	return f.make("open", name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, options...) })
}

func (f *fuse) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.make("reuse", name, func() (vfs.File, error) { return f.FS.ReuseForWrite(old, name, category) })
}

func (f *fuse) OpenDir(name string) (vfs.File, error) {
	return f.make("open directory", name, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

// Open also finds what was written behind the blown fuse.
func (f *fuse) Open(name string, options ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.Open(name, options...)
	if err != nil && f.err() != nil {
		return f.void.Open(f.FS.PathBase(name))
	}
	return file, err
}

func (f *fuse) Stat(name string) (vfs.FileInfo, error) {
	info, err := f.FS.Stat(name)
	if err != nil && f.err() != nil {
		return f.void.Stat(f.FS.PathBase(name))
	}
	return info, err
}

func (f *fuse) Link(old, name string) error {
	f.change("link", name, func() error { return f.FS.Link(old, name) })
	return nil
}

func (f *fuse) Rename(old, name string) error {
	f.change("rename", name, func() error { return f.FS.Rename(old, name) })
	return nil
}

func (f *fuse) MkdirAll(name string, mode os.FileMode) error {
	f.change("make directory", name, func() error { return f.FS.MkdirAll(name, mode) })
	return nil
}

// Remove does not blow the fuse where there is nothing to remove.
func (f *fuse) Remove(name string) error {
	var missing error
	f.change("remove", name, func() error {
		err := f.FS.Remove(name)
		if errors.Is(err, os.ErrNotExist) {
			missing, err = err, nil
		}
		return err
	})
	return missing
}

func (f *fuse) RemoveAll(name string) error {
	f.change("remove", name, func() error { return f.FS.RemoveAll(name) })
	return nil
}

// Lock is the store's own, on the whole directory.
func (f *fuse) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Unwrap gives nothing: nobody goes around the fuse.
func (f *fuse) Unwrap() vfs.FS { return nil }

// A fusedFile is a file that is written to.
type fusedFile struct {
	vfs.File
	fuse *fuse
	name string
}

func (f *fusedFile) Write(p []byte) (int, error) {
	f.fuse.change("write", f.name, func() error { _, err := f.File.Write(p); return err })
	return len(p), nil
}

func (f *fusedFile) WriteAt(p []byte, offset int64) (int, error) {
	f.fuse.change("write", f.name, func() error { _, err := f.File.WriteAt(p, offset); return err })
	return len(p), nil
}

func (f *fusedFile) Sync() error {
	f.fuse.change("sync", f.name, f.File.Sync)
	return nil
}

func (f *fusedFile) SyncData() error {
	f.fuse.change("sync", f.name, f.File.SyncData)
	return nil
}

func (f *fusedFile) SyncTo(length int64) (whole bool, err error) {
	f.fuse.change("sync", f.name, func() (err error) { whole, err = f.File.SyncTo(length); return err })
	return whole, nil
}

func (f *fusedFile) Preallocate(offset, length int64) error {
	f.fuse.change("allocate", f.name, func() error { return f.File.Preallocate(offset, length) })
	return nil
}

// Close always closes: what is open would be leaked.
func (f *fusedFile) Close() error {
	if err := f.File.Close(); err != nil {
		f.fuse.blow(fmt.Errorf("close %s: %w", f.name, err))
	}
	return nil
}
