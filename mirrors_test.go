package corral_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// inManor is inTown for two Keepers of which A owns every key.
func inManor(t *testing.T, loader corral.Loader[string], set func(name string, o *corral.Options[string]), test func(t *testing.T, w *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &town{t: t, log: &corraltest.Log{}, domain: corraltest.NewDomain(), loader: &corraltest.Counter[string]{Loader: loader}}
		w.domain.Owner = func(string) string { return "A" }
		for _, name := range []string{"A", "B"} {
			o := corral.Options[string]{
				Name: name, TTL: time.Minute, MaxBytes: 1 << 20, Jitter: -1, Codec: corraltest.Text(),
				Coordinator: w.domain.Keeper(name), Now: time.Now,
			}
			if set != nil {
				set(name, &o)
			}
			w.caches = append(w.caches, opened(t, w.loader, o))
		}
		synctest.Wait()
		test(t, w)
	})
}

const owner, other = 0, 1

// wantMirrors says what the process that owns nothing keeps.
func (w *town) wantMirrors(keys ...string) {
	w.t.Helper()
	synctest.Wait() // until what goes behind a call has gone
	c := w.caches[other]
	var bytes int64
	for _, key := range keys {
		if _, _, ok := c.Peek(key); !ok {
			w.t.Fatalf("%q is not kept", key)
		}
	}
	for _, info := range c.Entries() {
		bytes += info.Bytes
	}
	if s := c.Stats(); s.Mirrors != len(keys) || s.Entries != len(keys) || s.MirrorBytes != bytes || s.Bytes != bytes || s.BytesInFlight != 0 {
		w.t.Fatalf("%d mirrors of %d bytes are counted, %d entries of %d bytes, %d bytes in flight; want %d of %d bytes and nothing else",
			s.Mirrors, s.MirrorBytes, s.Entries, s.Bytes, s.BytesInFlight, len(keys), bytes)
	}
}

// mirror makes a key of the owner's a mirror.
func (w *town) mirror(keys ...string) {
	w.t.Helper()
	for _, key := range keys {
		value := w.get(owner, key).item.Value
		w.get(other, key).want(w.t, value, corral.Remote, 0)
		w.get(other, key).want(w.t, value, corral.Remote, 0)
		w.get(other, key).want(w.t, value, corral.Hit, 0)
	}
}

// once gives "key#1", whatever the call.
var once = corral.LoaderFunc[string](func(_ context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
	return corral.Item[string]{Value: key + "#1"}, nil
})

func TestAKeyThatIsAskedForTwiceWithinASecondEarnsAMirror(t *testing.T) { // M1
	for _, row := range []struct {
		after time.Duration
		next  corral.Source
	}{
		{0, corral.Hit},
		{time.Second, corral.Hit},
		{time.Second + time.Microsecond, corral.Remote},
	} {
		t.Run(fmt.Sprint(row.after), func(t *testing.T) {
			inManor(t, once, nil, func(t *testing.T, w *town) {
				w.get(owner, "a")
				first := w.get(other, "a")
				first.want(t, "a#1", corral.Remote, 0)
				if first.info.Kept {
					t.Fatal("the first value says that it is kept")
				}
				w.wantMirrors()
				time.Sleep(row.after)
				second := w.get(other, "a")
				second.want(t, "a#1", corral.Remote, 0)
				if second.info.Kept != (row.next == corral.Hit) {
					t.Fatalf("the second value says %v of whether it is kept", second.info.Kept)
				}
				w.get(other, "a").want(t, "a#1", row.next, 0)
				w.wantMirrors("a") // by the third ask at the latest
				w.wantLoads(1)
			})
		})
	}
}

func TestAsksOfOtherKeysEarnNothing(t *testing.T) { // M1
	inManor(t, once, nil, func(t *testing.T, w *town) {
		for i := range 1000 {
			w.get(other, fmt.Sprint("key ", i))
		}
		if s := w.caches[other].Stats(); s.Mirrors > 1 || s.Entries != s.Mirrors || s.Mirrored+s.Unmirrored != 1000 || s.Shares != 0 {
			t.Fatalf("%d mirrors of %d entries after 1000 asks of 1000 keys, %d mirrored, %d unmirrored, %d shared", s.Mirrors, s.Entries, s.Mirrored, s.Unmirrored, s.Shares)
		}
	})
}

