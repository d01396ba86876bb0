package peer

import (
	"encoding"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// The numbers of the fields of peerpb.Frames.
const (
	framesSequence protowire.Number = iota + 1
	framesReceived
	framesHello
	framesFrame
)

// The numbers of the messages in peerpb.Frame.
const (
	frameJoin protowire.Number = iota + 1
	frameLeave
	frameReply
	frameParked
	frameTook
	frameOutcome
	frameTaken
	frameExtend
	frameExtended
	frameIdle
	frameUnwanted
	frameRecover
	frameRejoin
	frameEnd
	frameApplied
	frameHasApplied
	frameProbe
	frameCycle
)

// appendFrame appends a message as an element of peerpb.Frames.frames. It is
// written by hand, as parse.go is, because the generated code needs two more
// allocations for each message and a copy of each payload; a test holds both to
// the generated code. A Value's Payload is nil, a []byte, or an
// encoding.BinaryAppender; anything else, and an appender that fails, is the
// error.
func appendFrame(b []byte, message core.Message) ([]byte, error) {
	b, frame := openMessage(b, framesFrame)
	b, err := appendMessage(b, message)
	if err != nil {
		return nil, err
	}
	return closeMessage(b, frame), nil
}

func appendMessage(b []byte, message core.Message) (_ []byte, err error) {
	var start int
	switch m := message.(type) {
	case core.Join:
		b, start = openMessage(b, frameJoin)
		b = appendJoin(b, &m)
	case core.Leave:
		b, start = openMessage(b, frameLeave)
		b = appendUint(b, 1, m.Ask)
	case core.Reply:
		b, start = openMessage(b, frameReply)
		b, err = appendReply(b, &m)
	case core.Parked:
		b, start = openMessage(b, frameParked)
		b = appendUint(b, 1, m.Ask)
		b = appendFlight(b, 2, m.Flight)
		b = appendNode(b, 3, m.Holder)
	case core.Took:
		b, start = openMessage(b, frameTook)
		b = appendUint(b, 1, m.Ask)
		b = appendFlight(b, 2, m.Flight)
	case core.Outcome:
		b, start = openMessage(b, frameOutcome)
		b, err = appendOutcome(b, &m)
	case core.Taken:
		b, start = openMessage(b, frameTaken)
		b = appendFlight(b, 1, m.Flight)
		b = appendBool(b, 2, m.Void)
	case core.Extend:
		b, start = openMessage(b, frameExtend)
		b = appendUint(b, 1, m.Round)
		b = appendFlights(b, 2, m.Flights)
	case core.Extended:
		b, start = openMessage(b, frameExtended)
		b = appendUint(b, 1, m.Round)
		b = appendFlights(b, 2, m.Kept)
		b = appendFlights(b, 3, m.Void)
	case core.Idle:
		b, start = openMessage(b, frameIdle)
		b = appendFlight(b, 1, m.Flight)
	case core.Unwanted:
		b, start = openMessage(b, frameUnwanted)
		b = appendFlight(b, 1, m.Flight)
	case core.Recover:
		b, start = openMessage(b, frameRecover)
		b = appendRecover(b, &m)
	case core.Rejoin:
		b, start = openMessage(b, frameRejoin)
		b, err = appendRejoin(b, &m)
	case core.End:
		b, start = openMessage(b, frameEnd)
		b = appendUint(b, 1, m.Round)
	case core.Applied:
		b, start = openMessage(b, frameApplied)
		b = appendUint(b, 1, m.Revision)
	case core.HasApplied:
		b, start = openMessage(b, frameHasApplied)
		b = appendUint(b, 1, m.Revision)
	case core.Probe:
		b, start = openMessage(b, frameProbe)
		b = appendProbe(b, &m)
	case core.Cycle:
		b, start = openMessage(b, frameCycle)
		b = appendUint(b, 1, m.Ask)
	default:
		return nil, fmt.Errorf("peer: send %T: the protocol has no such message", message)
	}
	if err != nil {
		return nil, fmt.Errorf("peer: send %T: %w", message, err)
	}
	return closeMessage(b, start), nil
}

func appendJoin(b []byte, m *core.Join) []byte {
	b = appendUint(b, 1, m.Ask)
	b = appendText(b, 2, m.Key)
	b = appendUint(b, 3, m.Gen)
	b = appendUint(b, 4, m.Since)
	b = appendDuration(b, 5, m.Wait)
	b = appendFlight(b, 6, m.On)
	b = appendNode(b, 7, m.Holder)
	b = appendBool(b, 8, m.Fresh)
	b = appendBool(b, 9, m.NoStale)
	b = appendBool(b, 10, m.Refresh)
	b = appendBool(b, 11, m.Lapsed)
	return appendBool(b, 12, m.Set)
}

func appendReply(b []byte, m *core.Reply) ([]byte, error) {
	b = appendUint(b, 1, m.Ask)
	b = appendUint(b, 2, uint64(m.Kind))
	b = appendUint(b, 3, m.Gen)
	b = appendFlight(b, 4, m.Flight)
	b = appendDuration(b, 5, m.Life)
	b, err := appendValue(b, 6, &m.Value)
	if err != nil {
		return nil, err
	}
	return appendFailure(b, 7, m.Failure), nil
}

func appendOutcome(b []byte, m *core.Outcome) ([]byte, error) {
	b = appendFlight(b, 1, m.Flight)
	b = appendText(b, 2, m.Key)
	b = appendUint(b, 3, uint64(m.Kind))
	b, err := appendValue(b, 4, &m.Value)
	if err != nil {
		return nil, err
	}
	return appendFailure(b, 5, m.Failure), nil
}

func appendRecover(b []byte, m *core.Recover) []byte {
	b = appendUint(b, 1, m.Round)
	for _, part := range m.Parts {
		var start int
		b, start = openMessage(b, 2)
		b = appendUint(b, 1, uint64(part.Part))
		b = appendUint(b, 2, part.Gen)
		b = closeMessage(b, start)
	}
	return b
}

func appendRejoin(b []byte, m *core.Rejoin) ([]byte, error) {
	b = appendFlight(b, 1, m.Flight)
	b = appendText(b, 2, m.Key)
	b = appendUint(b, 3, m.Since)
	b = appendDuration(b, 4, m.Life)
	b = appendBool(b, 5, m.Idle)
	if m.Outcome == nil {
		return appendBool(b, 7, m.Set), nil
	}
	b, start := openMessage(b, 6)
	b, err := appendOutcome(b, m.Outcome)
	if err != nil {
		return nil, err
	}
	return appendBool(closeMessage(b, start), 7, m.Set), nil
}

func appendProbe(b []byte, m *core.Probe) []byte {
	b = appendFlight(b, 1, m.For)
	b = appendNode(b, 2, m.From)
	b = appendUint(b, 3, m.Ask)
	b = appendFlight(b, 4, m.At)
	return appendUint(b, 5, uint64(m.Hops))
}

func appendFlights(b []byte, number protowire.Number, flights []core.Flight) []byte {
	for _, flight := range flights {
		var start int
		b, start = openMessage(b, number)
		b = closeMessage(appendFlightFields(b, flight), start)
	}
	return b
}

func appendFlight(b []byte, number protowire.Number, flight core.Flight) []byte {
	if flight == (core.Flight{}) {
		return b
	}
	b, start := openMessage(b, number)
	return closeMessage(appendFlightFields(b, flight), start)
}

func appendFlightFields(b []byte, flight core.Flight) []byte {
	b = appendUint(b, 1, uint64(flight.Part))
	b = appendUint(b, 2, flight.Gen)
	return appendUint(b, 3, flight.Seq)
}

func appendNode(b []byte, number protowire.Number, node core.Node) []byte {
	if node == (core.Node{}) {
		return b
	}
	b, start := openMessage(b, number)
	b = appendText(b, 1, node.Name)
	b = appendUint(b, 2, node.Incarnation)
	return closeMessage(b, start)
}

func appendFailure(b []byte, number protowire.Number, failure core.Failure) []byte {
	if failure == (core.Failure{}) {
		return b
	}
	b, start := openMessage(b, number)
	b = appendUint(b, 1, uint64(failure.Code))
	b = appendText(b, 2, failure.Text)
	b = appendDuration(b, 3, failure.RetryAfter)
	return closeMessage(b, start)
}

func appendValue(b []byte, number protowire.Number, value *core.Value) ([]byte, error) {
	if value.Revision == 0 && len(value.Tags) == 0 && !value.Keep && !value.Stale && value.Payload == nil {
		return b, nil
	}
	b, start := openMessage(b, number)
	b = appendUint(b, 1, value.Revision)
	for _, tag := range value.Tags {
		b = protowire.AppendTag(b, 2, protowire.BytesType)
		b = protowire.AppendString(b, tag)
	}
	b = appendBool(b, 3, value.Keep)
	b = appendBool(b, 4, value.Stale)
	b, err := appendPayload(b, 5, value.Payload)
	if err != nil {
		return nil, err
	}
	return closeMessage(b, start), nil
}

func appendPayload(b []byte, number protowire.Number, payload any) ([]byte, error) {
	switch payload := payload.(type) {
	case nil:
		return b, nil
	case []byte:
		b = protowire.AppendTag(b, number, protowire.BytesType)
		return protowire.AppendBytes(b, payload), nil
	case encoding.BinaryAppender:
		b, start := openMessage(b, number)
		b, err := payload.AppendBinary(b)
		if err != nil {
			return nil, err
		}
		return closeMessage(b, start), nil
	default:
		return nil, fmt.Errorf("a payload of type %T: make it a []byte or an encoding.BinaryAppender", payload)
	}
}

// openMessage begins a field with a length, which closeMessage sets: most are
// shorter than 128 bytes, and then one byte is just the place that it needs.
func openMessage(b []byte, number protowire.Number) (_ []byte, start int) {
	b = append(protowire.AppendTag(b, number, protowire.BytesType), 0)
	return b, len(b)
}

func closeMessage(b []byte, start int) []byte {
	length := len(b) - start
	if length < 0x80 {
		b[start-1] = byte(length)
		return b
	}
	more := protowire.SizeVarint(uint64(length)) - 1
	for range more {
		b = append(b, 0)
	}
	copy(b[start+more:], b[start:start+length])
	protowire.AppendVarint(b[:start-1], uint64(length))
	return b
}

// As in proto3, a field that has the zero value is not there.

func appendUint(b []byte, number protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}

func appendDuration(b []byte, number protowire.Number, d time.Duration) []byte {
	return appendUint(b, number, uint64(d))
}

func appendBool(b []byte, number protowire.Number, v bool) []byte {
	return appendUint(b, number, protowire.EncodeBool(v))
}

func appendText(b []byte, number protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}
