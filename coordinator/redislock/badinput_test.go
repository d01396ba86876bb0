package redislock

import (
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
)

func TestAConfigurationThatIsWrongNamesTheField(t *testing.T) {
	redis := Redis{Addresses: []string{"localhost:1"}}
	for _, row := range []struct {
		field string
		conf  Config
	}{
		{"Config.Redis", Config{}},
		{"Config.Prefix", Config{Redis: redis, Prefix: "{a}"}},
		{"Config.Prefix", Config{Redis: redis, Prefix: "a\n"}},
		{"Config.Lease", Config{Redis: redis, Lease: minLease - 1}},
		{"Config.Lease", Config{Redis: redis, Lease: maxLease + 1}},
		{"Config.Timeout", Config{Redis: redis, Timeout: -1}},
		{"Config.Timeout", Config{Redis: redis, Timeout: DefaultLease/2 + 1}},
		{"Config.Outage", Config{Redis: redis, Outage: Refuse + 1}},
		{"Config.MaxValueBytes", Config{Redis: redis, MaxValueBytes: -1}},
		{"Config.InlineBytes", Config{Redis: redis, InlineBytes: -1}},
	} {
		if _, err := Open(t.Context(), row.conf); err == nil || !strings.Contains(err.Error(), row.field) {
			t.Errorf("Open(%+v) gave %v; want %s", row.conf, err, row.field)
		}
	}
}

func TestAWrongPasswordIsAnErrorOfOpen(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	if _, err := server.Do(t.Context(), "CONFIG", "SET", "requirepass", "right"); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{Redis: Redis{Addresses: []string{server.Addr()}, Password: "wrong"}})
	if err == nil || !strings.Contains(err.Error(), "password") {
		t.Fatalf("Open gave %v; want one that speaks of the password", err)
	}
}

func TestAValueThatCannotBeReadIsComputedAnew(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	a, b := watched(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}}), watched(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}})
	if err := leaseOf(t, a, "a").Fill(t.Context(), value("v")); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Do(t.Context(), "HSET", "corral:k:a", "form", "nonsense"); err != nil {
		t.Fatal(err)
	}
	if err := leaseOf(t, b, "a").Fill(t.Context(), value("anew")); err != nil {
		t.Fatal(err)
	}
	if got := wants(t, joining(t, a, request("a")), corral.AnswerValue); string(got.Record.Value) != "anew" {
		t.Fatalf("got %q", got.Record.Value)
	}
	if b.Stats().Corrupt != 1 {
		t.Fatalf("%d corrupt values counted, want 1", b.Stats().Corrupt)
	}
}

func TestAKeyOfAnotherTypeAndAFullServerAreDoneWithout(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	c := watched(t, Config{Redis: Redis{Addresses: []string{server.Addr()}}})
	if _, err := server.Do(t.Context(), "SET", "corral:k:a", "a string"); err != nil {
		t.Fatal(err)
	}
	lost := func(key string) {
		t.Helper()
		lease := leaseOf(t, c, key)
		select {
		case <-lease.Lost():
		default:
			t.Fatal("the lease is not void from the start")
		}
	}
	lost("a")
	if _, err := server.Do(t.Context(), "CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	lost("b")
	if _, err := server.Do(t.Context(), "CONFIG", "SET", "maxmemory", "0"); err != nil {
		t.Fatal(err)
	}
	if err := leaseOf(t, c, "b").Fill(t.Context(), value("v")); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsTooLargeToShareIsPassed(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	conf := Config{Redis: Redis{Addresses: []string{server.Addr()}}, MaxValueBytes: 1000, InlineBytes: 100}
	a, b := watched(t, conf), watched(t, conf)
	for _, row := range []struct {
		name   string
		record func() *corral.Record
		want   corral.AnswerKind
	}{
		{"at the limit", func() *corral.Record { return value(strings.Repeat("v", 1000)) }, corral.AnswerValue},
		{"over it", func() *corral.Record { return value(strings.Repeat("v", 1001)) }, corral.AnswerPass},
		{"a body at the limit", func() *corral.Record { return withBody(500, 500, 500) }, corral.AnswerValue},
		{"a body over it", func() *corral.Record { return withBody(500, 501, 501) }, corral.AnswerPass},
		{"a body of unknown length at it", func() *corral.Record { return withBody(0, 1000, -1) }, corral.AnswerValue},
		{"a body of unknown length over it", func() *corral.Record { return withBody(0, 1001, -1) }, corral.AnswerPass},
		{"a body that is longer than it says", func() *corral.Record { return withBody(0, 1001, 10) }, corral.AnswerPass},
		{"shared, and over what goes into a letter", func() *corral.Record {
			v := value(strings.Repeat("v", 900))
			v.Outcome = corral.Share
			return v
		}, corral.AnswerValue},
	} {
		lease := leaseOf(t, a, row.name)
		waits := b.Stats().Waits
		parked := joining(t, b, request(row.name))
		until(t, "parked", parkedAt(b, waits+1))
		if err := lease.Fill(t.Context(), row.record()); err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		got := wants(t, parked, row.want)
		if record := row.record(); row.want == corral.AnswerValue && (len(got.Record.Value) != len(record.Value) || (got.Record.Body != nil) != (record.Body != nil)) {
			t.Errorf("%s: got %d bytes and body %v", row.name, len(got.Record.Value), got.Record.Body)
		}
	}
}

func withBody(head, body int, size int64) *corral.Record {
	v := value(strings.Repeat("h", head))
	v.Body, v.BodySize = newBody(strings.Repeat("b", body)), size
	return v
}

func TestALeaseThatIsNotExtendedIsLostBeforeRedisGrantsItAnew(t *testing.T) {
	t.Parallel()
	server := localserver.Redis(t)
	conf := Config{Redis: Redis{Addresses: []string{server.Addr()}}, Lease: minLease}
	a, b := watched(t, conf), watched(t, conf)
	lease := leaseOf(t, a, "a")
	next := joining(t, b, request("a"))
	select {
	case <-lease.Lost():
	case <-next:
		t.Fatal("granted anew while the first holder thought that it was its own")
	case <-time.After(2 * minLease):
		t.Fatal("not lost")
	}
	wants(t, next, corral.AnswerLease)
	if a.Stats().Lost != 1 {
		t.Fatalf("%d leases counted as lost, want 1", a.Stats().Lost)
	}
}
