package corraltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// testMany is about many records, large ones, and many at once.
func testMany(s suite, run caseOf) {
	run("many records are each what was put", func(t *testing.T, store corral.Store) { manyRecords(t, s.records, store) })
	run("a value of a mebibyte comes back", func(t *testing.T, store corral.Store) {
		value := noise(1 << 20)
		put(t, store, "a", &corral.Record{Value: value, BodySize: -1, TTL: time.Hour})
		if got := mustGet(t, store, "a"); !bytes.Equal(got.Value, value) {
			t.Fatalf("a value of %d bytes came back as one of %d, or another", len(value), len(got.Value))
		}
	})
	run("the largest body comes back", func(t *testing.T, store corral.Store) {
		text := noise(int(s.largestBody))
		put(t, store, "a", &corral.Record{Value: []byte("header"), Body: io.NopCloser(bytes.NewReader(text)), BodySize: s.largestBody, TTL: time.Hour})
		got := mustGet(t, store, "a")
		if got.Body == nil {
			t.Fatal("a record with a body came back without")
		}
		defer got.Body.Close()
		if data, err := io.ReadAll(got.Body); err != nil || !bytes.Equal(data, text) {
			t.Fatalf("a body of %d bytes came back as %d bytes, %v, or others", len(text), len(data), err)
		}
	})
	run("a body that is being read is not changed by what comes after", func(t *testing.T, store corral.Store) {
		text := noise(300_000)
		for name, next := range map[string]func(){
			"a Put": func() {
				put(t, store, "a", &corral.Record{Body: body("another"), BodySize: -1, Revision: 1, TTL: time.Hour})
			},
			"a Delete": func() {
				remove(t, store, corral.Invalidation{Target: corral.Target{Keys: []string{"a"}}, Forget: true})
			},
		} {
			put(t, store, "a", &corral.Record{Body: io.NopCloser(bytes.NewReader(text)), BodySize: -1, Revision: 1, TTL: time.Hour})
			got := mustGet(t, store, "a")
			if got.Body == nil {
				t.Fatal("a record with a body came back without")
			}
			first := make([]byte, 1000)
			if _, err := io.ReadFull(got.Body, first); err != nil {
				t.Fatalf("read: %v", err)
			}
			next()
			rest, err := io.ReadAll(got.Body)
			if whole := append(first, rest...); err == nil && !bytes.Equal(whole, text) || !bytes.HasPrefix(text, whole) {
				t.Errorf("after %s a body of %d bytes came back as %d bytes, %v, or others", name, len(text), len(whole), err)
			}
			got.Body.Close()
		}
	})
	run("many goroutines are each told the truth", func(t *testing.T, store corral.Store) { oracle(t, s, store) })
}

// noise is bytes that do not repeat, the same at each call.
func noise(n int) []byte {
	out := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(out)
	return out
}

func manyRecords(t *testing.T, count int, store corral.Store) {
	key := func(i int) string { return fmt.Sprintf("%d/%d", i%10, i) }
	atOnce(count, func(i int) {
		record := &corral.Record{Value: fmt.Append(nil, key(i)), BodySize: -1, Revision: 1, TTL: time.Hour, Tags: []string{fmt.Sprint("t", i%7)}}
		if err := store.Put(context.Background(), key(i), record); err != nil {
			t.Errorf("Put %q: %v", key(i), err)
		}
	})
	remove(t, store, corral.Invalidation{Revision: 2, Target: corral.Target{Prefixes: []string{"3/"}}})
	remove(t, store, corral.Invalidation{Revision: 3, Target: corral.Target{Tags: []string{"t5"}}})
	var wrong atomic.Int64
	atOnce(count, func(i int) {
		got, err := store.Get(context.Background(), key(i))
		gone := i%10 == 3 || i%7 == 5
		if err != nil || (got == nil) != gone || got != nil && string(got.Value) != key(i) {
			if wrong.Add(1) <= 10 {
				t.Errorf("Get %q gave %s, %v; gone: %v", key(i), recordText(got), err, gone)
			}
		}
	})
}

// atOnce makes n calls, some at a time.
func atOnce(n int, call func(i int)) {
	const abreast = 32
	var next atomic.Int64
	var all sync.WaitGroup
	for range abreast {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				call(i)
			}
		})
	}
	all.Wait()
}

// A truth is what an oracle knows of one key.
type truth struct {
	key  string
	put  uint64        // the revision of the last Put, by its one writer
	gone atomic.Uint64 // the highest revision of a Delete that has returned
	last atomic.Uint64 // the highest revision of a Delete that was begun
}

// oracle lets many write, delete and read at once. Revisions are drawn from one
// counter. Nobody who asks after a Delete has returned is given what is older,
// unless it was put late and the store takes that; and in the end each key has
// its last record or none.
func oracle(t *testing.T, s suite, store corral.Store) {
	const keys, rounds = 8, 60
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	var revisions atomic.Uint64
	var all sync.WaitGroup
	truths := make([]*truth, keys)
	for i := range truths {
		k := &truth{key: fmt.Sprintf("{%d}", i)}
		truths[i] = k
		all.Go(func() { // the writer
			for range rounds {
				k.put = revisions.Load()
				if err := store.Put(ctx, k.key, tagged(fmt.Sprintf("%s@%d", k.key, k.put), k.put)); err != nil {
					t.Errorf("Put: %v", err)
				}
			}
		})
		all.Go(func() { // the one who deletes
			for range rounds / 3 {
				revision := revisions.Add(1)
				k.last.Store(revision)
				if err := store.Delete(ctx, corral.Invalidation{Revision: revision, Target: corral.Target{Keys: []string{k.key}}}); err != nil {
					t.Errorf("Delete: %v", err)
				}
				k.gone.Store(revision)
			}
		})
		all.Go(func() { // the reader
			for range 2 * rounds {
				if err := k.look(ctx, store, !s.is(TakesLatePuts)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, k := range truths {
		k.settled(t, s, store)
	}
}

// look reads once, and says what is wrong with that.
func (k *truth) look(ctx context.Context, store corral.Store, strict bool) error {
	floor := k.gone.Load()
	got, err := store.Get(ctx, k.key)
	switch {
	case err != nil:
		return fmt.Errorf("Get: %w", err)
	case got == nil:
		return nil
	case string(got.Value) != fmt.Sprintf("%s@%d", k.key, got.Revision):
		return fmt.Errorf("Get %q gave %s", k.key, recordText(got))
	case strict && got.Revision < floor:
		return fmt.Errorf("Get %q gave %s after Delete %d had returned", k.key, recordText(got), floor)
	}
	return nil
}

// settled checks a key at which nothing is under way any more.
func (k *truth) settled(t *testing.T, s suite, store corral.Store) {
	t.Helper()
	got, err := store.Get(deadline(t), k.key)
	if err == nil && k.put >= k.last.Load() && (got == nil || got.Revision != k.put) {
		err = errors.New("the last Put was above the last Delete")
	}
	if err == nil && k.put < k.last.Load() && got != nil && !s.is(TakesLatePuts) {
		err = errors.New("the last Delete was above the last Put")
	}
	if err != nil {
		t.Errorf("in the end Get %q gave %s after Put %d and Delete %d: %v", k.key, recordText(got), k.put, k.last.Load(), err)
	}
}
