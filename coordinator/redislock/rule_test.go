package redislock

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
)

func pair(t *testing.T) (server *localserver.RedisServer, a, b *Coordinator) {
	server = localserver.Redis(t)
	conf := Config{Redis: Redis{Addresses: []string{server.Addr()}}, Lease: minLease}
	return server, watched(t, conf), watched(t, conf)
}

// at is a record that was begun at a revision.
func at(revision uint64, tags ...string) *corral.Record {
	v := value("v")
	v.Revision, v.Tags = revision, tags
	return v
}

// requestAt is a Join of a caller who has heard of a revision.
func requestAt(revision uint64) corral.Request {
	r := request("a")
	r.Revision = revision
	return r
}

// L4: what a letter brings holds for when its reader asked, not for when it came.
func TestAValueThatComesAfterAnInvalidationDoesNotSayThatItHoldsBeyond(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	begun := a.newest()
	lease := leaseOf(t, a, "a")
	before := joining(t, b, requestAt(begun))
	until(t, "parked", parkedAt(b, 1))
	if err := a.Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	if err := lease.Fill(t.Context(), at(begun)); err != nil {
		t.Fatal(err)
	}
	if got := wants(t, before, corral.AnswerValue).Record.Revision; got != begun {
		t.Fatalf("the record says that it holds up to %d; want %d, for %d has ended it", got, begun, b.newest())
	}
}

// L4: a value from before what a process has heard of is given with the newest
// revision that does not concern it, so that its cache may keep it.
func TestAValueThatNothingConcernsHoldsUpToWhatIsApplied(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	begun := a.newest()
	if err := leaseOf(t, a, "a").Fill(t.Context(), at(begun, "x")); err != nil {
		t.Fatal(err)
	}
	if err := a.Invalidate(t.Context(), corral.Target{Tags: []string{"other"}, Keys: []string{"b"}, Prefixes: []string{"c"}}); err != nil {
		t.Fatal(err)
	}
	if got := wants(t, joining(t, b, requestAt(b.newest())), corral.AnswerValue).Record.Revision; got != b.newest() {
		t.Fatalf("the record says that it holds up to %d, want %d", got, b.newest())
	}
}

// L5: keys first. A process that connects in between would have the old value,
// and never hear that it has ended.
func TestAnInvalidationThatCannotEndItsKeysHasNoRevision(t *testing.T) {
	t.Parallel()
	server, a, b := pair(t)
	if _, err := server.Do(t.Context(), "SET", "corral:k:a", "a string"); err != nil {
		t.Fatal(err)
	}
	before := b.newest()
	if err := a.Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}); !errors.Is(err, corral.ErrStorePending) {
		t.Fatalf("Invalidate gave %v, want %v", err, corral.ErrStorePending)
	}
	if got, err := server.Do(t.Context(), "HGET", "{corral:}state", "revision"); err != nil || got != decimal(before) {
		t.Fatalf("Redis has revision %s, %v; want %d", got, err, before)
	}
	if _, err := server.Do(t.Context(), "DEL", "corral:k:a"); err != nil {
		t.Fatal(err)
	}
	until(t, "told", func() bool { return a.Stats().Pending == 0 && b.newest() > before })
}

// L7: a gap between messages, and one that only the beat shows.
func TestAMessageThatIsMissingSpendsWhatIsInMemory(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		lose func(t *testing.T, server *localserver.RedisServer, c *Coordinator)
	}{
		{"seen by the next", func(t *testing.T, server *localserver.RedisServer, c *Coordinator) {
			missing, next := c.newest()+1, c.newest()+2
			if _, err := server.Do(t.Context(), "HSET", "{corral:}state", "revision", decimal(next)); err != nil { // no beat will tell
				t.Fatal(err)
			}
			publish(t, server, fmt.Sprintf("%s\n%d\n%d\nx\n", c.past(), missing, next))
		}},
		{"of another history", func(t *testing.T, server *localserver.RedisServer, c *Coordinator) {
			publish(t, server, fmt.Sprintf("another\n%d\n%d\nx\n", c.newest(), c.newest()+1))
		}},
		{"that cannot be read", func(t *testing.T, server *localserver.RedisServer, c *Coordinator) {
			publish(t, server, fmt.Sprintf("%s\n%d\n%d\nx\n\xff", c.past(), c.newest(), c.newest()+1))
		}},
		{"seen by the beat", func(t *testing.T, server *localserver.RedisServer, c *Coordinator) {
			if _, err := server.Do(t.Context(), "HINCRBY", "{corral:}state", "revision", "1"); err != nil {
				t.Fatal(err)
			}
		}},
		{"with the state", func(t *testing.T, server *localserver.RedisServer, c *Coordinator) {
			if _, err := server.Do(t.Context(), "DEL", "{corral:}state"); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := localserver.Redis(t)
			c := open(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}})
			var loads atomic.Int32
			made := cache(t, c, func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
				return corral.Item[string]{Value: strconv.Itoa(int(loads.Add(1)))}, nil
			})
			if _, err := made.Get(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			joins, before := c.Stats().Joins, c.newest()
			row.lose(t, server, c)
			until(t, "noticed", func() bool { s := c.Stats(); return s.Gaps == 1 && s.Sessions == 2 && s.Up && !down(c) })
			if _, err := made.Get(t.Context(), "a"); err != nil || c.Stats().Joins != joins+1 {
				t.Fatalf("Get was answered from memory, or not: %v, %d questions to Redis", err, c.Stats().Joins-joins)
			}
			text, err := server.Do(t.Context(), "HGET", "{corral:}state", "revision")
			if after, _ := strconv.ParseUint(text, 10, 64); err != nil || after < before { // L6
				t.Fatalf("Redis goes on at revision %q, %v, and %d had been heard of", text, err, before)
			}
		})
	}
}

