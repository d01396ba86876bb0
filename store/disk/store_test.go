package disk

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/invariant"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir, os.Getenv(childPuts)))
	}
	goleak.VerifyTestMain(m)
}

// quiet drops what is logged.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// options are those of a small store in a directory.
func options(dir string) Options {
	return Options{Dir: dir, MaxBytes: 64 << 20, Memory: 8 << 20, Logger: quiet}
}

// opened opens a store that is closed with the test.
func opened(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// reopened closes a store and opens its directory again.
func reopened(t testing.TB, s *Store) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	return opened(t, s.o)
}

func record(value string, revision uint64, tags ...string) *corral.Record {
	return &corral.Record{Value: []byte(value), BodySize: -1, TTL: time.Hour, Revision: revision, Tags: tags}
}

func withBody(value string, body []byte) *corral.Record {
	return &corral.Record{Value: []byte(value), Body: io.NopCloser(bytes.NewReader(body)), BodySize: int64(len(body)), TTL: time.Hour}
}

func put(t testing.TB, s *Store, key string, r *corral.Record) {
	t.Helper()
	if err := s.Put(t.Context(), key, r); err != nil {
		t.Fatalf("Put %q: %v", key, err)
	}
}

func invalidate(t testing.TB, s *Store, inv corral.Invalidation) {
	t.Helper()
	if err := s.Delete(t.Context(), inv); err != nil {
		t.Fatalf("Delete %+v: %v", inv, err)
	}
}

// want fails unless a key has a value; "" is none.
func want(t testing.TB, s *Store, key, value string) {
	t.Helper()
	r, err := s.Get(context.Background(), key)
	switch {
	case err != nil:
		t.Errorf("Get %q: %v", key, err)
	case r == nil && value != "":
		t.Errorf("Get %q gave nothing, want %q", key, value)
	case r != nil && string(r.Value) != value:
		t.Errorf("Get %q gave %.40q, want %q", key, r.Value, value)
	}
}

// plainly skips what takes minutes under the race detector, with which Pebble
// checks itself at every step. make test runs it without.
func plainly(t *testing.T) {
	t.Helper()
	if invariant.Enabled {
		t.Skip("takes minutes under the race detector: run it without")
	}
}

func TestWhatWasPutIsThereAfterARestart(t *testing.T) {
	s := opened(t, options(t.TempDir()))
	long := bytes.Repeat([]byte("body"), BodyThreshold)
	put(t, s, "a", record("1", 3, "x"))
	put(t, s, "b", record("2", 4))
	put(t, s, "b", record("3", 5))
	put(t, s, "short", withBody("4", []byte("body")))
	put(t, s, "long", withBody("5", long))
	invalidate(t, s, corral.Invalidation{Revision: 9, Target: corral.Target{Tags: []string{"x"}}})
	s = reopened(t, s)
	want(t, s, "a", "")
	want(t, s, "b", "3")
	for key, body := range map[string][]byte{"short": []byte("body"), "long": long} {
		r, err := s.Get(t.Context(), key)
		if err != nil || r == nil {
			t.Fatal(r, err)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(got, body) || r.BodySize != int64(len(body)) {
			t.Errorf("%s came back as %d bytes, BodySize %d, %v", key, len(got), r.BodySize, err)
		}
		r.Body.Close()
	}
	if revision, err := s.Revision(t.Context()); revision != 9 || err != nil {
		t.Errorf("Revision is %d, %v", revision, err)
	}
}

func TestALateWriterComesTooLate(t *testing.T) {
	s := opened(t, options(t.TempDir()))
	for name, inv := range map[string]corral.Target{
		"key": {Keys: []string{"k/a"}}, "prefix": {Prefixes: []string{"k/"}}, "tag": {Tags: []string{"x"}}, "all": {All: true},
	} {
		s.floors.clear()
		s.Remove(t.Context(), "k/a")
		invalidate(t, s, corral.Invalidation{Revision: 5, Target: inv})
		put(t, s, "k/a", record("late", 4, "x"))
		if r, _ := s.Get(t.Context(), "k/a"); r != nil {
			t.Errorf("%s: a record from before the invalidation is there", name)
		}
		put(t, s, "k/a", record("new", 5, "x"))
		want(t, s, "k/a", "new")
	}
}

func TestForgetLeavesNothingBehind(t *testing.T) {
	s := opened(t, options(t.TempDir()))
	put(t, s, "a", record("1", 3))
	invalidate(t, s, corral.Invalidation{Revision: 2, Forget: true, Target: corral.Target{Keys: []string{"a", "b"}}})
	want(t, s, "a", "")
	put(t, s, "a", record("0", 1))
	want(t, s, "a", "0")
	if revision, _ := s.Revision(t.Context()); revision != 3 {
		t.Errorf("Revision is %d, want 3", revision)
	}
}

func TestAnotherSequenceBeginsEmpty(t *testing.T) {
	s := opened(t, options(t.TempDir()))
	bind := func(sequence string) {
		t.Helper()
		if err := s.Bind(sequence); err != nil {
			t.Fatal(err)
		}
	}
	bind("one")
	put(t, s, "a", record("1", 7))
	invalidate(t, s, corral.Invalidation{Revision: 8, Target: corral.Target{Tags: []string{"x"}}})
	s = reopened(t, s)
	bind("one")
	want(t, s, "a", "1")
	bind("two")
	want(t, s, "a", "")
	if revision, _ := s.Revision(t.Context()); revision != 0 {
		t.Errorf("Revision is %d, want 0", revision)
	}
	put(t, s, "b", record("2", 1, "x"))
	s = reopened(t, s)
	bind("two")
	want(t, s, "a", "")
	want(t, s, "b", "2")
	bind("")
	want(t, s, "b", "")
	if stat, err := s.Stat(t.Context()); err != nil || stat.Entries != 0 || stat.Sequence != "" {
		t.Errorf("Stat gave %+v, %v", stat, err)
	}
}

func TestADirectoryHasOneOwner(t *testing.T) {
	s := opened(t, options(t.TempDir()))
	_, err := Open(s.o)
	if err == nil || !strings.Contains(err.Error(), "another process has it") || !strings.Contains(err.Error(), s.o.Dir) {
		t.Fatalf("a second Open gave %v", err)
	}
}

func TestADirectoryThatIsNoStoreIsRefused(t *testing.T) {
	for name, row := range map[string]struct{ file, text, want string }{
		"a later format":     {formatFile, "corral disk store, format 2\n", "start the release that wrote it"},
		"no format":          {formatFile, "\x00\x01", "is not what a store writes"},
		"other files":        {"photo.jpg", "x", "holds \"photo.jpg\" and is no store"},
		"a store half begun": {formatFile + temporary, "corral", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t.TempDir())
			if err := os.WriteFile(o.Dir+"/"+row.file, []byte(row.text), 0o644); err != nil {
				t.Fatal(err)
			}
			s, err := Open(o)
			if err == nil {
				s.Close()
			}
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Fatalf("Open gave %v, want %q", err, row.want)
			}
		})
	}
}

