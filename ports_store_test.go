package corral_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// keep puts a record into the rig's store, unnoted.
func (r *rig) keep(key string, record corral.Record) {
	r.t.Helper()
	if err := r.store.Put(r.t.Context(), key, &record); err != nil {
		r.t.Fatal(err)
	}
	r.log.Take()
}

func TestWhatAStoreHasPastItsTTLIsServedByPolicy(t *testing.T) {
	for _, row := range []struct {
		name   string
		ttl    time.Duration
		value  string
		source corral.Source
	}{
		{"the last nanosecond of the TTL", 1, "kept", corral.Stored},
		{"the first of StaleFor", 0, "kept", corral.Stored},
		{"the last of StaleFor", -time.Second + 1, "kept", corral.Stored},
		{"past StaleFor", -time.Second, "a#1", corral.Loaded},
	} {
		t.Run(row.name, func(t *testing.T) {
			withPorts(t, withStore, func(t *testing.T, r *rig) {
				record := text("kept")
				record.TTL, record.StaleFor = row.ttl, time.Second
				r.keep("a", record)
				g := r.get("a")
				g.want(t, row.value, row.source, g.at)
				if row.source == corral.Stored && g.info.TTL != row.ttl {
					t.Fatalf("Info.TTL is %v, want %v", g.info.TTL, row.ttl)
				}
			})
		})
	}
}

func TestARecordTooOldToServeIsValidated(t *testing.T) {
	withPorts(t, withStore, func(t *testing.T, r *rig) {
		record := text("kept")
		record.TTL, record.Validator, record.Tags = -time.Hour, "e", []string{"x"}
		r.keep("a", record)
		r.load = notModified("new")
		g := r.get("a")
		g.want(t, "kept", corral.Loaded, 0)
		if g.info.TTL != time.Minute || g.item.Validator != "e" || fmt.Sprint(g.item.Tags) != "[x]" {
			t.Fatalf("got %+v, %+v; want the old value with new times", g.item, g.info)
		}
		r.wantLog("store get a", "load a", "store put a")
		if n := r.Stats().NotModified; n != 1 {
			t.Fatalf("%d validations, want 1", n)
		}
	})
}

func TestARecordTooOldToServeBringsItsValidatorToTheOwner(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		record := text("kept")
		record.TTL, record.Validator = -time.Hour, "e"
		r.keep("a", record)
		r.load = notModified("new")
		r.get("a").want(t, "kept", corral.Loaded, 0)
		if p := r.script.Requests()[0].Previous; p == nil || p.Validator != "e" {
			t.Fatalf("the request brought %+v, want the record to validate", p)
		}
	})
}

func TestARecordTooOldToServeCoversAFailure(t *testing.T) {
	withPorts(t, withStore, func(t *testing.T, r *rig) {
		record := text("kept")
		record.TTL, record.StaleOnError = -time.Minute, time.Hour
		r.keep("a", record)
		r.load = failing(errPort)
		g := r.get("a")
		g.want(t, "kept", corral.Stale, 0)
		if !errors.Is(g.info.Err, errPort) {
			t.Fatalf("Info.Err is %v, want %v", g.info.Err, errPort)
		}
		time.Sleep(59*time.Minute - 1)
		r.get("a").want(t, "kept", corral.Stale, 0)
		time.Sleep(time.Nanosecond)
		r.get("a").wantErr(t, errPort, 0)
	})
}

func TestARecordTooOldToServeCoversAnOutageWithinAWindowOfItsOwn(t *testing.T) {
	withPorts(t, withStore, func(t *testing.T, r *rig) {
		record := text("kept")
		record.TTL, record.StaleOnOutage = -time.Minute, time.Hour
		r.keep("a", record)
		r.load = failing(corral.Outage(errPort))
		time.Sleep(59*time.Minute - 1)
		r.get("a").want(t, "kept", corral.Stale, 0)
		time.Sleep(time.Nanosecond)
		r.get("a").wantErr(t, errPort, 0)
	})
}

