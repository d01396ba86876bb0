package corraltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/corralcache/corral"
)

// TestStore holds a Store to its contract. open makes an empty one, closed with
// the test; one that is Bound is not bound yet. What is optional, a store that is
// Revisioned, Bound or a Browser is held to as well.
func TestStore(t *testing.T, open func(t *testing.T) corral.Store, options ...Option) {
	s := newSuite(options)
	run := func(name string, test func(t *testing.T, store corral.Store)) {
		s.run(t, name, func(t *testing.T) { test(t, bind(t, open(t), suiteSequence)) })
	}
	run("a key that was never put is nil without an error", func(t *testing.T, store corral.Store) {
		if record, err := store.Get(deadline(t), "a"); record != nil || err != nil {
			t.Fatalf("Get gave %+v, %v; want nil, nil", record, err)
		}
	})
	run("every field of a record comes back", everyFieldComesBack)
	run("durations are remaining ones at the moment of Get", func(t *testing.T, store corral.Store) { durationsPass(t, s, store) })
	run("a record that never ends does not end", func(t *testing.T, store corral.Store) {
		put(t, store, "a", &corral.Record{Value: []byte("v"), BodySize: -1, TTL: corral.Forever})
		passing, _ := s.passing()
		time.Sleep(passing)
		if got := mustGet(t, store, "a"); got.TTL != corral.Forever {
			t.Fatalf("TTL is %v, want Forever", got.TTL)
		}
	})
	run("keys are bytes and nothing more", keysAreBytes)
	run("an empty value is a value", func(t *testing.T, store corral.Store) {
		put(t, store, "a", &corral.Record{BodySize: -1, TTL: time.Hour})
		if got := mustGet(t, store, "a"); len(got.Value) != 0 {
			t.Fatalf("got %q, want nothing", got.Value)
		}
	})
	run("a later Put replaces the whole record", func(t *testing.T, store corral.Store) {
		put(t, store, "a", &corral.Record{Value: []byte("old"), Body: body("old body"), BodySize: 8, TTL: time.Hour, Tags: []string{"x"}, Validator: "e"})
		put(t, store, "a", &corral.Record{Value: []byte("new"), BodySize: -1, TTL: time.Hour})
		got := mustGet(t, store, "a")
		if string(got.Value) != "new" || got.Body != nil || len(got.Tags) != 0 || got.Validator != "" {
			t.Fatalf("got %+v, want the new record and nothing of the old", got)
		}
		remove(t, store, corral.Invalidation{Revision: 9, Target: corral.Target{Tags: []string{"x"}}})
		mustGet(t, store, "a")
	})
	run("Put keeps nothing of its argument's memory", memoryIsNotShared)
	run("a body comes back byte for byte, as often as it is asked for", bodiesComeBack)
	run("a body that breaks leaves what was there", func(t *testing.T, store corral.Store) {
		put(t, store, "a", &corral.Record{Value: []byte("old"), BodySize: -1, TTL: time.Hour})
		broken := io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), iotest.ErrReader(ErrInjected))
		err := store.Put(deadline(t), "a", &corral.Record{Value: []byte("new"), Body: io.NopCloser(broken), BodySize: -1, TTL: time.Hour})
		if !errors.Is(err, ErrInjected) {
			t.Fatalf("Put gave %v, want the error of the body", err)
		}
		if got := mustGet(t, store, "a"); string(got.Value) != "old" {
			t.Fatalf("got %q, want %q", got.Value, "old")
		}
	})
	run("Delete is by key, by tag or of everything", deletesByTarget)
	run("a prefix is bytes and nothing more", prefixesAreBytes)
	run("Delete leaves what is as new as itself", func(t *testing.T, store corral.Store) {
		for revision := uint64(1); revision <= 4; revision++ {
			put(t, store, fmt.Sprint(revision), &corral.Record{BodySize: -1, Revision: revision, TTL: time.Hour, Tags: []string{"x"}})
		}
		remove(t, store, corral.Invalidation{Revision: 3, Target: corral.Target{Keys: []string{"1", "3"}}})
		wantKeys(t, store, "2", "3", "4")
		remove(t, store, corral.Invalidation{Revision: 3, Target: corral.Target{Tags: []string{"x"}}})
		wantKeys(t, store, "3", "4")
		remove(t, store, corral.Invalidation{Revision: 4, Target: corral.Target{All: true}})
		wantKeys(t, store, "4")
	})
	run("Delete of what is not there is no error", func(t *testing.T, store corral.Store) {
		remove(t, store, corral.Invalidation{Revision: 1, Target: corral.Target{Keys: []string{"a"}, Tags: []string{"x"}}})
		remove(t, store, corral.Invalidation{Revision: 2, Target: corral.Target{All: true}})
		remove(t, store, corral.Invalidation{Revision: 3})
	})
	run("a key may be put again after a Delete", func(t *testing.T, store corral.Store) {
		put(t, store, "a", &corral.Record{Value: []byte("old"), BodySize: -1, Revision: 1, TTL: time.Hour})
		remove(t, store, corral.Invalidation{Revision: 2, Target: corral.Target{Keys: []string{"a"}}})
		put(t, store, "a", &corral.Record{Value: []byte("new"), BodySize: -1, Revision: 2, TTL: time.Hour})
		if got := mustGet(t, store, "a"); string(got.Value) != "new" {
			t.Fatalf("got %q, want %q", got.Value, "new")
		}
	})
	run("a call whose context has ended does nothing", endedContexts)
	run("many goroutines see whole records only", wholeRecordsOnly)
	run("Revision is the highest that was seen", func(t *testing.T, store corral.Store) {
		known, ok := store.(corral.Revisioned)
		if !ok {
			return
		}
		want := func(revision uint64) {
			t.Helper()
			if got, err := known.Revision(deadline(t)); got != revision || err != nil {
				t.Fatalf("Revision gave %d, %v; want %d", got, err, revision)
			}
		}
		want(0)
		put(t, store, "a", &corral.Record{BodySize: -1, Revision: 7, TTL: time.Hour})
		want(7)
		put(t, store, "b", &corral.Record{BodySize: -1, Revision: 3, TTL: time.Hour})
		want(7)
		remove(t, store, corral.Invalidation{Revision: 9, Target: corral.Target{Keys: []string{"a"}}})
		want(9)
	})
	testLatePuts(s, run)
	testForget(run)
	testMany(s, run)
	testBrowser(s, run)
	if s.reopen != nil {
		testReopening(s, run)
	}
	testBound(t, s, open)
}