// L6, where the first to speak to a Redis without data invalidates.
func TestTheFirstRevisionOfAnotherHistoryIsAboveWhatWasHeard(t *testing.T) {
	t.Parallel()
	server, a, _ := pair(t)
	a.mu.Lock()
	a.heard += 1 << 50 // centuries ahead of any clock
	before := a.heard
	a.mu.Unlock()
	for _, command := range [][]string{{"PING"}, {"FLUSHALL"}} {
		if _, err := server.Do(t.Context(), command...); err != nil {
			t.Fatal(err)
		}
		revision, _, err := a.tell(&corral.Target{All: true}, "")
		if err != nil || revision <= before {
			t.Fatalf("after %s: revision %d, %v; want one above %d", command[0], revision, err, before)
		}
	}
}

func publish(t *testing.T, server *localserver.RedisServer, message string) {
	t.Helper()
	if _, err := server.Do(t.Context(), "PUBLISH", "corral:i", message); err != nil {
		t.Fatal(err)
	}
}

// past is the history of a coordinator's revisions.
func (c *Coordinator) past() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.history
}

// A cache whose callback panics has what it had in memory until it watches again.
func TestAWatchThatPanicsIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	conf := Config{Redis: Redis{Addresses: []string{server.Addr()}}}
	a, b := watched(t, conf), open(t, conf)
	panics := func(inv corral.Invalidation) {
		if len(inv.Keys) > 0 {
			panic("at an invalidation")
		}
	}
	ended := make(chan any)
	go func() {
		defer func() { ended <- recover() }()
		b.Watch(t.Context(), panics)
	}()
	until(t, "watched", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.watching && b.applied == b.heard })
	done := make(chan error)
	go func() { done <- a.Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}) }()
	if <-ended == nil {
		t.Fatal("Watch has ended without a panic")
	}
	select {
	case err := <-done:
		t.Fatalf("acknowledged, %v, before the other has applied it", err)
	case <-time.After(300 * time.Millisecond):
	}
	ctx, cancel := context.WithCancel(t.Context())
	var first corral.Invalidation
	go func() {
		b.Watch(ctx, func(inv corral.Invalidation) { first = inv; cancel() })
		ended <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if <-ended; !first.Missed {
		t.Fatalf("the first word of the next Watch was %+v, want Missed", first)
	}
	if err := a.Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}); err != nil { // its cache is closed
		t.Fatal(err)
	}
}

func TestTheFirstCallersOfANewProcessAreGivenWhatRedisHas(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	var loads atomic.Int32
	for range 10 {
		made := cache(t, open(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}}), func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
			return corral.Item[string]{Value: strconv.Itoa(int(loads.Add(1)))}, nil
		})
		if got, err := made.Get(t.Context(), "a"); got != "1" || err != nil {
			t.Fatalf("Get gave %q, %v; want what the first process has computed", got, err)
		}
	}
}

func TestAnOutcomeGetsThroughALostConnection(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	network := startRelay(t, server.Addr())
	c := watched(t, Config{Redis: Redis{Addresses: []string{network.listener.Addr().String()}}})
	for i := range 5 {
		key := strconv.Itoa(i)
		lease := leaseOf(t, c, key)
		network.cut(false)
		if err := lease.Fill(t.Context(), value("v")); err != nil {
			t.Fatalf("Fill: %v", err)
		}
		wants(t, joining(t, c, request(key)), corral.AnswerValue)
	}
}

