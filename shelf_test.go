package corral_test

import (
	"context"
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

// peek is what the shelf gives a request, "" for nothing, and the rest of it.
func (k *kept) peek(request corral.Request) (string, *corral.Record) {
	record := k.shelf.Peek(k.t.Context(), request)
	if record == nil {
		return "", nil
	}
	return string(record.Value), record
}

func (k *kept) wantPeek(request corral.Request, value string) *corral.Record {
	k.t.Helper()
	got, record := k.peek(request)
	if got != value {
		k.t.Fatalf("Peek %+v gave %q, want %q", request, got, value)
	}
	return record
}

func (k *kept) keep(key string, record corral.Record) {
	k.t.Helper()
	if err := k.shelf.Keep(key, &record); err != nil {
		k.t.Fatalf("Keep: %v", err)
	}
}

// ofA asks for a.
var ofA = corral.Request{Key: "a"}

func TestTheShelfGivesWhatAnswersTheRequest(t *testing.T) {
	with := func(change func(r *corral.Request)) corral.Request {
		r := ofA
		change(&r)
		return r
	}
	noStale := with(func(r *corral.Request) { r.NoStale = true })
	fresh := with(func(r *corral.Request) { r.Fresh = true })
	refresh := func(age time.Duration) corral.Request {
		return with(func(r *corral.Request) { r.Refresh, r.Previous = true, &corral.Record{Age: age} })
	}
	const minute = time.Minute
	for _, row := range []struct {
		name    string
		age     time.Duration
		request corral.Request
		want    string
	}{
		{"a new value", 0, ofA, "v"},
		{"one in its last moment", minute - 1, noStale, "v"},
		{"one that has just become stale", minute, ofA, "v"},
		{"one that has just become stale, which will not do", minute, noStale, ""},
		{"one in the last moment of StaleFor", 2*minute - 1, ofA, "v"},
		{"one past it", 2 * minute, ofA, ""},
		{"one for Fresh", 0, fresh, ""},
		{"a younger one for a refresh", minute - 1, refresh(minute), "v"},
		{"one of the same age for a refresh", minute - 1, refresh(minute - 1), ""},
		{"a stale one for a refresh", minute, refresh(time.Hour), ""},
		{"one for a refresh of nothing", 0, with(func(r *corral.Request) { r.Refresh = true }), ""},
		{"one for who is ahead", 0, with(func(r *corral.Request) { r.Revision = 1 }), ""},
		{"another key", 0, corral.Request{Key: "b"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			withKeeper(t, nil, func(t *testing.T, k *kept) {
				k.load = answering(corral.Item[string]{
					Value: "v", TTL: minute, StaleFor: minute, StaleOnError: 3 * minute, Tags: []string{"x"}, Validator: "e", EarlyRefresh: 1,
				})
				k.get("a")
				time.Sleep(row.age)
				record := k.wantPeek(row.request, row.want)
				if record == nil {
					return
				}
				if record.TTL != minute-row.age || record.Age != row.age || record.StaleFor != minute || record.StaleOnError != 3*minute ||
					record.EarlyRefresh != 1 || record.Validator != "e" || len(record.Tags) != 1 || record.Body != nil || record.Outcome != corral.Keep {
					t.Fatalf("got %+v", record)
				}
				k.log.Take()
			})
		})
	}
}

func TestTheShelfGivesNothingThatAnInvalidationConcerns(t *testing.T) {
	for _, target := range []corral.Target{
		{Keys: []string{"a"}}, {Prefixes: []string{"a"}}, {Tags: []string{"x"}}, {All: true},
	} {
		withKeeper(t, nil, func(t *testing.T, k *kept) {
			k.load = answering(corral.Item[string]{Value: "v", Tags: []string{"x"}})
			k.get("a")
			k.wantPeek(ofA, "v")
			k.invalidate(target)
			k.wantPeek(ofA, "")
		})
	}
}

func TestWhatTheShelfGivesIsTrueUpToItsRevision(t *testing.T) { // S1
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.load = answering(corral.Item[string]{Value: "v", Tags: []string{"x"}, StaleFor: time.Hour})
		k.get("a")
		for n := range 5000 { // more than are remembered
			k.invalidate(corral.Target{Keys: []string{fmt.Sprint(n)}})
		}
		record := k.wantPeek(ofA, "v")
		if record.Revision != 5000 || k.shelf.Applied() != 5000 {
			t.Fatalf("it has revision %d of %d applied, want 5000", record.Revision, k.shelf.Applied())
		}
		// A caller who asks after all of them may have it.
		k.script.On("b", corraltest.Gives(*record))
		k.get("b").want(t, "v", corral.Remote, 0)
	})
}