func TestWhatIsComputedForTheOwnerIsKeptThereAlone(t *testing.T) { // M1
	inManor(t, numbered(), nil, func(t *testing.T, w *town) {
		w.get(other, "a").want(t, "a#1", corral.Loaded, loadTime)
		w.wantMirrors()
		synctest.Wait() // until the owner has it
		w.get(owner, "a").want(t, "a#1", corral.Hit, 0)
		w.get(other, "a").want(t, "a#1", corral.Remote, 0)
		w.wantMirrors("a")
		w.wantLoads(1)
	})
}

func TestCallersWhoJoinAFlightEarnAMirror(t *testing.T) { // M1
	inManor(t, numbered(), nil, func(t *testing.T, w *town) {
		first := w.goGet(other, "a")
		w.goGet(other, "a")
		(<-first).want(t, "a#1", corral.Loaded, loadTime)
		w.wantMirrors("a")
		w.get(other, "a").want(t, "a#1", corral.Hit, 0)
	})
}

func TestACallerWhoAsksOnceIsCountedOnce(t *testing.T) { // M1
	withKeeper(t, func(k *kept, _ *corral.Options[string]) { k.poor = true }, func(t *testing.T, k *kept) {
		old := text("old")
		old.TTL, old.StaleFor = -time.Second, time.Hour
		k.script.On("a", corraltest.Gives(old), corraltest.Gives(text("new")))
		k.get("a", corral.NoStale()).want(t, "new", corral.Remote, 0) // the first answer would not do
		if s := k.Stats(); s.Mirrors != 0 || s.Unmirrored != 2 {
			t.Fatalf("%d mirrors, %d unmirrored; want none and 2", s.Mirrors, s.Unmirrored)
		}
	})
}

func TestAMirrorThatExpiresAsksTheOwnerAgain(t *testing.T) {
	inManor(t, numbered(), nil, func(t *testing.T, w *town) {
		w.mirror("a")
		time.Sleep(time.Minute)
		w.get(other, "a").want(t, "a#2", corral.Loaded, loadTime)
		w.wantMirrors()
		synctest.Wait() // until the owner has it
		w.get(owner, "a").want(t, "a#2", corral.Hit, 0)
	})
}

func TestARefreshOfAMirrorIsOne(t *testing.T) {
	inManor(t, numbered(), func(_ string, o *corral.Options[string]) { o.StaleFor = time.Minute }, func(t *testing.T, w *town) {
		w.mirror("a")
		time.Sleep(time.Minute)
		w.get(other, "a").want(t, "a#1", corral.Stale, 0)
		time.Sleep(loadTime)
		synctest.Wait()
		w.get(other, "a").want(t, "a#2", corral.Hit, 0)
		w.wantMirrors("a")
	})
}

func TestAMirrorIsSubjectToInvalidations(t *testing.T) {
	for name, target := range map[string]corral.Target{
		"key": {Keys: []string{"a"}}, "prefix": {Prefixes: []string{"a"}}, "all": {All: true},
	} {
		t.Run(name, func(t *testing.T) {
			inManor(t, numbered(), nil, func(t *testing.T, w *town) {
				w.mirror("a")
				if err := w.caches[owner].Purge(t.Context(), target); err != nil {
					t.Fatal(err)
				}
				w.wantMirrors()
				w.get(other, "a").want(t, "a#2", corral.Loaded, loadTime)
			})
		})
	}
}

func TestWhatIsSetGoesToTheOwnerAndEndsMirrors(t *testing.T) {
	inManor(t, numbered(), nil, func(t *testing.T, w *town) {
		w.mirror("a")
		for i, c := range w.caches {
			value := fmt.Sprint("set by ", i)
			if err := c.Set(t.Context(), "a", corral.Item[string]{Value: value}); err != nil {
				t.Fatalf("Set: %v", err)
			}
			w.wantMirrors()
			w.get(owner, "a").want(t, value, corral.Hit, 0)
			time.Sleep(2 * time.Second)
			w.get(other, "a").want(t, value, corral.Remote, 0)
			w.wantMirrors()
			time.Sleep(2 * time.Second)
		}
		w.wantLoads(1)
	})
}

// mirrorWeight is what wantMirrors finds for a key of one byte and a value of three.
const mirrorWeight = 208 + 1 + 3 + 96

