package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/invariant"
)

// A trouble lets operations of a file system fail: the nth of those that it is
// about, or all from there on.
type trouble struct {
	err     error
	about   func(errorfs.Op) bool
	at      int64
	forever bool
	under   vfs.FS
	seen    atomic.Int64
	over    atomic.Bool
}

// on is a machine with a file system in memory that is in trouble.
func (f *trouble) on() machine {
	if f.under == nil {
		f.under = vfs.NewMem()
	}
	nobody := func(string) (io.Closer, error) { return io.NopCloser(nil), nil }
	return machine{fs: f.fs(), lock: nobody, now: clock(), pause: time.Millisecond}
}

func (f *trouble) fs() vfs.FS {
	return errorfs.Wrap(f.under, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f.over.Load() || !f.about(op) {
			return nil
		}
		if n := f.seen.Add(1); n == f.at || f.forever && n > f.at {
			return &os.PathError{Op: fmt.Sprint("injected ", op.Kind), Path: op.Path, Err: f.err}
		}
		return nil
	}))
}

func anything(op errorfs.Op) bool { return op.Kind != errorfs.OpMkdirAll }

// writes are what a full disk refuses.
func writes(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpReuseForWrite:
		return true
	}
	return false
}

// F16. Whatever operation of the file system fails: no process ends, no wrong
// value is given, what a Delete was told of is gone when it says so, and after a
// restart also when it does not. Once the disk works, so does the store.
func TestNoFailureOfTheDiskEndsTheProcessOrGivesAWrongValue(t *testing.T) {
	for _, row := range []struct {
		name    string
		err     error
		about   func(errorfs.Op) bool
		forever bool
	}{
		{"one read or write fails", syscall.EIO, anything, false},
		{"the disk fails", syscall.EIO, anything, true},
		{"the disk is full", syscall.ENOSPC, writes, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			step := int64(1)
			if invariant.Enabled { // Pebble checks itself at every step
				step = 29
			}
			for n := int64(1); ; n += step {
				f := &trouble{err: row.err, about: row.about, at: n, forever: row.forever}
				throughTrouble(t, f)
				if t.Failed() {
					t.Fatalf("with the failure at operation %d", n)
				}
				if f.seen.Load() < n {
					t.Logf("%d operations", f.seen.Load())
					break
				}
			}
		})
	}
}

// throughTrouble uses a store while its disk fails, and after.
func throughTrouble(t *testing.T, f *trouble) {
	o := options("dir")
	s, err := open(o, f.on())
	if err != nil {
		if !errors.Is(err, f.err) {
			t.Errorf("Open gave %v", err)
		}
		f.over.Store(true)
		if s, err = open(o, f.on()); err != nil {
			t.Errorf("Open, once the disk works, gave %v", err)
			return
		}
	}
	ctx := context.Background()
	gone := map[string]bool{} // a Delete said so
	may := func(what string, err error) bool {
		if err != nil && !errors.Is(err, f.err) {
			t.Errorf("%s gave %v", what, err)
		}
		return err == nil
	}
	look := func(s *Store) {
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			r, err := s.Get(ctx, key)
			if !may("Get", err) || r == nil {
				continue
			}
			if string(r.Value) != "value of "+key {
				t.Errorf("%q has %q", key, r.Value)
			}
			if gone[key] {
				t.Errorf("%q was invalidated and is there", key)
			}
			if r.Body != nil {
				if text, err := io.ReadAll(r.Body); may("a body", err) && !bytes.Equal(text, longText) {
					t.Errorf("%q has a body of %d bytes", key, len(text))
				}
				r.Body.Close()
			}
		}
	}
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		r := record("value of "+key, 1, "t"+key)
		if key == "c" || key == "d" {
			r.Body, r.BodySize = io.NopCloser(bytes.NewReader(longText)), -1
		}
		may("Put", s.Put(ctx, key, r))
	}
	for i, target := range []corral.Target{{Keys: []string{"a", "c"}}, {Tags: []string{"tb"}}} {
		ok := may("Delete", s.Delete(ctx, corral.Invalidation{Revision: uint64(i + 2), Target: target}))
		for key, by := range map[string]int{"a": 0, "c": 0, "b": 1} {
			gone[key] = gone[key] || by == i && ok
		}
	}
	look(s)
	may("Close", s.Close())
	// The next process. What could not be acknowledged is gone as well, unless
	// even the witness could not be taken away.
	if !f.forever || f.err == syscall.ENOSPC {
		gone = map[string]bool{"a": true, "b": true, "c": true}
	}
	f.over.Store(true)
	if s, err = open(o, f.on()); err != nil {
		t.Errorf("Open after the trouble gave %v", err)
		return
	}
	defer s.Close()
	look(s)
	if err := s.Put(ctx, "new", record("value of new", 5)); err != nil {
		t.Errorf("Put after the trouble gave %v", err)
	}
	want(t, s, "new", "value of new")
	if stat, err := s.Stat(ctx); err != nil || stat.Broken != "" {
		t.Errorf("Stat after the trouble gave %+v, %v", stat, err)
	}
}

