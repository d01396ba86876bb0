package marker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// in runs a test in virtual time with n processes on one KV, whose Watch has
// begun.
func in(t *testing.T, kv KV, n int, test func(t *testing.T, all []*Coordinator)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		all := make([]*Coordinator, n)
		for i := range all {
			all[i] = open(t, Config{KV: kv})
			watched(t, all[i])
		}
		test(t, all)
	})
}

func watched(t *testing.T, c *Coordinator) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.Watch(ctx, func(corral.Invalidation) {}) }()
	t.Cleanup(func() { cancel(); <-ended })
	synctest.Wait()
}

// asking is a Join and when it came to its answer.
type asking struct {
	corral.Answer
	err  error
	took time.Duration
}

func ask(c *Coordinator, request corral.Request) <-chan asking {
	came := make(chan asking, 1)
	began := time.Now()
	go func() {
		answer, err := c.Join(context.Background(), request)
		came <- asking{answer, err, time.Since(began)}
	}()
	return came
}

func record(text string) *corral.Record {
	return &corral.Record{Value: []byte(text), BodySize: -1, Revision: 1, TTL: time.Hour}
}

var anyKey = corral.Request{Key: "a", Revision: 1}

func leased(t *testing.T, c *Coordinator, request corral.Request) corral.Lease {
	t.Helper()
	got := <-ask(c, request)
	if got.err != nil || got.Kind != corral.AnswerLease {
		t.Fatalf("Join gave kind %d, %v; want a lease", got.Kind, got.err)
	}
	return got.Lease
}

func (a asking) wantValue(t *testing.T, text string, took time.Duration) {
	t.Helper()
	if a.err != nil || a.Kind != corral.AnswerValue || string(a.Record.Value) != text || a.took != took {
		t.Fatalf("Join gave kind %d, %+v, %v after %v; want %q after %v", a.Kind, a.Record, a.err, a.took, text, took)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAWaiterSeesTheValueAtItsNextPoll(t *testing.T) {
	in(t, &Memory{}, 2, func(t *testing.T, all []*Coordinator) {
		held := leased(t, all[0], anyKey)
		waits := ask(all[1], anyKey)
		time.Sleep(120 * time.Millisecond)
		must(t, held.Fill(t.Context(), record("v")))
		(<-waits).wantValue(t, "v", 150*time.Millisecond)
	})
}

func TestWhatIsLoadedAtOnceAfterNewIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		c, err := corral.New(corral.LoaderFunc[string](func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
			loads++
			return corral.Item[string]{Value: "v"}, nil
		}), corral.Options[string]{
			Name: "test", TTL: time.Minute, Jitter: -1, Unbounded: true, Codec: corraltest.Text(), Now: time.Now, Coordinator: open(t, Config{KV: &Memory{}}),
		})
		must(t, err)
		defer c.Close()
		for range 3 {
			if got, err := c.Get(t.Context(), "a"); got != "v" || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			synctest.Wait()
		}
		if loads != 1 {
			t.Errorf("%d loads, want 1", loads)
		}
	})
}

// hooked is a KV that does something after one key was read once.
type hooked struct {
	KV
	key  string
	then func()
}

func (h *hooked) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := h.KV.Get(ctx, key)
	if then := h.then; key == h.key && then != nil {
		h.then = nil
		then()
	}
	return data, err
}

func TestWhatWasReadBeforeAnInvalidationSaysSo(t *testing.T) {
	kv := &hooked{KV: &Memory{}, key: DefaultPrefix + "value:a"}
	in(t, kv, 1, func(t *testing.T, all []*Coordinator) {
		must(t, leased(t, all[0], anyKey).Fill(t.Context(), record("old")))
		kv.then = func() { must(t, all[0].Invalidate(t.Context(), corral.Target{Keys: []string{"a"}})) }
		got := <-ask(all[0], anyKey)
		got.wantValue(t, "old", 0)
		if now := all[0].applied.Load(); got.Record.Revision >= now {
			t.Errorf("the value is of revision %d, and %d has ended it", got.Record.Revision, now)
		}
	})
}

