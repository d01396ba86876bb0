package disk

import (
	"reflect"
	"testing"
)

func TestIndexEntriesAndHeadsComeBack(t *testing.T) {
	e := entry{position: 1 << 62, size: 300, body: 1 << 40, file: 1<<63 + 7, revision: 1<<63 + 5, tags: []uint16{0, 1, 65535}}
	if got, err := parseEntry(e.append(nil)); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("got %+v, %v; want %+v", got, err, e)
	}
	h := head{key: "k\x00", written: instant{[bootSize]byte{1, 15: 2}, 5, -6}, inline: []byte("body"), length: 1 << 40, file: 1<<63 + 7}
	data := append(h.append(nil, 9), "form"...)
	got, form, err := parseHead(data, 9)
	if err != nil || string(form) != "form" || !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v, %q, %v; want %+v", got, form, err, h)
	}
	if _, _, err := parseHead(data, 10); err == nil {
		t.Error("a head of another position was taken")
	}
	for bit := range (len(data) - len("form")) * 8 {
		data[bit/8] ^= 1 << (bit % 8)
		if got, _, err := parseHead(data, 9); err == nil {
			t.Fatalf("bit %d flipped: got %+v", bit, got)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
}

func FuzzParseEntry(f *testing.F) {
	e := entry{position: 5, size: 300, revision: 7, tags: []uint16{9}}
	f.Add(e.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEntry(data)
		if err != nil {
			return
		}
		if again, err := parseEntry(e.append(nil)); err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("got %+v, written again %+v, %v", e, again, err)
		}
	})
}

func FuzzParseHead(f *testing.F) {
	h := head{key: "k", inline: []byte("body")}
	f.Add(h.append(nil, 9), int64(9))
	f.Fuzz(func(t *testing.T, data []byte, position int64) {
		h, form, err := parseHead(data, position)
		if err != nil {
			return
		}
		again, rest, err := parseHead(append(h.append(nil, position), form...), position)
		if err != nil || again.key != h.key || string(again.inline) != string(h.inline) || string(rest) != string(form) {
			t.Fatalf("got %+v, written again %+v, %v", h, again, err)
		}
	})
}