func TestARecordOlderThanAnInvalidationIsNotServed(t *testing.T) {
	for _, row := range []struct {
		name       string
		invalidate func(ctx context.Context, c *corral.Cache[string]) error
	}{
		{"its key", func(ctx context.Context, c *corral.Cache[string]) error { return c.Invalidate(ctx, "a") }},
		{"its tag", func(ctx context.Context, c *corral.Cache[string]) error { return c.InvalidateTags(ctx, "x") }},
		{"all", func(ctx context.Context, c *corral.Cache[string]) error { return c.InvalidateAll(ctx) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			withPorts(t, withStore, func(t *testing.T, r *rig) {
				record := text("kept")
				record.Tags = []string{"x"}
				if err := row.invalidate(t.Context(), r.Cache); err != nil {
					t.Fatal(err)
				}
				r.keep("a", record) // by a writer that did not know
				r.get("a").want(t, "a#1", corral.Loaded, loadTime)
				synctest.Wait()
				if got := r.store.Look("a"); string(got.Value) != "a#1" || got.Revision != 1 {
					t.Fatalf("the store has %q of revision %d, want %q of 1", got.Value, got.Revision, "a#1")
				}
			})
		})
	}
}

func TestARecordThatIsReadWhileItIsInvalidatedIsNotKept(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) { o.Store = slowStore{Store: r.store, get: time.Second} }, func(t *testing.T, r *rig) {
		r.keep("a", text("kept"))
		before := r.goGet("a")
		if err := r.Invalidate(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		after := r.goGet("a")
		if g := <-before; g.err != nil || g.info.Kept {
			t.Fatalf("who asked before got %+v, %v; want a value that is not kept", g.info, g.err)
		}
		g := <-after
		g.want(t, g.item.Value, corral.Loaded, time.Second+loadTime)
		if g.info.Revision != 1 || !g.info.Kept {
			t.Fatalf("who asked after got %+v; want a kept value that was begun after", g.info)
		}
	})
}

func TestAnInvalidationDeletesBeforeItIsAcknowledged(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) { o.Store = slowStore{Store: r.store, delete: time.Second} }, func(t *testing.T, r *rig) {
		r.get("a")
		synctest.Wait()
		start := time.Now()
		if err := r.Invalidate(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != time.Second || r.store.Len() != 0 {
			t.Fatalf("acknowledged after %v with %d records left, want 1s and none", took, r.store.Len())
		}
	})
}

func TestAnInvalidationThatTheStoreDoesNotTakeIsNotAcknowledged(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Store = corraltest.FailNth(3, corraltest.Fails).Store(r.store)
	}, func(t *testing.T, r *rig) {
		r.get("a") // a get and a put
		synctest.Wait()
		err := r.Invalidate(t.Context(), "a")
		if !errors.Is(err, corral.ErrNotAcknowledged) || !errors.Is(err, corraltest.ErrInjected) {
			t.Fatalf("Invalidate gave %v, want %v with its cause", err, corral.ErrNotAcknowledged)
		}
		r.get("a").want(t, "a#2", corral.Loaded, loadTime) // in force here all the same
		if err := r.Invalidate(t.Context(), "a"); err != nil {
			t.Fatalf("the repetition gave %v", err)
		}
		synctest.Wait() // a record that was being written is taken out again
		if r.store.Len() != 0 {
			t.Fatal("the store still has it")
		}
	})
}

func TestAnInvalidationThatTheCoordinatorDoesNotTakeReachesNoStore(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		r.script.OnInvalidate = func(context.Context, corral.Target) error { return errPort }
		err := r.Invalidate(t.Context(), "a")
		if !errors.Is(err, corral.ErrNotAcknowledged) || !errors.Is(err, errPort) {
			t.Fatalf("Invalidate gave %v, want %v with its cause", err, corral.ErrNotAcknowledged)
		}
		r.wantLog("invalidate a")
	})
}

