package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// The form of what is under a key: a head in digits, which scripts compare and
// redis-cli shows, then bytes.
//
//	0   2  form, "C1"
//	2   1  kind: v a value, x a tombstone, which ends with its head
//	3  20  revision
//	23 15  TTL of the key when it was written, in milliseconds
//	38 16  generations that it belongs to, in hexadecimal digits
//	54 10  length of the record that follows
//	64     the record (internal/stored), the body, and 4 bytes: CRC-32C of all before, little endian
//
// Numbers have all their digits, so that their order is that of the text in
// every locale that a server may have.
const (
	form      = "C1"
	headSize  = 64
	sumSize   = 4
	idSize    = 16
	value     = 'v'
	tombstone = 'x'
)

// errCorrupt says that what is under a key is not what a store has written.
var errCorrupt = errors.New("redis: not a record")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// object is what is under a key.
type object struct {
	kind     byte
	revision uint64
	ttl      time.Duration // of the key, when it was written
	id       string        // of the generations
	record   *corral.Record
	body     []byte
	hasBody  bool
}

// seal makes the form of a record and its body.
func seal(key string, r *corral.Record, body []byte, ttl time.Duration, id string) []byte {
	data := make([]byte, headSize, headSize+len(r.Value)+len(body)+512)
	data = stored.Append(data, key, r)
	copy(data, head(value, r.Revision, ttl, id, len(data)-headSize))
	data = append(data, body...)
	return binary.LittleEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
}

func head(kind byte, revision uint64, ttl time.Duration, id string, length int) string {
	return fmt.Sprintf("%s%c%020d%015d%-16s%010d", form, kind, revision, ttl.Milliseconds(), id, length)
}

// unseal reads what is under a key. What is not of this form, or has been
// changed since, is errCorrupt or of package stored. The object aliases data.
func unseal(key string, data []byte) (object, error) {
	if len(data) < headSize || string(data[:2]) != form {
		return object{}, fmt.Errorf("%w: %d bytes that do not begin with %q", errCorrupt, len(data), form)
	}
	o := object{kind: data[2], id: string(data[38:54])}
	if o.kind == tombstone {
		return o, nil
	}
	text := string(data[:headSize])
	revision, err1 := strconv.ParseUint(text[3:23], 10, 64)
	ttl, err2 := strconv.ParseInt(text[23:38], 10, 64)
	length, err3 := strconv.ParseInt(text[54:64], 10, 64)
	end := len(data) - sumSize
	switch {
	case o.kind != value, errors.Join(err1, err2, err3) != nil, ttl < 0, length < 0, end < headSize, length > int64(end-headSize):
		return object{}, fmt.Errorf("%w: its head is %q", errCorrupt, text)
	case crc32.Checksum(data[:end], castagnoli) != binary.LittleEndian.Uint32(data[end:]):
		return object{}, fmt.Errorf("%w: its checksum is wrong", errCorrupt)
	}
	o.revision, o.ttl = revision, time.Duration(ttl)*time.Millisecond
	part := data[headSize : headSize+int(length) : headSize+int(length)]
	if o.record, err1 = stored.Parse(key, part); err1 != nil {
		return object{}, err1
	}
	o.body, o.hasBody = data[headSize+int(length):end], stored.HasBody(part)
	return o, nil
}

// lifetime is how long Redis keeps a record, in whole milliseconds: until the
// end of its last window. Zero is not at all.
func lifetime(r *corral.Record, most time.Duration) time.Duration {
	window := max(r.StaleFor, r.StaleOnError, r.StaleOnOutage, 0)
	switch {
	case r.TTL >= most || window >= most && r.TTL > -most:
		return most
	default:
		return max(0, min(r.TTL+window, most)).Truncate(time.Millisecond)
	}
}
