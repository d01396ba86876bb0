package peer

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/corralcache/corral/coordinator/cluster/core"
	"github.com/corralcache/corral/coordinator/cluster/internal/peerpb"
)

// leaves are messages that can be told apart.
func leaves(from, to uint64) (messages []core.Message) {
	for ask := from; ask <= to; ask++ {
		messages = append(messages, core.Leave{Ask: ask})
	}
	return messages
}

func TestTwoNodesHaveOneSessionAndMessagesArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 7)
		acquaint(a, b)
		hears(t, a, "opened b/7")
		hears(t, b, "opened a/1")
		want := leaves(1, 10_000)
		for _, message := range want {
			if !a.say(b, message) || !b.say(a, message) {
				t.Fatal("Send refused a message")
			}
		}
		synctest.Wait()
		for _, d := range []*node{a, b} {
			if got := d.gets(); !reflect.DeepEqual(got, want) {
				t.Errorf("%v got %d messages: %v ...", d.self, len(got), got[:min(3, len(got))])
			}
		}
		time.Sleep(time.Minute)
		acquaint(a, b) // nothing has changed
		time.Sleep(time.Minute)
		for _, d := range []*node{a, b} {
			hears(t, d, "")
			if d.logged() != "" {
				t.Errorf("%v logged\n%s", d.self, d.logged())
			}
		}
	})
}

func TestSendTakesMessagesForTheSessionThatIsOpenOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 1)
		acquaint(a, b)
		first := a.number()
		for _, row := range []struct {
			to      string
			session uint64
			want    bool
		}{{"b", first, true}, {"b", first + 1, false}, {"b", 0, false}, {"c", first, false}, {"a", first, false}} {
			if got := a.Send(row.to, row.session, core.Leave{}); got != row.want {
				t.Errorf("Send(%q, %d) = %v, want %v", row.to, row.session, got, row.want)
			}
		}
		b.SetPeers(nil)
		synctest.Wait()
		if a.Send("b", first, core.Leave{}) {
			t.Error("Send took a message for a session that has ended")
		}
		b.SetPeers(places(a, b))
		time.Sleep(2 * longestPause)
		synctest.Wait()
		if second := a.number(); second <= first || !a.Send("b", second, core.Leave{}) {
			t.Errorf("session %d followed session %d", second, first)
		}
	})
}

func TestASessionEndsWhenNothingIsHeardOfThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 1)
		acquaint(a, b)
		a.hears()
		b.hears()
		time.Sleep(10*time.Second + time.Nanosecond)
		n.cutAll()
		// The last sign of life came up to two beats before.
		time.Sleep((silentBeats-2)*beat - 2*time.Nanosecond)
		hears(t, a, "")
		hears(t, b, "")
		time.Sleep(3*beat + 2*time.Nanosecond)
		hears(t, a, "closed b/1: nothing was heard of it for too long")
		hears(t, b, "closed a/1: nothing was heard of it for too long")
	})
}

func TestBeatsAreCountedWhileNothingIsHeardAndNothingTaken(t *testing.T) {
	for _, row := range []struct {
		name string
		each func(s *session) // before every beat
		ends int              // the beat that ends it; 0: none of 100
		want error
	}{
		{"signs of life on both sides", func(s *session) { s.heard.Add(1); s.received.Add(1); s.sent.Add(1); s.acked.Add(1) }, 0, nil},
		{"nothing comes", func(s *session) {}, 7, errSilent},
		{"nothing comes, and nothing is taken", func(s *session) { s.sent.Add(1) }, 7, errSilent},
		{"something comes, and nothing is taken", func(s *session) { s.heard.Add(1); s.received.Add(1); s.sent.Add(1) }, 9, errStuck},
		{"something is taken now and then", func(s *session) {
			s.heard.Add(1)
			s.received.Add(1)
			if s.sent.Add(1)%stuckBeats == 0 {
				s.acked.Add(1)
			}
		}, 0, nil},
		{"the handler is at work", func(s *session) { s.heard.Store(s.received.Load() + 1); s.sent.Add(1) }, 0, nil},
	} {
		s := &session{queue: newQueue(Limits{})}
		s.ctx, s.end = context.WithCancelCause(t.Context())
		for range 100 {
			s.beat()
		}
		if s.ctx.Err() != nil {
			t.Fatalf("it ended before its Hello: %v", context.Cause(s.ctx))
		}
		s.sent.Store(1)
		s.heard.Store(1)
		s.received.Store(1)
		s.acked.Store(1)
		ended := 0
		for beats := 1; beats <= 100 && ended == 0; beats++ {
			if beats > 1 {
				row.each(s)
			}
			if s.beat(); s.ctx.Err() != nil {
				ended = beats
			}
		}
		if cause := context.Cause(s.ctx); ended != row.ends || cause != row.want {
			t.Errorf("%s: beat %d ended it (%v), want beat %d (%v)", row.name, ended, cause, row.ends, row.want)
		}
	}
}