func TestInvalidationsAskTheCoordinatorThenTheStore(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		r.Invalidate(t.Context(), "a", "b")
		r.InvalidateTags(t.Context(), "x")
		r.InvalidateAll(t.Context())
		r.wantLog("invalidate a b", "store delete a b", "invalidate #x", "store delete #x", "invalidate all", "store delete all")
	})
}

func TestSetWritesThrough(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		if err := r.Set(t.Context(), "a", corral.Item[string]{Value: "set", Tags: []string{"x"}}); err != nil {
			t.Fatal(err)
		}
		r.wantLog("invalidate a", "store delete a", "store put a")
		if got := r.store.Look("a"); string(got.Value) != "set" || got.Revision != 1 || got.TTL != time.Minute {
			t.Fatalf("the store has %+v", got)
		}
		r.get("a").want(t, "set", corral.Hit, 0)
	})
}

func TestWhatTheStoreHadGoesWhenItDoesNotTakeWhatIsSet(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Store = corraltest.FailNth(1, corraltest.Fails).Store(r.store)
	}, func(t *testing.T, r *rig) {
		r.keep("a", text("old"))
		if err := r.Set(t.Context(), "a", corral.Item[string]{Value: "set"}); err != nil {
			t.Fatalf("Set gave %v, want no error: what was there is gone", err)
		}
		r.get("a").want(t, "set", corral.Hit, 0)
		if r.store.Len() != 0 {
			t.Fatal("the store has what was there before")
		}
	})
	withPorts(t, func(r *rig, o *corral.Options[string]) { o.Store = isDown(r.store) }, func(t *testing.T, r *rig) {
		if err := r.Set(t.Context(), "a", corral.Item[string]{Value: "set"}); !errors.Is(err, corral.ErrStorePending) || !errors.Is(err, errPort) {
			t.Fatalf("Set gave %v, want %v with the store's error", err, corral.ErrStorePending)
		}
		r.get("a").want(t, "set", corral.Hit, 0)
	})
}

func TestATagInvalidatedWhileARecordIsWrittenTakesItOutAgain(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) { o.Store = slowStore{Store: r.store, put: time.Second} }, func(t *testing.T, r *rig) {
		r.load = answering(corral.Item[string]{Value: "v", Tags: []string{"x"}})
		r.get("a").want(t, "v", corral.Loaded, 0)
		synctest.Wait() // the write, or the Fill before it, is under way
		if err := r.InvalidateTags(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		r.wantLog("store get a", "load a", "store delete #x", "store put a", "store delete a")
		if r.store.Len() != 0 {
			t.Fatal("the store has a record older than the invalidation")
		}
	})
}

func TestATagInvalidatedBeforeARecordIsWrittenKeepsItOut(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		withBoth(r, o)
		r.script.OnLease = func(l *corraltest.Lease) {
			l.OnFill = func(ctx context.Context, _ *corral.Record) error { return sleepIn(ctx, time.Second) }
		}
	}, func(t *testing.T, r *rig) {
		r.load = answering(corral.Item[string]{Value: "v", Tags: []string{"x"}})
		r.get("a").want(t, "v", corral.Loaded, 0)
		synctest.Wait() // the write, or the Fill before it, is under way
		if err := r.InvalidateTags(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if r.store.Len() != 0 {
			t.Fatal("the store has a record older than the invalidation")
		}
	})
}

func TestWritersOfOneKeyTakeTurnsAndTheNewestStays(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) { o.Store = slowStore{Store: r.store, put: time.Second} }, func(t *testing.T, r *rig) {
		for i := range 3 {
			go r.Set(t.Context(), "a", corral.Item[string]{Value: fmt.Sprint("set ", i)})
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		if got := r.store.Look("a"); string(got.Value) != "set 2" {
			t.Fatalf("the store has %q, want %q", got.Value, "set 2")
		}
		r.wantLog("store put a", "store put a") // the second had been replaced when its turn came
	})
}