func TestWhoSeesNoMarkerAnyMoreSeesWhatItCameTo(t *testing.T) {
	kv := &hooked{KV: &Memory{}}
	in(t, kv, 2, func(t *testing.T, all []*Coordinator) {
		for _, between := range []string{"marker:a", "value:a"} {
			held := leased(t, all[0], anyKey)
			kv.key, kv.then = DefaultPrefix+between, func() { must(t, held.Fill(t.Context(), record("v"))) }
			if got := <-ask(all[1], anyKey); got.Kind != corral.AnswerValue || got.took > DefaultPoll {
				t.Errorf("filled after %s was read: Join gave kind %d after %v; want the value", between, got.Kind, got.took)
			}
			must(t, all[0].Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}))
		}
	})
}

func TestWhoAsksWhileAValueIsPutWaitsForIt(t *testing.T) {
	slow := &slowly{KV: &Memory{}}
	in(t, slow, 2, func(t *testing.T, all []*Coordinator) {
		held := leased(t, all[0], anyKey)
		slow.put.Store("delay", 120*time.Millisecond)
		filled := make(chan error)
		go func() { filled <- held.Fill(t.Context(), record("v")) }()
		synctest.Wait()
		(<-ask(all[1], anyKey)).wantValue(t, "v", 150*time.Millisecond)
		must(t, <-filled)
	})
}

func TestTheKVHasLetGoBeforeThisProcessHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &Memory{}
		c := open(t, Config{KV: kv})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- c.Watch(ctx, func(inv corral.Invalidation) {
				if data, err := kv.Get(ctx, c.valueName("a")); len(inv.Keys) > 0 && (data != nil || err != nil) {
					t.Errorf("the KV has %q, %v while the invalidation is applied", data, err)
				}
			})
		}()
		must(t, leased(t, c, anyKey).Fill(t.Context(), record("v")))
		must(t, c.Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}))
		cancel()
		<-ended
	})
}

// The weaknesses, each shown: what they cost is in the package comment.

func TestTwoThatSeeNothingBothCompute(t *testing.T) {
	together := &meeting{KV: &Memory{}, guests: 2, key: DefaultPrefix + "marker:a"}
	in(t, together, 2, func(t *testing.T, all []*Coordinator) {
		together.full = make(chan struct{})
		first, second := ask(all[0], anyKey), ask(all[1], anyKey)
		if a, b := <-first, <-second; a.Kind != corral.AnswerLease || b.Kind != corral.AnswerLease {
			t.Fatalf("Join gave kinds %d and %d; want a lease to both", a.Kind, b.Kind)
		}
	})
}

// A meeting is a KV whose readers of one key answer together.
type meeting struct {
	KV
	key    string
	guests int
	full   chan struct{}
	mu     sync.Mutex
}

func (m *meeting) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := m.KV.Get(ctx, key)
	if key == m.key {
		m.mu.Lock()
		if m.guests--; m.guests == 0 {
			close(m.full)
		}
		m.mu.Unlock()
		<-m.full
	}
	return data, err
}

func TestOneThatLostItsMarkerReplacesANewerValue(t *testing.T) {
	in(t, &Memory{}, 2, func(t *testing.T, all []*Coordinator) {
		paused := leased(t, all[0], anyKey)
		waits := ask(all[1], anyKey)
		<-paused.Lost()
		next := <-waits
		if next.Kind != corral.AnswerLease || next.took != DefaultLease {
			t.Fatalf("Join gave kind %d after %v; want a lease after %v", next.Kind, next.took, DefaultLease)
		}
		must(t, next.Lease.Fill(t.Context(), record("new")))
		must(t, paused.Fill(t.Context(), record("old")))
		(<-ask(all[1], anyKey)).wantValue(t, "old", 0)
	})
}

func TestWhatWasBegunBeforeAnInvalidationIsGivenAfterIt(t *testing.T) {
	in(t, &Memory{}, 2, func(t *testing.T, all []*Coordinator) {
		held := leased(t, all[0], anyKey)
		must(t, all[1].Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}))
		must(t, held.Fill(t.Context(), record("old")))
		(<-ask(all[1], anyKey)).wantValue(t, "old", 0)
	})
}

