package peer

import (
	"errors"
	"reflect"
	"testing"

	"github.com/corralcache/corral/coordinator/cluster/core"
)

// sizeOf is what a message has in a batch.
func sizeOf(t *testing.T, message core.Message) int { return len(encoded(t, message)) }

func TestAQueueGivesBatchesInOrderAndCountsWhatItHolds(t *testing.T) {
	q := newQueue(Limits{}.withDefaults())
	large := core.Reply{Value: core.Value{Payload: make([]byte, batchBytes+1)}}
	half := core.Reply{Value: core.Value{Payload: make([]byte, batchBytes/2)}}
	small := core.Leave{Ask: 1}
	sent := []core.Message{small, half, small, half, large, small, large, large}
	bytes := 0
	for _, message := range sent {
		if err := q.put(message); err != nil {
			t.Fatal(err)
		}
		bytes += sizeOf(t, message)
	}
	if q.bytes != bytes || q.messages != len(sent) {
		t.Errorf("it counts %d messages of %d bytes, not %d of %d", q.messages, q.bytes, len(sent), bytes)
	}
	var sizes []int
	var got []core.Message
	for o, due := q.take(); due; o, due = q.take() {
		var b batch
		if err := b.parse(*o.frames); err != nil {
			t.Fatal(err)
		}
		if o.messages != len(b.messages) {
			t.Errorf("a batch of %d messages counts %d", len(b.messages), o.messages)
		}
		sizes = append(sizes, o.messages)
		got = append(got, b.messages...)
	}
	if want := []int{3, 1, 1, 1, 1, 1}; !reflect.DeepEqual(sizes, want) {
		t.Errorf("batches of %v messages, want %v", sizes, want)
	}
	if !reflect.DeepEqual(got, sent) {
		t.Error("what was taken is not what was put")
	}
	if q.bytes != 0 || q.messages != 0 {
		t.Errorf("the empty queue counts %d messages of %d bytes", q.messages, q.bytes)
	}
}

func TestAQueueRefusesAtItsLimits(t *testing.T) {
	message := core.Reply{Ask: 1, Value: core.Value{Payload: make([]byte, 1000)}}
	size := sizeOf(t, message)
	for _, row := range []struct {
		limits Limits
		fit    int
		want   error
	}{
		{Limits{MessageBytes: size, QueuedBytes: 3 * size, QueuedMessages: 100}, 3, errFull},
		{Limits{MessageBytes: size, QueuedBytes: 4*size - 1, QueuedMessages: 100}, 3, errFull},
		{Limits{MessageBytes: size, QueuedBytes: 100 * size, QueuedMessages: 5}, 5, errFull},
	} {
		q := newQueue(row.limits)
		for range row.fit {
			if err := q.put(message); err != nil {
				t.Errorf("%+v: %v", row.limits, err)
			}
		}
		if err := q.put(message); !errors.Is(err, row.want) {
			t.Errorf("%+v: put %d gave %v, want %v", row.limits, row.fit+1, err, row.want)
		}
		if _, due := q.take(); !due || q.put(message) != nil {
			t.Errorf("%+v: nothing fits after a batch was taken", row.limits)
		}
	}
	q := newQueue(Limits{MessageBytes: size - 1, QueuedBytes: 10 * size, QueuedMessages: 9})
	if err := q.put(message); err == nil || errors.Is(err, errFull) {
		t.Errorf("a message of one byte too many: %v", err)
	}
	if o, due := q.take(); due {
		t.Errorf("it left %d bytes behind", len(*o.frames))
	}
}

func TestASignOfLifeIsAnEmptyBatchAndOneForManySigns(t *testing.T) {
	q := newQueue(Limits{}.withDefaults())
	if _, due := q.take(); due {
		t.Error("an empty queue has something")
	}
	q.sign()
	q.sign()
	if o, due := q.take(); !due || o.messages != 0 || len(*o.frames) != 0 {
		t.Errorf("a sign of life: %v, %d messages", due, o.messages)
	}
	if _, due := q.take(); due {
		t.Error("there are two signs of life")
	}
	q.sign()
	if err := q.put(core.Leave{Ask: 1}); err != nil {
		t.Fatal(err)
	}
	if o, due := q.take(); !due || o.messages != 1 {
		t.Errorf("a message is a sign of life: %v, %d messages", due, o.messages)
	}
	if _, due := q.take(); due {
		t.Error("there is a sign of life besides")
	}
}

func TestAClosedQueueTakesNothingAndGivesWhatItHas(t *testing.T) {
	q := newQueue(Limits{}.withDefaults())
	if err := q.put(core.Leave{Ask: 1}); err != nil {
		t.Fatal(err)
	}
	q.close()
	if err := q.put(core.Leave{Ask: 2}); !errors.Is(err, errFinished) {
		t.Errorf("put after close: %v", err)
	}
	if q.drained() {
		t.Error("it is drained with a message in it")
	}
	if o, due := q.take(); !due || o.messages != 1 || !q.drained() {
		t.Errorf("%v, %d messages, drained: %v", due, o.messages, q.drained())
	}
}
