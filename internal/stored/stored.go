// Package stored is the form of a corral.Record outside the process: in a file,
// in Redis, wherever a store keeps it.
//
// What is guaranteed:
//
//   - What Append wrote, Parse reads, every field of it, in this release and in
//     later ones.
//   - Parse never gives a record that differs from what was appended, nor one
//     of another key: a CRC-32C stands over the key and every byte of the form.
//     It finds each change of up to 32 neighbouring bits, and all but one in four
//     billion of larger ones.
//   - Parse reads bytes from anywhere: it does not panic, and what it allocates is
//     in proportion to what it is given.
//   - A form of a later release is ErrVersion, and everything else that is not a
//     record is ErrCorrupt. To a store both are a record that is not there.
//
// A body's bytes are not part of the form: only whether there is one, and its
// length. To keep, check and find them is the store's part, and so is to know how
// much time has passed since Append: Pass lets it pass.
package stored

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/corralcache/corral"
)

// Why bytes are not a record.
var (
	// ErrCorrupt says that bytes are not what was written under the key.
	ErrCorrupt = errors.New("corrupt record")
	// ErrVersion says that a later release of Corral wrote them.
	ErrVersion = errors.New("record of a later version")
)

// The form, version 1. Numbers are varints as in encoding/binary, those that
// may be negative in zig-zag form.
//
//	byte      version
//	byte      flags
//	uvarint   revision
//	varint    body size, with flagBody only
//	6 varint  age, TTL, three windows, cost, in nanoseconds
//	8 bytes   early refresh, IEEE 754, little endian
//	uvarint   number of tags, then for each its length and bytes
//	uvarint   length of the validator, then its bytes
//	uvarint   length of the value, then its bytes
//	4 bytes   CRC-32C of the key and all of the above, little endian
const (
	version = 1

	flagBody  = 1 << 0
	flagShare = 1 << 1
	allFlags  = flagBody | flagShare

	checksumSize = 4
	// overhead is more than the fields of fixed number take.
	overhead = 2 + 9*binary.MaxVarintLen64 + 8 + 2*binary.MaxVarintLen64 + checksumSize
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Append appends the form of a record to dst, as it is under a key. Of a body
// only BodySize is in it.
func Append(dst []byte, key string, r *corral.Record) []byte {
	start := len(dst)
	dst = grow(dst, r)
	dst = append(dst, version, flags(r))
	dst = binary.AppendUvarint(dst, r.Revision)
	if r.Body != nil {
		dst = binary.AppendVarint(dst, r.BodySize)
	}
	for _, d := range []time.Duration{r.Age, r.TTL, r.StaleFor, r.StaleOnError, r.StaleOnOutage, r.Cost} {
		dst = binary.AppendVarint(dst, int64(d))
	}
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(r.EarlyRefresh))
	dst = binary.AppendUvarint(dst, uint64(len(r.Tags)))
	for _, tag := range r.Tags {
		dst = appendBytes(dst, tag)
	}
	dst = appendBytes(dst, r.Validator)
	dst = appendBytes(dst, r.Value)
	return binary.LittleEndian.AppendUint32(dst, checksum(key, dst[start:]))
}

// grow makes room for a record at once, so that a large value is copied once.
func grow(dst []byte, r *corral.Record) []byte {
	size := overhead + len(r.Value) + len(r.Validator)
	for _, tag := range r.Tags {
		size += binary.MaxVarintLen64 + len(tag)
	}
	if cap(dst)-len(dst) >= size {
		return dst
	}
	return append(make([]byte, 0, len(dst)+size), dst...)
}

func flags(r *corral.Record) (f byte) {
	if r.Body != nil {
		f |= flagBody
	}
	if r.Outcome == corral.Share {
		f |= flagShare
	}
	return f
}

func appendBytes[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func checksum(key string, form []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, form)
}

// Parse reads what Append wrote under the same key. Durations are those at
// Append. Value is a part of data and may not be written to. Body is nil:
// HasBody says whether there was one; BodySize is -1 without.
func Parse(key string, data []byte) (r *corral.Record, err error) {
	p, err := open(key, data)
	if err != nil {
		return nil, fmt.Errorf("stored: record of %q: %w", key, err)
	}
	r = &corral.Record{BodySize: -1}
	flags := p.byte()
	if flags&^allFlags != 0 {
		p.broken = true
	}
	if flags&flagShare != 0 {
		r.Outcome = corral.Share
	}
	r.Revision = p.uvarint()
	if flags&flagBody != 0 {
		r.BodySize = p.varint()
	}
	for _, d := range []*time.Duration{&r.Age, &r.TTL, &r.StaleFor, &r.StaleOnError, &r.StaleOnOutage, &r.Cost} {
		*d = time.Duration(p.varint())
	}
	r.EarlyRefresh = math.Float64frombits(p.uint64())
	r.Tags = p.tags()
	r.Validator = string(p.bytes())
	r.Value = p.bytes()
	if p.broken || len(p.data) > 0 {
		return nil, fmt.Errorf("stored: record of %q: %w: the checksum is right, the fields are not", key, ErrCorrupt)
	}
	return r, nil
}

// HasBody reports whether a form that Parse has read is of a record with a body.
func HasBody(data []byte) bool { return len(data) > 1 && data[1]&flagBody != 0 }

// open checks version and checksum, and gives what stands between.
func open(key string, data []byte) (parser, error) {
	if len(data) < 1+checksumSize {
		return parser{}, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(data))
	}
	form, sum := data[:len(data)-checksumSize], data[len(data)-checksumSize:]
	// The checksum comes before the version: a version that a flipped bit has
	// made is corrupt, and nobody is told to install a later release for it. All
	// later forms therefore end in the same checksum.
	if got, want := checksum(key, form), binary.LittleEndian.Uint32(sum); got != want {
		return parser{}, fmt.Errorf("%w: checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	switch {
	case form[0] > version:
		return parser{}, fmt.Errorf("%w: %d, and this program reads up to %d: install a release that reads it, or let it be overwritten", ErrVersion, form[0], version)
	case form[0] != version:
		return parser{}, fmt.Errorf("%w: version %d", ErrCorrupt, form[0])
	}
	return parser{data: form[1:]}, nil
}

// Pass lets time pass for a record: it ages, and its TTL shrinks, below zero if
// need be, unless it is Forever. Windows stay: they count from the end of TTL.
// Time does not run backwards.
func Pass(r *corral.Record, elapsed time.Duration) {
	elapsed = max(elapsed, 0)
	if r.Age > math.MaxInt64-elapsed {
		r.Age = math.MaxInt64
	} else {
		r.Age += elapsed
	}
	switch {
	case r.TTL == corral.Forever:
	case r.TTL < math.MinInt64+elapsed:
		r.TTL = math.MinInt64
	default:
		r.TTL -= elapsed
	}
}
