package stored

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// full has something in every field.
func full() *corral.Record {
	return &corral.Record{
		Value: []byte("v\x00\xff"), Body: io.NopCloser(strings.NewReader("")), BodySize: 1 << 40, Revision: 1<<63 + 5, Outcome: corral.Share,
		Age: 3 * time.Second, TTL: -time.Hour, StaleFor: 2 * time.Hour, StaleOnError: corral.Forever, StaleOnOutage: 4 * time.Hour, EarlyRefresh: 1.5,
		Cost: 70 * time.Millisecond, Tags: []string{"x", "", "y z\n"}, Validator: `W/"1\2"`,
	}
}

func TestEveryFieldComesBack(t *testing.T) {
	for name, r := range map[string]*corral.Record{
		"all of them":          full(),
		"none":                 {BodySize: -1},
		"a body of any length": {Body: io.NopCloser(strings.NewReader("")), BodySize: -1, TTL: corral.Forever},
		"an empty body":        {Body: io.NopCloser(strings.NewReader("")), BodySize: 0},
		"extremes":             {BodySize: -1, Revision: math.MaxUint64, Age: math.MaxInt64, TTL: math.MinInt64, EarlyRefresh: math.Inf(1)},
		"a long value":         {BodySize: -1, Value: []byte(strings.Repeat("x", 1<<20))},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := []byte("prefix")
			form := Append(prefix, "key", r)[len(prefix):]
			got, err := Parse("key", form)
			if err != nil {
				t.Fatal(err)
			}
			if HasBody(form) != (r.Body != nil) {
				t.Errorf("HasBody is %v", HasBody(form))
			}
			want := *r
			want.Body = nil
			if len(want.Value) == 0 {
				want.Value = got.Value[:0]
			}
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("got  %+v\nwant %+v", *got, want)
			}
		})
	}
}

// What is on disks and in Redis stays readable: this form was written once and
// is never changed.
func TestVersion1IsReadForEver(t *testing.T) {
	const golden = "01038580808080808080800180808080804080f882ad16ffffc48bc6d10180808a978ca303feffffffffffffffff01808094ae98c60680f6e042000000000000f83f030178000479207a0a07572f22315c3222037600ff2bb4138b"
	form := Append(nil, "key", full())
	if got := hex.EncodeToString(form); got != golden {
		t.Errorf("the form is\n%s\nwant\n%s", got, golden)
	}
}

func TestEveryFlippedBitEveryCutAndEveryOtherKeyIsCorrupt(t *testing.T) {
	form := Append(nil, "key", full())
	for bit := range len(form) * 8 {
		form[bit/8] ^= 1 << (bit % 8)
		if r, err := Parse("key", form); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d flipped: Parse gave %+v, %v", bit, r, err)
		}
		form[bit/8] ^= 1 << (bit % 8)
	}
	for length := range form {
		if r, err := Parse("key", form[:length]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: Parse gave %+v, %v", length, r, err)
		}
	}
	for _, key := range []string{"", "kez", "key ", "ke", "yek", "key\x01"} {
		if r, err := Parse(key, form); !errors.Is(err, ErrCorrupt) {
			t.Errorf("read as of %q: Parse gave %+v, %v", key, r, err)
		}
	}
}

func TestAFormOfAnotherVersionIsNotRead(t *testing.T) {
	for _, row := range []struct {
		version byte
		want    error
	}{{0, ErrCorrupt}, {1, nil}, {2, ErrVersion}, {255, ErrVersion}} {
		form := Append(nil, "key", full())
		form[0] = row.version
		if _, err := Parse("key", sealed("key", form[:len(form)-checksumSize])); !errors.Is(err, row.want) {
			t.Errorf("version %d: got %v, want %v", row.version, err, row.want)
		}
	}
}

// Fields that do not fit are refused also where the checksum is right: a store
// that others write to may hold anything.
func TestFieldsThatDoNotFitAreCorrupt(t *testing.T) {
	form := Append(nil, "key", &corral.Record{BodySize: -1})
	fields := form[:len(form)-checksumSize]
	for name, wrong := range map[string][]byte{
		"an unknown flag":               append([]byte{version, 1 << 7}, fields[2:]...),
		"a number without end":          {version, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"fields missing":                fields[:5],
		"bytes behind the value":        append(append([]byte{}, fields...), 0),
		"more tags than there is room":  append(append([]byte{}, fields[:len(fields)-3]...), binary.AppendUvarint(nil, 1<<60)...),
		"a value longer than there is":  append(append([]byte{}, fields[:len(fields)-1]...), 1),
		"a length beyond what int64 is": append(append([]byte{}, fields[:len(fields)-1]...), binary.AppendUvarint(nil, math.MaxUint64)...),
	} {
		if r, err := Parse("key", sealed("key", wrong)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: Parse gave %+v, %v", name, r, err)
		}
	}
}

func TestTimePasses(t *testing.T) {
	const hour, least = time.Hour, time.Duration(math.MinInt64)
	for _, row := range []struct{ age, ttl, elapsed, wantAge, wantTTL time.Duration }{
		{0, hour, 0, 0, hour},
		{1, hour, hour, hour + 1, 0},
		{0, hour, hour + 1, hour + 1, -1},
		{0, corral.Forever, hour, hour, corral.Forever},
		{0, corral.Forever - 1, hour, hour, corral.Forever - 1 - hour},
		{0, hour, -hour, 0, hour},
		{corral.Forever, least, hour, corral.Forever, least},
		{corral.Forever - hour, least + hour, hour, corral.Forever, least},
		{corral.Forever - hour + 1, least + hour - 1, hour, corral.Forever, least},
	} {
		r := corral.Record{Age: row.age, TTL: row.ttl, StaleFor: hour}
		Pass(&r, row.elapsed)
		if r.Age != row.wantAge || r.TTL != row.wantTTL || r.StaleFor != hour {
			t.Errorf("Pass of %v: age %v → %v, want %v; TTL %v → %v, want %v; StaleFor %v", row.elapsed, row.age, r.Age, row.wantAge, row.ttl, r.TTL, row.wantTTL, r.StaleFor)
		}
	}
}

// sealed ends fields with the checksum that makes them a form.
func sealed(key string, fields []byte) []byte {
	return binary.LittleEndian.AppendUint32(append([]byte{}, fields...), checksum(key, fields))
}

// Parse reads anything without a panic, with a right checksum too, and what it
// takes for a record is one: written again it is the same record.
func FuzzParse(f *testing.F) {
	f.Add("key", Append(nil, "key", full()), true)
	f.Add("", Append(nil, "", &corral.Record{BodySize: -1}), false)
	f.Add("k", []byte{}, true)
	f.Fuzz(func(t *testing.T, key string, data []byte, seal bool) {
		if seal {
			data = sealed(key, data)
		}
		r, err := Parse(key, data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if HasBody(data) {
			r.Body = io.NopCloser(strings.NewReader(""))
		}
		again, err := Parse(key, Append(nil, key, r))
		if err != nil {
			t.Fatal(err)
		}
		r.Body = nil
		if r.EarlyRefresh != r.EarlyRefresh { // NaN
			r.EarlyRefresh, again.EarlyRefresh = 0, 0
		}
		if len(r.Value) == 0 {
			r.Value, again.Value = nil, nil
		}
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("got %+v, written again %+v", r, again)
		}
	})
}