func TestWhatASoftInvalidationHasExpiredIsGivenAsStale(t *testing.T) { // S1
	for _, target := range []corral.Target{
		{Keys: []string{"a"}}, {Prefixes: []string{"a"}}, {Tags: []string{"x"}}, {All: true},
	} {
		target.Soft = true
		withKeeper(t, nil, func(t *testing.T, k *kept) {
			k.load = answering(corral.Item[string]{Value: "v", Tags: []string{"x"}, StaleFor: time.Hour})
			k.get("a")
			k.invalidate(target)
			time.Sleep(time.Second)
			record := k.wantPeek(ofA, "v")
			if record.TTL != -time.Second || record.Revision != 1 {
				t.Fatalf("after %+v: TTL %v at revision %d, want %v at 1", target, record.TTL, record.Revision, -time.Second)
			}
		})
	}
}

func TestWhatWatchIsStillApplyingIsNotVouchedFor(t *testing.T) { // S1
	var k *kept
	var applied, revision uint64
	withKeeper(t, func(own *kept, o *corral.Options[string]) {
		k = own
		o.OnRemove = func(key string, _ string, cause corral.RemovalCause) {
			if key == "a" && cause == corral.Invalidated { // the callback has not returned
				applied, revision = k.shelf.Applied(), k.wantPeek(corral.Request{Key: "b"}, "b#2").Revision
			}
		}
	}, func(t *testing.T, k *kept) {
		k.get("a")
		k.get("b")
		k.invalidate(corral.Target{Keys: []string{"c"}})
		k.invalidate(corral.Target{Keys: []string{"a"}})
		if applied != 1 || revision != 1 {
			t.Fatalf("meanwhile %d was applied and a value true up to %d; want 1", applied, revision)
		}
		if k.shelf.Applied() != 2 {
			t.Fatalf("afterwards %d is applied, want 2", k.shelf.Applied())
		}
	})
}

func TestARevisionOfSeveralInvalidationsIsAppliedWithTheLast(t *testing.T) { // S1
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.get("a")
		for i, row := range []struct {
			key  string
			more bool
			want uint64
		}{{"b", false, 1}, {"c", true, 1}, {"a", false, 2}} {
			if record := k.wantPeek(ofA, "a#1"); i == 2 && record.Revision != 1 {
				t.Fatalf("a value that the rest of revision 2 concerns was vouched for up to %d", record.Revision)
			}
			inv := corral.Invalidation{Revision: min(uint64(i)+1, 2), Target: corral.Target{Keys: []string{row.key}}, More: row.more}
			if err := k.script.Deliver(t.Context(), inv); err != nil {
				t.Fatal(err)
			}
			if got := k.shelf.Applied(); got != row.want {
				t.Fatalf("after the invalidation of %q %d is applied, want %d", row.key, got, row.want)
			}
		}
		k.wantPeek(ofA, "")
	})
}

func TestABodyThatArrivesIsGivenFromItsBeginning(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.load = streaming("header", time.Second, "body")
		own := k.get("a")
		record := k.wantPeek(ofA, "header")
		start := time.Now()
		data, err := io.ReadAll(record.Body)
		record.Body.Close()
		own.item.Body.Close()
		if string(data) != "body" || err != nil || time.Since(start) != time.Second {
			t.Fatalf("read %q, %v after %v", data, err, time.Since(start))
		}
		if whole := k.wantPeek(ofA, "header"); whole.BodySize != 4 {
			t.Fatalf("a whole body has %d bytes, want 4", whole.BodySize)
		} else {
			whole.Body.Close()
		}
		ctx, cancel := context.WithCancel(t.Context())
		k.get("b").item.Body.Close()
		reader := k.shelf.Peek(ctx, corral.Request{Key: "b"})
		if reader == nil { // its only reader has left it
			cancel()
			return
		}
		cancel()
		if _, err := io.ReadAll(reader.Body); err == nil {
			t.Fatal("a body was read on after its context had ended")
		}
	})
}

