package disk

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// How a record lies in Pebble.
//
//	k key       → index entry: where the record is, and what invalidations and
//	              eviction need to know of it
//	s position  → the record: a head, and the form of internal/stored
//	m name      → what the store knows of itself (meta.go)
//
// A position is the number of bytes that were written before it, ever: records
// lie in the order in which they were written, new ones at the end. That keeps
// Pebble from moving values about, makes eviction in the order of writing one
// deletion of a range, and what records take a subtraction that needs no
// counting. A record that was replaced, or deleted, takes its room until its turn
// to be evicted comes; eviction then writes what is alive behind the end again as
// long as dead records are what fills the room.
const (
	keySpace   = 'k'
	valueSpace = 's'
	metaSpace  = 'm'
)

// recordOverhead is what a record counts for beside its bytes: what Pebble
// keeps of it, in two places.
const recordOverhead = 96

var (
	errEntry = errors.New("broken index entry")
	errHead  = errors.New("broken head of a record")
	byteSum  = crc32.MakeTable(crc32.Castagnoli)
)

// headSum is a checksum of bytes at a position.
func headSum(data []byte, position int64) uint32 {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(position))
	return crc32.Update(crc32.Checksum(at[:], byteSum), byteSum, data)
}

func indexKey(dst []byte, key string) []byte { return append(append(dst, keySpace), key...) }

func valueKey(dst []byte, position int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, valueSpace), uint64(position))
}

// positionOf reads a valueKey.
func positionOf(key []byte) (position int64, is bool) {
	if len(key) != 9 || key[0] != valueSpace {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(key[1:])), true
}

// An entry is what the index has of a record.
type entry struct {
	position int64
	size     int64  // what it counts for, without its body's file
	body     int64  // what the file of its body takes; 0 for none
	file     uint64 // which file that is
	revision uint64
	tags     []uint16
}

const entryVersion = 1

func (e *entry) append(dst []byte) []byte {
	dst = append(dst, entryVersion)
	dst = binary.AppendUvarint(dst, uint64(e.position))
	dst = binary.AppendUvarint(dst, uint64(e.size))
	dst = binary.AppendUvarint(dst, uint64(e.body))
	dst = binary.AppendUvarint(dst, e.file)
	dst = binary.AppendUvarint(dst, e.revision)
	for _, slot := range e.tags {
		dst = binary.BigEndian.AppendUint16(dst, slot)
	}
	return dst
}

func parseEntry(data []byte) (e entry, err error) {
	if len(data) == 0 || data[0] != entryVersion {
		return e, errEntry
	}
	data = data[1:]
	var numbers [5]uint64
	for i := range numbers {
		n, length := binary.Uvarint(data)
		if length <= 0 {
			return e, errEntry
		}
		numbers[i], data = n, data[length:]
	}
	e = entry{position: int64(numbers[0]), size: int64(numbers[1]), body: int64(numbers[2]), file: numbers[3], revision: numbers[4]}
	if e.position < 0 || e.size < 0 || e.body < 0 || len(data)%2 != 0 {
		return entry{}, errEntry
	}
	if len(data) > 0 {
		e.tags = make([]uint16, len(data)/2)
		for i := range e.tags {
			e.tags[i] = binary.BigEndian.Uint16(data[2*i:])
		}
	}
	return e, nil
}

// A head stands before the form of a record.
type head struct {
	key     string
	written instant
	inline  []byte // a short body, whole
	length  int64  // of the body in a file
	file    uint64 // which file; 0 for none
}

const headVersion = 1

// The head:
//
//	byte      version
//	16 bytes  identity of the boot
//	8 bytes   uptime, then 8 bytes of wall clock, big endian
//	uvarint   length of the key, then the key
//	uvarint   length of a short body, then the body
//	uvarint   length of the body in a file
//	8 bytes   which file, big endian
//	4 bytes   CRC-32C of the position and all of the above, big endian
func (h *head) append(dst []byte, position int64) []byte {
	start := len(dst)
	dst = append(dst, headVersion)
	dst = append(dst, h.written.boot[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.written.up))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.written.wall))
	dst = append(binary.AppendUvarint(dst, uint64(len(h.key))), h.key...)
	dst = append(binary.AppendUvarint(dst, uint64(len(h.inline))), h.inline...)
	dst = binary.AppendUvarint(dst, uint64(h.length))
	dst = binary.BigEndian.AppendUint64(dst, h.file)
	return binary.BigEndian.AppendUint32(dst, headSum(dst[start:], position))
}

// parseHead gives the head of a record at a position, and the form behind it.
// Key and inline are parts of data: the key is copied.
func parseHead(data []byte, position int64) (h head, form []byte, err error) {
	const fixed = 1 + bootSize + 8 + 8
	if len(data) < fixed || data[0] != headVersion {
		return h, nil, errHead
	}
	copy(h.written.boot[:], data[1:])
	h.written.up = int64(binary.BigEndian.Uint64(data[1+bootSize:]))
	h.written.wall = int64(binary.BigEndian.Uint64(data[1+bootSize+8:]))
	rest := data[fixed:]
	next := func() []byte {
		n, length := binary.Uvarint(rest)
		if length <= 0 || n > uint64(len(rest)-length) {
			err, rest = errHead, nil
			return nil
		}
		part := rest[length : uint64(length)+n : uint64(length)+n]
		rest = rest[uint64(length)+n:]
		return part
	}
	key, inline := next(), next()
	n, length := binary.Uvarint(rest)
	if err != nil || length <= 0 || int64(n) < 0 || len(rest) < length+8+4 {
		return head{}, nil, errHead
	}
	rest = rest[length:]
	h.key, h.inline, h.length, h.file = string(key), inline, int64(n), binary.BigEndian.Uint64(rest)
	covered := len(data) - len(rest) + 8
	if headSum(data[:covered], position) != binary.BigEndian.Uint32(data[covered:]) {
		return head{}, nil, errHead
	}
	return h, data[covered+4:], nil
}
