package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// trust is the second witness of invalidations, beside Pebble: a small file
// that says how many Pebble was told of and has synced.
//
//	W1. The file is there only while Pebble has been told of all that Delete was
//	    called with. To remove it works on a full disk, where telling does not.
//	W2. It never says more than has been synced. So if Pebble comes back with
//	    fewer, the end of its log has been lost: a flipped bit there looks like a
//	    torn write, which is no error.
//
// A directory without the file, or with one that is damaged or says more than
// Pebble, is emptied when it is opened. The number is written in place and not
// synced: a power failure may leave an older one, which trusts what was synced.
type trust struct {
	fs   vfs.FS
	dir  string
	mu   sync.Mutex
	file vfs.File // nil while there is none
	told uint64   // what it says
}

const (
	trustMagic = "corral\x01\x00"
	trustSize  = len(trustMagic) + 8 + 4
)

func (t *trust) path() string { return t.fs.PathJoin(t.dir, trustFile) }

// read says how many invalidations a directory is to have; known is false when
// there is no saying.
func (t *trust) read() (told uint64, known bool) {
	data, err := readFile(t.fs, t.path())
	if err != nil || len(data) != trustSize || string(data[:len(trustMagic)]) != trustMagic {
		return 0, false
	}
	if headSum(data[:trustSize-4], 0) != binary.LittleEndian.Uint32(data[trustSize-4:]) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(data[len(trustMagic):]), true
}

func trustForm(told uint64) []byte {
	data := binary.LittleEndian.AppendUint64([]byte(trustMagic), told)
	return binary.LittleEndian.AppendUint32(data, headSum(data, 0))
}

// begin writes the file anew, with all that has been synced.
func (t *trust) begin(told uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLocked()
	if err := replaceFile(t.fs, t.dir, trustFile, trustForm(told)); err != nil {
		return err
	}
	file, err := t.fs.OpenReadWrite(t.path(), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("disk: open %q: %w", t.path(), err)
	}
	t.file, t.told = file, told
	return nil
}

// raise says that one more invalidation is synced. That it cannot be written
// is no failure: it then says less (W2).
func (t *trust) raise(told uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil || told <= t.told {
		return
	}
	if _, err := t.file.WriteAt(trustForm(told), 0); err == nil {
		t.told = told
	}
}

// end removes the file (W1). Where even that fails, it is made unreadable.
func (t *trust) end() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.fs.Remove(t.path())
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil && t.file != nil {
		if _, damaged := t.file.WriteAt(make([]byte, trustSize), 0); damaged == nil {
			err = nil
		}
	}
	t.closeLocked()
	return err
}

func (t *trust) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLocked()
}

func (t *trust) closeLocked() {
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
}
