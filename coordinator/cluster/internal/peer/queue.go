package peer

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

var (
	errFull     = errors.New("it takes less than is sent to it: the queue of messages for it is full")
	errFinished = errors.New("the session has ended")
)

// A queue holds the encoded messages that wait for one stream, as batches.
//
// Invariants:
//
//	Q1. bytes and messages count what batches holds, and exceed no limit.
//	    Guarded by mu.
//	Q2. wake holds a token whenever there is something to take, or the writer
//	    is about to look.
//	Q3. After close nothing is put; what was put before can still be taken.
type queue struct {
	limits Limits
	wake   chan struct{} // of capacity 1

	mu       sync.Mutex
	batches  []outgoing
	bytes    int
	messages int
	alive    bool // a sign of life is due, whatever batches holds
	closed   bool
}

// An outgoing batch is a peerpb.Frames without its numbers, which are appended
// when it is sent: the order of fields has no meaning.
type outgoing struct {
	frames   *[]byte // of the pool
	messages int
}

func newQueue(limits Limits) *queue {
	return &queue{limits: limits, wake: make(chan struct{}, 1)}
}

// put takes a message in. It returns errFull or errFinished, or what is wrong
// with the message.
func (q *queue) put(message core.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errFinished
	}
	last := q.lastLocked()
	before := len(*last.frames)
	extended, err := appendFrame(*last.frames, message)
	if err != nil {
		return err
	}
	size := len(extended) - before
	if size > q.limits.MessageBytes {
		return fmt.Errorf("peer: send %T of %d bytes: Limits.MessageBytes is %d; what is larger goes by Fetch", message, size, q.limits.MessageBytes)
	}
	if q.bytes+size > q.limits.QueuedBytes || q.messages == q.limits.QueuedMessages {
		return errFull
	}
	if before > 0 && len(extended) > batchBytes {
		q.batches = append(q.batches, outgoing{frames: buffers.Get(0)})
		last = &q.batches[len(q.batches)-1]
		extended = append(*last.frames, extended[before:]...)
	}
	*last.frames = extended
	last.messages++
	q.bytes += size
	q.messages++
	q.wakeWriter()
	return nil
}

// lastLocked is the batch that the next message may go into.
func (q *queue) lastLocked() *outgoing {
	if len(q.batches) == 0 {
		q.batches = append(q.batches, outgoing{frames: buffers.Get(0)})
	}
	return &q.batches[len(q.batches)-1]
}

// take returns the oldest batch, which is empty if all that is due is a sign of
// life, and false if nothing is due.
func (q *queue) take() (outgoing, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	alive := q.alive
	q.alive = false
	if q.messages == 0 && !alive {
		return outgoing{}, false
	}
	q.lastLocked() // there is one from here on
	first := q.batches[0]
	q.batches = slices.Delete(q.batches, 0, 1)
	q.bytes -= len(*first.frames)
	q.messages -= first.messages
	return first, true
}

// sign makes a sign of life due.
func (q *queue) sign() {
	q.mu.Lock()
	q.alive = true
	q.mu.Unlock()
	q.wakeWriter()
}

// close lets nothing more in. The writer is woken to find out.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wakeWriter()
}

// drained reports whether the queue is closed and everything has been taken.
func (q *queue) drained() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && q.messages == 0
}

func (q *queue) wakeWriter() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