func TestOtherProcessesDoNotHearOfAnInvalidation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &Memory{}
		version := "old"
		loader := corral.LoaderFunc[string](func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
			return corral.Item[string]{Value: version}, nil
		})
		caches := make([]*corral.Cache[string], 2)
		for i := range caches {
			c, err := corral.New(loader, corral.Options[string]{
				Name: "test", TTL: time.Minute, Jitter: -1, Unbounded: true, Codec: corraltest.Text(), Now: time.Now, Coordinator: open(t, Config{KV: kv}),
			})
			must(t, err)
			defer c.Close()
			synctest.Wait()
			caches[i] = c
			if got, err := c.Get(t.Context(), "a"); got != "old" || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			synctest.Wait()
		}
		version = "new"
		must(t, caches[0].Invalidate(t.Context(), "a"))
		for i, want := range []string{"new", "old"} {
			if got, err := caches[i].Get(t.Context(), "a"); got != want || err != nil {
				t.Errorf("process %d: got %q, %v; want %q", i, got, err, want)
			}
		}
		time.Sleep(time.Minute)
		if got, err := caches[1].Get(t.Context(), "a"); got != "new" || err != nil {
			t.Errorf("after its TTL: got %q, %v", got, err)
		}
	})
}

func TestAPrefixATagOrAllIsNotAcknowledged(t *testing.T) {
	in(t, &Memory{}, 1, func(t *testing.T, all []*Coordinator) {
		for _, target := range []corral.Target{{Prefixes: []string{"a"}}, {Tags: []string{"x"}}, {All: true}} {
			if err := all[0].Invalidate(t.Context(), target); !errors.Is(err, corral.ErrNotAcknowledged) || !errors.Is(err, errKeysOnly) {
				t.Errorf("Invalidate %+v gave %v", target, err)
			}
		}
		if got := all[0].applied.Load(); got != 4 {
			t.Errorf("%d is applied, want 4: here they hold", got)
		}
	})
}

func TestAStoreThatLagsLetsMoreCompute(t *testing.T) {
	in(t, &Memory{ReadDelay: time.Second}, 3, func(t *testing.T, all []*Coordinator) {
		first := leased(t, all[0], anyKey)
		time.Sleep(time.Second - 1)
		leased(t, all[1], anyKey) // it does not see the first one's marker yet
		time.Sleep(time.Nanosecond)
		waits := ask(all[2], anyKey) // it does
		must(t, first.Fill(t.Context(), record("v")))
		(<-waits).wantValue(t, "v", time.Second)
		must(t, all[0].Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}))
		(<-ask(all[0], anyKey)).wantValue(t, "v", 0) // deleted, acknowledged and given
	})
}

func TestAFreshRequestIsGivenWhatWasBegunAfterItOnly(t *testing.T) {
	in(t, &Memory{}, 2, func(t *testing.T, all []*Coordinator) {
		before := leased(t, all[0], anyKey)
		fresh := anyKey
		fresh.Fresh = true
		waits := ask(all[1], fresh)
		synctest.Wait()
		must(t, before.Fill(t.Context(), record("begun before")))
		if got := <-waits; got.Kind != corral.AnswerLease || got.took != DefaultPoll {
			t.Fatalf("Join gave kind %d after %v; want a lease after %v", got.Kind, got.took, DefaultPoll)
		}
	})
}

func TestAStaleValueIsGivenWhileAnotherComputes(t *testing.T) {
	in(t, &Memory{}, 2, func(t *testing.T, all []*Coordinator) {
		old := record("stale")
		old.TTL, old.StaleFor, old.Validator = time.Minute, time.Minute, "e"
		must(t, leased(t, all[0], anyKey).Fill(t.Context(), old))
		time.Sleep(time.Minute)
		got := <-ask(all[0], anyKey)
		if got.Kind != corral.AnswerLease || got.Record == nil || got.Record.Validator != "e" {
			t.Fatalf("Join gave kind %d with %+v; want a lease and what is to be validated", got.Kind, got.Record)
		}
		if stale := <-ask(all[1], anyKey); stale.Kind != corral.AnswerStale || string(stale.Record.Value) != "stale" {
			t.Fatalf("Join gave kind %d while another computes; want the stale value", stale.Kind)
		}
		demanding := anyKey
		demanding.NoStale = true
		waits := ask(all[1], demanding)
		synctest.Wait()
		must(t, got.Lease.Fill(t.Context(), record("new")))
		(<-waits).wantValue(t, "new", DefaultPoll)
	})
}

