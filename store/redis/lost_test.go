package redis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/localserver"
)

func rec(value string, revision uint64, tags ...string) corral.Record {
	return corral.Record{Value: []byte(value), Revision: revision, Tags: tags}
}

// eventually waits until what another connection is told of by a push is there.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 10 s not yet: %s", what)
		}
	}
}

func TestWhatRedisLosesDoesNotComeBack(t *testing.T) {
	server := localserver.Redis(t)
	rows := []struct {
		name string
		lose func(t *testing.T, prefix string)
	}{
		{"the generations are evicted", func(t *testing.T, prefix string) { command(t, server, "UNLINK", prefix+"g") }},
		{"the generations expire", func(t *testing.T, prefix string) { command(t, server, "PEXPIRE", prefix+"g", "1") }},
		{"something else has their key", func(t *testing.T, prefix string) {
			command(t, server, "UNLINK", prefix+"g")
			command(t, server, "SET", prefix+"g", "else")
		}},
		{"their identity is garbage", func(t *testing.T, prefix string) { command(t, server, "HSET", prefix+"g", "i", "?") }},
		{"a number of theirs is garbage", func(t *testing.T, prefix string) { command(t, server, "HSET", prefix+"g", "q", "?") }},
		{"everything is flushed", func(t *testing.T, _ string) { command(t, server, "FLUSHALL") }},
	}
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			prefix := fmt.Sprintf("row%d:", i)
			store := func() *Store { return at(t, server.Addr(), func(o *Options) { o.Prefix = prefix }) }
			first := store()
			put(t, first, "a", rec("old", 1, "x"))
			put(t, first, "b", rec("old", 1))
			invalidate(t, first, 5, corral.Target{Tags: []string{"x"}})
			want(t, first, "b", "old")
			row.lose(t, prefix)
			next := store()
			want(t, next, "a", "-")
			eventually(t, "the first has heard of it", func() bool { return get(t, first, "b") == "-" })
			want(t, first, "a", "-")
			put(t, first, "a", rec("new", 5, "x"))
			want(t, first, "a", "new")
			eventually(t, "another reads it", func() bool { return get(t, next, "a") == "new" })
			want(t, next, "b", "-")
			put(t, first, "c", rec("late", 4, "x"))
			want(t, first, "c", "-") // G3: this process knows
		})
	}
}

func TestGenerationsThatHaveFallenBackMakeNothingValid(t *testing.T) {
	server := localserver.Redis(t)
	first := at(t, server.Addr())
	put(t, first, "a", rec("v", 7))
	command(t, server, "HSET", "corral:g", "m", digits(6)) // G2
	next := at(t, server.Addr())
	want(t, next, "a", "-")
	want(t, first, "a", "v") // it knows that there was a revision 7
}

func TestWhatIsBrokenIsAMissAndIsRemoved(t *testing.T) {
	server := localserver.Redis(t)
	s := at(t, server.Addr())
	put(t, s, "a", rec("v", 1))
	id := command(t, server, "HGET", "corral:g", "i")
	whole := string(seal("a", &corral.Record{Value: []byte("v"), BodySize: -1, TTL: time.Hour}, nil, time.Hour, id))
	rows := []struct {
		name  string
		write []string
	}{
		{"empty", []string{"SET", "corral:v:a", "", "EX", "60"}},
		{"garbage", []string{"SET", "corral:v:a", strings.Repeat("garbage", 100), "EX", "60"}},
		{"another form", []string{"SET", "corral:v:a", "C0" + whole[2:], "EX", "60"}},
		{"cut off", []string{"SET", "corral:v:a", whole[:len(whole)-1], "EX", "60"}},
		{"of another key", []string{"SET", "corral:v:a", string(seal("b", &corral.Record{Value: []byte("v"), BodySize: -1, TTL: time.Hour}, nil, time.Hour, id)), "EX", "60"}},
		{"of another kind", []string{"SET", "corral:v:a", "C1z" + whole[3:], "EX", "60"}},
		{"without a TTL", []string{"SET", "corral:v:a", whole}},
		{"a list", []string{"LPUSH", "corral:v:a", "1"}},
	}
	for i, row := range rows {
		write := func() {
			command(t, server, "UNLINK", "corral:v:a")
			command(t, server, row.write...)
		}
		write()
		want(t, s, "a", "-")
		if got := command(t, server, "EXISTS", "corral:v:a"); got != "0" {
			t.Errorf("%s: it is still there", row.name)
		}
		if got := s.n.corrupt.Load(); got != uint64(i+1) {
			t.Errorf("%s: Corrupt is %d, want %d", row.name, got, i+1)
		}
		write()
		put(t, s, "a", rec("new", 1))
		want(t, s, "a", "new")
		write()
		invalidate(t, s, 2, corral.Target{Keys: []string{"a"}})
		want(t, s, "a", "-")
		s.Remove(t.Context(), "a")
	}
}