func TestOptionsAreNamed(t *testing.T) {
	for _, row := range []struct {
		o    Options
		want string
	}{
		{Options{}, "Options.Dir"},
		{Options{Dir: "d"}, "Options.MaxBytes"},
		{Options{Dir: "d", MaxBytes: 1<<20 - 1}, "Options.MaxBytes"},
		{Options{Dir: "d", MaxBytes: 1 << 20, Memory: 1}, "Options.Memory"},
		{Options{Dir: "d", MaxBytes: 1 << 20}, ""},
	} {
		if err := row.o.Validate(); (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: got %v, want %q", row.o, err, row.want)
		}
	}
}

// Times of the next boot are those of the wall clock, and nothing is known if
// that went back.
func TestTimePassesWhileNobodyLooks(t *testing.T) {
	now := instant{boot: [bootSize]byte{1}, up: int64(time.Hour), wall: int64(1000 * time.Hour)}
	o := options(t.TempDir())
	start := func() *Store {
		s, err := open(o, machine{fs: vfs.Default, lock: lock, now: func() instant { return now }, pause: minPause})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start()
	put(t, s, "a", record("1", 0))
	s.Close()
	for _, row := range []struct {
		name string
		now  instant
		ttl  time.Duration
	}{
		{"the same boot", instant{now.boot, now.up + int64(time.Minute), now.wall - int64(time.Hour)}, 59 * time.Minute},
		{"a clock that cannot go back went back", instant{now.boot, now.up - 1, now.wall}, time.Hour - lost},
		{"another boot", instant{[bootSize]byte{2}, 5, now.wall + int64(time.Minute)}, 59 * time.Minute},
		{"another boot, the clock set back", instant{[bootSize]byte{2}, 5, now.wall - 1}, time.Hour - lost},
		{"no boot identity", instant{wall: now.wall + int64(time.Minute)}, 59 * time.Minute},
	} {
		then := now
		now = row.now
		s := start()
		r, err := s.Get(t.Context(), "a")
		if err != nil || r == nil || r.TTL != row.ttl || r.Age != time.Hour-row.ttl {
			t.Errorf("%s: got %+v, %v; want a TTL of %v", row.name, r, err, row.ttl)
		}
		s.Close()
		now = then
	}
}

func TestWhatIsOldMakesRoomUnlessItWasRead(t *testing.T) {
	o := options(t.TempDir())
	o.MaxBytes = 1 << 20
	s := opened(t, o)
	value := strings.Repeat("v", 5000)
	put(t, s, "read", record("keep", 0))
	put(t, s, "unread", record("drop", 0))
	for i := range 1000 {
		put(t, s, fmt.Sprint(i), record(value, 0))
		if i%50 == 0 {
			want(t, s, "read", "keep")
		}
	}
	want(t, s, "unread", "")
	want(t, s, "999", value)
	stat, _ := s.Stat(t.Context())
	if stat.Bytes > o.MaxBytes+o.MaxBytes/burstShare+6000 || stat.Evicted < 700 || stat.Entries < 100 {
		t.Errorf("Stat gave %+v", stat)
	}
	s = reopened(t, s)
	want(t, s, "read", "keep")
	want(t, s, "999", value)
}

func TestDeadRecordsMakeRoomForThoseAlive(t *testing.T) {
	o := options(t.TempDir())
	o.MaxBytes = 1 << 20
	s := opened(t, o)
	value := strings.Repeat("v", 5000)
	for i := range 50 {
		put(t, s, fmt.Sprint("once", i), record(value, 0))
	}
	for i := range 1000 {
		put(t, s, fmt.Sprint("often", i%20), record(value, 0))
	}
	for i := range 50 {
		want(t, s, fmt.Sprint("once", i), value)
	}
}

func TestALargeRecordIsRefused(t *testing.T) {
	o := options(t.TempDir())
	o.MaxBytes = 1 << 20
	s := opened(t, o)
	for name, r := range map[string]*corral.Record{
		"value":                  record(strings.Repeat("v", 1<<18+1), 0),
		"body":                   withBody("", make([]byte, 1<<18+1)),
		"body of unknown length": {Body: io.NopCloser(io.LimitReader(neverEnding('x'), 1<<30)), BodySize: -1},
	} {
		if err := s.Put(t.Context(), name, r); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: got %v", name, err)
		}
		want(t, s, name, "")
	}
	stat, _ := s.Stat(t.Context())
	if stat.Refused != 3 || stat.Bytes > 4096 {
		t.Errorf("Stat gave %+v", stat)
	}
	if left := files(t, s); left != 0 {
		t.Errorf("%d files of bodies are left", left)
	}
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// files counts what lies in the directories of bodies.
func files(t testing.TB, s *Store) (n int) {
	t.Helper()
	for i := range bodyShards {
		names, err := os.ReadDir(s.fs.PathJoin(s.bodies.dir, shardName(i)))
		if err != nil {
			t.Fatal(err)
		}
		n += len(names)
	}
	return n
}

// What the race detector is to see: every method at once.
func TestManyGoroutinesAtOnce(t *testing.T) {
	o := options(t.TempDir())
	o.MaxBytes = 1 << 20
	s := opened(t, o)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 100 {
				key, revision := fmt.Sprint(i%10), uint64(i)
				r := record(fmt.Sprint(key, "@", i), revision, "t"+key)
				if i%10 == 7 {
					r.Body, r.BodySize = io.NopCloser(io.LimitReader(neverEnding('x'), BodyThreshold)), BodyThreshold
				}
				put(t, s, key, r)
				if got, err := s.Get(t.Context(), key); err != nil || got != nil && !strings.HasPrefix(string(got.Value), key+"@") {
					t.Errorf("Get %q gave %+v, %v", key, got, err)
				} else if got != nil && got.Body != nil {
					io.Copy(io.Discard, got.Body)
					got.Body.Close()
				}
				switch (i + g) % 25 {
				case 0:
					invalidate(t, s, corral.Invalidation{Revision: revision, Target: corral.Target{Keys: []string{key}}})
				case 6:
					invalidate(t, s, corral.Invalidation{Revision: revision, Target: corral.Target{Prefixes: []string{key}}})
				case 12:
					invalidate(t, s, corral.Invalidation{Revision: revision, Target: corral.Target{Tags: []string{"t" + key}}})
				case 18:
					for range s.Verify(t.Context()) {
					}
				case 24:
					s.Remove(t.Context(), key)
					s.Stat(t.Context())
				}
			}
		})
	}
	all.Wait()
}

// More prefixes than are told apart: what is under each is gone all the same,
// also after a restart.
func TestMorePrefixesThanAreRememberedAreNotForgotten(t *testing.T) {
	plainly(t)
	s := opened(t, options(t.TempDir()))
	const prefixes = maxPrefixes + 200
	for i := range prefixes {
		put(t, s, fmt.Sprintf("p%04d/a", i), record("v", 1))
	}
	put(t, s, "other", record("stays", 1))
	target := corral.Target{}
	for i := range prefixes {
		if target.Prefixes = append(target.Prefixes, fmt.Sprintf("p%04d/", i)); len(target.Prefixes) == 100 || i == prefixes-1 {
			invalidate(t, s, corral.Invalidation{Revision: 2, Target: target})
			target.Prefixes = nil
		}
	}
	for range 2 {
		for i := range prefixes {
			want(t, s, fmt.Sprintf("p%04d/a", i), "")
		}
		want(t, s, "other", "stays")
		s = reopened(t, s)
	}
}
