package corral

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestEveryEventHasANameOfItsOwn(t *testing.T) {
	names := map[string]EventKind{}
	for kind := range eventKinds {
		name := kind.String()
		if other, twice := names[name]; twice || name == "" {
			t.Errorf("kind %d is called %q, as is kind %d", kind, name, other)
		}
		names[name] = kind
	}
	if got := eventKinds.String(); got != EventLoadStarted.String() {
		t.Errorf("a kind that does not exist is called %q", got)
	}
}

func (s *subscribers) tell(n int) { s.emit(Event{Flight: uint64(n)}) }

func TestASubscriberIsToldHowManyEventsItMissed(t *testing.T) {
	var s subscribers
	events, stop := s.subscribe(2)
	defer stop()
	for n := range 5 {
		s.tell(n) // 0 and 1 have room
	}
	want := func(n, dropped uint64) {
		t.Helper()
		if e := <-events; e.Flight != n || e.Dropped != dropped {
			t.Fatalf("got event %d, %d dropped, want event %d, %d dropped", e.Flight, e.Dropped, n, dropped)
		}
	}
	want(0, 0)
	s.tell(5)
	s.tell(6)
	want(1, 0)
	want(5, 3) // 2, 3 and 4
	s.tell(7)
	want(7, 1) // 6
	s.tell(8)
	want(8, 0)
	if got := s.dropped.Load(); got != 4 {
		t.Errorf("%d events are counted as dropped, want 4", got)
	}
}

func TestASlowSubscriberCostsOthersNothing(t *testing.T) {
	var s subscribers
	slow, stopSlow := s.subscribe(0) // room for one
	fast, stopFast := s.subscribe(10)
	s.tell(1)
	s.tell(2)
	s.tell(3)
	stopSlow()
	stopFast()
	count := func(events <-chan Event) (n int) {
		for range events {
			n++
		}
		return n
	}
	if n, m := count(slow), count(fast); n != 1 || m != 3 || s.dropped.Load() != 2 {
		t.Errorf("got %d and %d events, %d dropped; want 1 and 3, 2 dropped", n, m, s.dropped.Load())
	}
}

func TestASubscriptionEndsOnceHoweverItEnds(t *testing.T) {
	var s subscribers
	if s.listening() {
		t.Error("somebody listens to begin with")
	}
	s.tell(0) // to nobody
	one, stopOne := s.subscribe(-5)
	two, stopTwo := s.subscribe(1)
	stopOne()
	stopOne()
	if !s.listening() {
		t.Error("the end of one subscription is that of another")
	}
	s.tell(1)
	if e, open := <-one; open {
		t.Errorf("got %v after stop", e)
	}
	if e := <-two; e.Flight != 1 {
		t.Errorf("got event %d, want 1", e.Flight)
	}
	s.stopAll()
	s.stopAll()
	stopTwo()
	if e, open := <-two; open || s.listening() {
		t.Errorf("got %v after the end", e)
	}
	late, stopLate := s.subscribe(1)
	if e, open := <-late; open || s.listening() {
		t.Errorf("got %v from a subscription after the end", e)
	}
	stopLate()
	s.tell(2)
	if got := s.dropped.Load(); got != 0 {
		t.Errorf("%d events to nobody are counted as dropped", got)
	}
}

// Whatever stops meanwhile, each event that was emitted to a subscriber is
// received or counted.
func TestEventsAreReceivedOrCountedWhateverStopsMeanwhile(t *testing.T) {
	const emitters, each = 4, 2000
	synctest.Test(t, func(t *testing.T) {
		var s subscribers
		stays, stopStays := s.subscribe(16)
		var emitting, readers sync.WaitGroup
		var got, missed uint64
		readers.Go(func() {
			for e := range stays {
				got++
				missed += e.Dropped
			}
		})
		for range emitters {
			emitting.Go(func() {
				for n := range each {
					s.tell(n)
				}
			})
		}
		for range 50 {
			events, stop := s.subscribe(1)
			readers.Go(func() {
				for range events {
					stop()
				}
			})
			emitting.Go(stop)
		}
		emitting.Wait()
		synctest.Wait() // who stays has read all that it was given
		s.tell(1)
		stopStays()
		readers.Wait()
		if total := s.dropped.Load(); got+missed != emitters*each+1 || missed > total {
			t.Errorf("%d events were received and %d missed, want %d together; %d are counted as dropped", got, missed, emitters*each+1, total)
		}
	})
}

func TestTheCacheNeverWaitsForASubscriber(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := open(t, &source{takes: time.Second}, Options[string]{})
		events, _ := c.Subscribe(1) // nobody reads
		for i := range 10 {
			get(c, t.Context(), fmt.Sprint(i)).want(t, fmt.Sprintf("%d#%d", i, i+1), Loaded, time.Second)
		}
		synctest.Wait()
		dropped := c.Stats().DroppedEvents
		if e := <-events; e.Kind != EventLoadStarted || e.Cache != "test" || e.Key != "0" || e.Flight != 1 {
			t.Errorf("the first event is %+v", e)
		}
		if dropped != 19 { // begun and landed, ten times
			t.Errorf("%d events are counted as dropped, want 19", dropped)
		}
	})
}
