package cluster

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
)

func parcels() []*parcel {
	return []*parcel{
		{},
		{record: corral.Record{Value: []byte("v\x00\xff"), Age: time.Second, TTL: -time.Hour, StaleFor: 2, StaleOnError: 3, StaleOnOutage: 4,
			EarlyRefresh: 1.5, Cost: 5, Validator: `"e"`}},
		{ref: ref{node: core.Node{Name: "a", Incarnation: 7}, id: 9, valueSize: maxValueBytes, bodySize: -1, hasBody: true}},
		{record: corral.Record{Value: []byte{}}, ref: ref{node: core.Node{Name: "a", Incarnation: 1}, id: 1, bodySize: 1 << 40, hasBody: true}},
	}
}

func TestAParcelArrivesAsItWasSent(t *testing.T) {
	for i, p := range parcels() {
		b, err := p.AppendBinary([]byte("before"))
		if err != nil || !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("parcel %d: AppendBinary: %q, %v", i, b, err)
		}
		got, err := decodeParcel(b[len("before"):])
		if err != nil {
			t.Fatalf("parcel %d: %v", i, err)
		}
		if len(p.record.Value) == 0 {
			p.record.Value, got.record.Value = nil, nil
		}
		if !reflect.DeepEqual(got, p) {
			t.Errorf("parcel %d: got  %+v\nwant %+v", i, got, p)
		}
	}
}

func TestWhatNoNodeSendsIsRefused(t *testing.T) {
	for name, p := range map[string]*parcel{
		"a value that is too large":         {ref: ref{node: core.Node{Name: "a"}, id: 1, valueSize: maxValueBytes + 1}},
		"a body of a negative size":         {ref: ref{node: core.Node{Name: "a"}, id: 1, bodySize: -2}},
		"a rest at nobody":                  {ref: ref{id: 1}},
		"a negative age":                    {record: corral.Record{Age: -1}},
		"a negative window":                 {record: corral.Record{StaleFor: -1}},
		"a negative window for errors":      {record: corral.Record{StaleOnError: -1}},
		"a negative window for outages":     {record: corral.Record{StaleOnOutage: -1}},
		"a negative cost":                   {record: corral.Record{Cost: -1}},
		"a negative draw for early refresh": {record: corral.Record{EarlyRefresh: -1}},
	} {
		b, _ := p.AppendBinary(nil)
		if got, err := decodeParcel(b); err == nil {
			t.Errorf("%s was taken: %+v", name, got)
		}
	}
}

func FuzzAParcelThatIsTakenIsSentAsItIs(f *testing.F) {
	for _, p := range parcels() {
		b, _ := p.AppendBinary(nil)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeParcel(b)
		if err != nil {
			return
		}
		again, _ := p.AppendBinary(nil)
		got, err := decodeParcel(again)
		if err != nil {
			t.Fatalf("%+v was taken, and refused when it was sent on: %v", p, err)
		}
		once, _ := got.AppendBinary(nil)
		if !bytes.Equal(once, again) {
			t.Fatalf("%x was sent on as %x and then as %x", b, again, once)
		}
	})
}