// A store whose disk has failed says so, and opens itself again once it works,
// with what it was not told in the meantime.
func TestAStoreComesBackByItself(t *testing.T) {
	f := &trouble{err: syscall.EIO, about: writes, at: 1, forever: true}
	f.over.Store(true)
	s, err := open(options("dir"), f.on())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, "a", record("1", 1))
	put(t, s, "b", record("2", 1))
	invalidate(t, s, corral.Invalidation{Revision: 1, Target: corral.Target{Keys: []string{"c"}}}) // now both are on disk
	f.over.Store(false)
	gone := corral.Invalidation{Revision: 2, Target: corral.Target{Keys: []string{"a"}}}
	if err := s.Delete(t.Context(), gone); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Delete on a broken disk gave %v", err)
	}
	if _, err := s.Get(t.Context(), "b"); !errors.Is(err, ErrBroken) || !errors.Is(err, syscall.EIO) {
		t.Errorf("Get from a broken store gave %v", err)
	}
	if stat, err := s.Stat(t.Context()); err != nil || !strings.Contains(stat.Broken, "input/output error") {
		t.Errorf("Stat gave %+v, %v", stat, err)
	}
	if _, err := f.under.Stat(s.trust.path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the witness is there: %v", err)
	}
	f.over.Store(true)
	for stat, _ := s.Stat(t.Context()); stat.Broken != ""; stat, _ = s.Stat(t.Context()) {
		time.Sleep(time.Millisecond) // its pause is one of real time
	}
	want(t, s, "a", "")
	want(t, s, "b", "2")
	if _, err := f.under.Stat(s.trust.path()); err != nil {
		t.Errorf("the witness is not there again: %v", err)
	}
	s.Close()
	again, err := open(s.o, f.on())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	want(t, again, "a", "")
	want(t, again, "b", "2")
}

// A bit that has flipped, anywhere: never a wrong value, never one that was
// invalidated, never a panic. A format that cannot be read is refused; everything
// else opens.
func TestAFlippedBitIsNeverAValue(t *testing.T) {
	plainly(t)
	for _, row := range []struct {
		name   string
		tables bool
	}{{"in the log", false}, {"in tables", true}} {
		t.Run(row.name, func(t *testing.T) {
			whole := inMemory()
			fillToBeFlipped(t, whole, row.tables)
			flips, misses := 0, 0
			for _, path := range filesIn(t, whole.fs, "dir") {
				data := readAll(t, whole.fs, path)
				for at := 0; at < len(data); at += max(1, len(data)/100) {
					on := inMemory()
					if _, err := vfs.Clone(whole.fs, on.fs, "dir", "dir"); err != nil {
						t.Fatal(err)
					}
					broken := bytes.Clone(data)
					broken[at] ^= 1 << (at % 8)
					writeAll(t, on.fs, path, broken)
					flips++
					misses += afterFlip(t, on, path)
					if t.Failed() {
						t.Fatalf("with byte %d of %d of %s flipped", at, len(data), path)
					}
				}
			}
			t.Logf("%d flips, %d misses", flips, misses)
		})
	}
}

// inMemory is a machine without a disk.
func inMemory() machine { return (&trouble{about: func(errorfs.Op) bool { return false }}).plain() }

func (f *trouble) plain() machine {
	on := f.on()
	on.fs = f.under
	return on
}

var longText = bytes.Repeat([]byte("long body "), 8000)

// fillToBeFlipped writes three values, one with a body in a file, and one that is
// invalidated, into the log or into tables.
func fillToBeFlipped(t *testing.T, on machine, tables bool) {
	s, err := open(options("dir"), on)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c", "gone"} {
		r := record("value of "+key, 1, "t"+key)
		if key == "c" {
			r.Body, r.BodySize = io.NopCloser(bytes.NewReader(longText)), -1
		}
		put(t, s, key, r)
	}
	invalidate(t, s, corral.Invalidation{Revision: 2, Target: corral.Target{Keys: []string{"gone"}}})
	if tables {
		if err := s.engine.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
}

// afterFlip looks at what a store with a flipped bit gives, and that it works.
func afterFlip(t *testing.T, on machine, path string) (misses int) {
	s, err := open(options("dir"), on)
	if err != nil {
		if !strings.HasSuffix(path, formatFile) {
			t.Errorf("Open gave %v", err)
		}
		return 0
	}
	defer s.Close()
	for _, key := range []string{"a", "b", "c", "gone"} {
		r, err := s.Get(t.Context(), key)
		if err != nil && !errors.Is(err, ErrBroken) {
			t.Errorf("Get %q gave %v", key, err)
		}
		if r == nil {
			misses++
			continue
		}
		if key == "gone" || string(r.Value) != "value of "+key {
			t.Errorf("%q has %q", key, r.Value)
		}
		if r.Body == nil {
			continue
		}
		text, err := io.ReadAll(r.Body)
		if err == nil && !bytes.Equal(text, longText) {
			t.Errorf("%q has a body of %d bytes that is not its own", key, len(text))
		}
		if err != nil {
			if again, _ := s.Get(t.Context(), key); again != nil {
				t.Errorf("%q is there after its body was found broken", key)
			}
		}
		r.Body.Close()
	}
	for range s.Verify(t.Context()) {
	}
	for err = ErrBroken; errors.Is(err, ErrBroken); { // it may be beginning anew
		err = s.Put(t.Context(), "new", record("value of new", 3))
	}
	if err != nil {
		t.Errorf("Put gave %v", err)
	}
	return misses
}

// filesIn are the paths of all files under a directory.
func filesIn(t *testing.T, fs vfs.FS, dir string) (paths []string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		switch {
		case err != nil:
			t.Fatal(err)
		case info.IsDir():
			paths = append(paths, filesIn(t, fs, path)...)
		default:
			paths = append(paths, path)
		}
	}
	return paths
}

func readAll(t *testing.T, fs vfs.FS, path string) []byte {
	t.Helper()
	file, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeAll(t *testing.T, fs vfs.FS, path string, data []byte) {
	t.Helper()
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		t.Fatal(err)
	}
}
