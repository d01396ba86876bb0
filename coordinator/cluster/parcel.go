package cluster

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/coordinator/cluster/core"
)

// inlineBytes is up to which size a value travels within the message about it.
// A larger one is fetched, as bodies are, over a connection of its own.
const inlineBytes = 64 << 10

// maxValueBytes bounds a value without a body that is taken from another node:
// it is held in memory as a whole, before anybody can say whether it is kept.
const maxValueBytes = 256 << 20

// What of a request or a record has to fit into one message between nodes, of
// 1 MiB at most: one that is larger is not sent, and nobody would hear of it.
const (
	maxKeyBytes   = 64 << 10
	maxHeadBytes  = 256 << 10 // tags and validator
	maxErrorBytes = 16 << 10
)

// A parcel is a record on its way: core.Value.Payload is one. The record's value
// is here, or at the node that ref names; its body is always there.
type parcel struct {
	record corral.Record // without Body
	ref    ref
	body   io.ReadCloser // here: announced when the parcel is sent; else nil
	taken  bool          // somebody has the body, and closes it
	kept   bool          // this node's cache has it
	sole   bool          // one answer's own: the record may be handed out as it is
}

// A ref says where the rest of a parcel is: first ValueSize bytes of value, if
// that is not in the parcel, then the body.
type ref struct {
	node      core.Node
	id        uint64 // 0: there is no rest
	valueSize int64  // 0: the value is in the parcel
	bodySize  int64  // -1: not known
	hasBody   bool
}

// Fields of an encoded parcel. Times are remaining durations, in nanoseconds.
const (
	fieldValue protowire.Number = iota + 1
	fieldAge
	fieldTTL
	fieldStaleFor
	fieldStaleOnError
	fieldStaleOnOutage
	fieldEarlyRefresh
	fieldCost
	fieldValidator
	fieldNode
	fieldIncarnation
	fieldID
	fieldValueSize
	fieldBodySize
	fieldHasBody
)

// AppendBinary appends the parcel as bytes: that is how it is sent. What has gone
// into core.Value is not repeated. There is no error.
func (p *parcel) AppendBinary(b []byte) ([]byte, error) {
	r := &p.record
	if p.ref.valueSize == 0 {
		b = protowire.AppendTag(b, fieldValue, protowire.BytesType)
		b = protowire.AppendBytes(b, r.Value)
	}
	for _, d := range [...]struct {
		field protowire.Number
		value time.Duration
	}{
		{fieldAge, r.Age}, {fieldTTL, r.TTL}, {fieldStaleFor, r.StaleFor}, {fieldStaleOnError, r.StaleOnError},
		{fieldStaleOnOutage, r.StaleOnOutage}, {fieldCost, r.Cost},
	} {
		b = appendNumber(b, d.field, protowire.EncodeZigZag(int64(d.value)))
	}
	b = appendNumber(b, fieldEarlyRefresh, math.Float64bits(r.EarlyRefresh))
	b = appendText(b, fieldValidator, r.Validator)
	if p.ref.id == 0 {
		return b, nil
	}
	b = appendText(b, fieldNode, p.ref.node.Name)
	b = appendNumber(b, fieldIncarnation, p.ref.node.Incarnation)
	b = appendNumber(b, fieldID, p.ref.id)
	b = appendNumber(b, fieldValueSize, uint64(p.ref.valueSize))
	b = appendNumber(b, fieldBodySize, protowire.EncodeZigZag(p.ref.bodySize))
	return appendNumber(b, fieldHasBody, protowire.EncodeBool(p.ref.hasBody)), nil
}

func appendNumber(b []byte, field protowire.Number, value uint64) []byte {
	if value == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), value)
}

func appendText(b []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), text)
}

// decodeParcel reads what AppendBinary has made. The value shares its bytes with b. An
// unknown field is one of a newer version, and skipped.
func decodeParcel(b []byte) (*parcel, error) {
	p := new(parcel)
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, fmt.Errorf("cluster: a record from another node: %w", protowire.ParseError(n))
		}
		b = b[n:]
		switch kind {
		case protowire.VarintType:
			var value uint64
			if value, n = protowire.ConsumeVarint(b); n >= 0 {
				p.setNumber(field, value)
			}
		case protowire.BytesType:
			var value []byte
			if value, n = protowire.ConsumeBytes(b); n >= 0 {
				p.setBytes(field, value)
			}
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return nil, fmt.Errorf("cluster: a record from another node: field %d: %w", field, protowire.ParseError(n))
		}
		b = b[n:]
	}
	return p, p.check()
}

