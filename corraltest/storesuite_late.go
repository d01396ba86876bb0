package corraltest

import (
	"fmt"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// lateTargets are targets that concern the key a with the tag x, each in its way.
var lateTargets = []struct {
	name   string
	target corral.Target
}{
	{"key", corral.Target{Keys: []string{"a"}}},
	{"tag", corral.Target{Tags: []string{"x"}}},
	{"prefix", corral.Target{Prefixes: []string{"a"}}},
	{"all", corral.Target{All: true}},
}

// tagged is a record with the tag x.
func tagged(value string, revision uint64) *corral.Record {
	return &corral.Record{Value: []byte(value), BodySize: -1, Revision: revision, TTL: time.Hour, Tags: []string{"x"}}
}

// testLatePuts is about records whose load began before a Delete and that are
// put after it.
func testLatePuts(s suite, run caseOf) {
	for _, row := range lateTargets {
		run("a record that is put late, after a Delete by "+row.name+", is not there", func(t *testing.T, store corral.Store) {
			s.unless(t, TakesLatePuts)
			remove(t, store, corral.Invalidation{Revision: 5, Target: row.target})
			put(t, store, "a", tagged("late", 4))
			wantNone(t, store, "a")
			put(t, store, "a", tagged("new", 5))
			if got := mustGet(t, store, "a"); string(got.Value) != "new" {
				t.Fatalf("got %q, want %q", got.Value, "new")
			}
			put(t, store, "a", tagged("late", 4))
			if got, err := store.Get(deadline(t), "a"); err != nil || got != nil && string(got.Value) != "new" {
				t.Fatalf("Get gave %+v, %v after a late Put", got, err)
			}
		})
	}
	run("a Delete below another one makes no late record possible", func(t *testing.T, store corral.Store) {
		s.unless(t, TakesLatePuts)
		for _, row := range lateTargets {
			remove(t, store, corral.Invalidation{Revision: 5, Target: row.target})
			remove(t, store, corral.Invalidation{Revision: 2, Target: row.target})
			put(t, store, "a", tagged("late", 3))
			wantNone(t, store, "a")
		}
	})
}

// testForget is about what is taken out and not remembered.
func testForget(run caseOf) {
	run("what is to be forgotten goes, whatever its revision, and what is put later stays", func(t *testing.T, store corral.Store) {
		put(t, store, "a", tagged("v", 7))
		put(t, store, "b", tagged("v", 7))
		put(t, store, "c", tagged("v", 7))
		before := revisionOf(t, store)
		remove(t, store, corral.Invalidation{Revision: 3, Target: corral.Target{Keys: []string{"a"}}, Forget: true})
		remove(t, store, corral.Invalidation{Revision: 30, Target: corral.Target{Keys: []string{"b", "nobody"}}, Forget: true})
		wantKeys(t, store, "c")
		if got := revisionOf(t, store); got != before {
			t.Errorf("Revision is %d, and was %d before: nothing is to be remembered", got, before)
		}
		for _, key := range []string{"a", "b"} {
			put(t, store, key, tagged("again", 2))
			if got := mustGet(t, store, key); string(got.Value) != "again" {
				t.Fatalf("%q has %q, want %q", key, got.Value, "again")
			}
		}
	})
}

// revisionOf is 0 for a store that does not say.
func revisionOf(t *testing.T, store corral.Store) uint64 {
	t.Helper()
	known, ok := store.(corral.Revisioned)
	if !ok {
		return 0
	}
	revision, err := known.Revision(deadline(t))
	if err != nil {
		t.Fatalf("Revision: %v", err)
	}
	return revision
}

func wantNone(t *testing.T, store corral.Store, key string) {
	t.Helper()
	if record, err := store.Get(deadline(t), key); record != nil || err != nil {
		t.Fatalf("Get %.20q gave %s, %v; want nothing", key, recordText(record), err)
	}
}

func recordText(record *corral.Record) string {
	if record == nil {
		return "nothing"
	}
	return fmt.Sprintf("%.20q of revision %d", record.Value, record.Revision)
}
