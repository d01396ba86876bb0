package redis

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
)

// A refresh of a Cluster's slots sleeps in rueidis for up to a second, also when
// the client is closed meanwhile.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*call).DelayDo.func1"))
}

// patient are timeouts that a slow machine does not reach, for tests that are
// not about them.
var patient = Options{SoftTimeout: 5 * time.Second, HardTimeout: 5 * time.Second, MaxCalls: 1024, Logger: slog.New(slog.DiscardHandler)}

// at is a patient store on the Redis of an address.
func at(t *testing.T, address string, change ...func(*Options)) *Store {
	t.Helper()
	o := patient
	o.Redis = Config{Addresses: []string{address}}
	for _, c := range change {
		c(&o)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t *testing.T, s *Store, key string, r corral.Record) {
	t.Helper()
	if r.TTL == 0 {
		r.TTL = time.Hour
	}
	if r.Body == nil {
		r.BodySize = -1
	}
	if err := s.Put(t.Context(), key, &r); err != nil {
		t.Fatalf("Put %q: %v", key, err)
	}
}

// get is the value under a key, and "-" when there is none.
func get(t *testing.T, s *Store, key string) string {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("Get %q: %v", key, err)
	}
	if r == nil {
		return "-"
	}
	return string(r.Value)
}

func want(t *testing.T, s *Store, key, value string) {
	t.Helper()
	if got := get(t, s, key); got != value {
		t.Fatalf("Get %q: got %q, want %q", key, got, value)
	}
}

func invalidate(t *testing.T, s *Store, revision uint64, target corral.Target) {
	t.Helper()
	if err := s.Delete(t.Context(), corral.Invalidation{Revision: revision, Target: target}); err != nil {
		t.Fatalf("Delete %+v: %v", target, err)
	}
}

func command(t *testing.T, server *localserver.RedisServer, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	answer, err := server.Do(ctx, args...)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return answer
}

func text(n int) io.ReadCloser { return io.NopCloser(strings.NewReader(strings.Repeat("x", n))) }
