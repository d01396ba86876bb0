package peer

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/peerpb"
)

// kinds has one message of each kind.
var kinds = []core.Message{
	core.Join{}, core.Leave{}, core.Reply{}, core.Parked{}, core.Took{}, core.Outcome{}, core.Taken{}, core.Extend{}, core.Extended{},
	core.Idle{}, core.Unwanted{}, core.Recover{}, core.Rejoin{}, core.End{}, core.Applied{}, core.HasApplied{}, core.Probe{}, core.Cycle{},
}

// invent makes a message of the kind of like, whose fields are zero with the
// probability given: a field that the protocol forgets is seen.
func invent(random *rand.Rand, like core.Message, zero float64) core.Message {
	v := reflect.New(reflect.TypeOf(like)).Elem()
	fill(random, v, zero)
	return v.Interface().(core.Message)
}

func fill(random *rand.Rand, v reflect.Value, zero float64) {
	if v.Kind() != reflect.Struct && random.Float64() < zero {
		return
	}
	size := 1 + random.IntN(200)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(random, v.Field(i), zero)
		}
		if node, is := v.Addr().Interface().(*core.Node); is {
			node.Name = strings.ToValidUTF8(node.Name, "") // Start demands it
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(max(1, random.Uint64()>>random.IntN(64)>>(64-v.Type().Bits())))
	case reflect.Int64:
		v.SetInt(int64(random.Uint64() >> random.IntN(64)))
	case reflect.String:
		v.SetString(strings.Repeat(string(rune(random.IntN(300))), size) + "\xff\x00")
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+random.IntN(3), 3))
		for i := range v.Len() {
			fill(random, v.Index(i), 0)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(random, v.Elem(), zero)
	case reflect.Interface: // a payload
		v.Set(reflect.ValueOf(bytes.Repeat([]byte{byte(size)}, size-1)))
	default:
		panic(fmt.Sprintf("no value for a %v", v.Type()))
	}
}