func TestAtRestAPeerIsSentTwoOrThreeSignsOfLifeASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 1)
		acquaint(a, b)
		s := (*a.peers.Load())["b"].session.Load()
		before, bytesBefore := s.sent.Load(), n.written.Load()
		time.Sleep(time.Minute)
		synctest.Wait()
		if signs := s.sent.Load() - before; signs != 120 {
			t.Errorf("a sent %d signs of life in a minute, want 120", signs)
		}
		if size := n.written.Load() - bytesBefore; size > 60*100 {
			t.Errorf("a wrote %d bytes in a minute at rest", size)
		} else {
			t.Logf("a wrote %d bytes in a minute at rest", size)
		}
	})
}

func TestAPeerThatTakesNothingLosesItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 1)
		acquaint(a, b)
		a.hears()
		free := make(chan struct{})
		b.block = free
		a.say(b, core.Leave{Ask: 1})
		time.Sleep(stuckBeats * beat)
		hears(t, a, "")
		time.Sleep(beat)
		hears(t, a, "closed b/1: it takes nothing of what is sent to it")
		b.hears()
		close(free)
		time.Sleep(2 * longestPause)
		hears(t, b, "closed a/1: context canceled; opened a/1")
	})
}

func TestAPeerThatTakesLessThanIsSentLosesItsSession(t *testing.T) {
	for _, row := range []struct {
		limits Limits
		whole  int // messages that wait here; others are on their way
	}{
		{Limits{QueuedMessages: 100}, 100},
		{Limits{MessageBytes: 1 << 10, QueuedBytes: 8 << 10}, 8},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			a := n.node("a", 1, func(c *Config, _ *Member) { c.Limits = row.limits })
			b := n.node("b", 1)
			acquaint(a, b)
			a.hears()
			free := make(chan struct{})
			defer close(free)
			b.block = free
			payload := make([]byte, 1<<10-40)
			taken := 0
			for a.say(b, core.Reply{Value: core.Value{Payload: payload}}) {
				taken++
				if taken > 100_000 {
					t.Fatal("there is no limit")
				}
			}
			hears(t, a, "closed b/1: it takes less than is sent to it: the queue of messages for it is full")
			if lines := strings.Count(a.logged(), "\n"); lines != 1 || !strings.Contains(a.logged(), `msg="peer: a session broke off" peer=b/1 cause="it takes less than is sent to it`) {
				t.Errorf("%d log lines:\n%s", lines, a.logged())
			}
			if taken < row.whole {
				t.Errorf("%d messages were taken, fewer than %d", taken, row.whole)
			}
		})
	}
}

func TestAMessageOverItsLimitIsNotSentAndTheSessionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 1)
		acquaint(a, b)
		a.hears()
		const overhead = 14 // of a Reply with a payload of this length, and nothing else
		largest := core.Reply{Value: core.Value{Payload: make([]byte, 1<<20-overhead-2)}}
		if !a.say(b, largest) {
			t.Error("the largest message was refused")
		}
		if a.say(b, core.Reply{Value: core.Value{Payload: make([]byte, 1<<20)}}) {
			t.Error("a message over its limit was taken")
		}
		if !a.say(b, core.Leave{Ask: 1}) {
			t.Error("the session has ended")
		}
		hears(t, a, "")
		if got, want := b.gets(), []core.Message{largest, core.Leave{Ask: 1}}; !reflect.DeepEqual(got, want) {
			t.Errorf("b got %d messages", len(got))
		}
		if want := "peer: send core.Reply of 1048592 bytes: Limits.MessageBytes is 1048576; what is larger goes by Fetch"; !strings.Contains(a.logged(), want) {
			t.Errorf("a logged\n%s\nwant %s", a.logged(), want)
		}
	})
}

func TestWhatWasSentBeforeCloseArrives(t *testing.T) {
	for _, row := range []struct {
		closes   string
		messages uint64
	}{{"a", 5000}, {"b", 5000}, {"a", 0}, {"b", 0}} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			a, b := n.node("a", 1), n.node("b", 1)
			acquaint(a, b)
			from, to := a, b
			if row.closes == "b" {
				from, to = b, a
			}
			from.hears()
			to.hears()
			want := leaves(1, row.messages)
			for _, message := range want {
				from.say(to, message)
			}
			begun := time.Now()
			from.Close()
			if took := time.Since(begun); took != 0 {
				t.Errorf("Close of %s took %v", row.closes, took)
			}
			synctest.Wait()
			if got := to.gets(); !reflect.DeepEqual(got, want) {
				t.Errorf("%s closed, and %d of %d messages arrived", row.closes, len(got), len(want))
			}
			hears(t, to, fmt.Sprintf("closed %v: it ended the session", from.self))
		})
	}
}

func TestCloseDoesNotWaitForAPeerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 1)
		acquaint(a, b)
		n.cutAll()
		for _, d := range []*node{a, b} {
			begun := time.Now()
			d.Close()
			d.Close()
			if took := time.Since(begun); took > 2*flushTimeout {
				t.Errorf("Close of %v took %v", d.self, took)
			}
		}
	})
}

func TestPausesBetweenCallsDoubleToASecondAndStartAnewAfterASteadySession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a := n.node("a", 1)
		gaps := func(calls int) (gaps []time.Duration) {
			last := time.Now()
			for seen := n.callsMade(); len(gaps) < calls; time.Sleep(time.Millisecond) {
				synctest.Wait()
				if made := n.callsMade(); made > seen {
					gaps = append(gaps, time.Since(last))
					seen, last = made, time.Now()
				}
			}
			return gaps
		}
		expect := func(what string, got []time.Duration, first time.Duration) {
			t.Helper()
			pause := first
			for i, gap := range got {
				if gap < pause/2 || gap > pause+2*time.Millisecond {
					t.Errorf("%s, pause %d is %v, want %v to %v", what, i, gap, pause/2, pause)
				}
				pause = min(2*pause, longestPause)
			}
		}
		a.SetPeers(map[string]Place{"b": {"b", 1}})
		synctest.Wait()
		expect("nobody is there", gaps(10), firstPause)
		if lines := strings.Count(a.logged(), "a call was in vain"); lines != 1 {
			t.Errorf("%d log lines, want 1:\n%s", lines, a.logged())
		}
		for _, row := range []struct {
			lasts time.Duration
			want  time.Duration
		}{{steadyAfter - 100*time.Millisecond, longestPause}, {steadyAfter, firstPause}} {
			b := n.node("b", 1)
			b.SetPeers(places(a, b))
			for a.hears() == "" {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(row.lasts)
			b.Close()
			expect(fmt.Sprintf("after a session of %v", row.lasts), gaps(1), row.want)
			a.hears()
		}
		a.SetPeers(nil)
		synctest.Wait()
		made := n.callsMade()
		time.Sleep(time.Minute)
		if calls := n.callsMade() - made; calls > 0 {
			t.Errorf("%d calls of a node that is gone", calls)
		}
	})
}

func TestACallThatIsNotAnsweredIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		server := grpc.NewServer()
		peerpb.RegisterPeerServer(server, mute{})
		go server.Serve(n.listen("b"))
		defer server.Stop()
		a := n.node("a", 1)
		defer a.Close()
		a.SetPeers(map[string]Place{"b": {"b", 1}})
		time.Sleep(dialTimeout - time.Nanosecond)
		synctest.Wait()
		if a.logged() != "" {
			t.Errorf("too early: %s", a.logged())
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		if !strings.Contains(a.logged(), errLate.Error()) {
			t.Errorf("after %v: %s", dialTimeout, a.logged())
		}
	})
}

// mute never answers.
type mute struct{ peerpb.UnimplementedPeerServer }

func (mute) Control(stream grpc.BidiStreamingServer[peerpb.Frames, peerpb.Frames]) error {
	<-stream.Context().Done()
	return nil
}

func TestSendTakesMessagesFromOpenedUntilClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		a, b := n.node("a", 1), n.node("b", 1)
		var took []bool
		a.during = func(session uint64) { took = append(took, a.Send("b", session, core.Leave{Ask: 1})) }
		acquaint(a, b)
		if got := b.gets(); !reflect.DeepEqual(got, leaves(1, 1)) {
			t.Errorf("what was sent in Opened arrived as %v", got)
		}
		s := (*a.peers.Load())["b"].session.Load()
		b.Close()
		hears(t, a, "opened b/1; closed b/1: it ended the session")
		if !reflect.DeepEqual(took, []bool{true, false}) {
			t.Errorf("Send in Opened and Closed: %v", took)
		}
		if now := (*a.peers.Load())["b"].session.Load(); now == s {
			t.Error("a session that has ended is still the peer's")
		}
	})
}

func TestCloseWaitsForTheHandler(t *testing.T) {
	for _, closes := range []string{"a", "b"} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork(t)
			a, b := n.node("a", 1), n.node("b", 1)
			acquaint(a, b)
			d := map[string]*node{"a": a, "b": b}[closes]
			d.during = func(uint64) { time.Sleep(10 * time.Second) }
			begun := time.Now()
			d.Close()
			if took := time.Since(begun); took != 10*time.Second {
				t.Errorf("Close of %s took %v, and Closed ten seconds", closes, took)
			}
		})
	}
}
