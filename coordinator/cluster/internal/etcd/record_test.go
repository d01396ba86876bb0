package etcd

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	corral "github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
)

func aCluster() Cluster {
	return Cluster{UUID: "5f0c", Partitions: 1024, HashKey: [16]byte{1, 15: 255}, Version: 3}
}

func aNode() Node {
	return Node{Version: 3, NodeRecord: core.NodeRecord{
		Node: core.Node{Name: "a", Incarnation: 1<<64 - 1}, State: core.Draining, Weight: 100,
		Address: "[::1]:7070", Zone: "z", Nonce: 1<<64 - 2, Dir: "d", Clock: 1<<63 - 1,
	}}
}

func aTable(partitions int) *core.Table {
	t := &core.Table{Epoch: 7, Nodes: []core.Node{{Name: "a", Incarnation: 1}, {Name: "b", Incarnation: 2}}}
	for p := range partitions {
		t.Owner, t.Gen = append(t.Owner, uint16(p%3)), append(t.Gen, uint64(p))
	}
	return t
}

func aBatch() []Invalidation {
	return []Invalidation{
		{"c", corral.Target{Keys: []string{"k", "\x00\xff", ""}, Tags: []string{"t"}, Soft: true}},
		{"\xfe", corral.Target{Prefixes: []string{""}, All: true}},
	}
}

// same fails unless decoding what encode gave is what there was.
func same[T any](t *testing.T, there T, encoded []byte, err error, decode func([]byte) (T, error)) {
	t.Helper()
	if err != nil {
		t.Fatalf("encode %+v: %v", there, err)
	}
	if got, err := decode(encoded); err != nil || !reflect.DeepEqual(got, there) {
		t.Fatalf("decode %s: got %+v, %v, want %+v", encoded, got, err, there)
	}
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	c, n := aCluster(), aNode()
	data, err := c.Encode()
	same(t, c, data, err, DecodeCluster)
	data, err = n.Encode()
	same(t, n, data, err, DecodeNode)
	data, err = EncodeTable(aTable(1024))
	same(t, aTable(1024), data, err, DecodeTable)
	if len(data) > 8<<10 {
		t.Errorf("a table of 1024 partitions has %d bytes, want at most 8 KiB", len(data))
	}
	data, err = EncodeInvalidations(aBatch())
	same(t, aBatch(), data, err, DecodeInvalidations)
}

func TestWhatIsWrittenStaysReadable(t *testing.T) {
	for _, test := range []struct {
		want   any
		decode func([]byte) (any, error)
		data   string
	}{
		{aCluster(), func(b []byte) (any, error) { return DecodeCluster(b) },
			`{"format":1,"uuid":"5f0c","partitions":1024,"hashKey":"AQAAAAAAAAAAAAAAAAAA/w==","version":3}`},
		{aNode(), func(b []byte) (any, error) { return DecodeNode(b) },
			`{"format":1,"name":"a","incarnation":18446744073709551615,"state":1,"weight":100,"address":"[::1]:7070","zone":"z","nonce":18446744073709551614,"dir":"d","clock":9223372036854775807,"version":3,"later":1}`},
		{aTable(4), func(b []byte) (any, error) { return DecodeTable(b) },
			`{"format":1,"epoch":7,"nodes":[{"name":"a","incarnation":1},{"name":"b","incarnation":2}],"owner":[0,1,2,0],"gen":[0,1,2,3]}`},
		{aBatch(), func(b []byte) (any, error) { return DecodeInvalidations(b) },
			`{"format":1,"targets":[{"cache":"Yw==","keys":["aw==","AP8=",""],"tags":["dA=="],"soft":true},{"cache":"/g==","prefixes":[""],"all":true}]}`},
	} {
		if got, err := test.decode([]byte(test.data)); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("decode %s: got %+v, %v, want %+v", test.data, got, err, test.want)
		}
	}
}

