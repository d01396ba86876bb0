package corraltest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// testBrowser is about looking into a store that lets itself be looked into.
func testBrowser(s suite, outer caseOf) {
	run := func(name string, test func(t *testing.T, store corral.Store, browser corral.Browser)) {
		outer(name, func(t *testing.T, store corral.Store) {
			browser, ok := store.(corral.Browser)
			if !ok {
				t.Skip("it is no Browser")
			}
			test(t, store, browser)
		})
	}
	run("List says of each record what it is", func(t *testing.T, store corral.Store, browser corral.Browser) {
		put(t, store, "a", &corral.Record{
			Value: []byte("value"), BodySize: -1, Revision: 7, Age: time.Minute, TTL: time.Hour, StaleFor: 2 * time.Hour, StaleOnError: 3 * time.Hour,
			Cost: 70 * time.Millisecond, Tags: []string{"x", "y"}, Validator: "e",
		})
		put(t, store, "b", &corral.Record{Value: []byte("header"), Body: body(strings.Repeat("x", 70_000)), BodySize: -1, TTL: corral.Forever})
		listed := wantListed(t, browser, "", "a", "b")
		a, b := listed["a"], listed["b"]
		if a.HasBody || a.Revision != 7 || a.Windows != 3*time.Hour || a.Cost != 70*time.Millisecond || !slices.Equal(a.Tags, []string{"x", "y"}) || a.Validator != "e" ||
			a.Age < time.Minute || a.Age > time.Minute+patience || a.TTL > time.Hour || a.TTL < time.Hour-patience || a.Bytes < int64(len("value")) {
			t.Errorf("a is listed as %+v", a)
		}
		if !b.HasBody || b.TTL != corral.Forever || b.Bytes < 70_000 || len(b.Tags) != 0 {
			t.Errorf("b is listed as %+v", b)
		}
	})
	run("List is by prefix, and a prefix is bytes and nothing more", func(t *testing.T, store corral.Store, browser corral.Browser) {
		keys := []string{"a", "a*", "a*b", "ab", "a[b]c", "{a}", "\x00", "\xff", "\xff\xffb", "a\\b", "a?b"}
		for _, key := range keys {
			put(t, store, key, &corral.Record{BodySize: -1, TTL: time.Hour})
		}
		for _, prefix := range []string{"", "a", "a*", "a[b]", "{", "\x00", "\xff", "\xff\xff", "a\\", "a?", "nobody"} {
			wantListed(t, browser, prefix, slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !strings.HasPrefix(key, prefix) })...)
		}
	})
	run("what is deleted is not listed", func(t *testing.T, store corral.Store, browser corral.Browser) {
		for i := range 4 {
			put(t, store, fmt.Sprint(i), &corral.Record{BodySize: -1, Revision: 1, TTL: time.Hour, Tags: []string{fmt.Sprint("t", i)}})
		}
		remove(t, store, corral.Invalidation{Revision: 2, Target: corral.Target{Keys: []string{"1"}}})
		wantListed(t, browser, "", "0", "2", "3")
		remove(t, store, corral.Invalidation{Revision: 3, Target: corral.Target{Tags: []string{"t2"}}})
		wantListed(t, browser, "", "0", "3")
		remove(t, store, corral.Invalidation{Revision: 4, Target: corral.Target{Prefixes: []string{"3"}}})
		wantListed(t, browser, "", "0")
		remove(t, store, corral.Invalidation{Revision: 5, Target: corral.Target{All: true}})
		wantListed(t, browser, "")
	})
	run("List and Verify end where they are left", func(t *testing.T, store corral.Store, browser corral.Browser) {
		for i := range 20 {
			put(t, store, fmt.Sprint(i), &corral.Record{BodySize: -1, TTL: time.Hour})
		}
		for range browser.List(deadline(t), "") {
			break
		}
		for range browser.Verify(deadline(t)) {
			break
		}
		mustGet(t, store, "0")
	})
	run("Verify reads everything, and finds nothing broken", func(t *testing.T, store corral.Store, browser corral.Browser) {
		want := map[string]bool{}
		for i := range 50 {
			key, record := fmt.Sprint(i), &corral.Record{Value: []byte("v"), BodySize: -1, TTL: time.Hour}
			if i%5 == 0 {
				record.Body = body(strings.Repeat("x", i*10_000))
			}
			put(t, store, key, record)
			want[key] = true
		}
		for entry, err := range browser.Verify(deadline(t)) {
			if err != nil || !want[entry.Key] {
				t.Fatalf("Verify yielded %+v, %v", entry, err)
			}
			delete(want, entry.Key)
		}
		if len(want) != 0 {
			t.Errorf("Verify left out %q", slices.Sorted(maps.Keys(want)))
		}
	})
	run("Remove takes out what is there, and counts it", func(t *testing.T, store corral.Store, browser corral.Browser) {
		put(t, store, "a", tagged("v", 1<<40))
		put(t, store, "b", &corral.Record{Body: body("body"), BodySize: -1, TTL: time.Hour})
		put(t, store, "c", tagged("v", 1))
		if n, err := browser.Remove(deadline(t), "a", "b", "nobody"); n != 2 || err != nil {
			t.Errorf("Remove gave %d, %v; want 2", n, err)
		}
		wantKeys(t, store, "c")
		put(t, store, "a", tagged("again", 1))
		wantKeys(t, store, "a", "c")
	})
	run("Stat counts what was done", func(t *testing.T, store corral.Store, browser corral.Browser) {
		put(t, store, "a", tagged("v", 7))
		mustGet(t, store, "a")
		stat, err := browser.Stat(deadline(t))
		if err != nil {
			t.Fatalf("Stat: %v", err)
		}
		if stat.Kind == "" || stat.Broken != "" || stat.Revision != 7 || stat.Errors != 0 || stat.Corrupt != 0 || stat.Refused != 0 {
			t.Errorf("Stat gave %+v", stat)
		}
		if _, ok := store.(corral.Bound); ok && stat.Sequence != suiteSequence {
			t.Errorf("Sequence is %q, want %q", stat.Sequence, suiteSequence)
		}
	})
	run("a look whose context has ended ends with its cause", func(t *testing.T, store corral.Store, browser corral.Browser) {
		put(t, store, "a", tagged("v", 1))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := browser.Remove(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("Remove gave %v, want %v", err, context.Canceled)
		}
		for _, err := range browser.List(ctx, "") {
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("List gave %v, want %v", err, context.Canceled)
			}
		}
		mustGet(t, store, "a")
	})
}

// wantListed fails unless List gives exactly these keys, each once.
func wantListed(t *testing.T, browser corral.Browser, prefix string, keys ...string) map[string]corral.StoredEntry {
	t.Helper()
	listed := map[string]corral.StoredEntry{}
	for entry, err := range browser.List(deadline(t), prefix) {
		if err != nil {
			t.Fatalf("List %q: %v", prefix, err)
		}
		if _, twice := listed[entry.Key]; twice {
			t.Errorf("List %q gave %q twice", prefix, entry.Key)
		}
		listed[entry.Key] = entry
	}
	slices.Sort(keys)
	if got := slices.Sorted(maps.Keys(listed)); !slices.Equal(got, keys) {
		t.Errorf("List %q gave %q, want %q", prefix, got, keys)
	}
	return listed
}