func TestARefreshTakesWhatAnotherHasRefreshed(t *testing.T) {
	in(t, &Memory{}, 2, func(t *testing.T, all []*Coordinator) {
		must(t, leased(t, all[0], anyKey).Fill(t.Context(), record("v")))
		time.Sleep(time.Second)
		refresh := anyKey
		refresh.Refresh, refresh.Previous = true, &corral.Record{Age: 2 * time.Second}
		(<-ask(all[1], refresh)).wantValue(t, "v", 0)
		refresh.Previous = &corral.Record{Age: time.Second}
		leased(t, all[1], refresh)
	})
}

func TestWhatIsTooLargeIsAPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := &Memory{}
		small, other := open(t, Config{KV: kv, MaxValueBytes: 1000}), open(t, Config{KV: kv})
		for name, large := range map[string]*corral.Record{
			"value": record(strings.Repeat("x", 1000)),
			"body":  {Body: body(strings.Repeat("x", 1000)), BodySize: -1, TTL: time.Hour},
		} {
			request := corral.Request{Key: name, Revision: 1}
			must(t, leased(t, small, request).Fill(t.Context(), large))
			if got := <-ask(other, request); got.Kind != corral.AnswerPass {
				t.Errorf("a %s: Join gave kind %d; want a pass", name, got.Kind)
			}
			time.Sleep(passMark)
			must(t, leased(t, other, request).Abandon(t.Context()))
		}
	})
}

func TestABodyThatBreaksIsAFailure(t *testing.T) {
	in(t, &Memory{}, 2, func(t *testing.T, all []*Coordinator) {
		held := leased(t, all[0], anyKey)
		waits := ask(all[1], anyKey)
		synctest.Wait()
		if err := held.Fill(t.Context(), &corral.Record{Body: broken{}, BodySize: -1, TTL: time.Hour}); !errors.Is(err, errBody) {
			t.Fatalf("Fill gave %v", err)
		}
		if got := <-waits; got.Kind != corral.AnswerError || !strings.Contains(got.Err.Error(), errBody.Error()) {
			t.Fatalf("Join gave kind %d, %v", got.Kind, got.Err)
		}
	})
}

func TestAKVThatFailsIsUnavailable(t *testing.T) {
	in(t, failing{&Memory{}}, 1, func(t *testing.T, all []*Coordinator) {
		if got := <-ask(all[0], anyKey); !errors.Is(got.err, corral.ErrUnavailable) || !errors.Is(got.err, errKV) {
			t.Errorf("Join gave kind %d, %v", got.Kind, got.err)
		}
		if err := all[0].Invalidate(t.Context(), corral.Target{Keys: []string{"a"}}); !errors.Is(err, corral.ErrNotAcknowledged) || !errors.Is(err, errKV) {
			t.Errorf("Invalidate gave %v", err)
		}
	})
}

func TestGarbageCountsAsNothing(t *testing.T) {
	kv := &Memory{}
	in(t, kv, 1, func(t *testing.T, all []*Coordinator) {
		must(t, leased(t, all[0], anyKey).Fill(t.Context(), record("v")))
		whole, err := kv.Get(t.Context(), all[0].valueName("a"))
		must(t, err)
		for i := range whole {
			broken := append([]byte(nil), whole...)
			broken[i] ^= 1
			must(t, kv.Put(t.Context(), all[0].valueName("a"), broken, time.Hour))
			must(t, leased(t, all[0], anyKey).Abandon(t.Context()))
		}
		must(t, kv.Put(t.Context(), all[0].valueName("b"), whole, time.Hour)) // another key's
		leased(t, all[0], corral.Request{Key: "b", Revision: 1})
		must(t, kv.Put(t.Context(), all[0].markerName("c"), []byte("garbage"), time.Hour))
		leased(t, all[0], corral.Request{Key: "c", Revision: 1})
	})
}

