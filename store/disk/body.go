package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A long body is a file. It is written under a temporary name, synced, and
// renamed, and its directory synced, before its record is put: a record whose
// body is not there as a whole was tampered with, or lost its body to a newer
// record's writer just now.
//
// The file: a magic, the length of the key and the key, a checksum; then the
// body in blocks, each with a checksum over the file's number, the block's and
// its bytes. So a reader is given no byte that was not checked, and a body is
// read without being in memory.
const (
	bodyMagic  = "corralB1"
	blockSize  = 64 << 10
	sumSize    = 4
	bodyShards = 256
	bodySuffix = ".body"
)

var errBody = errors.New("broken body")

func shardName(i int) string { return fmt.Sprintf("%02x", i) }

// bodies are the files of a store's bodies.
type bodies struct {
	fs  vfs.FS
	dir string
}

// path is where a file is. Numbers are one run's in the upper half and count on
// in the lower one.
func (b *bodies) path(file uint64) string {
	return b.fs.PathJoin(b.dir, shardName(int(file%bodyShards)), fmt.Sprintf("%016x%s", file, bodySuffix))
}

// fileOf is the number in a file's name.
func fileOf(name string) (file uint64, is bool) {
	hex, is := strings.CutSuffix(name, bodySuffix)
	if !is || len(hex) != 16 {
		return 0, false
	}
	file, err := strconv.ParseUint(hex, 16, 64)
	return file, err == nil
}

// remove lets a file go; who reads it reads on.
func (b *bodies) remove(file uint64) {
	if file != 0 {
		b.fs.Remove(b.path(file)) // one that stays is an orphan, and found at the next start
	}
}

func bodyHeader(file uint64, key string) []byte {
	header := binary.AppendUvarint([]byte(bodyMagic), uint64(len(key)))
	header = append(header, key...)
	return binary.BigEndian.AppendUint32(header, headSum(header, int64(file)))
}

// blockSum is a checksum of one block at its place.
func blockSum(file, block uint64, data []byte) uint32 {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], block)
	return headSum(data, int64(file)) ^ headSum(at[:], int64(file))
}

// onDisk is what the file of a body of a length takes.
func onDisk(key string, length int64) int64 {
	blocks := (length + blockSize - 1) / blockSize
	return int64(len(bodyHeader(0, key))) + length + blocks*sumSize
}

// write writes a body to a file until EOF, and gives its length. reserve is
// called with each piece of the file before it is written, and its error ends it.
func (b *bodies) write(file uint64, key string, body io.Reader, reserve func(int64) error) (length int64, err error) {
	path := b.path(file)
	out, err := b.fs.Create(path+temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			b.fs.Remove(path + temporary)
		}
	}()
	length, err = writeBlocks(out, file, key, body, reserve)
	if err == nil {
		err = out.Sync()
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return 0, err
	}
	if err := b.fs.Rename(path+temporary, path); err != nil {
		return 0, err
	}
	if err := syncDir(b.fs, b.fs.PathDir(path)); err != nil {
		b.fs.Remove(path)
		return 0, err
	}
	return length, nil
}

func writeBlocks(out io.Writer, file uint64, key string, body io.Reader, reserve func(int64) error) (length int64, err error) {
	piece := bodyHeader(file, key)
	block := make([]byte, blockSize+sumSize)
	for number := uint64(0); ; number++ {
		if err := reserve(int64(len(piece))); err != nil {
			return 0, err
		}
		if len(piece) > 0 {
			if _, err := out.Write(piece); err != nil {
				return 0, err
			}
		}
		n, err := io.ReadFull(body, block[:blockSize])
		switch {
		case err == io.EOF:
			return length, nil
		case err != nil && err != io.ErrUnexpectedEOF:
			return 0, fmt.Errorf("body: %w", err)
		}
		length += int64(n)
		piece = binary.BigEndian.AppendUint32(block[:n], blockSum(file, number, block[:n]))
	}
}

// open gives the body of a record. broken is called at most once, when the file
// is found not to be what was written.
func (b *bodies) open(file uint64, key string, length int64, broken func(error)) (*bodyReader, error) {
	in, err := b.fs.Open(b.path(file))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errBody, err)
	}
	if err != nil {
		return nil, err
	}
	r := &bodyReader{in: in, file: file, left: length, broken: broken}
	if err := r.begin(key, length); err != nil {
		in.Close()
		return nil, err
	}
	return r, nil
}

// A bodyReader reads a body's file, block by block, each checked first.
type bodyReader struct {
	mu     sync.Mutex
	in     vfs.File
	file   uint64
	number uint64
	left   int64  // of the body, in the file
	ready  []byte // checked, and not read yet
	block  []byte
	err    error
	broken func(error)
}

// begin checks that a file is of a key and has the size that it should have.
func (r *bodyReader) begin(key string, length int64) error {
	info, err := r.in.Stat()
	if err != nil {
		return err
	}
	if info.Size() != onDisk(key, length) {
		return fmt.Errorf("%w: %d bytes, want %d", errBody, info.Size(), onDisk(key, length))
	}
	want := bodyHeader(r.file, key)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r.in, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%w: header", errBody)
	}
	return nil
}

func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.ready) == 0 {
		if r.err == nil {
			r.err = r.nextLocked()
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// nextLocked reads and checks a block.
func (r *bodyReader) nextLocked() error {
	if r.left == 0 {
		return io.EOF
	}
	if r.block == nil {
		r.block = make([]byte, min(blockSize, r.left)+sumSize)
	}
	block := r.block[:min(blockSize, r.left)+sumSize]
	if _, err := io.ReadFull(r.in, block); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return r.brokenLocked("cut off")
		}
		return fmt.Errorf("disk: read a body: %w", err)
	}
	data := block[:len(block)-sumSize]
	if blockSum(r.file, r.number, data) != binary.BigEndian.Uint32(block[len(data):]) {
		return r.brokenLocked("checksum")
	}
	r.ready, r.left, r.number = data, r.left-int64(len(data)), r.number+1
	return nil
}

func (r *bodyReader) brokenLocked(why string) error {
	err := fmt.Errorf("disk: %w: block %d: %s", errBody, r.number, why)
	r.broken(err)
	return err
}

func (r *bodyReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == errClosedBody {
		return nil
	}
	r.err, r.ready = errClosedBody, nil
	return r.in.Close()
}

var errClosedBody = errors.New("disk: the body is closed")

// keyOf reads whose body a file is.
func (b *bodies) keyOf(file uint64) (string, error) {
	in, err := b.fs.Open(b.path(file))
	if err != nil {
		return "", err
	}
	defer in.Close()
	start := make([]byte, len(bodyMagic)+binary.MaxVarintLen64)
	n, err := io.ReadFull(in, start)
	if err != nil && err != io.ErrUnexpectedEOF {
		return "", err
	}
	if !bytes.HasPrefix(start[:n], []byte(bodyMagic)) {
		return "", errBody
	}
	length, size := binary.Uvarint(start[len(bodyMagic):n])
	if size <= 0 || length > maxKey {
		return "", errBody
	}
	header := make([]byte, len(bodyMagic)+size+int(length)+sumSize)
	if _, err := in.ReadAt(header, 0); err != nil {
		return "", err
	}
	key := string(header[len(bodyMagic)+size : len(header)-sumSize])
	if !bytes.Equal(header, bodyHeader(file, key)) {
		return "", errBody
	}
	return key, nil
}

// maxKey is more than a key may have: longer ones are refused.
const maxKey = 1 << 20