func encoded(t *testing.T, messages ...core.Message) []byte {
	t.Helper()
	var b []byte
	for _, message := range messages {
		var err error
		if b, err = appendFrame(b, message); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestEveryFieldOfEveryMessageArrives(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, kind := range kinds {
		for _, zero := range []float64{0, 0.5, 1} {
			for range 50 {
				sent := invent(random, kind, zero)
				var got batch
				data := encoded(t, sent)
				if err := got.parse(data); err != nil {
					t.Fatalf("%#v: %v", sent, err)
				}
				clear(data) // the buffer is used again
				if want := []core.Message{sent}; !reflect.DeepEqual(got.messages, want) {
					t.Fatalf("got  %#v\nwant %#v", got.messages, want)
				}
			}
		}
	}
}

func TestTheGeneratedCodeReadsAndWritesTheSameBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, kind := range kinds {
		for _, zero := range []float64{0, 0.5} {
			for range 50 {
				sent := invent(random, kind, zero)
				ours := encoded(t, sent)
				var frames peerpb.Frames
				if err := proto.Unmarshal(ours, &frames); err != nil {
					t.Fatalf("%#v: %v", sent, err)
				}
				frame := frames.Frames[0].ProtoReflect()
				one := frame.WhichOneof(frame.Descriptor().Oneofs().ByName("message"))
				same(t, one.Name(), reflect.ValueOf(sent), frame.Get(one))
				theirs, err := proto.MarshalOptions{Deterministic: true}.Marshal(&frames)
				if err != nil || !bytes.Equal(theirs, ours) {
					t.Fatalf("%#v:\nours   %x\ntheirs %x (%v)", sent, ours, theirs, err)
				}
			}
		}
	}
}

// same compares what the protocol's code has by the names of its fields.
func same(t *testing.T, name protoreflect.Name, ours reflect.Value, theirs protoreflect.Value) {
	t.Helper()
	switch ours.Kind() {
	case reflect.Struct:
		message := theirs.Message()
		if n := message.Descriptor().Fields().Len(); n != ours.NumField() {
			t.Errorf("%s has %d fields in the protocol, and %d in the core", name, n, ours.NumField())
		}
		for i := range ours.NumField() {
			field := message.Descriptor().Fields().ByName(protocolName(ours.Type().Field(i).Name))
			if field == nil {
				t.Fatalf("%s has no field for %s", name, ours.Type().Field(i).Name)
			}
			same(t, field.Name(), ours.Field(i), message.Get(field))
		}
	case reflect.Slice:
		if ours.Type().Elem().Kind() == reflect.Uint8 {
			if !bytes.Equal(ours.Bytes(), theirs.Bytes()) {
				t.Errorf("%s: %x, not %x", name, theirs.Bytes(), ours.Bytes())
			}
			return
		}
		for i := range ours.Len() {
			same(t, name, ours.Index(i), theirs.List().Get(i))
		}
	case reflect.Pointer, reflect.Interface:
		if !ours.IsNil() {
			same(t, name, ours.Elem(), theirs)
		}
	case reflect.String:
		text, isText := theirs.Interface().(string)
		if !isText {
			text = string(theirs.Bytes())
		}
		if text != ours.String() {
			t.Errorf("%s: %q, not %q", name, text, ours.String())
		}
	default:
		if got := fmt.Sprint(theirs.Interface()); got != fmt.Sprint(plain(ours)) {
			t.Errorf("%s: %s, not %v", name, got, plain(ours))
		}
	}
}

func plain(v reflect.Value) any {
	switch {
	case v.CanUint():
		return v.Uint()
	case v.CanInt():
		return v.Int()
	}
	return v.Interface()
}

func protocolName(name string) protoreflect.Name {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return protoreflect.Name(strings.ToLower(b.String()))
}

type record struct {
	text string
	err  error
}

func (r record) AppendBinary(b []byte) ([]byte, error) { return append(b, r.text...), r.err }

func TestAPayloadIsBytesOrAppendsItself(t *testing.T) {
	long := strings.Repeat("x", 20_000)
	for _, row := range []struct{ payload, want any }{
		{nil, nil},
		{[]byte{}, []byte{}},
		{[]byte("a"), []byte("a")},
		{record{text: ""}, []byte{}},
		{record{text: long[:127]}, []byte(long[:127])},
		{record{text: long[:128]}, []byte(long[:128])},
		{record{text: long}, []byte(long)},
	} {
		var got batch
		if err := got.parse(encoded(t, core.Reply{Ask: 1, Value: core.Value{Payload: row.payload}})); err != nil {
			t.Fatal(err)
		}
		if payload := got.messages[0].(core.Reply).Value.Payload; !reflect.DeepEqual(payload, row.want) {
			t.Errorf("%v arrives as %#v", row.payload, payload)
		}
	}
	broken := errors.New("cannot be read")
	if _, err := appendFrame(nil, core.Outcome{Value: core.Value{Payload: record{err: broken}}}); !errors.Is(err, broken) {
		t.Errorf("a payload that fails: %v", err)
	}
	_, err := appendFrame(nil, core.Rejoin{Outcome: &core.Outcome{Value: core.Value{Payload: 7}}})
	if want := "peer: send core.Rejoin: a payload of type int: make it a []byte or an encoding.BinaryAppender"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestUnknownFieldsAreSkippedAndUnknownMessagesRefused(t *testing.T) {
	join := core.Join{Ask: 1, Key: "k", Wait: time.Second}
	frame := encoded(t, join)
	frame[1] += 3                                           // the frame's length
	frame[3] += 3                                           // and the message's
	frame = append(frame, 15<<3|2, 1, 'x', 14<<3, 9)        // a field of the message, one of the batch
	frame = append(frame, encoded(t, core.Took{Ask: 2})...) // and what comes after
	want := []core.Message{join, core.Took{Ask: 2}}
	var got batch
	if err := got.parse(frame); err != nil || !reflect.DeepEqual(got.messages, want) {
		t.Errorf("got %#v, %v\nwant %#v", got.messages, err, want)
	}
	for _, row := range []struct {
		name string
		data []byte
		want string
	}{
		{"unknown message", []byte{4<<3 | 2, 3, 31<<3 | 2, 1, 0}, "a message of kind 31, which version 1 does not have"},
		{"no message", []byte{4<<3 | 2, 0}, "a frame without a message"},
		{"another type", []byte{4<<3 | 2, 5, 1<<3 | 2, 3, 1<<3 | 2, 1, 0}, "a field has another type than the protocol says"},
		{"number too large", []byte{4<<3 | 2, 6, 3<<3 | 2, 4, 2 << 3, 0x80, 0x02, 0}, "field 2 is 256, above 255"},
		{"cut short", []byte{4<<3 | 2, 9, 1<<3 | 2}, "unexpected EOF"},
	} {
		if err := got.parse(row.data); err == nil || err.Error() != row.want {
			t.Errorf("%s: %v, want %s", row.name, err, row.want)
		}
	}
}

func FuzzAParsedBatchIsEncodedAsItWas(f *testing.F) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, kind := range kinds {
		b, err := appendFrame(nil, invent(random, kind, 0.3))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second batch
		if first.parse(data) != nil {
			return
		}
		again := encoded(t, first.messages...)
		if err := proto.Unmarshal(again, &peerpb.Frames{}); err != nil && !strings.Contains(err.Error(), "UTF-8") {
			t.Fatalf("the generated code does not read it: %v", err)
		}
		if err := second.parse(again); err != nil {
			t.Fatalf("%#v: %v", first.messages, err)
		}
		if len(first.messages)+len(second.messages) > 0 && !reflect.DeepEqual(first.messages, second.messages) {
			t.Fatalf("first  %#v\nsecond %#v", first.messages, second.messages)
		}
	})
}