func TestThePartOfABodyThatHasArrivedIsNotTakenForTheWhole(t *testing.T) {
	for _, declared := range []int64{-1, 4} {
		withKeeper(t, nil, func(t *testing.T, k *kept) {
			k.load = func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
				return corral.Item[string]{Value: "header", TailSize: max(declared, 0), Tail: func(ctx context.Context, w io.Writer) error {
					io.WriteString(w, "bo")
					if err := sleepIn(ctx, time.Second); err != nil {
						return err
					}
					_, err := io.WriteString(w, "dy")
					return err
				}}, nil
			}
			own := k.get("a")
			defer own.item.Body.Close()
			time.Sleep(500 * time.Millisecond) // between the two
			record := k.wantPeek(ofA, "header")
			defer record.Body.Close()
			if record.BodySize != declared {
				t.Errorf("while 2 bytes have arrived of a body of %d, its size is %d", declared, record.BodySize)
			}
		})
	}
}

func TestWhatTheShelfGivesCountsAsUsed(t *testing.T) {
	withKeeper(t, func(_ *kept, o *corral.Options[string]) { o.MaxBytes = 4000 }, func(t *testing.T, k *kept) {
		k.load = answering(corral.Item[string]{Value: "v"})
		for n := range 200 {
			k.get(fmt.Sprint("k", n))
			k.peek(corral.Request{Key: "k0"})
			k.peek(corral.Request{Key: "k0"})
		}
		k.wantPeek(corral.Request{Key: "k0"}, "v")
		k.wantPeek(corral.Request{Key: "k1"}, "")
	})
}

func TestWhatIsKeptIsThereAtOnce(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		record := text("v")
		record.Age, record.Tags, record.Validator = time.Second, []string{"x"}, "e"
		k.keep("a", record)
		if got := k.wantPeek(ofA, "v"); got.Age != time.Second || got.TTL != time.Hour || got.Validator != "e" {
			t.Fatalf("got %+v", got)
		}
		k.get("a").want(t, "v", corral.Hit, 0)
		k.invalidate(corral.Target{Tags: []string{"x"}})
		k.wantPeek(ofA, "")
		k.log.Take()
	})
}

func TestWhatIsTooOldIsNotKept(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.invalidate(corral.Target{Keys: []string{"a"}})
		k.keep("a", text("old")) // of revision 0
		k.wantPeek(ofA, "")
		if n := k.Stats().Entries; n != 0 {
			t.Fatalf("%d entries are left, want none", n)
		}
		now := text("new")
		now.Revision = 1
		k.keep("a", now)
		k.wantPeek(ofA, "new")
	})
}

func TestWhatIsNewerStays(t *testing.T) { // S2
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		aged := func(value string, age time.Duration) corral.Record {
			record := text(value)
			record.Age = age
			return record
		}
		k.keep("a", aged("first", 10))
		k.keep("a", aged("older", 11))
		k.wantPeek(ofA, "first")
		k.keep("a", aged("as old", 10))
		k.wantPeek(ofA, "first")
		k.keep("a", aged("newer", 9))
		k.wantPeek(ofA, "newer")
	})
}

func TestWhatIsToBeSharedIsNotKept(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		record := text("v")
		record.Outcome = corral.Share
		k.keep("a", record)
		k.wantPeek(ofA, "")
	})
}

func TestAFlightThatAsksIsAnsweredByWhatIsKept(t *testing.T) { // S2
	for _, outcome := range []corral.Outcome{corral.Keep, corral.Share} {
		withKeeper(t, nil, func(t *testing.T, k *kept) {
			ended := make(chan error, 1)
			k.script.On("a", func(ctx context.Context, _ corral.Request) (corral.Answer, error) {
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return corral.Answer{Kind: corral.AnswerLease, Lease: corraltest.NewLease("a", k.log)}, nil
			}, giving("next"))
			leader, other := k.goGet("a"), k.goGet("a")
			time.Sleep(time.Second)
			record := text("v")
			record.Outcome = outcome
			k.keep("a", record)
			(<-leader).want(t, "v", corral.Remote, time.Second)
			(<-other).want(t, "v", corral.Joined, time.Second)
			<-ended
			k.wantLog("join a", "abandon a") // the lease that came too late
			value, source := "next", corral.Remote
			if outcome == corral.Keep {
				value, source = "v", corral.Hit
			}
			k.get("a").want(t, value, source, 0)
		})
	}
}

