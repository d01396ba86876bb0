package peer

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec for all other messages
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// codec writes and reads batches and chunks without the generated code, as
// protobuf all the same.
type codec struct{}

// sealed is a batch with its numbers, ready to be sent.
type sealed struct{ frames *[]byte }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case sealed:
		return mem.BufferSlice{mem.NewBuffer(v.frames, buffers)}, nil
	case chunk:
		return v.marshal(), nil
	default:
		return encoding.GetCodecV2("proto").Marshal(v)
	}
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch v := v.(type) {
	case *batch:
		whole := data.MaterializeToBuffer(arrived)
		defer whole.Free()
		return v.parse(whole.ReadOnlyData())
	case *reader:
		return v.unmarshal(data)
	default:
		return encoding.GetCodecV2("proto").Unmarshal(data, v)
	}
}

func (codec) Name() string { return "proto" }

// seal appends the numbers of a batch to it.
func (o outgoing) seal(sequence, received uint64, hello []byte) sealed {
	b := *o.frames
	b = appendUint(b, framesSequence, sequence)
	b = appendUint(b, framesReceived, received)
	if hello != nil {
		b = protowire.AppendBytes(protowire.AppendTag(b, framesHello, protowire.BytesType), hello)
	}
	*o.frames = b
	return sealed{o.frames}
}

// A chunk is a part of a body that is sent.
type chunk struct{ data *[]byte }

func (c chunk) marshal() mem.BufferSlice {
	head := protowire.AppendVarint([]byte{1<<3 | byte(protowire.BytesType)}, uint64(len(*c.data)))
	return mem.BufferSlice{mem.SliceBuffer(head), mem.NewBuffer(c.data, chunks)}
}

// unmarshal takes the bytes of a chunk over. Nothing is left of the one before.
func (r *reader) unmarshal(data mem.BufferSlice) error {
	whole := data.MaterializeToBuffer(arrived)
	defer whole.Free()
	f := fields{data: whole.ReadOnlyData()}
	r.buffer = r.buffer[:0]
	for f.next() {
		if f.number != 1 {
			f.skip()
			continue
		}
		r.buffer = append(r.buffer, f.bytes()...)
	}
	r.rest = r.buffer
	if f.err != nil {
		return fmt.Errorf("a chunk: %w", f.err)
	}
	return nil
}

// What is encoded, and what is sent of bodies, is in a buffer until gRPC has
// written it. What came in several pieces is in one while it is parsed: gRPC's
// own pool clears its buffers each time.
var (
	arrived = &pool{smallest: 2 * batchBytes, largest: 2 * batchBytes}
	buffers = &pool{smallest: 4 << 10, largest: 2 * batchBytes}
	chunks  = &pool{smallest: chunkBytes, largest: chunkBytes}
)

// chunkBytes is the most that is read of a body at once.
const chunkBytes = 32 << 10

// A pool keeps buffers of at most the largest size; others are left to the
// garbage collector.
type pool struct {
	smallest, largest int
	buffers           sync.Pool
}

// Get returns a buffer of a length.
func (p *pool) Get(length int) *[]byte {
	b, _ := p.buffers.Get().(*[]byte)
	if b == nil || cap(*b) < length {
		fresh := make([]byte, length, max(length, p.smallest))
		return &fresh
	}
	*b = (*b)[:length]
	return b
}

// Put takes a buffer back.
func (p *pool) Put(b *[]byte) {
	if cap(*b) <= p.largest {
		p.buffers.Put(b)
	}
}