func TestTheMirrorsKeptLongestGoFirst(t *testing.T) { // M2, M3
	for _, row := range []struct {
		limit int64
		kept  []string
	}{
		{3 * mirrorWeight, []string{"b", "c", "d"}},
		{3*mirrorWeight - 1, []string{"c", "d"}},
		{mirrorWeight, []string{"d"}},
		{mirrorWeight - 1, nil},
	} {
		t.Run(fmt.Sprint(row.limit), func(t *testing.T) {
			var mu sync.Mutex
			var gone []string
			inManor(t, once, func(name string, o *corral.Options[string]) {
				o.MirrorBytes = row.limit
				if name == "B" {
					o.OnRemove = func(key, _ string, cause corral.RemovalCause) {
						mu.Lock()
						defer mu.Unlock()
						gone = append(gone, fmt.Sprint(key, " ", cause))
					}
				}
			}, func(t *testing.T, w *town) {
				for _, key := range []string{"a", "b", "c", "d"} {
					w.get(other, key)
					w.get(other, key)
					synctest.Wait() // until it has been told of what left
				}
				w.wantMirrors(row.kept...)
				var want []string
				if row.kept != nil {
					for _, key := range []string{"a", "b", "c", "d"}[:4-len(row.kept)] {
						want = append(want, key+" evicted")
					}
				}
				mu.Lock()
				defer mu.Unlock()
				if s := w.caches[other].Stats(); fmt.Sprint(gone) != fmt.Sprint(want) || s.MirrorsOutgrown != uint64(len(want)) || s.Evictions != 0 {
					t.Fatalf("%v were told of, %d outgrown, %d evicted; want %v", gone, s.MirrorsOutgrown, s.Evictions, want)
				}
			})
		})
	}
}

func TestAMirrorThatIsReplacedMakesRoomForItself(t *testing.T) { // M2, M3
	inManor(t, numbered(), func(_ string, o *corral.Options[string]) {
		o.StaleFor, o.MirrorBytes = time.Minute, 2*mirrorWeight
	}, func(t *testing.T, w *town) {
		w.mirror("a", "b")
		time.Sleep(time.Minute)
		w.get(other, "a").want(t, "a#1", corral.Stale, 0)
		time.Sleep(loadTime)
		synctest.Wait()
		w.wantMirrors("a", "b")
		w.mirror("c") // b is the one kept longest now
		w.wantMirrors("a", "c")
	})
}

func TestAMirrorThatFindsNoRoomIsNotCounted(t *testing.T) { // M2
	const most = 20_000
	withKeeper(t, func(k *kept, o *corral.Options[string]) {
		k.poor, o.MaxBytes, o.MirrorBytes = true, most, most
	}, func(t *testing.T, k *kept) {
		record, w := arriving("header")
		record.BodySize = most * 3 / 4
		k.keep("owned", record)
		w.write("beginning")
		synctest.Wait()
		if n := k.Stats().BytesInFlight; n < most/2 {
			t.Fatalf("%d bytes are in flight", n)
		}
		large := strings.Repeat("x", most/2)
		k.script.On("a", giving(large), giving(large), giving("small"))
		k.get("a").want(t, large, corral.Remote, 0)
		second := k.get("a")
		second.want(t, large, corral.Remote, 0)
		if s := k.Stats(); second.info.Kept || s.Mirrors != 0 || s.MirrorBytes != 0 || s.Unmirrored != 2 {
			t.Fatalf("%d mirrors of %d bytes, %d unmirrored; want none, and 2", s.Mirrors, s.MirrorBytes, s.Unmirrored)
		}
		k.get("a").want(t, "small", corral.Remote, 0)
		if s := k.Stats(); s.Mirrors != 1 {
			t.Fatalf("%d mirrors, want what there is room for", s.Mirrors)
		}
		w.end(errPort)
	})
}

func TestMirrorsLeaveAsAllValuesDo(t *testing.T) { // M3
	inManor(t, once, func(_ string, o *corral.Options[string]) { o.MaxBytes, o.MirrorBytes = 4*mirrorWeight, 4*mirrorWeight }, func(t *testing.T, w *town) {
		keys := []string{"a", "b", "c", "d", "e", "f"}
		for _, key := range keys {
			w.get(other, key)
			w.get(other, key)
		}
		var kept []string
		for key := range w.caches[other].Entries() {
			kept = append(kept, key)
		}
		w.wantMirrors(kept...)
		if len(kept) != 4 {
			t.Fatalf("%v are kept, want four of them", kept)
		}
		w.caches[other].Close()
		w.wantMirrors()
	})
}

