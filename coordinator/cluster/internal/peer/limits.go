package peer

import (
	"fmt"
	"time"
)

// Version is the newest version of the protocol that this code speaks, and
// OldestVersion the oldest: nodes of two releases work together while a cluster
// is updated.
const (
	Version       = 1
	OldestVersion = 1
)

// Limits bound what a peer can make this node keep. The zero value of each field
// is its default.
type Limits struct {
	MessageBytes   int // of one encoded message: 1 MiB. Nodes of a cluster must not differ in it
	QueuedBytes    int // that wait for one peer: 32 MiB
	QueuedMessages int // that wait for one peer: 131,072
	Fetches        int // bodies that one peer reads at once: 256; more wait
}

func (l Limits) withDefaults() Limits {
	for _, limit := range []struct {
		field *int
		value int
	}{
		{&l.MessageBytes, 1 << 20},
		{&l.QueuedBytes, 32 << 20},
		{&l.QueuedMessages, 1 << 17},
		{&l.Fetches, 1 << 8},
	} {
		if *limit.field == 0 {
			*limit.field = limit.value
		}
	}
	return l
}

func (l Limits) validate() error {
	for name, value := range map[string]int{
		"MessageBytes": l.MessageBytes, "QueuedBytes": l.QueuedBytes, "QueuedMessages": l.QueuedMessages, "Fetches": l.Fetches,
	} {
		if value < 0 {
			return fmt.Errorf("peer: Limits.%s is %d: set it above 0, or leave it 0 for the default", name, value)
		}
	}
	if l.QueuedBytes < l.MessageBytes {
		return fmt.Errorf("peer: Limits.QueuedBytes is %d, below Limits.MessageBytes, %d: no such message could be sent", l.QueuedBytes, l.MessageBytes)
	}
	return nil
}

const (
	// batchBytes is when a batch is full. What comes next begins another.
	batchBytes = 64 << 10
	// batchSlack is what a batch has beside its messages: two numbers.
	batchSlack = 32
	// helloBytes bounds a Hello, and so what is read of a stranger.
	helloBytes = 4 << 10
	// nameBytes bounds a node's name.
	nameBytes = 255
	// announcementBytes bounds what Contact carries.
	announcementBytes = 64 << 10

	// beat is how often sessions are looked at. One that sent nothing since the
	// last beat sends a sign of life.
	beat = 250 * time.Millisecond
	// silentBeats and stuckBeats end a session: nothing was heard of the peer, or
	// it took nothing of what was sent to it.
	silentBeats = 6
	stuckBeats  = 8

	// dialTimeout bounds connecting and both Hellos.
	dialTimeout = 2 * time.Second
	// firstPause and longestPause are between two calls of one peer. The pause
	// doubles with every call that fails, and its last half is random. A session
	// that lasted for steadyAfter makes it short again.
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
	steadyAfter  = time.Second

	// flushTimeout is what Close waits for messages to leave.
	flushTimeout = 500 * time.Millisecond
)