func TestARefreshIsGivenOnlyANewerValue(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	if err := leaseOf(t, a, "a").Fill(t.Context(), value("first")); err != nil {
		t.Fatal(err)
	}
	had := wants(t, joining(t, b, request("a")), corral.AnswerValue)
	refresh := func(age time.Duration) corral.Request {
		r := request("a")
		r.Refresh, r.Previous = true, &corral.Record{Age: age, BodySize: -1}
		return r
	}
	granted := wants(t, joining(t, b, refresh(had.Record.Age)), corral.AnswerLease)
	if granted.Record != nil {
		t.Error("what the refresh has was sent again")
	}
	if err := granted.Lease.Fill(t.Context(), value("second")); err != nil {
		t.Fatal(err)
	}
	got := wants(t, joining(t, a, refresh(time.Hour)), corral.AnswerValue)
	if string(got.Record.Value) != "second" {
		t.Fatalf("got %q", got.Record.Value)
	}
}

func TestAStaleValueIsGivenWithinItsWindowAndLentBeyond(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	v := value("v")
	v.TTL, v.StaleFor, v.StaleOnError = 50*time.Millisecond, time.Hour, 2*time.Hour
	if err := leaseOf(t, a, "a").Fill(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60 * time.Millisecond)
	got := wants(t, joining(t, b, request("a")), corral.AnswerStale)
	if got.Record.TTL > 0 || got.Record.StaleFor != time.Hour {
		t.Errorf("got a TTL of %v and a window of %v", got.Record.TTL, got.Record.StaleFor)
	}
	exact := request("a")
	exact.NoStale = true
	granted := wants(t, joining(t, b, exact), corral.AnswerLease)
	if granted.Record == nil || string(granted.Record.Value) != "v" || granted.Record.TTL > 0 {
		t.Fatalf("what is lent to be validated is %+v", granted.Record)
	}
}

func TestWhoAsksAfterAnInvalidationByPrefixDoesNotWaitForWhatWasBegunBefore(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	old := leaseOf(t, a, "a")
	if err := a.Invalidate(t.Context(), corral.Target{Prefixes: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	wants(t, joining(t, b, requestAt(b.newest())), corral.AnswerLease)
	if err := old.Fill(t.Context(), value("old")); err != nil { // for those who waited before
		t.Fatal(err)
	}
}

func TestALetterThatComesBeforeTheAnswerIsNotLost(t *testing.T) {
	c := &Coordinator{asking: map[*waiter]struct{}{}, parked: map[string]map[*waiter]struct{}{}}
	w := &waiter{c: c, mail: make(chan letter, 1)}
	c.asking[w] = struct{}{}
	c.deliver(letter{kind: letterAgain, token: "another"})
	c.deliver(letter{kind: letterPass, token: "t"})
	w.park(&reply{token: "t", fence: 1})
	select {
	case l := <-w.mail:
		if l.kind != letterPass {
			t.Fatalf("got a letter of kind %q", l.kind)
		}
	default:
		t.Fatal("it is lost")
	}
}

func TestALeaseThatIsGrantedToOneWhoHasLeftGoesOn(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	for i := range 20 {
		key := strconv.Itoa(i)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if answer, err := a.Join(ctx, request(key)); err == nil {
			answer.Lease.Abandon(t.Context()) // it was faster
		}
		began := time.Now()
		lease := leaseOf(t, b, key)
		if took := time.Since(began); took > minLease/2 {
			t.Fatalf("the key was nobody's for %v", took)
		}
		if err := lease.Fill(t.Context(), value("v")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNothingStaysInRedisForLongerThanThirtyDays(t *testing.T) {
	t.Parallel()
	server, a, _ := pair(t)
	v := value("v")
	v.TTL, v.StaleFor = corral.Forever, corral.Forever
	if err := leaseOf(t, a, "a").Fill(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	text, err := server.Do(t.Context(), "TTL", "corral:k:a")
	if left, _ := strconv.Atoi(text); err != nil || left > 30*24*3600 || left < 30*24*3600-100 {
		t.Fatalf("TTL gave %q, %v; want 30 days", text, err)
	}
	if got := wants(t, joining(t, a, request("a")), corral.AnswerValue).Record; got.TTL != corral.Forever {
		t.Fatalf("got a TTL of %v", got.TTL)
	}
}
