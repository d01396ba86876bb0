package disk

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// What the store knows of itself, under keys of metaSpace. Numbers are eight
// bytes, big endian.
const (
	metaTold     = "n" // how many invalidations there were; see trust
	metaRevision = "r" // floors.revision: written before a record that has it
	metaAll      = "a" // floors.all
	metaTag      = "t" // and a slot: floors.tags
	metaPrefix   = "p" // and the prefix: floors.prefixes, until it is swept
	metaSequence = "s" // whose revisions these are; see Bind
	metaCounts   = "c" // entries, live bytes, bodies: estimates until they are counted
)

func metaKey(name string) []byte { return append([]byte{metaSpace}, name...) }

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// numbers reads as many numbers as there should be.
func numbers(data []byte, n int) ([]uint64, error) {
	if len(data) != 8*n {
		return nil, fmt.Errorf("%w: %d bytes for %d numbers", errMeta, len(data), n)
	}
	all := make([]uint64, n)
	for i := range all {
		all[i] = binary.BigEndian.Uint64(data[8*i:])
	}
	return all, nil
}

// errMeta says that what the store knows of itself cannot be read: then nothing
// in it can be trusted.
var errMeta = errors.New("broken metadata")

// meta is what was read at opening.
type meta struct {
	told     uint64
	sequence *string // nil before the first Bind
	counts   [3]int64
}

// loadMeta reads metadata, and raises floors to what is there.
func loadMeta(db *pebble.DB, f *floors) (m meta, err error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{metaSpace}, UpperBound: []byte{metaSpace + 1}})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for valid := it.First(); valid; valid = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return m, err
		}
		if err := m.take(it.Key()[1:], value, f); err != nil {
			return m, err
		}
	}
	return m, it.Error()
}

func (m *meta) take(name, value []byte, f *floors) error {
	if len(name) == 0 {
		return errMeta
	}
	kind, rest := string(name[:1]), string(name[1:])
	switch kind {
	case metaSequence:
		sequence := string(value)
		m.sequence = &sequence
		return nil
	case metaCounts:
		all, err := numbers(value, len(m.counts))
		for i := range all {
			m.counts[i] = int64(all[i])
		}
		return err
	}
	all, err := numbers(value, 1)
	if err != nil {
		return err
	}
	switch n := all[0]; {
	case kind == metaTold:
		m.told = n
	case kind == metaRevision:
		raise(&f.revision, n)
	case kind == metaAll:
		raise(&f.all, n)
	case kind == metaTag && len(rest) == 2:
		f.tags.raise(binary.BigEndian.Uint16([]byte(rest)), n)
	case kind == metaPrefix:
		if !f.raisePrefix(rest, n) {
			return fmt.Errorf("%w: more than %d prefixes", errMeta, maxPrefixes)
		}
	default:
		return fmt.Errorf("%w: %q", errMeta, name)
	}
	return nil
}