func TestARecordThatCannotBeTrustedIsRefused(t *testing.T) {
	for what, test := range map[string]struct{ data, says string }{
		"cluster: another format":     {`{"format":2,"uuid":"u","partitions":1}`, "format 2"},
		"cluster: no format":          {`{}`, "format 0"},
		"cluster: not JSON":           {`x`, "invalid character"},
		"cluster: no partitions":      {`{"format":1,"uuid":"u","hashKey":"AQAAAAAAAAAAAAAAAAAA/w=="}`, "0 partitions"},
		"cluster: a short hash key":   {`{"format":1,"uuid":"u","partitions":1,"hashKey":"AQ=="}`, "1 bytes, and needs 16"},
		"cluster: a long hash key":    {`{"format":1,"uuid":"u","partitions":1,"hashKey":"AQAAAAAAAAAAAAAAAAAA//8="}`, "17 bytes, and needs 16"},
		"cluster: no UUID":            {`{"format":1,"partitions":1,"hashKey":"AQAAAAAAAAAAAAAAAAAA/w=="}`, "UUID is empty"},
		"node: no name":               {`{"format":1}`, "name is empty"},
		"node: a fourth state":        {`{"format":1,"name":"a","state":3}`, "state 3"},
		"node: a negative weight":     {`{"format":1,"name":"a","weight":-1}`, "weight -1"},
		"node: a long address":        {`{"format":1,"name":"a","address":"` + strings.Repeat("a", 129) + `"}`, "129 bytes"},
		"node: a line break":          {`{"format":1,"name":"a\n"}`, "not plain text"},
		"table: nothing in it":        {`{"format":1}`, "owners for 0 partitions"},
		"table: a generation too few": {`{"format":1,"owner":[0,0],"gen":[1]}`, "generations for 1"},
		"table: an owner not named":   {`{"format":1,"nodes":[{"name":"a"}],"owner":[2],"gen":[1]}`, "partition 0 has owner 2"},
		"table: a node without name":  {`{"format":1,"nodes":[{}],"owner":[0],"gen":[1]}`, "name of a node is empty"},
		"inv: one too many":           {`{"format":1,"targets":[` + strings.Repeat("{},", MaxInvalidations) + `{}]}`, "batch of 1001"},
	} {
		kind, _, _ := strings.Cut(what, ":")
		_, err := decoders[kind]([]byte(test.data))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want ErrFormat with %q", what, err, test.says)
		}
	}
}

func TestARecordThatNobodyCouldReadIsNotWritten(t *testing.T) {
	long := strings.Repeat("a", MaxNameBytes+1)
	broken := aTable(1)
	broken.Owner[0] = 3
	c, n := aCluster(), aNode()
	c.Partitions, n.Name = MaxPartitions+1, long
	_, clusterErr := c.Encode()
	_, nodeErr := n.Encode()
	_, tableErr := EncodeTable(broken)
	_, batchErr := EncodeInvalidations(make([]Invalidation, MaxInvalidations+1))
	_, sizeErr := EncodeInvalidations([]Invalidation{{"c", corral.Target{Keys: []string{strings.Repeat("k", MaxTxnBytes)}}}})
	for what, err := range map[string]error{"cluster": clusterErr, "node": nodeErr, "table": tableErr, "batch": batchErr, "size": sizeErr} {
		if err == nil {
			t.Errorf("%s: want an error", what)
		}
	}
}

// decoders decode, and encode again what they decoded.
var decoders = map[string]func([]byte) ([]byte, error){
	"cluster": func(data []byte) ([]byte, error) {
		r, err := DecodeCluster(data)
		if err != nil {
			return nil, err
		}
		return r.Encode()
	},
	"node": func(data []byte) ([]byte, error) {
		r, err := DecodeNode(data)
		if err != nil {
			return nil, err
		}
		return r.Encode()
	},
	"table": func(data []byte) ([]byte, error) {
		r, err := DecodeTable(data)
		if err != nil {
			return nil, err
		}
		return EncodeTable(r)
	},
	"inv": func(data []byte) ([]byte, error) {
		r, err := DecodeInvalidations(data)
		if err != nil {
			return nil, err
		}
		return EncodeInvalidations(r)
	},
}

func FuzzWhatIsReadCanBeWrittenAndReadAgain(f *testing.F) {
	c, n := aCluster(), aNode()
	cluster, _ := c.Encode()
	node, _ := n.Encode()
	table, _ := EncodeTable(aTable(5))
	batch, _ := EncodeInvalidations(aBatch())
	for _, seed := range [][]byte{cluster, node, table, batch} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for kind, again := range decoders {
			first, err := again(data)
			if errors.Is(err, ErrFormat) {
				continue
			}
			if err != nil {
				t.Fatalf("%s: read %q, and could not write it: %v", kind, data, err)
			}
			if second, err := again(first); err != nil || !bytes.Equal(first, second) {
				t.Fatalf("%s: wrote %q, and then %q, %v", kind, first, second, err)
			}
		}
	})
}