func TestAFlightThatAsksIsNotAnsweredByWhatWillNotDo(t *testing.T) { // S2
	stale, spent := text("stale"), text("spent")
	stale.TTL, stale.StaleFor = -time.Second, time.Hour
	spent.TTL, spent.StaleOnError = -time.Second, time.Hour
	for _, row := range []struct {
		name    string
		record  corral.Record
		options []corral.GetOption
	}{
		{"a value for Fresh", text("v"), []corral.GetOption{corral.Fresh()}},
		{"a stale value for NoStale", stale, []corral.GetOption{corral.NoStale()}},
		{"a value that only covers failures", spent, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			withKeeper(t, nil, func(t *testing.T, k *kept) {
				k.script.On("a", corraltest.Late(2*time.Second, giving("answer")))
				asks := k.goGet("a", row.options...)
				time.Sleep(time.Second)
				k.keep("a", row.record)
				(<-asks).want(t, "answer", corral.Remote, 2*time.Second)
			})
		})
	}
}

func TestARefreshThatAsksIsNotAnsweredByWhatItHas(t *testing.T) { // S2
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		record := text("v")
		record.TTL, record.StaleFor = time.Second, time.Hour
		k.keep("a", record)
		time.Sleep(2 * time.Second)
		k.script.On("a", corraltest.Silent())
		k.get("a").want(t, "v", corral.Stale, 0)
		synctest.Wait()
		record.Age, record.TTL = 2*time.Second, -time.Second
		k.keep("a", record) // once more
		if n := k.Stats().Running; n != 1 {
			t.Fatalf("%d flights run, want the refresh", n)
		}
		k.keep("a", text("newer"))
		synctest.Wait()
		if n := k.Stats().Running; n != 0 {
			t.Fatalf("%d flights run, want none", n)
		}
		k.get("a").want(t, "newer", corral.Hit, 0)
	})
}

func TestAFlightThatComputesIsLeftAlone(t *testing.T) { // S2
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		leader := k.goGet("a")
		k.keep("a", text("meanwhile"))
		k.wantPeek(ofA, "meanwhile")
		k.get("a").want(t, "meanwhile", corral.Hit, 0)
		(<-leader).want(t, "a#1", corral.Loaded, loadTime)
		k.get("a").want(t, "a#1", corral.Hit, 0)
		k.wantLog("join a", "load a", "fill a")
	})
}

func TestAFlightThatIsOlderThanWhatIsKeptDoesNotReplaceIt(t *testing.T) { // S2
	for _, row := range []struct {
		revision uint64
		ttl      time.Duration
		want     string
	}{{1, time.Hour, "kept"}, {0, time.Hour, "a#1"}, {1, loadTime, "a#1"}} {
		withKeeper(t, nil, func(t *testing.T, k *kept) {
			leader := k.goGet("a") // at revision 0
			record := text("kept")
			record.Revision, record.TTL = row.revision, row.ttl
			k.keep("a", record)
			(<-leader).want(t, "a#1", corral.Loaded, loadTime)
			k.get("a").want(t, row.want, corral.Hit, 0)
		})
	}
}

func TestWhatIsOlderThanAFlightThatComputesIsNotKept(t *testing.T) { // S2
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.invalidate(corral.Target{Keys: []string{"b"}})
		leader := k.goGet("a") // at revision 1
		k.keep("a", text("older"))
		k.wantPeek(ofA, "")
		<-leader
	})
}

