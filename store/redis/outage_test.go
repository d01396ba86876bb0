package redis

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
	"github.com/corralcache/corral/internal/redisconn"
)

// hasty are timeouts for tests that let Redis fail.
func hasty(o *Options) { o.SoftTimeout, o.HardTimeout = 100*time.Millisecond, 500*time.Millisecond }

// lines are what was logged.
type lines struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.out.String(), text)
}

func logged(l *lines) func(*Options) {
	return func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(l, nil)) }
}

func TestARedisThatHangsCostsAMissTheSoftTimeoutAndThenNothing(t *testing.T) {
	server := localserver.Redis(t)
	log := &lines{}
	s := at(t, server.Addr(), hasty, logged(log), func(o *Options) { o.MaxCalls, o.HardTimeout = 64, 5*time.Second })
	put(t, s, "a", rec("v", 1))
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for i := range redisconn.DefaultLimit {
		began := time.Now()
		if _, err := s.Get(t.Context(), "a"); !errors.Is(err, redisconn.ErrTimeout) || errors.Is(err, redisconn.ErrOpen) {
			t.Fatalf("Get %d: %v", i+1, err)
		}
		if took := time.Since(began); took < s.o.SoftTimeout || took > s.o.HardTimeout/2 {
			t.Errorf("Get %d gave up after %v", i+1, took)
		}
	}
	began := time.Now()
	for range 1000 {
		if _, err := s.Get(t.Context(), "a"); !errors.Is(err, redisconn.ErrOpen) {
			t.Fatalf("Get: %v", err)
		}
	}
	if took := time.Since(began); took > 1000*s.o.SoftTimeout/10 {
		t.Errorf("a thousand calls while it is open took %v", took)
	}
	if now := runtime.NumGoroutine(); now > before+64+8 {
		t.Errorf("%d goroutines, %d before: they pile up", now, before)
	}
	if stat, err := s.Stat(t.Context()); err != nil || !strings.Contains(stat.Broken, "no answer in time") {
		t.Errorf("Stat: %+v, %v", stat, err)
	}
	if err := s.Delete(t.Context(), corral.Invalidation{Revision: 2, Target: corral.Target{Keys: []string{"a"}}}); err == nil {
		t.Error("a Delete succeeded")
	}
	server.Resume()
	eventually(t, "it is used again", func() bool {
		r, err := s.Get(t.Context(), "a")
		return err == nil && r != nil
	})
	if log.count("level=WARN") != 1 || log.count("level=INFO") != 1 {
		t.Errorf("the log has\n%s", log.out.String())
	}
}

func TestCallsUnderWayAreBounded(t *testing.T) {
	server := localserver.Redis(t)
	s := at(t, server.Addr(), func(o *Options) { o.MaxCalls = 2 })
	put(t, s, "a", rec("v", 1))
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	var two sync.WaitGroup
	for range 2 {
		two.Go(func() { s.Get(context.Background(), "a") })
	}
	eventually(t, "two are under way", func() bool { return len(s.seats) == 2 })
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, ErrBusy) {
		t.Errorf("Get: %v, want %v", err, ErrBusy)
	}
	server.Resume()
	two.Wait()
	eventually(t, "there is room", func() bool { return len(s.seats) == 0 })
	want(t, s, "a", "v")
}

func TestARedisThatIsGoneAndBackIsUsedAgain(t *testing.T) {
	server := localserver.Redis(t)
	s := at(t, server.Addr(), hasty)
	put(t, s, "a", rec("v", 1))
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is open", func() bool {
		_, err := s.Get(t.Context(), "a")
		return errors.Is(err, redisconn.ErrOpen) && errors.Is(err, redisconn.ErrUnreachable)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is used again", func() bool {
		r := rec("again", 1)
		r.TTL, r.BodySize = time.Hour, -1
		return s.Put(ctx, "a", &r) == nil
	})
	want(t, s, "a", "again")
}

func TestARedisThatIsNotThereAtFirstIsUsedWhenItIs(t *testing.T) {
	server := localserver.Redis(t)
	server.Stop()
	s := at(t, server.Addr(), hasty)
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, redisconn.ErrUnreachable) {
		t.Fatalf("Get: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is used", func() bool {
		_, err := s.Get(ctx, "a")
		return err == nil
	})
}

