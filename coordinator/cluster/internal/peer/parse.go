package peer

import (
	"cmp"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// A batch is a peerpb.Frames.
type batch struct {
	sequence uint64
	received uint64
	hello    []byte // a peerpb.Hello, encoded; nil: none
	messages []core.Message
}

// parse reads a peerpb.Frames into b, whose messages keep nothing of data. It
// does not look at what the messages say. Fields that it does not know are
// skipped; a message that it does not know is an error, because peers agree on a
// version before they send any.
func (b *batch) parse(data []byte) error {
	*b = batch{messages: b.messages[:0]}
	f := fields{data: data}
	for f.next() {
		switch f.number {
		case framesSequence:
			b.sequence = f.uint()
		case framesReceived:
			b.received = f.uint()
		case framesHello:
			b.hello = append([]byte{}, f.bytes()...)
		case framesFrame:
			message, err := parseFrame(f.bytes())
			if err != nil {
				return cmp.Or(f.err, err)
			}
			b.messages = append(b.messages, message)
		default:
			f.skip()
		}
	}
	return f.err
}

// forget lets go of the messages, so that what is kept of them is the receiver's
// choice.
func (b *batch) forget() {
	clear(b.messages)
	b.messages = b.messages[:0]
}

var errEmptyFrame = errors.New("a frame without a message")

func parseFrame(data []byte) (message core.Message, err error) {
	f := fields{data: data}
	for f.next() {
		number := f.number
		content := f.bytes()
		if f.err != nil {
			break
		}
		message, err = parseMessage(number, content)
		if err != nil {
			return nil, err
		}
	}
	switch {
	case f.err != nil:
		return nil, f.err
	case message == nil:
		return nil, errEmptyFrame
	}
	return message, nil
}

func parseMessage(number protowire.Number, data []byte) (core.Message, error) {
	f := fields{data: data}
	var message core.Message
	switch number {
	case frameJoin:
		message = parseJoin(&f)
	case frameLeave:
		message = core.Leave{Ask: parseOneUint(&f)}
	case frameReply:
		message = parseReply(&f)
	case frameParked:
		message = parseParked(&f)
	case frameTook:
		message = parseTook(&f)
	case frameOutcome:
		message = parseOutcome(&f)
	case frameTaken:
		message = parseTaken(&f)
	case frameExtend:
		message = parseExtend(&f)
	case frameExtended:
		message = parseExtended(&f)
	case frameIdle:
		message = core.Idle{Flight: parseOneFlight(&f)}
	case frameUnwanted:
		message = core.Unwanted{Flight: parseOneFlight(&f)}
	case frameRecover:
		message = parseRecover(&f)
	case frameRejoin:
		message = parseRejoin(&f)
	case frameEnd:
		message = core.End{Round: parseOneUint(&f)}
	case frameApplied:
		message = core.Applied{Revision: parseOneUint(&f)}
	case frameHasApplied:
		message = core.HasApplied{Revision: parseOneUint(&f)}
	case frameProbe:
		message = parseProbe(&f)
	case frameCycle:
		message = core.Cycle{Ask: parseOneUint(&f)}
	default:
		return nil, fmt.Errorf("a message of kind %d, which version %d does not have", number, Version)
	}
	return message, f.err
}

func parseJoin(f *fields) (m core.Join) {
	for f.next() {
		switch f.number {
		case 1:
			m.Ask = f.uint()
		case 2:
			m.Key = f.text()
		case 3:
			m.Gen = f.uint()
		case 4:
			m.Since = f.uint()
		case 5:
			m.Wait = f.duration()
		case 6:
			m.On = f.flight()
		case 7:
			m.Holder = f.node()
		case 8:
			m.Fresh = f.bool()
		case 9:
			m.NoStale = f.bool()
		case 10:
			m.Refresh = f.bool()
		case 11:
			m.Lapsed = f.bool()
		case 12:
			m.Set = f.bool()
		default:
			f.skip()
		}
	}
	return m
}

func parseReply(f *fields) (m core.Reply) {
	for f.next() {
		switch f.number {
		case 1:
			m.Ask = f.uint()
		case 2:
			m.Kind = f.kind()
		case 3:
			m.Gen = f.uint()
		case 4:
			m.Flight = f.flight()
		case 5:
			m.Life = f.duration()
		case 6:
			m.Value = f.value()
		case 7:
			m.Failure = f.failure()
		default:
			f.skip()
		}
	}
	return m
}

func parseParked(f *fields) (m core.Parked) {
	for f.next() {
		switch f.number {
		case 1:
			m.Ask = f.uint()
		case 2:
			m.Flight = f.flight()
		case 3:
			m.Holder = f.node()
		default:
			f.skip()
		}
	}
	return m
}

func parseTook(f *fields) (m core.Took) {
	for f.next() {
		switch f.number {
		case 1:
			m.Ask = f.uint()
		case 2:
			m.Flight = f.flight()
		default:
			f.skip()
		}
	}
	return m
}

func parseOutcome(f *fields) (m core.Outcome) {
	for f.next() {
		switch f.number {
		case 1:
			m.Flight = f.flight()
		case 2:
			m.Key = f.text()
		case 3:
			m.Kind = f.kind()
		case 4:
			m.Value = f.value()
		case 5:
			m.Failure = f.failure()
		default:
			f.skip()
		}
	}
	return m
}

func parseTaken(f *fields) (m core.Taken) {
	for f.next() {
		switch f.number {
		case 1:
			m.Flight = f.flight()
		case 2:
			m.Void = f.bool()
		default:
			f.skip()
		}
	}
	return m
}

func parseExtend(f *fields) (m core.Extend) {
	for f.next() {
		switch f.number {
		case 1:
			m.Round = f.uint()
		case 2:
			m.Flights = append(m.Flights, f.flight())
		default:
			f.skip()
		}
	}
	return m
}

func parseExtended(f *fields) (m core.Extended) {
	for f.next() {
		switch f.number {
		case 1:
			m.Round = f.uint()
		case 2:
			m.Kept = append(m.Kept, f.flight())
		case 3:
			m.Void = append(m.Void, f.flight())
		default:
			f.skip()
		}
	}
	return m
}

func parseRecover(f *fields) (m core.Recover) {
	for f.next() {
		switch f.number {
		case 1:
			m.Round = f.uint()
		case 2:
			m.Parts = append(m.Parts, f.partGen())
		default:
			f.skip()
		}
	}
	return m
}

func parseRejoin(f *fields) (m core.Rejoin) {
	for f.next() {
		switch f.number {
		case 1:
			m.Flight = f.flight()
		case 2:
			m.Key = f.text()
		case 3:
			m.Since = f.uint()
		case 4:
			m.Life = f.duration()
		case 5:
			m.Idle = f.bool()
		case 6:
			inner := f.message()
			outcome := parseOutcome(&inner)
			m.Outcome = &outcome
			f.adopt(&inner)
		case 7:
			m.Set = f.bool()
		default:
			f.skip()
		}
	}
	return m
}

func parseProbe(f *fields) (m core.Probe) {
	for f.next() {
		switch f.number {
		case 1:
			m.For = f.flight()
		case 2:
			m.From = f.node()
		case 3:
			m.Ask = f.uint()
		case 4:
			m.At = f.flight()
		case 5:
			m.Hops = f.uint32()
		default:
			f.skip()
		}
	}
	return m
}

// parseOneUint reads a message whose one field is a number.
func parseOneUint(f *fields) (v uint64) {
	for f.next() {
		if f.number != 1 {
			f.skip()
			continue
		}
		v = f.uint()
	}
	return v
}

// parseOneFlight reads a message whose one field is a flight.
func parseOneFlight(f *fields) (flight core.Flight) {
	for f.next() {
		if f.number != 1 {
			f.skip()
			continue
		}
		flight = f.flight()
	}
	return flight
}