func TestARecordIsAsOldAsTheServerSays(t *testing.T) {
	server := localserver.Redis(t)
	s := at(t, server.Addr())
	put(t, s, "a", corral.Record{Value: []byte("v"), TTL: time.Hour, Age: time.Minute})
	command(t, server, "PEXPIRE", "corral:v:a", "1800000") // half an hour has passed there
	r, err := s.Get(t.Context(), "a")
	if err != nil || r == nil {
		t.Fatalf("got %v, %v", r, err)
	}
	if passed := r.Age - time.Minute; passed < 30*time.Minute || passed > 31*time.Minute || r.TTL != time.Hour-passed {
		t.Errorf("Age %v, TTL %v", r.Age, r.TTL)
	}
	command(t, server, "PEXPIRE", "corral:v:a", "7200000") // its clock has gone back
	want(t, s, "a", "-")
}

func TestEveryKeyHasATTL(t *testing.T) {
	server := localserver.Redis(t)
	s := at(t, server.Addr())
	if err := s.Bind("one"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a", corral.Record{Value: []byte("v"), TTL: corral.Forever, StaleFor: corral.Forever, Tags: []string{"x"}})
	put(t, s, "b", rec("v", 1))
	invalidate(t, s, 2, corral.Target{Keys: []string{"b", "c"}, Tags: []string{"x"}, Prefixes: []string{"p"}, All: true})
	for _, key := range []string{"corral:s.one:v:a", "corral:s.one:v:b", "corral:s.one:v:c", "corral:s.one:g"} {
		if ttl := command(t, server, "PTTL", key); strings.HasPrefix(ttl, "-") {
			t.Errorf("%q has the PTTL %s", key, ttl)
		}
	}
	if n := command(t, server, "DBSIZE"); n != "4" {
		t.Errorf("%s keys, want 4", n)
	}
}

func TestProcessesSeeWhatTheOthersDo(t *testing.T) {
	server := localserver.Redis(t)
	one, two := at(t, server.Addr()), at(t, server.Addr())
	one.Bind("s")
	two.Bind("s")
	put(t, one, "a", rec("v", 1, "x"))
	put(t, one, "b", rec("v", 1))
	eventually(t, "a", func() bool { return get(t, two, "a") == "v" })
	invalidate(t, one, 2, corral.Target{Keys: []string{"b"}})
	want(t, two, "b", "-") // a key is gone at once, without a push
	invalidate(t, one, 3, corral.Target{Tags: []string{"x"}})
	eventually(t, "the tag", func() bool { return get(t, two, "a") == "-" })
	put(t, two, "a", rec("late", 2, "x"))
	want(t, one, "a", "-")
	put(t, two, "a", rec("new", 3, "x"))
	eventually(t, "the new one", func() bool { return get(t, one, "a") == "new" })
	put(t, one, "a", rec("late", 2)) // S3
	want(t, two, "a", "new")
}

func TestRedisForgetsNoPrefixForWantOfRoom(t *testing.T) {
	server := localserver.Redis(t)
	one := at(t, server.Addr())
	put(t, one, "other", rec("old", 9))
	put(t, one, "other2", rec("v", 10))
	for i := range uint64(maxPrefixes + 1) {
		invalidate(t, one, 10+i, corral.Target{Prefixes: []string{fmt.Sprint(i, "/")}})
	}
	two := at(t, server.Addr()) // it knows what Redis knows
	want(t, two, "other", "-")  // the one that was let go of counts for all
	want(t, two, "other2", "v")
	put(t, two, "1/a", rec("late", 10))
	want(t, two, "1/a", "-")
	put(t, two, "1/a", rec("new", 11))
	want(t, two, "1/a", "new")
	invalidate(t, one, 100, corral.Target{Prefixes: []string{strings.Repeat("p", maxPrefix+1)}})
	three := at(t, server.Addr())
	want(t, three, "1/a", "new") // again one was let go of: that of 11, which is not above it
	put(t, three, strings.Repeat("p", maxPrefix)+"q", rec("late", 99))
	want(t, three, strings.Repeat("p", maxPrefix)+"q", "-") // a long prefix counts by its beginning
}

func TestALargeValueIsRefusedAndLeavesNothingOlder(t *testing.T) {
	server := localserver.Redis(t)
	s := at(t, server.Addr(), func(o *Options) { o.MaxValueBytes = 10 })
	rows := []struct {
		name   string
		record corral.Record
		fits   bool
	}{
		{"a value at the limit", corral.Record{Value: make([]byte, 10), BodySize: -1}, true},
		{"a value above it", corral.Record{Value: make([]byte, 11), BodySize: -1}, false},
		{"value and body at the limit", corral.Record{Value: make([]byte, 4), Body: text(6), BodySize: -1}, true},
		{"above it together", corral.Record{Value: make([]byte, 4), Body: text(7), BodySize: -1}, false},
		{"by what it says", corral.Record{Body: text(0), BodySize: 11}, false},
	}
	for i, row := range rows {
		revision := uint64(2*i + 1)
		put(t, s, "a", rec("old", revision))
		row.record.Revision, row.record.TTL = revision+1, time.Hour
		err := s.Put(t.Context(), "a", &row.record)
		if fits := err == nil; fits != row.fits {
			t.Errorf("%s: %v", row.name, err)
		}
		if got := get(t, s, "a"); !row.fits && got != "-" {
			t.Errorf("%s: %q is still there", row.name, got)
		}
	}
	if got := s.n.refused.Load(); got != 3 {
		t.Errorf("Refused is %d, want 3", got)
	}
	if got := s.breaker.Broken(time.Now()); got != "" {
		t.Errorf("it counts as an outage: %s", got)
	}
}