func TestABodyIsKeptAsItArrives(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		record, body := arriving("header")
		k.keep("a", record)
		got := k.wantPeek(ofA, "header") // at once
		late := k.get("a")
		late.want(t, "header", corral.Hit, 0)
		body.write("bo")
		time.Sleep(20 * time.Second)
		body.write("dy")
		time.Sleep(20 * time.Second) // longer than a load may take
		body.end(nil)
		for _, reader := range []io.ReadCloser{got.Body, late.item.Body} {
			data, err := io.ReadAll(reader)
			reader.Close()
			if string(data) != "body" || err != nil {
				t.Fatalf("read %q, %v", data, err)
			}
		}
		body.wantClosed(t)
		k.get("a").item.Body.Close()
		if s := k.Stats(); s.Running != 0 || s.BytesInFlight != 0 || s.Entries != 1 {
			t.Fatalf("got %+v; want a value and nothing under way", s)
		}
	})
}

func TestABodyThatBreaksWhileItIsKeptIsGone(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		record, body := arriving("header")
		k.keep("a", record)
		reader := k.get("a").item.Body
		body.write("bo")
		body.end(errPort)
		if _, err := io.ReadAll(reader); err == nil {
			t.Fatal("a body that broke was read to its end")
		}
		reader.Close()
		body.wantClosed(t)
		k.wantPeek(ofA, "")
		if s := k.Stats(); s.Running != 0 || s.BytesInFlight != 0 || s.Entries != 0 {
			t.Fatalf("got %+v; want nothing left", s)
		}
	})
}

func TestAFlightThatAsksIsAnsweredByABodyThatIsKept(t *testing.T) {
	for _, outcome := range []corral.Outcome{corral.Keep, corral.Share} {
		withKeeper(t, nil, func(t *testing.T, k *kept) {
			k.script.On("a", corraltest.Silent())
			asks := k.goGet("a")
			record, body := arriving("header")
			record.Outcome = outcome
			k.keep("a", record)
			g := <-asks
			g.want(t, "header", corral.Remote, 0)
			body.write("bo")
			time.Sleep(20 * time.Second)
			body.write("dy")
			time.Sleep(20 * time.Second) // longer than a load may take
			body.end(nil)
			data, err := io.ReadAll(g.item.Body)
			g.item.Body.Close()
			if string(data) != "body" || err != nil {
				t.Fatalf("read %q, %v", data, err)
			}
			body.wantClosed(t)
			if got, _ := k.peek(ofA); got != map[bool]string{true: "header"}[outcome == corral.Keep] {
				t.Fatalf("Peek gives %q after the outcome %v", got, outcome)
			}
		})
	}
}

func TestABodyThatIsNotKeptIsClosed(t *testing.T) {
	for _, row := range []struct {
		name string
		come func(k *kept, record *corral.Record)
		err  error
	}{
		{"too old", func(k *kept, _ *corral.Record) { k.invalidate(corral.Target{All: true}) }, nil},
		{"too large", func(_ *kept, record *corral.Record) { record.BodySize = 2 << 20 }, nil},
		{"to be shared, and nobody waits", func(_ *kept, record *corral.Record) { record.Outcome = corral.Share }, nil},
		{"a flight computes", func(k *kept, _ *corral.Record) { k.goGet("a") }, nil},
		{"a newer value is there", func(k *kept, record *corral.Record) { k.keep("a", text("v")); record.Age = 1 }, nil},
		{"the cache is closed", func(k *kept, _ *corral.Record) { k.Close() }, corral.ErrClosed},
	} {
		t.Run(row.name, func(t *testing.T) {
			withKeeper(t, nil, func(t *testing.T, k *kept) {
				record, body := arriving("header")
				row.come(k, &record)
				if err := k.shelf.Keep("a", &record); err != row.err {
					t.Fatalf("Keep gave %v, want %v", err, row.err)
				}
				body.wantClosed(t)
				if got, _ := k.peek(ofA); got == "header" {
					t.Fatal("it was kept")
				}
			})
		})
	}
}

func TestABodyThatIsKeptEndsWhenTheCacheCloses(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		record, body := arriving("header")
		k.keep("a", record)
		go func() {
			time.Sleep(time.Millisecond)
			body.write("more")
		}()
		if err := k.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		body.wantClosed(t)
	})
}