func TestACacheGoesOnFromTheRevisionOfItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &corraltest.Store{}
		options := corral.Options[string]{TTL: time.Hour, MaxBytes: 1 << 20, Jitter: -1, Codec: corraltest.Text(), Store: store, Now: time.Now}
		first, err := corral.New(corraltest.Value("first"), options)
		if err != nil {
			t.Fatal(err)
		}
		first.Get(t.Context(), "a")
		first.Invalidate(t.Context(), "b")
		first.Get(t.Context(), "b")
		synctest.Wait()
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second := opened(t, corraltest.Value("second"), options)
		g := getFrom(second, t.Context(), "b")
		g.want(t, "first", corral.Stored, 0)
		if g.info.Revision != 1 {
			t.Fatalf("Info.Revision is %d, want 1", g.info.Revision)
		}
		if err := second.Invalidate(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		g = getFrom(second, t.Context(), "b")
		g.want(t, "second", corral.Loaded, 0)
		if g.info.Revision != 2 {
			t.Fatalf("Info.Revision is %d, want 2", g.info.Revision)
		}
	})
}

func TestAStoreThatIsAwayAtTheStartIsDoneWithoutUntilItSaysItsRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &corraltest.Log{}
		store := isDown(&corraltest.Store{Log: log})
		for _, key := range []string{"a", "b", "c"} {
			record := text("kept")
			record.Revision = 41
			store.Store.Put(t.Context(), key, &record)
		}
		log.Take()
		c := opened(t, corraltest.Value("loaded"), corral.Options[string]{TTL: time.Hour, MaxBytes: 1 << 20, Codec: corraltest.Text(), Now: time.Now, Store: store})
		getFrom(c, t.Context(), "a").want(t, "loaded", corral.Loaded, 0)
		if err := c.Invalidate(t.Context(), "b"); !errors.Is(err, corral.ErrStorePending) {
			t.Fatalf("Invalidate gave %v, want %v", err, corral.ErrStorePending)
		}
		wantLines(t, log)
		store.down.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		wantLines(t, log, "store delete b")
		if store.Look("b") != nil {
			t.Fatal("the store has what was invalidated before it was met: its revision is higher than those counted here by then")
		}
		getFrom(c, t.Context(), "c").want(t, "kept", corral.Stored, 0)
		if g := getFrom(c, t.Context(), "b"); g.item.Value != "loaded" || g.info.Revision <= 41 {
			t.Fatalf("got %q of revision %d, want one above all of the store's", g.item.Value, g.info.Revision)
		}
	})
}

// A dumb store fails all calls while it is down.
type dumb struct {
	*corraltest.Store
	down atomic.Bool
}

func isDown(store *corraltest.Store) *dumb {
	s := &dumb{Store: store}
	s.down.Store(true)
	return s
}

func (s *dumb) Get(ctx context.Context, key string) (*corral.Record, error) {
	if s.down.Load() {
		return nil, errPort
	}
	return s.Store.Get(ctx, key)
}

func (s *dumb) Put(ctx context.Context, key string, record *corral.Record) error {
	if s.down.Load() {
		return errPort
	}
	return s.Store.Put(ctx, key, record)
}

func (s *dumb) Delete(ctx context.Context, inv corral.Invalidation) error {
	if s.down.Load() {
		return errPort
	}
	return s.Store.Delete(ctx, inv)
}

func (s *dumb) Revision(ctx context.Context) (uint64, error) {
	if s.down.Load() {
		return 0, errPort
	}
	return s.Store.Revision(ctx)
}