func (p *parcel) setNumber(field protowire.Number, value uint64) {
	r, d := &p.record, time.Duration(protowire.DecodeZigZag(value))
	switch field {
	case fieldAge:
		r.Age = d
	case fieldTTL:
		r.TTL = d
	case fieldStaleFor:
		r.StaleFor = d
	case fieldStaleOnError:
		r.StaleOnError = d
	case fieldStaleOnOutage:
		r.StaleOnOutage = d
	case fieldCost:
		r.Cost = d
	case fieldEarlyRefresh:
		r.EarlyRefresh = math.Float64frombits(value)
	case fieldIncarnation:
		p.ref.node.Incarnation = value
	case fieldID:
		p.ref.id = value
	case fieldValueSize:
		p.ref.valueSize = int64(value)
	case fieldBodySize:
		p.ref.bodySize = int64(d)
	case fieldHasBody:
		p.ref.hasBody = value != 0
	}
}

func (p *parcel) setBytes(field protowire.Number, value []byte) {
	switch field {
	case fieldValue:
		p.record.Value = value
	case fieldValidator:
		p.record.Validator = string(value)
	case fieldNode:
		p.ref.node.Name = string(value)
	}
}

// check refuses what no node sends.
func (p *parcel) check() error {
	r := &p.record
	switch {
	case p.ref.valueSize < 0 || p.ref.valueSize > maxValueBytes:
		return fmt.Errorf("cluster: a record from another node has a value of %d bytes: at most %d are taken without a body", p.ref.valueSize, int64(maxValueBytes))
	case p.ref.bodySize < -1:
		return fmt.Errorf("cluster: a record from another node has a body of %d bytes", p.ref.bodySize)
	case p.ref.id == 0 && p.ref != (ref{}):
		return errors.New("cluster: a record from another node says something of a rest that it does not have")
	case p.ref.id != 0 && p.ref.node.Name == "":
		return errors.New("cluster: a record from another node does not say where the rest of it is")
	case math.IsNaN(r.EarlyRefresh) || r.EarlyRefresh < 0:
		return fmt.Errorf("cluster: a record from another node has EarlyRefresh %v", r.EarlyRefresh)
	case min(r.Age, r.StaleFor, r.StaleOnError, r.StaleOnOutage, r.Cost) < 0:
		return errors.New("cluster: a record from another node has a negative duration")
	}
	return nil
}

// value is what the core sees of a record.
func value(r *corral.Record, p *parcel) core.Value {
	return core.Value{Revision: r.Revision, Tags: r.Tags, Keep: r.Outcome == corral.Keep, Stale: r.TTL <= 0, Payload: p}
}

// pack makes a parcel of a record of this node.
func pack(r *corral.Record) *parcel {
	p := &parcel{record: *r, body: r.Body}
	p.record.Body = nil
	return p
}

// recordOf is the record of a core value, without its body.
func recordOf(v core.Value) (*corral.Record, *parcel) {
	p, _ := v.Payload.(*parcel)
	if p == nil {
		return nil, nil
	}
	r := &p.record
	if !p.sole {
		copied := p.record
		r = &copied
	}
	r.Revision, r.Tags, r.Outcome, r.BodySize = v.Revision, v.Tags, corral.Share, -1
	if v.Keep {
		r.Outcome = corral.Keep
	}
	return r, p
}

// hasBody reports whether the record has a body, here or elsewhere.
func (p *parcel) hasBody() bool { return p.body != nil || p.ref.hasBody }

// headBytes is what the parcel has beside its value and body.
func (p *parcel) headBytes() int {
	size := len(p.record.Validator)
	for _, tag := range p.record.Tags {
		size += len(tag) + 8
	}
	return size
}

// drop closes a body that nobody has taken.
func (p *parcel) drop() {
	if p.body != nil {
		p.body.Close()
	}
}
