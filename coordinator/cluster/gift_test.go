package cluster

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// whole is a body that has arrived.
type whole struct {
	io.Reader
	size   int64
	whole  bool
	closed bool
}

func (w *whole) Len() (int64, bool) { return w.size, w.whole }
func (w *whole) Close() error       { w.closed = true; return nil }

func bodyOf(text string) *whole {
	return &whole{Reader: strings.NewReader(text), size: int64(len(text)), whole: true}
}

func TestAGiftIsReadAsItWasWritten(t *testing.T) {
	records := []corral.Record{
		{Value: []byte("plain"), Revision: 7, TTL: time.Minute},
		{Value: []byte{}, Revision: 1 << 62, Tags: []string{"a", ""}, Validator: "v", Age: time.Second, TTL: -time.Second, StaleFor: time.Hour, EarlyRefresh: 1.5},
		{Value: bytes.Repeat([]byte("x"), inlineBytes+1)},
		{Value: []byte("head"), Body: bodyOf("a body"), BodySize: 6},
		{Body: bodyOf(""), BodySize: 0},
	}
	var stream bytes.Buffer
	w := bufio.NewWriter(&stream)
	for _, r := range records {
		if sent, err := writeGift(w, "test\x00key", &r); !sent || err != nil {
			t.Fatalf("writeGift = %v, %v", sent, err)
		}
		if body, is := r.Body.(*whole); is && !body.closed {
			t.Error("its body is not closed")
		}
	}
	w.Flush()
	r := bufio.NewReader(&stream)
	bodies := []string{"", "", "", "a body", ""}
	for i, want := range records {
		key, got, err := readGift(r)
		if err != nil || key != "test\x00key" {
			t.Fatalf("gift %d: %q, %v", i, key, err)
		}
		if (got.Body != nil) != (want.Body != nil) {
			t.Fatalf("gift %d: body %v, want %v", i, got.Body, want.Body)
		}
		if got.Body != nil {
			body, _ := io.ReadAll(got.Body)
			if string(body) != bodies[i] || got.BodySize != int64(len(bodies[i])) {
				t.Errorf("gift %d: body %q of %d, want %q", i, body, got.BodySize, bodies[i])
			}
		}
		want.Body, want.BodySize, want.Outcome, got.Body, got.BodySize = nil, 0, corral.Keep, nil, 0
		if len(want.Value) == 0 {
			want.Value, got.Value = nil, nil
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("gift %d: %+v, want %+v", i, *got, want)
		}
	}
	if _, _, err := readGift(r); err != io.EOF {
		t.Errorf("after the last: %v, want %v", err, io.EOF)
	}
}

func TestWhatIsNotHandedOverIsLeftOut(t *testing.T) {
	arriving := bodyOf("half")
	arriving.whole = false
	for name, record := range map[string]*corral.Record{
		"a body that still arrives":  {Body: arriving},
		"a body that says no length": {Body: io.NopCloser(strings.NewReader("x"))},
		"a value that is too large":  {Value: make([]byte, maxGiftBytes+1)},
		"a body that is too large":   {Value: []byte("x"), Body: &whole{size: maxGiftBytes, whole: true}},
		"too many tags":              {Tags: make([]string, maxGiftTags+1)},
		"tags that are too long":     {Tags: []string{strings.Repeat("t", maxHeadBytes)}},
	} {
		var stream bytes.Buffer
		w := bufio.NewWriter(&stream)
		sent, err := writeGift(w, "key", record)
		w.Flush()
		if sent || err != nil || stream.Len() > 0 {
			t.Errorf("%s: %v, %v, %d bytes", name, sent, err, stream.Len())
		}
	}
}

func TestAGiftThatBreaksTheFormatIsRefused(t *testing.T) {
	var stream bytes.Buffer
	w := bufio.NewWriter(&stream)
	writeGift(w, "key", &corral.Record{Value: []byte("value"), Tags: []string{"tag"}, Body: bodyOf("body")})
	w.Flush()
	good := stream.Bytes()
	for n := 1; n < len(good); n++ {
		if _, _, err := readGift(bufio.NewReader(bytes.NewReader(good[:n]))); err != io.ErrUnexpectedEOF {
			t.Errorf("cut after %d of %d bytes: %v, want %v", n, len(good), err, io.ErrUnexpectedEOF)
		}
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x7f}
	for name, bad := range map[string][]byte{
		"a key without end":      huge,
		"tags without end":       append([]byte{1, 'k', 1}, huge...),
		"a tag without end":      append([]byte{1, 'k', 1, 1}, huge...),
		"a parcel without end":   append([]byte{1, 'k', 1, 0}, huge...),
		"a body without end":     append([]byte{1, 'k', 1, 0, 0}, huge...),
		"a value that lies away": {1, 'k', 1, 0, 5, byte(fieldNode<<3 | 2), 1, 'a', byte(fieldID << 3), 1, 0},
	} {
		if _, _, err := readGift(bufio.NewReader(bytes.NewReader(bad))); !errors.Is(err, errGift) {
			t.Errorf("%s: %v, want %v", name, err, errGift)
		}
	}
}

func FuzzReadGift(f *testing.F) {
	var stream bytes.Buffer
	w := bufio.NewWriter(&stream)
	writeGift(w, "test\x00key", &corral.Record{Value: []byte("value"), Tags: []string{"tag"}, TTL: time.Minute, Body: bodyOf("body")})
	writeGift(w, "test\x00key", &corral.Record{Value: []byte("value")})
	w.Flush()
	f.Add(stream.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		for {
			key, record, err := readGift(r)
			if err != nil {
				return
			}
			var again bytes.Buffer
			w := bufio.NewWriter(&again)
			copied := *record
			if record.Body != nil {
				body, _ := io.ReadAll(record.Body)
				copied.Body = bodyOf(string(body))
				record.Body = nil
			}
			if sent, err := writeGift(w, key, &copied); err != nil || !sent && len(copied.Value) < maxGiftBytes/2 && pack(&copied).headBytes() <= maxHeadBytes {
				t.Fatalf("what was read is not written: %v, %v", sent, err)
			}
		}
	})
}
