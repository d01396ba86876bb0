package corral_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
)

// A rig is a cache with fakes at its ports and one transcript for all of them.
// Its loader gives "key#call" after loadTime, unless a test sets another.
type rig struct {
	t      *testing.T
	log    *corraltest.Log
	store  *corraltest.Store
	script *corraltest.Script
	calls  atomic.Int64
	load   corral.LoaderFunc[string]
	*corral.Cache[string]
}

// withPorts runs a test in virtual time, on a rig whose ports set may choose
// from and wrap. A port that set leaves nil is not there.
func withPorts(t *testing.T, set func(r *rig, o *corral.Options[string]), test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := &corraltest.Log{}
		r := &rig{t: t, log: log, store: &corraltest.Store{Log: log}, script: corraltest.NewScript(log)}
		o := corral.Options[string]{
			Name: "test", TTL: time.Minute, MaxBytes: 1 << 20, Jitter: -1, Codec: corraltest.Text(), Now: time.Now,
		}
		set(r, &o)
		r.Cache = opened(t, corral.LoaderFunc[string](r.loads), o)
		synctest.Wait() // the Watch has begun
		if o.Coordinator == r.script {
			r.wantLog("watch")
		}
		test(t, r)
	})
}

// opened makes a cache that is closed, without an error, with the test.
func opened(t *testing.T, loader corral.Loader[string], o corral.Options[string]) *corral.Cache[string] {
	t.Helper()
	c, err := corral.New(loader, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

func withStore(r *rig, o *corral.Options[string])  { o.Store = r.store }
func withScript(r *rig, o *corral.Options[string]) { o.Coordinator = r.script }
func withBoth(r *rig, o *corral.Options[string])   { o.Store, o.Coordinator = r.store, r.script }

func (r *rig) loads(ctx context.Context, key string, prev *corral.Item[string]) (corral.Item[string], error) {
	r.log.Add("load", key)
	if r.load != nil {
		return r.load(ctx, key, prev)
	}
	call := r.calls.Add(1)
	if err := sleepIn(ctx, loadTime); err != nil {
		return corral.Item[string]{}, err
	}
	return corral.Item[string]{Value: fmt.Sprintf("%s#%d", key, call)}, nil
}

func sleepIn(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wantLog fails unless the ports were called like this since the last time.
func (r *rig) wantLog(lines ...string) {
	r.t.Helper()
	synctest.Wait()
	wantLines(r.t, r.log, lines...)
}

func wantLines(t *testing.T, log *corraltest.Log, lines ...string) {
	t.Helper()
	want := ""
	for i, line := range lines {
		if i > 0 {
			want += "\n"
		}
		want += line
	}
	if got := log.Take(); got != want {
		t.Fatalf("the ports were called like this:\n%s\nwant:\n%s", got, want)
	}
}

// came is what one Get came to and when.
type came struct {
	item corral.Item[string]
	info corral.Info
	err  error
	at   time.Duration // since the call
}

func getFrom(c *corral.Cache[string], ctx context.Context, key string, options ...corral.GetOption) came {
	start := time.Now()
	item, info, err := c.GetItem(ctx, key, options...)
	return came{item, info, err, time.Since(start)}
}

func (r *rig) get(key string, options ...corral.GetOption) came {
	return getFrom(r.Cache, r.t.Context(), key, options...)
}

// goGet is get on a goroutine of its own, which has parked, or ended, when it
// returns.
func (r *rig) goGet(key string, options ...corral.GetOption) <-chan came {
	return goGetFrom(r.Cache, r.t.Context(), key, options...)
}

func goGetFrom(c *corral.Cache[string], ctx context.Context, key string, options ...corral.GetOption) <-chan came {
	answer := make(chan came, 1)
	go func() { answer <- getFrom(c, ctx, key, options...) }()
	synctest.Wait()
	return answer
}

func (g came) want(t *testing.T, value string, source corral.Source, at time.Duration) {
	t.Helper()
	if g.err != nil || g.item.Value != value || g.info.Source != source || g.at != at {
		t.Fatalf("got %q, %v, %v after %v; want %q, %v after %v", g.item.Value, g.info.Source, g.err, g.at, value, source, at)
	}
}

func (g came) wantErr(t *testing.T, target error, at time.Duration) {
	t.Helper()
	if !errors.Is(g.err, target) || g.at != at {
		t.Fatalf("got %q, %v after %v; want the error %v after %v", g.item.Value, g.err, g.at, target, at)
	}
}

// atOnce runs n calls together and returns what they came to.
func atOnce(n int, call func(i int) came) []came {
	all := make([]came, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { all[i] = call(i) })
	}
	wg.Wait()
	return all
}

// loadTime is shorter than a heartbeat, which would be in every transcript.
const loadTime = 500 * time.Millisecond

var errPort = errors.New("the source is down")

// text is a record of a string, fresh for an hour.
func text(value string) corral.Record {
	return corral.Record{Value: []byte(value), BodySize: -1, TTL: time.Hour}
}

func giving(value string) corraltest.Reply { return corraltest.Gives(text(value)) }

func answering(item corral.Item[string]) corral.LoaderFunc[string] {
	return func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) { return item, nil }
}

func failing(err error) corral.LoaderFunc[string] {
	return func(context.Context, string, *corral.Item[string]) (corral.Item[string], error) {
		return corral.Item[string]{}, err
	}
}

// notModified gives a value that carries a validator, and confirms any that
// does.
func notModified(value string) corral.LoaderFunc[string] {
	return func(_ context.Context, _ string, prev *corral.Item[string]) (corral.Item[string], error) {
		if prev != nil && prev.Validator == "e" {
			return prev.NotModified(), nil
		}
		return corral.Item[string]{Value: value, Validator: "e"}, nil
	}
}