// caseOf runs one case of a suite on a store of its own.
type caseOf func(name string, test func(t *testing.T, store corral.Store))

func everyFieldComesBack(t *testing.T, store corral.Store) {
	want := corral.Record{
		Value: []byte("v\x00\xff"), BodySize: -1, Revision: 1<<63 + 5, Outcome: corral.Share,
		Age: 3 * time.Second, TTL: time.Hour, StaleFor: 2 * time.Hour, StaleOnError: corral.Forever, StaleOnOutage: 4 * time.Hour, EarlyRefresh: 1.5,
		Cost: 70 * time.Millisecond, Tags: []string{"x", "", "y z\n"}, Validator: `W/"1\2"`,
	}
	put(t, store, "a", &want)
	got := mustGet(t, store, "a")
	if !bytes.Equal(got.Value, want.Value) || got.Body != nil || got.Revision != want.Revision || got.Outcome != want.Outcome ||
		got.StaleFor != want.StaleFor || got.StaleOnError != want.StaleOnError || got.StaleOnOutage != want.StaleOnOutage || got.EarlyRefresh != want.EarlyRefresh ||
		got.Cost != want.Cost || !slices.Equal(got.Tags, want.Tags) || got.Validator != want.Validator {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func durationsPass(t *testing.T, s suite, store corral.Store) {
	put(t, store, "a", &corral.Record{BodySize: -1, Age: time.Second, TTL: time.Second, StaleFor: time.Hour})
	before := time.Now()
	first := mustGet(t, store, "a")
	passing, resolution := s.passing()
	time.Sleep(passing)
	second := mustGet(t, store, "a")
	passed := time.Since(before)
	aged, spent := second.Age-first.Age, first.TTL-second.TTL
	for name, d := range map[string]time.Duration{"Age grew": aged, "TTL shrank": spent} {
		if d < passing-resolution || d > passed+resolution {
			t.Errorf("%s by %v while between %v and %v passed", name, d, passing, passed)
		}
	}
	if first.Age < time.Second || second.StaleFor != time.Hour {
		t.Errorf("Age is %v, StaleFor %v; want 1s and more, 1h", first.Age, second.StaleFor)
	}
}

func keysAreBytes(t *testing.T, store corral.Store) {
	keys := []string{
		"a", "A", "a ", "a/b", "a//b", "../a", "a*", "a?", "\x00", "a\x00b", "a\nb", "\r\n", "ключ", "\xff\xfe", "{", "}", "{}", "{a}", "{a}b", "b{a}", "}{",
		"a:b", "$1", `a"b\`, strings.Repeat("k", 8<<10), strings.Repeat("k", 8<<10-1) + "l",
	}
	for i, key := range keys {
		put(t, store, key, &corral.Record{Value: fmt.Append(nil, i), BodySize: -1, TTL: time.Hour})
	}
	remove(t, store, corral.Invalidation{Revision: 1, Target: corral.Target{Keys: []string{"a*"}}})
	for i, key := range keys {
		if key == "a*" {
			continue
		}
		if got := mustGet(t, store, key); string(got.Value) != fmt.Sprint(i) {
			t.Errorf("%.20q has %q, want %d", key, got.Value, i)
		}
	}
}

func prefixesAreBytes(t *testing.T, store corral.Store) {
	const gone = "under the prefix"
	revision := uint64(1)
	for _, row := range []struct{ prefix, key, what string }{
		{"a/", "a/", gone}, {"a/", "a/b", gone}, {"a/", "a", ""}, {"a/", "A/b", ""}, {"a/", "b/a/", ""}, {"a/", "a//b", gone},
		{"a*", "ab", ""}, {"a*", "a*b", gone}, {"a_", "ab", ""}, {"a%", "ab", ""}, {"[a]", "a", ""},
		{"a\x00", "a\x00b", gone}, {"a\x00", "a", ""}, {"\xc3", "\xc3\xa9", gone}, {"\xff", "\xff\xff", gone}, {"\xff\xff", "\xff", ""},
	} {
		put(t, store, row.key, &corral.Record{BodySize: -1, Revision: revision, TTL: time.Hour})
		remove(t, store, corral.Invalidation{Revision: revision + 1, Target: corral.Target{Prefixes: []string{row.prefix}}})
		record, err := store.Get(deadline(t), row.key)
		if err != nil || (record == nil) != (row.what == gone) {
			t.Errorf("after Delete of the prefix %q, Get %q gave %v, %v; want the record gone: %v", row.prefix, row.key, record, err, row.what == gone)
		}
		remove(t, store, corral.Invalidation{Revision: revision + 2, Target: corral.Target{Keys: []string{row.key}}})
		revision += 2
	}
}

func memoryIsNotShared(t *testing.T, store corral.Store) {
	value, tags := []byte("value"), []string{"x"}
	put(t, store, "a", &corral.Record{Value: value, BodySize: -1, TTL: time.Hour, Tags: tags})
	value[0], tags[0] = '?', "?"
	got := mustGet(t, store, "a")
	if string(got.Value) != "value" || got.Tags[0] != "x" {
		t.Fatalf("got %q with the tag %q: Put kept its argument's memory", got.Value, got.Tags[0])
	}
}

func bodiesComeBack(t *testing.T, store corral.Store) {
	for _, size := range []int{0, 1, 4096, 1 << 20} {
		for _, declared := range []int64{int64(size), -1} {
			text := strings.Repeat("body of a response\n", size/19+1)[:size]
			source := &watchedBody{Reader: iotest.HalfReader(strings.NewReader(text))}
			put(t, store, "a", &corral.Record{Value: []byte("header"), Body: source, BodySize: declared, TTL: time.Hour})
			if !source.ended {
				t.Fatalf("Put returned before it had read a body of %d bytes to its end", size)
			}
			for range 2 {
				got := mustGet(t, store, "a")
				if got.Body == nil {
					t.Fatalf("a record with a body of %d bytes came back without", size)
				}
				data, err := io.ReadAll(got.Body)
				if err != nil || string(data) != text || got.BodySize != int64(size) {
					t.Fatalf("a body of %d bytes came back as %d bytes, BodySize %d, %v", size, len(data), got.BodySize, err)
				}
				got.Body.Close()
			}
			half := mustGet(t, store, "a") // closing early does no harm
			io.CopyN(io.Discard, half.Body, int64(size/2))
			if err := half.Body.Close(); err != nil {
				t.Fatalf("Close of a body half read: %v", err)
			}
		}
	}
}

func deletesByTarget(t *testing.T, store corral.Store) {
	revision := uint64(1)
	fill := func() {
		put(t, store, "a", &corral.Record{BodySize: -1, Revision: revision, TTL: time.Hour, Tags: []string{"x", "y"}})
		put(t, store, "b", &corral.Record{BodySize: -1, Revision: revision, TTL: time.Hour, Tags: []string{"y"}})
		put(t, store, "c", &corral.Record{BodySize: -1, Revision: revision, TTL: time.Hour})
		put(t, store, "x", &corral.Record{BodySize: -1, Revision: revision, TTL: time.Hour})
	}
	for _, row := range []struct {
		target corral.Target
		left   []string
	}{
		{corral.Target{Keys: []string{"a"}}, []string{"b", "c", "x"}},
		{corral.Target{Keys: []string{"a", "c", "nobody"}}, []string{"b", "x"}},
		{corral.Target{Tags: []string{"x"}}, []string{"b", "c", "x"}}, // and not the key x
		{corral.Target{Tags: []string{"y"}}, []string{"c", "x"}},
		{corral.Target{Keys: []string{"c"}, Tags: []string{"y"}}, []string{"x"}},
		{corral.Target{Prefixes: []string{"a"}}, []string{"b", "c", "x"}},
		{corral.Target{Prefixes: []string{"y", "ab", "b"}}, []string{"a", "c", "x"}},
		{corral.Target{Prefixes: []string{""}}, nil},
		{corral.Target{Keys: []string{"a"}, Prefixes: []string{"b"}, Tags: []string{"x"}}, []string{"c", "x"}},
		{corral.Target{Keys: []string{"a"}, Soft: true}, []string{"b", "c", "x"}},
		{corral.Target{Tags: []string{"y"}, Soft: true}, []string{"c", "x"}},
		{corral.Target{All: true, Soft: true}, nil},
		{corral.Target{All: true}, nil},
		{corral.Target{}, []string{"a", "b", "c", "x"}},
	} {
		fill()
		revision++
		remove(t, store, corral.Invalidation{Revision: revision, Target: row.target})
		wantKeys(t, store, row.left...)
		if t.Failed() {
			t.Fatalf("after Delete of %+v", row.target)
		}
	}
}

func endedContexts(t *testing.T, store corral.Store) {
	put(t, store, "a", &corral.Record{Value: []byte("old"), BodySize: -1, TTL: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get gave %v, want %v", err, context.Canceled)
	}
	if err := store.Put(ctx, "a", &corral.Record{Value: []byte("new"), BodySize: -1, TTL: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put gave %v, want %v", err, context.Canceled)
	}
	if err := store.Delete(ctx, corral.Invalidation{Revision: 9, Target: corral.Target{All: true}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete gave %v, want %v", err, context.Canceled)
	}
	if got := mustGet(t, store, "a"); string(got.Value) != "old" {
		t.Errorf("got %q, want %q", got.Value, "old")
	}
}

func wholeRecordsOnly(t *testing.T, store corral.Store) {
	const rounds = 50
	ctx := deadline(t)
	var all sync.WaitGroup
	for writer := range 4 {
		all.Go(func() {
			for i := range rounds {
				mark := fmt.Sprintf("%d-%d", writer, i)
				err := store.Put(ctx, "a", &corral.Record{Value: []byte(mark), Body: body(strings.Repeat(mark, 1000)), BodySize: -1, TTL: time.Hour, Validator: mark})
				if err != nil {
					t.Errorf("Put: %v", err)
				}
			}
		})
		all.Go(func() {
			for range rounds {
				got, err := store.Get(ctx, "a")
				if err != nil {
					t.Errorf("Get: %v", err)
				}
				if got == nil {
					continue
				}
				mark := string(got.Value)
				if got.Body == nil {
					t.Errorf("got a record of %q without its body", mark)
					continue
				}
				data, err := io.ReadAll(got.Body)
				if got.Validator != mark || string(data) != strings.Repeat(mark, 1000) || err != nil {
					t.Errorf("got a record of %q with the validator %q and a body of %d bytes, %v", mark, got.Validator, len(data), err)
				}
				got.Body.Close()
			}
		})
	}
	all.Go(func() {
		for range rounds {
			if err := store.Delete(ctx, corral.Invalidation{Revision: 1, Target: corral.Target{Keys: []string{"a"}}, Forget: true}); err != nil {
				t.Errorf("Delete: %v", err)
			}
		}
	})
	all.Wait()
}

func put(t *testing.T, store corral.Store, key string, record *corral.Record) {
	t.Helper()
	if err := store.Put(deadline(t), key, record); err != nil {
		t.Fatalf("Put %.20q: %v", key, err)
	}
}

func mustGet(t *testing.T, store corral.Store, key string) *corral.Record {
	t.Helper()
	record, err := store.Get(deadline(t), key)
	if err != nil || record == nil {
		t.Fatalf("Get %.20q gave %v, %v; want a record", key, record, err)
	}
	return record
}

func remove(t *testing.T, store corral.Store, invalidation corral.Invalidation) {
	t.Helper()
	if err := store.Delete(deadline(t), invalidation); err != nil {
		t.Fatalf("Delete %+v: %v", invalidation, err)
	}
}

// wantKeys fails unless, of all one-letter and one-digit keys, exactly these are
// there.
func wantKeys(t *testing.T, store corral.Store, keys ...string) {
	t.Helper()
	var there []string
	for _, key := range strings.Split("1234abcx", "") {
		if record, err := store.Get(deadline(t), key); err != nil {
			t.Fatalf("Get %q: %v", key, err)
		} else if record != nil {
			there = append(there, key)
		}
	}
	if !slices.Equal(there, keys) {
		t.Errorf("the store has %q, want %q", there, keys)
	}
}

func body(text string) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }

// watchedBody notes that it was read to its end.
type watchedBody struct {
	io.Reader
	ended bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

func (b *watchedBody) Close() error { return nil }
