package corraltest

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// suiteSequence is what a store is bound to in a suite.
const suiteSequence = "suite"

// bind does what New does first.
func bind(t *testing.T, store corral.Store, sequence string) corral.Store {
	t.Helper()
	if bound, ok := store.(corral.Bound); ok {
		if err := bound.Bind(sequence); err != nil {
			t.Fatalf("Bind %q: %v", sequence, err)
		}
	}
	return store
}

// again opens a store again, bound as it was.
func (s suite) again(t *testing.T, store corral.Store) corral.Store {
	t.Helper()
	return bind(t, s.reopen(t, store), suiteSequence)
}

// testReopening is about what outlives a store's process.
func testReopening(s suite, run caseOf) {
	run("opened again, it has what was put, and its time has gone on", func(t *testing.T, store corral.Store) {
		text := strings.Repeat("body\n", 50_000)
		put(t, store, "a", &corral.Record{Value: []byte("v"), BodySize: -1, Revision: 7, Age: time.Second, TTL: time.Hour, StaleFor: time.Minute, Tags: []string{"x"}, Validator: "e"})
		put(t, store, "\x00{b}\n", &corral.Record{Value: []byte("header"), Body: body(text), BodySize: -1, Revision: 7, TTL: corral.Forever})
		before := mustGet(t, store, "a")
		passing, resolution := s.passing()
		time.Sleep(passing)
		for range 2 {
			store = s.again(t, store)
		}
		got := mustGet(t, store, "a")
		if string(got.Value) != "v" || got.Revision != 7 || got.StaleFor != time.Minute || len(got.Tags) != 1 || got.Tags[0] != "x" || got.Validator != "e" {
			t.Errorf("got %+v", got)
		}
		if least := before.Age + passing - resolution; got.Age < least || got.TTL > before.TTL-passing+resolution {
			t.Errorf("Age is %v and TTL %v; %v of the time before had passed", got.Age, got.TTL, passing)
		}
		large := mustGet(t, store, "\x00{b}\n")
		if large.Body == nil {
			t.Fatal("a record with a body came back without")
		}
		defer large.Body.Close()
		if data, err := io.ReadAll(large.Body); string(data) != text || err != nil || large.TTL != corral.Forever {
			t.Errorf("the body came back as %d bytes, %v, with a TTL of %v", len(data), err, large.TTL)
		}
	})
	run("opened again, it knows its revision", func(t *testing.T, store corral.Store) {
		if _, ok := store.(corral.Revisioned); !ok {
			t.Skip("it is not Revisioned")
		}
		put(t, store, "a", tagged("v", 7))
		if store = s.again(t, store); revisionOf(t, store) != 7 {
			t.Fatalf("Revision is %d, want 7: that of a Put", revisionOf(t, store))
		}
		remove(t, store, corral.Invalidation{Revision: 9, Target: corral.Target{Tags: []string{"nobody"}}})
		if store = s.again(t, store); revisionOf(t, store) != 9 {
			t.Fatalf("Revision is %d, want 9: that of a Delete", revisionOf(t, store))
		}
	})
	for _, row := range lateTargets {
		run("opened again, what was deleted by "+row.name+" stays so", func(t *testing.T, store corral.Store) {
			put(t, store, "a", tagged("old", 3))
			put(t, store, "b", &corral.Record{BodySize: -1, Revision: 9, TTL: time.Hour})
			store = s.again(t, store) // what is deleted was put by another
			remove(t, store, corral.Invalidation{Revision: 5, Target: row.target})
			store = s.again(t, store)
			wantKeys(t, store, "b")
			if !s.is(TakesLatePuts) && !s.is(TakesLatePutsReopened) {
				put(t, store, "a", tagged("late", 4))
				wantNone(t, store, "a")
			}
			put(t, store, "a", tagged("new", 5))
			if got := mustGet(t, s.again(t, store), "a"); string(got.Value) != "new" {
				t.Fatalf("got %q, want %q", got.Value, "new")
			}
		})
	}
	run("opened again, it has replaced what was replaced", func(t *testing.T, store corral.Store) {
		put(t, store, "a", &corral.Record{Value: []byte("old"), Body: body("old body"), BodySize: -1, TTL: time.Hour, Tags: []string{"x"}})
		put(t, store, "a", &corral.Record{Value: []byte("new"), BodySize: -1, TTL: time.Hour})
		if got := mustGet(t, s.again(t, store), "a"); string(got.Value) != "new" || got.Body != nil || len(got.Tags) != 0 {
			t.Fatalf("got %+v", got)
		}
	})
}

// testBound is about a store that goes from one sequence of revisions to another,
// and about one that has none.
func testBound(t *testing.T, s suite, open func(t *testing.T) corral.Store) {
	run := func(name string, test func(t *testing.T, store corral.Store)) {
		s.run(t, name, func(t *testing.T) {
			store := open(t)
			if _, ok := store.(corral.Bound); !ok {
				t.Skip("it is not Bound")
			}
			test(t, store)
		})
	}
	run("without a sequence it keeps, deletes and counts on", func(t *testing.T, store corral.Store) {
		bind(t, store, "")
		put(t, store, "a", tagged("v", 3))
		put(t, store, "b", tagged("v", 3))
		remove(t, store, corral.Invalidation{Revision: 4, Target: corral.Target{Keys: []string{"a"}}})
		wantKeys(t, store, "b")
		if s.reopen != nil {
			store = bind(t, s.reopen(t, store), "")
			wantKeys(t, store, "b")
		}
		if _, ok := store.(corral.Revisioned); ok && revisionOf(t, store) != 4 {
			t.Errorf("Revision is %d, want 4", revisionOf(t, store))
		}
		remove(t, store, corral.Invalidation{Revision: 5, Target: corral.Target{Tags: []string{"x"}}})
		wantKeys(t, store)
	})
	if s.reopen == nil {
		return
	}
	for _, next := range []string{"another", ""} {
		run("bound to another sequence, "+next+" it has nothing of the first, nor its revisions", func(t *testing.T, store corral.Store) {
			bind(t, store, suiteSequence)
			put(t, store, "a", &corral.Record{Value: []byte("old"), Body: body("old body"), BodySize: -1, Revision: 7, TTL: time.Hour})
			put(t, store, "b", tagged("old", 7))
			for _, row := range lateTargets {
				remove(t, store, corral.Invalidation{Revision: 6, Target: row.target})
			}
			store = bind(t, s.reopen(t, store), next)
			wantKeys(t, store)
			if browser, ok := store.(corral.Browser); ok {
				wantListed(t, browser, "")
			}
			if got := revisionOf(t, store); got != 0 {
				t.Errorf("Revision is %d, which is another sequence's", got)
			}
			put(t, store, "a", tagged("new", 1))
			if got := mustGet(t, store, "a"); string(got.Value) != "new" || got.Body != nil {
				t.Errorf("got %s with a body: %v; want the new record", recordText(got), got.Body != nil)
			}
			store = bind(t, s.reopen(t, store), next)
			wantKeys(t, store, "a")
		})
	}
}
