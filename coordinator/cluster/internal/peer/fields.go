package peer

import (
	"errors"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// fields goes over the fields of an encoded message. Its first error ends it.
type fields struct {
	data   []byte
	err    error
	number protowire.Number
	wire   protowire.Type
}

var errWireType = errors.New("a field has another type than the protocol says")

// next goes to the next field, which must then be read or skipped.
func (f *fields) next() bool {
	if f.err != nil || len(f.data) == 0 {
		return false
	}
	number, wire, n := protowire.ConsumeTag(f.data)
	if !f.consumed(n) {
		return false
	}
	f.number, f.wire = number, wire
	return true
}

// consumed takes n bytes away; n is an error of protowire if negative.
func (f *fields) consumed(n int) bool {
	if n < 0 {
		f.fail(protowire.ParseError(n))
		return false
	}
	f.data = f.data[n:]
	return true
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// adopt makes the error of a message within this one its own.
func (f *fields) adopt(inner *fields) {
	if inner.err != nil {
		f.fail(inner.err)
	}
}

func (f *fields) skip() {
	f.consumed(protowire.ConsumeFieldValue(f.number, f.wire, f.data))
}

func (f *fields) uint() uint64 {
	if f.wire != protowire.VarintType {
		f.fail(errWireType)
		return 0
	}
	v, n := protowire.ConsumeVarint(f.data)
	f.consumed(n)
	return v
}

// limited is uint for a number that may not exceed limit.
func (f *fields) limited(limit uint64) uint64 {
	v := f.uint()
	if v > limit {
		f.fail(fmt.Errorf("field %d is %d, above %d", f.number, v, limit))
		return 0
	}
	return v
}

func (f *fields) uint32() uint32          { return uint32(f.limited(math.MaxUint32)) }
func (f *fields) kind() core.Kind         { return core.Kind(f.limited(math.MaxUint8)) }
func (f *fields) duration() time.Duration { return time.Duration(f.uint()) }
func (f *fields) bool() bool              { return protowire.DecodeBool(f.uint()) }

// bytes is a field's content, within data.
func (f *fields) bytes() []byte {
	if f.wire != protowire.BytesType {
		f.fail(errWireType)
		return nil
	}
	v, n := protowire.ConsumeBytes(f.data)
	f.consumed(n)
	return v
}

func (f *fields) text() string    { return string(f.bytes()) }
func (f *fields) message() fields { return fields{data: f.bytes()} }

func (f *fields) flight() (flight core.Flight) {
	inner := f.message()
	for inner.next() {
		switch inner.number {
		case 1:
			flight.Part = inner.uint32()
		case 2:
			flight.Gen = inner.uint()
		case 3:
			flight.Seq = inner.uint()
		default:
			inner.skip()
		}
	}
	f.adopt(&inner)
	return flight
}

func (f *fields) partGen() (part core.PartGen) {
	inner := f.message()
	for inner.next() {
		switch inner.number {
		case 1:
			part.Part = inner.uint32()
		case 2:
			part.Gen = inner.uint()
		default:
			inner.skip()
		}
	}
	f.adopt(&inner)
	return part
}

func (f *fields) node() (node core.Node) {
	inner := f.message()
	for inner.next() {
		switch inner.number {
		case 1:
			node.Name = inner.text()
		case 2:
			node.Incarnation = inner.uint()
		default:
			inner.skip()
		}
	}
	f.adopt(&inner)
	return node
}

func (f *fields) failure() (failure core.Failure) {
	inner := f.message()
	for inner.next() {
		switch inner.number {
		case 1:
			failure.Code = inner.uint32()
		case 2:
			failure.Text = inner.text()
		case 3:
			failure.RetryAfter = inner.duration()
		default:
			inner.skip()
		}
	}
	f.adopt(&inner)
	return failure
}

func (f *fields) value() (value core.Value) {
	inner := f.message()
	for inner.next() {
		switch inner.number {
		case 1:
			value.Revision = inner.uint()
		case 2:
			value.Tags = append(value.Tags, inner.text())
		case 3:
			value.Keep = inner.bool()
		case 4:
			value.Stale = inner.bool()
		case 5:
			value.Payload = inner.payload()
		default:
			inner.skip()
		}
	}
	f.adopt(&inner)
	return value
}

// payload is a []byte of its own, so that who keeps it keeps nothing else.
func (f *fields) payload() any {
	content := f.bytes()
	if f.err != nil {
		return nil
	}
	return append(make([]byte, 0, len(content)), content...)
}
