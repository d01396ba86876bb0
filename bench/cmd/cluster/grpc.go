package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var plainText = grpc.WithTransportCredentials(insecure.NewCredentials())

// Full names of the methods.
const (
	getMethod  = "/bench.Echo/Get"
	talkMethod = "/bench.Echo/Talk"
)

// echoService has a kilobyte for every key: Get answers one call, Talk a stream
// of them, in batches of what has come.
var echoService = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Get", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		if err := decode(new(wrapperspb.StringValue)); err != nil {
			return nil, err
		}
		return &wrapperspb.BytesValue{Value: echoed}, nil
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Talk", ServerStreams: true, ClientStreams: true, Handler: talk}},
}

var echoed = make([]byte, valueBytes)

// askUnary is one call for each get.
func askUnary(conn *grpc.ClientConn) asker {
	return func(ctx context.Context, key string) error {
		var value wrapperspb.BytesValue
		if err := conn.Invoke(ctx, getMethod, wrapperspb.String(key), &value); err != nil {
			return err
		}
		return sized(key, len(value.GetValue()))
	}
}

// An entry of a batch is a number, a length and that many bytes.
func appendEntry(b []byte, number uint64, data []byte) []byte {
	b = binary.AppendUvarint(b, number)
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}

func entries(b []byte, each func(number uint64, data []byte)) error {
	for len(b) > 0 {
		number, n := binary.Uvarint(b)
		if n <= 0 {
			return errors.New("a batch breaks off")
		}
		size, m := binary.Uvarint(b[n:])
		if m <= 0 || uint64(len(b)-n-m) < size {
			return errors.New("a batch breaks off")
		}
		b = b[n+m:]
		each(number, b[:size])
		b = b[size:]
	}
	return nil
}

// talk answers batches.
func talk(_ any, s grpc.ServerStream) error {
	for {
		var asked wrapperspb.BytesValue
		if err := s.RecvMsg(&asked); err != nil {
			return err
		}
		var answer []byte
		err := entries(asked.GetValue(), func(number uint64, _ []byte) { answer = appendEntry(answer, number, echoed) })
		if err != nil {
			return err
		}
		if err := s.SendMsg(wrapperspb.Bytes(answer)); err != nil {
			return err
		}
	}
}

// A shared stream carries the calls of all callers: what they ask while a batch
// is sent goes into the next one.
type shared struct {
	stream grpc.ClientStream
	wake   chan struct{} // of capacity 1

	mu      sync.Mutex
	last    uint64
	batch   []byte
	waiting map[uint64]chan int // sizes
	err     error
}

func openStream(conn *grpc.ClientConn) (*shared, error) {
	stream, err := conn.NewStream(context.Background(), &echoService.Streams[0], talkMethod)
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	s := &shared{stream: stream, wake: make(chan struct{}, 1), waiting: map[uint64]chan int{}}
	go s.write()
	go s.read()
	return s, nil
}

func (s *shared) ask(_ context.Context, key string) error {
	size := make(chan int, 1)
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return s.err
	}
	s.last++
	s.waiting[s.last] = size
	s.batch = appendEntry(s.batch, s.last, []byte(key))
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return sized(key, <-size)
}

func (s *shared) write() {
	for range s.wake {
		s.mu.Lock()
		batch := s.batch
		s.batch = nil
		s.mu.Unlock()
		if len(batch) == 0 {
			continue
		}
		if err := s.stream.SendMsg(wrapperspb.Bytes(batch)); err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *shared) read() {
	for {
		var answer wrapperspb.BytesValue
		err := s.stream.RecvMsg(&answer)
		if err == nil {
			s.mu.Lock()
			err = entries(answer.GetValue(), func(number uint64, data []byte) {
				s.waiting[number] <- len(data)
				delete(s.waiting, number)
			})
			s.mu.Unlock()
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}

// fail lets all who wait find out.
func (s *shared) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	for number, size := range s.waiting {
		size <- 0
		delete(s.waiting, number)
	}
}