func TestWhatTheKeeperPutsOnTheShelfIsOwned(t *testing.T) { // M4
	withKeeper(t, func(k *kept, _ *corral.Options[string]) { k.poor = true }, func(t *testing.T, k *kept) {
		k.keep("plain", text("v"))
		k.get("plain").want(t, "v", corral.Hit, 0)

		k.script.On("asked for", corraltest.Silent())
		asks := k.goGet("asked for")
		k.keep("asked for", text("v"))
		(<-asks).want(t, "v", corral.Remote, 0)
		k.get("asked for").want(t, "v", corral.Hit, 0)

		record, w := arriving("header")
		k.keep("with a body", record)
		w.end(io.EOF)
		synctest.Wait()
		k.get("with a body").want(t, "header", corral.Hit, 0)

		if s := k.Stats(); s.Mirrors != 0 || s.MirrorBytes != 0 || s.Entries != 3 {
			t.Fatalf("%d mirrors of %d bytes, %d entries; want none, and 3", s.Mirrors, s.MirrorBytes, s.Entries)
		}
	})
}

func TestAValueThatIsNotKeptIsGivenToTheOwnerAndTheStoreToKeep(t *testing.T) {
	withKeeper(t, func(k *kept, o *corral.Options[string]) { k.poor, o.Store = true, k.store }, func(t *testing.T, k *kept) {
		var outcome corral.Outcome
		k.script.OnLease = func(l *corraltest.Lease) {
			l.OnFill = func(_ context.Context, record *corral.Record) error {
				outcome = record.Outcome
				return nil
			}
		}
		outcome = corral.Share
		k.get("a").want(t, "a#1", corral.Loaded, loadTime)
		synctest.Wait()
		if outcome != corral.Keep {
			t.Fatalf("the owner is told to %v it", outcome)
		}
		record, err := k.store.Get(t.Context(), "a")
		if err != nil || record == nil || string(record.Value) != "a#1" {
			t.Fatalf("the store has %+v, %v", record, err)
		}
		if s := k.Stats(); s.Entries != 0 || s.Shares != 0 || s.Unmirrored != 1 {
			t.Fatalf("%d entries, %d shares, %d unmirrored; want 0, 0 and 1", s.Entries, s.Shares, s.Unmirrored)
		}
	})
}

// piecemeal is a loader whose value has a body that a test writes.
type piecemeal struct{ pieces chan string }

func (p piecemeal) Load(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
	return corral.Item[string]{Value: "header", Tail: func(ctx context.Context, w io.Writer) error {
		for {
			select {
			case piece, more := <-p.pieces:
				if !more {
					return nil
				}
				if _, err := io.WriteString(w, piece); err != nil {
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}}, nil
}

func TestABodyThatIsComputedForTheOwnerIsJoinedWhileItArrivesAndGoesThen(t *testing.T) { // M1
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprint("asked for again: ", again), func(t *testing.T) {
			var loader piecemeal
			withKeeper(t, func(k *kept, _ *corral.Options[string]) {
				loader.pieces = make(chan string)
				k.poor, k.load = true, loader.Load
			}, func(t *testing.T, k *kept) {
				var filled *corral.Body
				outcome := corral.Share
				release := make(chan struct{})
				k.script.OnLease = func(l *corraltest.Lease) {
					l.OnFill = func(ctx context.Context, record *corral.Record) error {
						filled = record.Body.(*corral.Body)
						defer filled.Close()
						outcome = record.Outcome
						<-release
						return nil
					}
				}
				first := k.get("a")
				first.want(t, "header", corral.Loaded, 0)
				read := make(chan string, 2)
				go func() { read <- whole(t, first.item.Body) }()
				loader.pieces <- "one "
				synctest.Wait()
				go func() { read <- whole(t, filled.Again(t.Context())) }()
				if again {
					second := k.get("a")
					second.want(t, "header", corral.Hit, 0)
					second.item.Body.Close()
				}
				loader.pieces <- "two"
				close(loader.pieces)
				synctest.Wait()
				for range 2 {
					if got := <-read; got != "one two" {
						t.Fatalf("got %q", got)
					}
				}
				if outcome != corral.Keep {
					t.Fatalf("the owner is told to %v it", outcome)
				}
				late := filled.Again(t.Context()) // who was told of it while it arrived
				if late == nil {
					t.Fatal("the body cannot be joined before the lease has ended")
				}
				if got := whole(t, late); got != "one two" {
					t.Fatalf("who joined after its end was given %q", got)
				}
				close(release)
				synctest.Wait()
				want := corral.Stats{Unmirrored: 1}
				if again {
					want = corral.Stats{Mirrored: 1, Mirrors: 1, Entries: 1}
				}
				s := k.Stats()
				got := corral.Stats{Mirrored: s.Mirrored, Unmirrored: s.Unmirrored, Mirrors: s.Mirrors, Entries: s.Entries, BytesInFlight: s.BytesInFlight}
				if got != want || s.MirrorBytes != s.Bytes || (s.Bytes > 0) != again {
					t.Fatalf("got %+v, %d bytes of %d; want %+v", got, s.MirrorBytes, s.Bytes, want)
				}
			})
		})
	}
}

func whole(t *testing.T, body *corral.Body) string {
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Errorf("read body: %v", err)
	}
	return string(data)
}