func TestAStoreIsBoundToTheCoordinatorsSequence(t *testing.T) {
	for _, row := range []struct {
		name        string
		coordinator func(*corraltest.Script) corral.Coordinator
		want        string
	}{
		{"one that names it", func(s *corraltest.Script) corral.Coordinator { return sequenced{s} }, "etcd 7"},
		{"one that does not", func(s *corraltest.Script) corral.Coordinator { return s }, ""},
		{"none", func(*corraltest.Script) corral.Coordinator { return nil }, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &corraltest.Log{}
				store := &bound{Store: corraltest.Store{Log: log}}
				opened(t, corraltest.Value("v"), corral.Options[string]{TTL: time.Hour, MaxBytes: 1 << 20, Codec: corraltest.Text(), Now: time.Now,
					Store: store, Coordinator: row.coordinator(corraltest.NewScript(log))})
				if got := strings.Join(store.bound, ","); got != row.want || len(store.bound) != 1 {
					t.Fatalf("bound %d times, to %q; want once, to %q", len(store.bound), got, row.want)
				}
			})
		})
	}
	_, err := corral.New(corraltest.Value("v"), corral.Options[string]{
		Name: "shop", TTL: time.Minute, MaxBytes: 1 << 20, Codec: corraltest.Text(), Store: &bound{err: errPort},
	})
	if !errors.Is(err, errPort) || !strings.Contains(err.Error(), "shop") {
		t.Fatalf("New gave %v, want an error with the cache's name and the cause", err)
	}
}

type sequenced struct{ *corraltest.Script }

func (sequenced) Sequence() string { return "etcd 7" }

type bound struct {
	corraltest.Store
	bound []string
	err   error
}

func (s *bound) Bind(sequence string) error {
	s.bound = append(s.bound, sequence)
	return s.err
}

func TestABodyComesBackFromTheStore(t *testing.T) {
	withPorts(t, withStore, func(t *testing.T, r *rig) {
		record := text("header")
		record.Body = io.NopCloser(strings.NewReader("body"))
		r.keep("a", record)
		for _, source := range []corral.Source{corral.Stored, corral.Hit} {
			g := r.get("a")
			g.want(t, "header", source, 0)
			if data, err := io.ReadAll(g.item.Body); string(data) != "body" || err != nil {
				t.Fatalf("read %q, %v; want %q", data, err, "body")
			}
			g.item.Body.Close()
		}
	})
}

func TestABodyThatComesFromTheStoreIsNotWrittenToItAgain(t *testing.T) {
	withPorts(t, withStore, func(t *testing.T, r *rig) {
		record := text("header")
		record.Body = io.NopCloser(strings.NewReader("body"))
		r.keep("a", record)
		r.log.Take()
		r.get("a").item.Body.Close()
		r.wantLog("store get a")
	})
}

func TestAStaleValueFromTheStoreIsGivenAndRefreshedBehind(t *testing.T) {
	for _, body := range []string{"", "body"} {
		withPorts(t, withStore, func(t *testing.T, r *rig) {
			record := text("old")
			record.TTL, record.StaleFor = -time.Second, time.Hour
			if body != "" {
				record.Body = io.NopCloser(strings.NewReader(body))
			}
			r.keep("a", record)
			r.log.Take()
			g := r.get("a")
			g.want(t, "old", corral.Stored, 0)
			if body != "" {
				g.item.Body.Close()
			}
			time.Sleep(loadTime)
			r.wantLog("store get a", "store get a", "load a", "store put a")
			r.get("a").want(t, "a#1", corral.Hit, 0)
		})
	}
}

// What is too old to be an answer is validated, and covers a load that fails,
// with its body as without.
func TestABodyThatIsTooOldIsOfUseAllTheSame(t *testing.T) {
	long := strings.Repeat("b", 100_000)
	for _, row := range []struct {
		name     string
		size     int64 // that is declared
		load     func(prev *corral.Item[string]) (corral.Item[string], error)
		want     corral.Source
		wantBody string
	}{
		{"confirmed", 100_000, func(prev *corral.Item[string]) (corral.Item[string], error) { return prev.NotModified(), nil }, corral.Loaded, long},
		{"covers a failure", -1, func(*corral.Item[string]) (corral.Item[string], error) { return corral.Item[string]{}, errPort }, corral.Stale, long},
	} {
		t.Run(row.name, func(t *testing.T) {
			withPorts(t, withStore, func(t *testing.T, r *rig) {
				r.load = func(_ context.Context, _ string, prev *corral.Item[string]) (corral.Item[string], error) {
					return row.load(prev)
				}
				record := text("true")
				record.TTL, record.StaleOnError, record.Validator = -time.Second, time.Hour, "e"
				record.Body, record.BodySize = io.NopCloser(strings.NewReader(long)), row.size
				r.keep("a", record)
				g := r.get("a")
				g.want(t, "true", row.want, 0)
				if body := g.item.Body; body != nil {
					if data, err := io.ReadAll(body); string(data) != row.wantBody || err != nil {
						t.Fatalf("read %d bytes, %v; want %d", len(data), err, len(row.wantBody))
					}
					body.Close()
				}
				synctest.Wait()
				s := r.Stats()
				if s.StoreErrors != 0 || s.BytesInFlight != 0 || s.Bytes < int64(len(row.wantBody)) {
					t.Fatalf("%d errors, %d bytes in flight and %d kept; want 0, 0 and the body", s.StoreErrors, s.BytesInFlight, s.Bytes)
				}
				if err := r.InvalidateAll(t.Context()); err != nil || r.Stats().Bytes != 0 {
					t.Fatalf("%d bytes are left, %v", r.Stats().Bytes, err)
				}
			})
		})
	}
}

