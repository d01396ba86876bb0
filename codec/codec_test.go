package codec_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/codec"
)

type product struct {
	Name  string            `json:"name"`
	Price float64           `json:"price"`
	Parts map[string]string `json:"parts,omitempty"`
}

func roundTrip[V any](t *testing.T, c corral.Codec[V], value V) V {
	t.Helper()
	data, err := c.Encode(value)
	if err != nil {
		t.Fatalf("Encode(%v): %v", value, err)
	}
	back, err := c.Decode(data)
	if err != nil {
		t.Fatalf("Decode(%q): %v", data, err)
	}
	return back
}

func TestWhatIsEncodedComesBack(t *testing.T) {
	for _, value := range []string{"", "a", "\x00\xff", strings.Repeat("long", 1000)} {
		if got := roundTrip(t, codec.String{}, value); got != value {
			t.Errorf("String gave %q, want %q", got, value)
		}
		if got := roundTrip(t, codec.Bytes{}, []byte(value)); string(got) != value {
			t.Errorf("Bytes gave %q, want %q", got, value)
		}
	}
	if got := roundTrip(t, codec.Bytes{}, nil); len(got) != 0 {
		t.Errorf("Bytes gave %q for nil, want nothing", got)
	}
	for _, value := range []product{{}, {Name: "saddle\n\"é", Price: 1e-9, Parts: map[string]string{"a": "b"}}} {
		if got := roundTrip(t, codec.JSON[product]{}, value); !reflect.DeepEqual(got, value) {
			t.Errorf("JSON gave %+v, want %+v", got, value)
		}
		if got := roundTrip(t, codec.JSON[*product]{}, &value); !reflect.DeepEqual(*got, value) {
			t.Errorf("JSON of a pointer gave %+v, want %+v", got, value)
		}
	}
	for _, value := range []*durationpb.Duration{nil, {}, durationpb.New(-time.Hour + 1)} {
		if got := roundTrip(t, codec.Proto[*durationpb.Duration]{}, value); got.AsDuration() != value.AsDuration() {
			t.Errorf("Proto gave %v, want %v", got, value)
		}
	}
}

func TestBytesAreNotCopied(t *testing.T) {
	value := make([]byte, 3, 8)
	got := roundTrip(t, codec.Bytes{}, value)
	if unsafe.SliceData(got) != unsafe.SliceData(value) {
		t.Error("the bytes are others than those that were given")
	}
	if cap(got) != len(got) {
		t.Errorf("there is room for %d bytes behind the value, which an append would write to", cap(got)-len(got))
	}
}

func TestWhatCannotBeEncodedOrReadIsAnErrorThatNamesTheType(t *testing.T) {
	for _, row := range []struct {
		name string
		call func() error
		want string
	}{
		{"encode JSON", func() error { _, err := codec.JSON[float64]{}.Encode(math.NaN()); return err }, "float64"},
		{"decode JSON", func() error { _, err := codec.JSON[product]{}.Decode([]byte(`{"price":"x"}`)); return err }, "codec_test.product"},
		{"decode nothing as JSON", func() error { _, err := codec.JSON[product]{}.Decode(nil); return err }, "codec_test.product"},
		{"encode proto", func() error {
			_, err := codec.Proto[*wrapperspb.StringValue]{}.Encode(wrapperspb.String("\xff"))
			return err
		}, "*wrapperspb.StringValue"},
		{"decode proto", func() error { _, err := codec.Proto[*durationpb.Duration]{}.Decode([]byte{0xff}); return err }, "*durationpb.Duration"},
	} {
		if err := row.call(); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s gave %v, want an error that names %s", row.name, err, row.want)
		}
	}
}

func TestAJSONValueThatFailsHalfwayIsNotHandedOut(t *testing.T) {
	got, err := codec.JSON[product]{}.Decode([]byte(`{"name":"half","price":"x"}`))
	if err == nil || !reflect.DeepEqual(got, product{}) {
		t.Errorf("got %+v, %v; want nothing and an error", got, err)
	}
}

func TestANewerMessageKeepsWhatIsNotKnownOfIt(t *testing.T) {
	newer := &durationpb.Duration{Seconds: 1, Nanos: 2}
	data, err := proto.Marshal(newer)
	if err != nil {
		t.Fatal(err)
	}
	older, err := codec.Proto[*wrapperspb.Int64Value]{}.Decode(data) // knows the first field only
	if err != nil {
		t.Fatal(err)
	}
	again, err := codec.Proto[*wrapperspb.Int64Value]{}.Encode(older)
	if err != nil || string(again) != string(data) {
		t.Errorf("got % x, %v; want % x", again, err, data)
	}
}

func FuzzDecodersDoNotPanic(f *testing.F) {
	f.Add([]byte(`{"name":"a"}`))
	f.Add([]byte{8, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		codec.JSON[product]{}.Decode(data)
		codec.Proto[*durationpb.Duration]{}.Decode(data)
	})
}
