package redis

import (
	"bytes"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

var (
	idA  = strings.Repeat("a", idSize)
	full = corral.Record{
		Value: []byte("value"), Body: io.NopCloser(nil), BodySize: 4, Revision: 1 << 63, TTL: time.Hour,
		Tags: []string{"x"}, Validator: "e",
	}
)

func TestAnObjectIsWhatWasSealed(t *testing.T) {
	data := seal("key", &full, []byte("body"), 90*time.Minute, idA)
	o, err := unseal("key", data)
	if err != nil {
		t.Fatal(err)
	}
	if o.revision != 1<<63 || o.ttl != 90*time.Minute || o.id != idA || string(o.record.Value) != "value" || string(o.body) != "body" || !o.hasBody {
		t.Fatalf("got %+v", o)
	}
}

func TestNoByteOfAnObjectCanChangeUnnoticed(t *testing.T) {
	data := seal("key", &full, []byte("body"), time.Hour, idA)
	for i := range data {
		for bit := range 8 {
			changed := bytes.Clone(data)
			changed[i] ^= 1 << bit
			if o, err := unseal("key", changed); err == nil && o.record != nil {
				t.Fatalf("bit %d of byte %d: got %+v", bit, i, o)
			}
		}
	}
	for n := range data {
		if o, err := unseal("key", data[:n]); err == nil {
			t.Fatalf("%d bytes of %d: got %+v", n, len(data), o)
		}
	}
	if o, err := unseal("another", data); err == nil {
		t.Fatalf("under another key: got %+v", o)
	}
}

func TestAKeyLivesUntilTheLastWindowEnds(t *testing.T) {
	const most = time.Hour
	rows := []struct {
		name string
		r    corral.Record
		want time.Duration
	}{
		{"TTL alone", corral.Record{TTL: time.Minute}, time.Minute},
		{"the widest window counts", corral.Record{TTL: time.Minute, StaleFor: time.Second, StaleOnError: 2 * time.Minute, StaleOnOutage: time.Minute}, 3 * time.Minute},
		{"stale, within a window", corral.Record{TTL: -time.Minute, StaleFor: 2 * time.Minute}, time.Minute},
		{"at the end of its window", corral.Record{TTL: -time.Minute, StaleFor: time.Minute}, 0},
		{"past it", corral.Record{TTL: -time.Minute, StaleFor: time.Minute - 1}, 0},
		{"just below the most", corral.Record{TTL: most - time.Millisecond}, most - time.Millisecond},
		{"the most", corral.Record{TTL: most}, most},
		{"above it with its window", corral.Record{TTL: most - 1, StaleFor: most - 1}, most},
		{"for ever", corral.Record{TTL: corral.Forever, StaleFor: corral.Forever}, most},
		{"stale for ever", corral.Record{TTL: -time.Minute, StaleOnError: corral.Forever}, most},
		{"long ago", corral.Record{TTL: math.MinInt64, StaleFor: time.Hour}, 0},
		{"a fraction of a millisecond is not counted", corral.Record{TTL: time.Millisecond + 1}, time.Millisecond},
		{"less than one is nothing", corral.Record{TTL: time.Millisecond - 1}, 0},
	}
	for _, row := range rows {
		if got := lifetime(&row.r, most); got != row.want {
			t.Errorf("%s: got %v, want %v", row.name, got, row.want)
		}
	}
}

func FuzzAnObjectIsReadWithoutHarm(f *testing.F) {
	f.Add(seal("key", &full, []byte("body"), time.Hour, idA))
	f.Add([]byte(head(tombstone, 7, tombstoneTTL, "", 0)))
	f.Add([]byte(head(value, 7, time.Hour, idA, math.MaxInt32)))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := unseal("key", data)
		if err != nil || o.record == nil {
			return
		}
		o.record.Body = nil
		if o.hasBody {
			o.record.Body = io.NopCloser(nil)
		}
		if again := seal("key", o.record, o.body, o.ttl, o.id); !bytes.Equal(again, data) {
			t.Fatalf("read %q\nwrite %q", data, again)
		}
	})
}

func FuzzAListOfPrefixesIsReadWithoutHarm(f *testing.F) {
	f.Add("00000000000000000007" + "00002" + "a/")
	f.Fuzz(func(t *testing.T, packed string) {
		list, err := unpack(packed)
		if err == nil && len(list)*25 > len(packed) {
			t.Fatalf("%d prefixes of %d bytes", len(list), len(packed))
		}
	})
}