func TestABodyThatComesTooLateTakesNoMemory(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) { o.Store = slowStore{Store: r.store, get: time.Second / 2} }, func(t *testing.T, r *rig) {
		record := text("old")
		record.TTL, record.StaleOnError = -time.Second, time.Hour
		record.Body, record.BodySize = io.NopCloser(strings.NewReader("body")), 4
		r.keep("a", record)
		asked := r.goGet("a")
		synctest.Wait()
		if err := r.Set(t.Context(), "a", corral.Item[string]{Value: "set"}); err != nil {
			t.Fatal(err)
		}
		<-asked
		time.Sleep(time.Minute)
		if n := r.Stats().BytesInFlight; n != 0 {
			t.Fatalf("%d bytes are in flight once all has landed", n)
		}
	})
}

func TestWhatIsExpiredIsNotFreshAgainFromTheStore(t *testing.T) {
	withPorts(t, withStore, func(t *testing.T, r *rig) {
		r.get("a").want(t, "a#1", corral.Loaded, loadTime)
		synctest.Wait()
		if err := r.Expire(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if r.store.Look("a") != nil {
			t.Fatal("the store has as fresh what was expired")
		}
	})
}

func TestWhatMayBeOutdatedIsValidatedWithItsBody(t *testing.T) {
	withPorts(t, withBoth, func(t *testing.T, r *rig) {
		r.load = func(_ context.Context, _ string, prev *corral.Item[string]) (corral.Item[string], error) {
			if prev == nil {
				return corral.Item[string]{Value: "loaded"}, nil
			}
			return prev.NotModified(), nil
		}
		r.deliver(corral.Invalidation{Revision: 10, Missed: true})
		record := text("kept")
		record.Revision, record.Validator = 9, "e"
		record.Body, record.BodySize = io.NopCloser(strings.NewReader("body")), 4
		r.keep("a", record)
		g := r.get("a")
		g.want(t, "kept", corral.Loaded, 0)
		if data, err := io.ReadAll(g.item.Body); string(data) != "body" || err != nil {
			t.Fatalf("read %q, %v", data, err)
		}
		g.item.Body.Close()
		synctest.Wait()
		if n := r.Stats().BytesInFlight; n != 0 {
			t.Fatalf("%d bytes are in flight once all has landed", n)
		}
	})
}

func TestCallsOfTheStoreAreCountedByTheirTime(t *testing.T) {
	withPorts(t, func(r *rig, o *corral.Options[string]) {
		o.Store = slowStore{Store: r.store, put: 20 * time.Microsecond}
	}, func(t *testing.T, r *rig) {
		r.get("a")
		time.Sleep(time.Second)
		r.Invalidate(t.Context(), "a")
		synctest.Wait()
		s := r.Stats()
		if s.StoreGets.Count() != 1 || s.StoreDeletes.Count() != 1 || s.StorePuts.Times[1] != 1 || s.StorePuts.Time != 20*time.Microsecond {
			t.Fatalf("got %v gets, %v puts and %v deletes; want one each, the put of 20µs", s.StoreGets, s.StorePuts, s.StoreDeletes)
		}
		if bounds := corral.StoreTimeBounds(); bounds[0] != 16*time.Microsecond || bounds[1] != 32*time.Microsecond || len(bounds) != len(s.StorePuts.Times)-1 {
			t.Fatalf("the bounds are %v", bounds)
		}
	})
}

func TestAValueThatNoCodecReadsIsLoaded(t *testing.T) {
	for name, decode := range map[string]func([]byte) (string, error){
		"fails":  func([]byte) (string, error) { return "", errPort },
		"panics": func([]byte) (string, error) { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			withPorts(t, func(r *rig, o *corral.Options[string]) {
				withStore(r, o)
				o.Codec = corraltest.CodecFunc[string]{EncodeFunc: corraltest.Text().Encode, DecodeFunc: decode}
			}, func(t *testing.T, r *rig) {
				r.keep("a", text("kept"))
				r.get("a").want(t, "a#1", corral.Loaded, loadTime)
				synctest.Wait()
				if n := r.Stats().StoreErrors; n != 1 {
					t.Fatalf("%d store errors, want 1", n)
				}
			})
		})
	}
}