func TestAScriptFlushIsNotNoticed(t *testing.T) {
	server := localserver.Redis(t)
	s := at(t, server.Addr())
	for revision := range uint64(3) {
		command(t, server, "SCRIPT", "FLUSH")
		put(t, s, "a", rec("v", revision))
		command(t, server, "SCRIPT", "FLUSH")
		want(t, s, "a", "v")
		command(t, server, "SCRIPT", "FLUSH")
		invalidate(t, s, revision+1, corral.Target{Keys: []string{"a", "b"}, Tags: []string{"x"}})
		want(t, s, "a", "-")
	}
}

func TestAFullRedisTakesDeletesOfKeysAndNothingElse(t *testing.T) {
	server := localserver.Redis(t)
	log := &lines{}
	s := at(t, server.Addr(), logged(log))
	put(t, s, "a", rec("v", 1))
	command(t, server, "CONFIG", "SET", "maxmemory", "1")
	for range 3 {
		r := rec("new", 1)
		r.TTL, r.BodySize = time.Hour, -1
		if err := s.Put(t.Context(), "a", &r); !errors.Is(err, redisconn.ErrFull) {
			t.Fatalf("Put: %v", err)
		}
	}
	want(t, s, "a", "v")
	invalidate(t, s, 2, corral.Target{Keys: []string{"a"}})
	want(t, s, "a", "-")
	if err := s.Delete(t.Context(), corral.Invalidation{Revision: 3, Target: corral.Target{All: true}}); !errors.Is(err, redisconn.ErrFull) {
		t.Errorf("Delete of everything: %v", err)
	}
	command(t, server, "CONFIG", "SET", "maxmemory", "0")
	invalidate(t, s, 3, corral.Target{All: true})
	put(t, s, "a", rec("new", 3))
	want(t, s, "a", "new")
	if log.count("refuses writes") != 1 || log.count("takes writes again") != 1 {
		t.Errorf("the log has\n%s", log.out.String())
	}
}

func TestWhatTheServerRefusesIsSaidWithItsRemedy(t *testing.T) {
	open := localserver.Redis(t)
	locked := localserver.Redis(t)
	command(t, locked, "ACL", "SETUSER", "reader", "on", ">reader", "~*", "+@read", "+@connection", "+@transaction", "+client", "+info", "+eval", "+evalsha")
	command(t, locked, "CONFIG", "SET", "requirepass", "secret")
	replica := localserver.Redis(t)
	command(t, replica, "REPLICAOF", "127.0.0.1", "1")
	rows := []struct {
		name   string
		config Config
		want   error
		text   string
	}{
		{"no password", Config{Addresses: []string{locked.Addr()}}, redisconn.ErrAuth, "set one"},
		{"a wrong password", Config{Addresses: []string{locked.Addr()}, Password: "wrong"}, redisconn.ErrAuth, "check the user name and the password"},
		{"the right one", Config{URL: "redis://:secret@" + locked.Addr()}, nil, ""},
		{"a user who may only read", Config{URL: "redis://reader:reader@" + locked.Addr()}, redisconn.ErrForbidden, "ACL SETUSER"},
		{"a replica", Config{Addresses: []string{replica.Addr()}}, redisconn.ErrReadOnly, "SentinelMaster"},
		{"a database that does not exist", Config{Addresses: []string{open.Addr()}, DB: 99}, redisconn.ErrRefused, "databases in redis.conf"},
		{"TLS to a port without", Config{URL: "rediss://" + open.Addr(), DialTimeout: 100 * time.Millisecond}, redisconn.ErrTimeout, "TLS"},
		{"nothing there", Config{Addresses: []string{"127.0.0.1:1"}}, redisconn.ErrUnreachable, "check that it runs"},
	}
	for _, row := range rows {
		s := at(t, "", func(o *Options) { o.Redis = row.config })
		r := rec("v", 1)
		r.TTL, r.BodySize = time.Hour, -1
		err := s.Put(t.Context(), "a", &r)
		if !errors.Is(err, row.want) || err != nil && !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: got %v, want %v with %q", row.name, err, row.want, row.text)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error has the password: %v", row.name, err)
		}
	}
}