func TestABodyFromTheOwnerPassesThrough(t *testing.T) { // M1
	withKeeper(t, func(k *kept, _ *corral.Options[string]) { k.poor = true }, func(t *testing.T, k *kept) {
		for i, kept := range []bool{false, true} {
			record, w := arriving("header")
			k.script.On("a", corraltest.Gives(record))
			g := k.get("a")
			g.want(t, "header", corral.Remote, 0)
			if g.info.Kept != kept {
				t.Fatalf("ask %d: it says %v of whether it is kept", i, g.info.Kept)
			}
			read := make(chan string, 1)
			go func() { read <- whole(t, g.item.Body) }()
			w.write(strings.Repeat("x", 10_000))
			w.end(io.EOF)
			if got := <-read; len(got) != 10_000 {
				t.Fatalf("ask %d: %d bytes came", i, len(got))
			}
			synctest.Wait()
			if s := k.Stats(); s.Entries != i || s.Mirrors != i || s.BytesInFlight != 0 {
				t.Fatalf("ask %d: %d entries, %d mirrors, %d bytes in flight", i, s.Entries, s.Mirrors, s.BytesInFlight)
			}
		}
	})
}

func TestWhatALoadIsLentCoversItsFailure(t *testing.T) {
	withKeeper(t, func(k *kept, o *corral.Options[string]) {
		k.poor, o.StaleOnError, k.load = true, time.Hour, failing(errPort)
	}, func(t *testing.T, k *kept) {
		lent := text("old")
		lent.TTL, lent.StaleOnError = -time.Second, time.Hour
		k.script.On("a", func(context.Context, corral.Request) (corral.Answer, error) {
			return corral.Answer{Kind: corral.AnswerLease, Lease: corraltest.NewLease("a", k.log), Record: &lent}, nil
		})
		k.get("a").want(t, "old", corral.Stale, 0)
		k.get("a").want(t, "old", corral.Stale, 0) // the key rests
		if s := k.Stats(); s.Mirrors != 1 || s.Mirrored != 1 {
			t.Fatalf("%d mirrors, want what was lent", s.Mirrors)
		}
	})
}

func TestALoadApartEarnsAMirrorAsAnyOther(t *testing.T) {
	for _, again := range []bool{false, true} {
		outcome := corral.Pass
		withKeeper(t, func(k *kept, _ *corral.Options[string]) {
			k.poor = true
			k.load = func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
				return corral.Item[string]{Value: "v", Outcome: outcome}, nil
			}
		}, func(t *testing.T, k *kept) {
			k.get("a").want(t, "v", corral.Loaded, 0)
			if !again {
				time.Sleep(2 * time.Second)
			}
			outcome = corral.Keep
			k.get("a").want(t, "v", corral.Loaded, 0)
			want := 0
			if again {
				want = 1
			}
			if s := k.Stats(); s.Mirrors != want || s.Entries != want {
				t.Fatalf("asked for again within a second: %v: %d mirrors, %d entries", again, s.Mirrors, s.Entries)
			}
		})
	}
}

func TestMirrorsThatComeAndGoAtOnceAreCountedExactly(t *testing.T) { // M2, M3
	const limit = 5 * mirrorWeight
	inManor(t, once, func(_ string, o *corral.Options[string]) {
		o.MaxBytes, o.MirrorBytes, o.TTL, o.StaleFor = 8*mirrorWeight, limit, time.Millisecond, time.Second
	}, func(t *testing.T, w *town) {
		var all sync.WaitGroup
		for g := range 8 {
			all.Go(func() {
				for i := range 400 {
					key := string(rune('a' + (i*7+g)%12))
					w.get(other, key)
					if s := w.caches[other].Stats(); s.MirrorBytes > limit {
						t.Errorf("%d bytes of mirrors, at most %d are allowed", s.MirrorBytes, int64(limit))
					}
					switch i % 40 {
					case 13:
						w.caches[other].Invalidate(t.Context(), key)
					case 27:
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		all.Wait()
		synctest.Wait()
		var kept []string
		for key := range w.caches[other].Entries() {
			kept = append(kept, key)
		}
		w.wantMirrors(kept...)
		w.caches[other].InvalidateAll(t.Context())
		w.wantMirrors()
	})
}