func TestALeaseIsEndedOnce(t *testing.T) {
	in(t, &Memory{}, 1, func(t *testing.T, all []*Coordinator) {
		held := leased(t, all[0], anyKey)
		must(t, held.Fill(t.Context(), record("v")))
		for name, end := range map[string]error{
			"Fill": held.Fill(t.Context(), record("w")), "Fail": held.Fail(t.Context(), errKV, 0), "Pass": held.Pass(t.Context()),
			"Abandon": held.Abandon(t.Context()), "Extend": held.Extend(t.Context()),
		} {
			if !errors.Is(end, errEnded) {
				t.Errorf("%s after Fill gave %v", name, end)
			}
		}
		time.Sleep(time.Minute)
		select {
		case <-held.Lost():
			t.Error("a lease that has ended was lost")
		default:
		}
		(<-ask(all[0], anyKey)).wantValue(t, "v", 0)
	})
}

func TestAnExtensionDoesNotPutAMarkerAgainAfterItsOutcome(t *testing.T) {
	slow := &slowly{KV: &Memory{}}
	in(t, slow, 1, func(t *testing.T, all []*Coordinator) {
		held := leased(t, all[0], anyKey)
		slow.put.Store("delay", 100*time.Millisecond)
		extended := make(chan error)
		go func() { extended <- held.Extend(t.Context()) }()
		synctest.Wait()
		slow.put.Delete("delay")
		must(t, held.Abandon(t.Context()))
		must(t, <-extended)
		if got := <-ask(all[0], anyKey); got.Kind != corral.AnswerLease || got.took != 0 {
			t.Fatalf("Join gave kind %d after %v; want a lease at once", got.Kind, got.took)
		}
	})
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for field, conf := range map[string]Config{
		"KV is nil":           {},
		"Poll is -1s":         {KV: &Memory{}, Poll: -time.Second},
		"Lease is 1s":         {KV: &Memory{}, Lease: time.Second},
		"Poll is 6s":          {KV: &Memory{}, Poll: 6 * time.Second},
		"MaxValueBytes is -1": {KV: &Memory{}, MaxValueBytes: -1},
	} {
		if _, err := Open(conf); err == nil || !strings.Contains(err.Error(), "marker: Config."+field) {
			t.Errorf("Open gave %v; want that %s", err, field)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	whole := (&entry{kind: failed, id: 7, at: time.Unix(1, 2), record: []byte("r"), body: []byte("b"), pause: time.Second, code: 3, text: "t"}).append(nil, "a")
	f.Add(whole)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEntry("a", data)
		if err != nil {
			return
		}
		if again := e.append(nil, "a"); len(again) > len(data) {
			t.Fatalf("%+v was read from %d bytes and takes %d", e, len(data), len(again))
		}
	})
}

// FuzzParseEntryWhole goes on where the checksum would have stopped.
func FuzzParseEntryWhole(f *testing.F) {
	whole := (&entry{kind: value, record: []byte("r"), body: []byte("b"), text: "t"}).append(nil, "a")
	f.Add(whole[:len(whole)-checksumSize])
	f.Fuzz(func(t *testing.T, form []byte) {
		sum := checksum("a", form)
		if e, err := parseEntry("a", append(form[:len(form):len(form)], byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))); err == nil {
			e.decode("a", time.Now())
		}
	})
}

var (
	errKV   = errors.New("the KV is away")
	errBody = errors.New("the body broke off")
)

type failing struct{ KV }

func (failing) Get(context.Context, string) ([]byte, error) { return nil, errKV }
func (failing) Delete(context.Context, string) error        { return errKV }

type slowly struct {
	KV
	put sync.Map
}

func (s *slowly) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if delay, ok := s.put.Load("delay"); ok {
		time.Sleep(delay.(time.Duration))
	}
	return s.KV.Put(ctx, key, value, ttl)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBody }
func (broken) Close() error             { return nil }

type whole struct{ *strings.Reader }

func (whole) Close() error { return nil }

func body(text string) whole { return whole{strings.NewReader(text)} }

func ExampleOpen() {
	c, err := Open(Config{KV: &Memory{}, Poll: 20 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	cache, err := corral.New(corral.LoaderFunc[string](func(_ context.Context, key string, _ *corral.Item[string]) (corral.Item[string], error) {
		return corral.Item[string]{Value: "value of " + key}, nil
	}), corral.Options[string]{Name: "example", MaxBytes: 1 << 20, TTL: time.Minute, Codec: corraltest.Text(), Coordinator: c})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()
	fmt.Println(cache.Get(context.Background(), "a"))
	// Output: value of a <nil>
}
