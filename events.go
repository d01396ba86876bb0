package corral

import (
	"sync"
	"sync/atomic"
	"time"
)

// An EventKind names a transition of an entry.
type EventKind uint8

const (
	EventLoadStarted   EventKind = iota // a flight began
	EventJoined                         // a caller parked on a flight
	EventHeader                         // the header of a growing body is known
	EventLanded                         // a value was kept
	EventShared                         // a value was handed to the waiters and not kept
	EventPassed                         // the value was for its leader only
	EventFailed                         // a load ended in an error
	EventStaleServed                    // a caller was given a stale value
	EventRefreshed                      // a load replaced a value, or found it not modified
	EventEvicted                        // a value left to make room
	EventInvalidated                    // a value or a flight was detached from its key
	EventExpired                        // a value was made stale by Expire or a soft invalidation
	EventSet                            // a value was written by Set
	EventRetried                        // a load is tried again
	EventTimedOut                       // a load reached its deadline; the key is free
	EventAbandoned                      // the last waiter left; the load was cancelled
	EventZombieDropped                  // a load ended after its flight had; its result was dropped
	EventRefused                        // a limit refused a call or put off a refresh
	EventStoreFailed                    // the store or the codec failed; serving goes on without
	eventKinds
)

var eventNames = [eventKinds]string{
	"load started", "joined", "header", "landed", "shared", "passed", "failed", "stale served",
	"refreshed", "evicted", "invalidated", "expired", "set", "retried", "timed out", "abandoned",
	"zombie dropped", "refused", "store failed",
}

func (k EventKind) String() string { return eventNames[k%eventKinds] }

// An Event tells one transition.
type Event struct {
	Kind    EventKind
	Cache   string // Options.Name
	Key     string
	Time    time.Time
	Flight  uint64        // the load's number; zero when no load is concerned
	Source  Source        // of a value: Loaded, Remote or Stored
	Took    time.Duration // since the load began
	Waiters int           // who wait for the load at this moment
	Size    int64         // bytes of a value, where known
	Err     error
	// Dropped is how many events this subscriber missed just before this one,
	// because its buffer was full.
	Dropped uint64
}

// subscribers hands events to whoever listens, and never waits for them.
type subscribers struct {
	mu      sync.Mutex // guards writes of list, and ended
	ended   bool       // the cache is closed: whoever subscribes now is told so
	list    atomic.Pointer[[]*subscriber]
	dropped atomic.Uint64
}

type subscriber struct {
	mu     sync.Mutex // orders sends; guards missed and closed
	events chan Event
	missed uint64
	closed bool
}

// subscribe adds a listener with room for buffer events. stop ends it and
// closes the channel; it may be called more than once. After stopAll the
// channel comes closed.
func (s *subscribers) subscribe(buffer int) (<-chan Event, func()) {
	sub := &subscriber{events: make(chan Event, max(buffer, 1))}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		sub.close()
	} else {
		s.replaceLocked(func(list []*subscriber) []*subscriber { return append(list, sub) })
	}
	return sub.events, func() { s.stop(sub) }
}

func (s *subscribers) stop(sub *subscriber) {
	s.mu.Lock()
	s.replaceLocked(func(list []*subscriber) []*subscriber {
		kept := list[:0]
		for _, other := range list {
			if other != sub {
				kept = append(kept, other)
			}
		}
		return kept
	})
	s.mu.Unlock()
	sub.close()
}

func (s *subscribers) replaceLocked(change func([]*subscriber) []*subscriber) {
	var list []*subscriber
	if old := s.list.Load(); old != nil {
		list = append(list, *old...)
	}
	if list = change(list); len(list) == 0 {
		s.list.Store(nil)
		return
	}
	s.list.Store(&list)
}

// stopAll ends every subscription, when the cache closes.
func (s *subscribers) stopAll() {
	s.mu.Lock()
	s.ended = true
	list := s.list.Swap(nil)
	s.mu.Unlock()
	if list != nil {
		for _, sub := range *list {
			sub.close()
		}
	}
}

// listening reports whether an event is worth making.
func (s *subscribers) listening() bool { return s.list.Load() != nil }

func (s *subscribers) emit(event Event) {
	list := s.list.Load()
	if list == nil {
		return
	}
	for _, sub := range *list {
		if !sub.offer(event) {
			s.dropped.Add(1)
		}
	}
}

// offer reports false when the event had no room and was counted as missed.
func (sub *subscriber) offer(event Event) bool {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.closed {
		return true
	}
	event.Dropped = sub.missed
	select {
	case sub.events <- event:
		sub.missed = 0
		return true
	default:
		sub.missed++
		return false
	}
}

func (sub *subscriber) close() {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if !sub.closed {
		sub.closed = true
		close(sub.events)
	}
}