func TestAValueThatNoCodecWritesIsServedFromMemory(t *testing.T) {
	for name, encode := range map[string]func(string) ([]byte, error){
		"fails":  func(string) ([]byte, error) { return nil, errPort },
		"panics": func(string) ([]byte, error) { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			withPorts(t, func(r *rig, o *corral.Options[string]) {
				withBoth(r, o)
				o.Codec = corraltest.CodecFunc[string]{EncodeFunc: encode, DecodeFunc: corraltest.Text().Decode}
			}, func(t *testing.T, r *rig) {
				r.get("a").want(t, "a#1", corral.Loaded, loadTime)
				r.get("a").want(t, "a#1", corral.Hit, 0)
				r.wantLog("store get a", "join a", "load a", "fail a")
				synctest.Wait()
				if n := r.Stats().StoreErrors; n != 1 {
					t.Fatalf("%d store errors, want 1", n)
				}
			})
		})
	}
}

// slowStore takes its time for some calls, and then makes them.
type slowStore struct {
	*corraltest.Store
	get, put, delete time.Duration
}

func (s slowStore) Get(ctx context.Context, key string) (*corral.Record, error) {
	record, err := s.Store.Get(ctx, key)
	return record, errors.Join(err, sleepIn(ctx, s.get))
}

func (s slowStore) Put(ctx context.Context, key string, record *corral.Record) error {
	if err := sleepIn(ctx, s.put); err != nil {
		return err
	}
	return s.Store.Put(ctx, key, record)
}

func (s slowStore) Delete(ctx context.Context, invalidation corral.Invalidation) error {
	if err := sleepIn(ctx, s.delete); err != nil {
		return err
	}
	return s.Store.Delete(ctx, invalidation)
}

// A deafStore writes whatever has become of the call.
type deafStore struct {
	*corraltest.Store
	put time.Duration
}

func (s deafStore) Put(ctx context.Context, key string, record *corral.Record) error {
	time.Sleep(s.put)
	return s.Store.Put(context.WithoutCancel(ctx), key, record)
}

// T3.
func TestWhatIsWrittenAfterItsTimeAndItsInvalidationIsTakenOutAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &corraltest.Store{}
		c := opened(t, corraltest.Value("old"), corral.Options[string]{
			TTL: time.Hour, MaxBytes: 1 << 20, Codec: corraltest.Text(), Now: time.Now, Store: deafStore{store, time.Minute}, LoadTimeout: time.Second,
		})
		getFrom(c, t.Context(), "a").want(t, "old", corral.Loaded, 0)
		time.Sleep(2 * time.Second) // nobody waits for the write any more
		if err := c.Invalidate(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if r := store.Look("a"); r != nil {
			t.Fatalf("the store has a record of revision %d, from before an invalidation that was acknowledged", r.Revision)
		}
	})
}