func TestTheShelfIsUsedUnderTheKeepersLock(t *testing.T) { // S3
	lock := make(chan struct{}, 1)
	locked := func(f func()) {
		lock <- struct{}{}
		f()
		<-lock
	}
	var removed atomic.Int64
	withKeeper(t, func(k *kept, o *corral.Options[string]) {
		o.OnRemove = func(string, string, corral.RemovalCause) {
			locked(func() { removed.Add(1) }) // as a Get that joins
		}
		k.script.OnLease = func(lease *corraltest.Lease) {
			lease.OnAbandon = func(context.Context) error { locked(func() {}); return nil }
			lease.OnLeave = func(unwanted func()) { locked(unwanted) }
		}
		k.standing = func() bool { locked(func() {}); return true }
	}, func(t *testing.T, k *kept) {
		locked(func() { k.keep("a", text("one")) })
		time.Sleep(time.Nanosecond)
		locked(func() { k.keep("a", text("two")); k.wantPeek(ofA, "two") })
		record, body := arriving("header")
		time.Sleep(time.Nanosecond)
		locked(func() { k.keep("a", record) })
		body.end(nil)
		synctest.Wait()
		if removed.Load() != 2 {
			t.Fatalf("OnRemove was told of %d values, want 2", removed.Load())
		}
		ctx, leave := context.WithCancel(t.Context())
		left := goGetFrom(k.Cache, ctx, "b")
		leave()
		<-left
		synctest.Wait()
		if n := k.Stats().Running; n != 0 {
			t.Fatalf("%d flights run, want none", n)
		}
	})
}

func TestUntouchedIsTheRuleOfRevisions(t *testing.T) {
	withKeeper(t, nil, func(t *testing.T, k *kept) {
		k.invalidate(corral.Target{Keys: []string{"a"}})                  // 1
		k.invalidate(corral.Target{Prefixes: []string{"p/"}})             // 2
		k.invalidate(corral.Target{Tags: []string{"x"}})                  // 3
		k.invalidate(corral.Target{Tags: []string{"soft"}, Soft: true})   // 4
		k.invalidate(corral.Target{Keys: []string{"softly"}, Soft: true}) // 5
		for _, row := range []struct {
			key  string
			tags []string
			v, s uint64
			want bool
		}{
			{"a", nil, 0, 5, false}, {"a", nil, 1, 5, true}, {"a", nil, 0, 0, true}, {"b", nil, 0, 5, true},
			{"p/1", nil, 1, 5, false}, {"p/1", nil, 2, 5, true}, {"p", nil, 0, 5, true},
			{"b", []string{"y", "x"}, 2, 5, false}, {"b", []string{"x"}, 3, 5, true},
			{"b", []string{"soft"}, 3, 5, false}, {"softly", nil, 4, 5, false}, {"softly", nil, 5, 5, true},
		} {
			if got := k.shelf.Untouched(row.key, row.tags, row.v, row.s); got != row.want {
				t.Errorf("Untouched(%q, %q, %d, %d) is %v, want %v", row.key, row.tags, row.v, row.s, got, row.want)
			}
		}
		k.invalidate(corral.Target{All: true}) // 6
		if k.shelf.Untouched("b", nil, 5, 6) || !k.shelf.Untouched("b", nil, 6, 6) {
			t.Error("an invalidation of everything concerns what began before it, and nothing else")
		}
	})
}

// arriving is a record whose body a test writes.
func arriving(header string) (corral.Record, *wire) {
	w := &wire{closed: make(chan struct{})}
	w.reader, w.writer = io.Pipe()
	record := text(header)
	record.Body = w
	return record, w
}

// wire is a body from another process.
type wire struct {
	reader *io.PipeReader
	writer *io.PipeWriter
	closed chan struct{}
	closes atomic.Int64
}

func (w *wire) Read(p []byte) (int, error) { return w.reader.Read(p) }

func (w *wire) Close() error {
	if w.closes.Add(1) == 1 {
		close(w.closed)
	}
	return w.reader.Close()
}

func (w *wire) write(s string) { io.Copy(w.writer, strings.NewReader(s)) }

func (w *wire) end(err error) { w.writer.CloseWithError(err) }

func (w *wire) wantClosed(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case <-w.closed:
	default:
		t.Fatal("the body was not closed")
	}
}
