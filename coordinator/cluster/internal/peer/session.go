package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// Why a session ends.
var (
	errSilent   = errors.New("nothing was heard of it for too long")
	errStuck    = errors.New("it takes nothing of what is sent to it")
	errReplaced = errors.New("it began another session")
	errRenamed  = errors.New("its record says another address or incarnation, or is gone")
	errLeft     = errors.New("it ended the session")
	errLate     = errors.New("no Hello came in time")
	errClosed   = errors.New("this node closes")
)

// A session is one control stream, from its Hellos to its end.
//
// Invariants:
//
//	S1. The goroutine of run calls the handler, and holds peer.turn while it may:
//	    P1.
//	S2. Batches are numbered from 1 in each direction, and one that is not the
//	    next ends the session before the handler sees it: P2.
//	S3. peer.session is this session from before Opened until before Closed.
type session struct {
	number  uint64
	peer    *peer
	node    core.Node
	handler Handler
	stream  stream
	queue   *queue
	done    chan struct{} // closed when run has returned

	ctx context.Context
	end context.CancelCauseFunc

	sent     atomic.Uint64 // batches that were handed to the stream, by the writer alone
	heard    atomic.Uint64 // batches that came, by the reader alone
	received atomic.Uint64 // batches that the handler has taken, by the reader alone
	acked    atomic.Uint64 // batches that the peer says it has taken

	pulse pulse
}

// A stream is one end of a Control call.
type stream interface {
	SendMsg(any) error
	RecvMsg(any) error
}

// leaver is a stream whose end can say that nothing more comes.
type leaver interface{ CloseSend() error }

// send sends one batch.
func (s *session) send(o outgoing, hello []byte) error {
	return s.stream.SendMsg(o.seal(s.sent.Add(1), s.received.Load(), hello))
}

// receive waits for the next batch.
func (s *session) receive(b *batch) error {
	err := s.stream.RecvMsg(b)
	switch {
	case errors.Is(err, io.EOF):
		return errLeft
	case err != nil:
		return err
	case b.sequence != s.heard.Load()+1:
		return fmt.Errorf("batch %d came after batch %d", b.sequence, s.heard.Load())
	case b.received > s.sent.Load():
		return fmt.Errorf("it says that it has batch %d, but %d were sent", b.received, s.sent.Load())
	}
	s.heard.Store(b.sequence)
	s.acked.Store(b.received)
	return nil
}

// run is the session after its Hellos. It returns when the session has ended and
// the handler knows, or at once, with false, if it ended before its turn came.
func (s *session) run() (opened bool) {
	select {
	case s.peer.turn <- struct{}{}:
	case <-s.ctx.Done():
		return false
	}
	defer func() { <-s.peer.turn }()
	written := make(chan struct{})
	go func() { s.write(); close(written) }()
	s.peer.session.Store(s)
	s.handler.Opened(s.node, s.number)
	cause := s.why(s.read())
	s.peer.session.Store(nil)
	s.queue.close()
	<-written
	s.handler.Closed(s.node, s.number, cause)
	s.sayEnded(cause)
	return true
}

// sayEnded logs an end that nobody has asked for.
func (s *session) sayEnded(cause error) {
	switch cause {
	case errLeft, errClosed, errReplaced, errRenamed:
	default:
		s.peer.transport.quiet.say(slog.LevelWarn, "a session broke off", s.node.String(), reason(cause),
			"effect", "requests for keys of the other node wait until there is another session, or the node is declared dead",
			"remedy", "none if the node was stopped, or if it passes; else see whether it runs, is overloaded, and is reached at its cluster.listen")
	}
}

// why is the cause for which this node has ended the session, and err if it has
// not: of an end from here its stream says only that there was one.
func (s *session) why(err error) error {
	if cause := context.Cause(s.ctx); cause != nil && cause != context.Canceled {
		return cause
	}
	return err
}

// read hands the handler what comes until the session ends, and returns what it
// met then.
func (s *session) read() error {
	var b batch
	for {
		err := s.receive(&b)
		if err == nil && b.hello != nil {
			err = errors.New("a Hello came in the middle of the session")
		}
		if err == nil {
			err = context.Cause(s.ctx)
		}
		if err != nil {
			s.end(err)
			return err
		}
		if len(b.messages) > 0 {
			s.handler.Received(s.node, s.number, b.messages)
			b.forget()
		}
		s.received.Store(b.sequence)
	}
}

// write sends what the queue has until the session ends. After finish it leaves
// the session once everything is sent.
func (s *session) write() {
	for {
		select {
		case <-s.queue.wake:
		case <-s.ctx.Done():
			return
		}
		for o, due := s.queue.take(); due && s.ctx.Err() == nil; o, due = s.queue.take() {
			if err := s.send(o, nil); err != nil && !errors.Is(err, io.EOF) { // io.EOF: the reader is told why
				s.end(err)
			}
		}
		if s.queue.drained() {
			s.leave()
			return
		}
	}
}

// finish lets what has been sent leave, and then ends the session. One that has
// not begun has nothing to send.
func (s *session) finish() {
	s.queue.close()
	if s.heard.Load() == 0 {
		s.end(errClosed)
	}
}

// leave says that nothing more comes. The caller of a stream then waits for the
// callee to end it, so that what the callee still sends is read.
func (s *session) leave() {
	if caller, ok := s.stream.(leaver); ok {
		_ = caller.CloseSend() // a stream that has ended: the reader is told why
		return
	}
	s.end(errClosed)
}

// pulse is what the last beat saw of a session. The goroutine that beats has it
// for itself.
type pulse struct {
	sent, heard, acked uint64
	silent, stuck      int // beats for which nothing came, and nothing was taken
}

// beat looks at the session once in every beat, and keeps P5. Beats are counted,
// not clocks compared: after a pause of its own a node gives its peers the whole
// time again.
func (s *session) beat() {
	if s.heard.Load() == 0 {
		return // until its Hello, dialTimeout counts
	}
	sent, heard, acked := s.sent.Load(), s.heard.Load(), s.acked.Load()
	p := &s.pulse
	p.silent++
	p.stuck++
	busy := heard != s.received.Load() // with the handler: what comes is not read
	if busy || heard != p.heard {
		p.silent = 0
	}
	if busy || acked != p.acked || acked == sent {
		p.stuck = 0
	}
	quiet := sent == p.sent
	p.sent, p.heard, p.acked = sent, heard, acked
	switch {
	case p.silent >= silentBeats:
		s.end(errSilent)
	case p.stuck >= stuckBeats:
		s.end(errStuck)
	case quiet:
		s.queue.sign()
	}
}
