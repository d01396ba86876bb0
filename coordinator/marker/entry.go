package marker

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// A kind says what an entry of the KV is.
type kind uint8

// Under a key's value is a value or nothing. Under its marker:
//
//	what         means                               stays for
//	nothing      nobody computes
//	inProgress   the holder of id computes           Config.Lease after it was last put
//	failed       that is what it came to             its pause
//	passed       each computes for itself            passMark
//	shared       a value for who waited for id       lingering
const (
	value kind = 1 + iota
	inProgress
	failed
	passed
	shared
	kinds = int(iota)
)

// entry is what the KV has under a key's value or marker.
type entry struct {
	kind kind
	id   uint64    // of the lease that it is of
	at   time.Time // when it was put, by the clock of who put it

	record []byte // of value and shared: internal/stored's form
	body   []byte // of value and shared
	pause  time.Duration
	code   uint32 // of failed: corral.EncodeError
	text   string
}

var errEntry = errors.New("marker: not an entry of this key")

const (
	formVersion  = 1
	headerSize   = 1 + 1 + 8 + 8 // version, kind, id, when
	checksumSize = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append writes the form of an entry under a name of the KV: header, uvarint
// length of the record and the record, uvarint pause, uvarint code, uvarint
// length of the text and the text, the body, and CRC-32C of the name and all that.
func (e *entry) append(dst []byte, name string) []byte {
	dst = append(dst, formVersion, byte(e.kind))
	dst = binary.LittleEndian.AppendUint64(dst, e.id)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.at.UnixNano()))
	dst = append(binary.AppendUvarint(dst, uint64(len(e.record))), e.record...)
	dst = binary.AppendUvarint(dst, uint64(e.pause))
	dst = binary.AppendUvarint(dst, uint64(e.code))
	dst = append(binary.AppendUvarint(dst, uint64(len(e.text))), e.text...)
	dst = append(dst, e.body...)
	return binary.LittleEndian.AppendUint32(dst, checksum(name, dst))
}

func checksum(name string, form []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(name), castagnoli), castagnoli, form)
}

// parseEntry reads what append wrote under the same name. It takes nothing from
// data's memory but record and body.
func parseEntry(name string, data []byte) (*entry, error) {
	if len(data) < headerSize+checksumSize {
		return nil, errEntry
	}
	form, sum := data[:len(data)-checksumSize], data[len(data)-checksumSize:]
	if checksum(name, form) != binary.LittleEndian.Uint32(sum) || form[0] != formVersion || form[1] == 0 || int(form[1]) > kinds {
		return nil, errEntry
	}
	e := &entry{
		kind: kind(form[1]),
		id:   binary.LittleEndian.Uint64(form[2:]),
		at:   time.Unix(0, int64(binary.LittleEndian.Uint64(form[10:]))),
	}
	rest := reader(form[headerSize:])
	e.record = rest.bytes()
	e.pause = time.Duration(rest.number())
	e.code = uint32(rest.number())
	e.text = string(rest.bytes())
	if rest == nil {
		return nil, errEntry
	}
	e.body = rest
	return e, nil
}

// A reader is what is left to be read, and nil once something was wrong.
type reader []byte

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(*r)
	if size <= 0 {
		*r = nil
		return 0
	}
	*r = (*r)[size:]
	return n
}

func (r *reader) bytes() []byte {
	n := r.number()
	if *r == nil || n > uint64(len(*r)) {
		*r = nil
		return nil
	}
	taken := (*r)[:n]
	*r = (*r)[n:]
	return taken
}

// old is how long ago the entry was put, by two clocks: never less than nothing.
func (e *entry) old(now time.Time) time.Duration { return max(0, now.Sub(e.at)) }

// decode gives the record of a value as of now, or nil for one that is none.
func (e *entry) decode(key string, now time.Time) *corral.Record {
	record, err := stored.Parse(key, e.record)
	if err != nil {
		return nil
	}
	stored.Pass(record, e.old(now))
	return record
}
