package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What is in a store's directory.
const (
	formatFile = "FORMAT"  // which version of all the rest; written first, never changed
	lockFile   = "LOCK"    // locked while a process has the directory; says which
	trustFile  = "TRUSTED" // see trust
	pebbleDir  = "pebble"
	bodiesDir  = "bodies"
	format     = "corral disk store, format 1\n"
	formatKind = "corral disk store, format "
)

// A directory is one that this process has locked.
type directory struct {
	fs   vfs.FS
	path string
	lock io.Closer
}

// openDirectory makes a directory, or takes one that is there: no other
// process may have it, and it must be a store of this version.
func openDirectory(on machine, path string) (*directory, error) {
	if err := on.fs.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("disk: make the directory %q: %w", path, err)
	}
	d := &directory{fs: on.fs, path: path}
	var err error
	if d.lock, err = on.lock(d.in(lockFile)); err != nil {
		return nil, fmt.Errorf("disk: directory %q: %w", path, err)
	}
	if err := d.prepare(); err != nil {
		d.lock.Close()
		return nil, err
	}
	return d, nil
}

func (d *directory) in(parts ...string) string {
	return d.fs.PathJoin(append([]string{d.path}, parts...)...)
}

// prepare checks the format, or writes it where nothing is.
func (d *directory) prepare() error {
	found, err := readFile(d.fs, d.in(formatFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := d.begin(); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("disk: read %q: %w", d.in(formatFile), err)
	case string(found) != format && strings.HasPrefix(string(found), formatKind):
		return fmt.Errorf("disk: directory %q has the %.60q, and this program the %q: start the release that wrote it, or let this one begin anew by removing the directory",
			d.path, strings.TrimSpace(string(found)), strings.TrimSpace(format))
	case string(found) != format:
		return fmt.Errorf("disk: %q is not what a store writes: name another directory, or remove this one if it is a store's and broken", d.in(formatFile))
	}
	return nil
}

// begin makes a store of a directory that has nothing else in it. The format is
// written last: where it is, everything else is.
func (d *directory) begin() error {
	names, err := d.fs.List(d.path)
	if err != nil {
		return fmt.Errorf("disk: list %q: %w", d.path, err)
	}
	for _, name := range names {
		if name != lockFile && name != formatFile+temporary && name != bodiesDir {
			return fmt.Errorf("disk: directory %q holds %q and is no store: name an empty directory, which the store has to itself", d.path, name)
		}
	}
	for i := range bodyShards {
		if err := d.fs.MkdirAll(d.in(bodiesDir, shardName(i)), 0o755); err != nil {
			return fmt.Errorf("disk: make a directory for bodies: %w", err)
		}
	}
	for _, dir := range []string{d.in(bodiesDir), d.fs.PathDir(d.path)} {
		if err := syncDir(d.fs, dir); err != nil {
			return fmt.Errorf("disk: sync %q: %w", dir, err)
		}
	}
	return replaceFile(d.fs, d.path, formatFile, []byte(format))
}

// temporary ends the name of a file that is not whole yet.
const temporary = ".tmp"

// replaceFile writes a file so that after a crash it is there as a whole or
// not changed.
func replaceFile(fs vfs.FS, dir, name string, data []byte) error {
	path := fs.PathJoin(dir, name)
	err := func() error {
		file, err := fs.Create(path+temporary, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		_, err = file.Write(data)
		if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
			return err
		}
		if err := fs.Rename(path+temporary, path); err != nil {
			return err
		}
		return syncDir(fs, dir)
	}()
	if err != nil {
		return fmt.Errorf("disk: write %q: %w", path, err)
	}
	return nil
}

func syncDir(fs vfs.FS, path string) error {
	dir, err := fs.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// maxSmallFile bounds what readFile takes from a file that should be small.
const maxSmallFile = 4 << 10

func readFile(fs vfs.FS, path string) ([]byte, error) {
	file, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxSmallFile))
}
