package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/httpcache"
)

// stocked is the option of a store.
func stocked(store corral.Store) func(*httpcache.Options) {
	return func(o *httpcache.Options) { o.Store = store }
}

// restarted opens a world after another one has stopped, on the same store.
func restarted(t *testing.T, before *world, handler http.HandlerFunc, store corral.Store) *world {
	t.Helper()
	synctest.Wait() // until what was fetched is written
	if err := before.proxy.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return open(t, memory{}, handler, stocked(store))
}

const fromStore = "Corral;hit;ttl=50;detail=store"

func TestWhatIsFreshIsThereAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(corraltest.Store)
		handler := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Vary", "Accept-Language")
			w.Header().Set("X-Of", r.URL.Path)
			fmt.Fprintf(w, "%s in %q", r.URL.Path, r.Header.Get("Accept-Language"))
		}
		w := open(t, memory{}, handler, stocked(store))
		languages := []string{"", "ca", "es"}
		for _, language := range languages {
			for i := range 10 {
				w.get(fmt.Sprintf("/p/%d", i), "Accept-Language", language)
			}
		}
		time.Sleep(10 * time.Second)
		w = restarted(t, w, handler, store)
		for _, language := range languages {
			for i := range 10 {
				path := fmt.Sprintf("/p/%d", i)
				g := w.get(path, "Accept-Language", language)
				g.want(t, 200, fmt.Sprintf("%s in %q", path, language), fromStore)
				if g.header.Get("Age") != "10" || g.header.Get("X-Of") != path {
					t.Fatalf("%s has the header %v", path, g.header)
				}
			}
		}
		w.wantCalls(0)
		w.get("/p/1", "Accept-Language", "ca").want(t, 200, `/p/1 in "ca"`, "Corral;hit;ttl=50")
	})
}

func TestABodyComesFromTheStoreInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(corraltest.Store)
		body := strings.Repeat("0123456789", 1<<16)
		w := open(t, memory{}, page(body, "Cache-Control", "max-age=60", "Etag", `"a"`), stocked(store))
		w.get("/film")
		time.Sleep(10 * time.Second)
		w = restarted(t, w, nil, store)
		w.get("/film", "Range", "bytes=10-14").want(t, 206, "01234", fromStore)
		synctest.Wait()
		w.get("/film", "If-None-Match", `"a"`).want(t, 304, "", "Corral;hit;ttl=50")
		w.get("/film").want(t, 200, body, "Corral;hit;ttl=50")
	})
}

func TestAPurgeHoldsInTheStoreToo(t *testing.T) {
	addresses := []string{"http://shop.test/a", "http://shop.test/ab", "http://shop.test/b", "http://other.test/a"}
	for _, row := range []struct {
		what httpcache.Purge
		gone string
	}{
		{httpcache.Purge{URL: addresses[0]}, "0"},
		{httpcache.Purge{Prefix: "http://shop.test/a"}, "01"},
		{httpcache.Purge{Tags: []string{"b"}}, "2"},
		{httpcache.Purge{All: true}, "0123"},
		{httpcache.Purge{URL: addresses[0], Soft: true}, "0"},
	} {
		t.Run(fmt.Sprintf("%+v", row.what), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := new(corraltest.Store)
				options := func(o *httpcache.Options) {
					o.Store, o.Rules = store, []httpcache.Rule{{TagFields: []string{"Surrogate-Key"}}}
				}
				handler := func(w http.ResponseWriter, r *http.Request) {
					page("page", "Cache-Control", "max-age=60", "Surrogate-Key", r.URL.Path[1:], "Vary", "X-Variant")(w, r)
				}
				w := open(t, memory{}, handler, options)
				for _, address := range addresses {
					w.get(address, "X-Variant", "")
					w.get(address, "X-Variant", "1")
				}
				synctest.Wait()
				w.purge(row.what)
				if err := w.proxy.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				w = open(t, memory{}, handler, options)
				for i, address := range addresses {
					for _, variant := range []string{"", "1"} {
						g := w.get(address, "X-Variant", variant)
						if gone := strings.Contains(row.gone, fmt.Sprint(i)); gone == strings.Contains(g.cache(), "detail=store") {
							t.Errorf("%s, variant %q: Cache-Status %s; purged: %v", address, variant, g.cache(), gone)
						}
					}
				}
			})
		})
	}
}

// slow is a Store that takes its time to forget.
type slow struct{ corraltest.Store }

func (s *slow) Delete(ctx context.Context, inv corral.Invalidation) error {
	select {
	case <-time.After(time.Second):
		return s.Store.Delete(ctx, inv)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestWhatTheStoreForgetsForMemorysSakeWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			page(r.Header.Get("Accept"), "Cache-Control", "max-age=60", "Vary", "Accept")(w, r)
		}, func(o *httpcache.Options) { o.Store, o.MaxVariants = new(slow), 1 })
		for i := range 5 {
			accept := fmt.Sprint(i)
			w.get("/p", "Accept", accept).wantAt(t, 0, 200, accept, map[bool]string{true: missStored, false: "Corral;fwd=vary-miss;ttl=60;stored"}[i == 0])
		}
	})
}

func TestOptionsOfTheStoreAndOfMirrorsAreChecked(t *testing.T) {
	for _, row := range []struct {
		change func(*httpcache.Options)
		want   string
	}{
		{func(o *httpcache.Options) { o.StoreTimeout = time.Second }, "Options.StoreTimeout is 1s: Store is nil"},
		{func(o *httpcache.Options) { o.StoreTimeout = -1 }, "Options.StoreTimeout is -1ns: set a duration above 0"},
		{func(o *httpcache.Options) { o.MirrorBytes = 1 }, "Options.MirrorBytes is 1: Coordinator is nil"},
		{func(o *httpcache.Options) { o.MirrorBytes = -1 }, "Options.MirrorBytes is -1: set a number of bytes up to MaxBytes"},
		{func(o *httpcache.Options) { o.MirrorBytes = 2 << 20 }, "Options.MirrorBytes is 2097152: set a number of bytes up to MaxBytes"},
	} {
		o := httpcache.Options{Origin: &url.URL{Scheme: "http", Host: "o"}, MaxBytes: 1 << 20}
		row.change(&o)
		if _, err := httpcache.NewProxy(o); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("NewProxy: %v; want %s", err, row.want)
		}
	}
}

func TestTheBytesInAStoreAreReadAsAResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(corraltest.Store)
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60", "X-A", "1", "X-A", "2"), stocked(store))
		w.get("/p?q=1")
		synctest.Wait()
		key, err := httpcache.KeyOf("HTTP://shop.test:80/p?q=1")
		if err != nil || key != "GET http://shop.test/p?q=1" {
			t.Fatalf("KeyOf gave %q, %v", key, err)
		}
		record := store.Look(key)
		if record == nil {
			t.Fatal("the store has nothing under that key")
		}
		defer record.Body.Close()
		status, header, err := httpcache.StoredResponse(record.Value)
		if err != nil || status != 200 || strings.Join(header["X-A"], " ") != "1 2" || header.Get("Age") != "" {
			t.Errorf("StoredResponse gave %d, %v, %v", status, header, err)
		}
		if body, err := io.ReadAll(record.Body); string(body) != "page" || err != nil {
			t.Errorf("the body is %q, %v", body, err)
		}
	})
	if _, _, err := httpcache.StoredResponse([]byte("mug")); err == nil {
		t.Error("anything is read as a response")
	}
	if _, err := httpcache.KeyOf("shop.test/p"); !errors.Is(err, httpcache.ErrPurge) {
		t.Errorf("KeyOf gave %v, want ErrPurge", err)
	}
}
func TestWhatIsStaleAfterARestartIsGivenByThePolicy(t *testing.T) {
	down := func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
	validated := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60, stale-while-revalidate=60, stale-if-error=600")
		w.Header().Set("Etag", `"a"`)
		if r.Header.Get("If-None-Match") == `"a"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, "page")
	}
	for _, row := range []struct {
		after   time.Duration
		handler http.HandlerFunc
		status  int
		body    string
		cache   string
		calls   int
	}{
		{60*time.Second - 1, validated, 200, "page", "Corral;hit;ttl=0;detail=store", 0},
		{61 * time.Second, validated, 200, "page", "Corral;hit;ttl=-1;detail=store", 1},
		{121 * time.Second, validated, 200, "page", "Corral;fwd=uri-miss;fwd-status=304;ttl=60;stored", 1},
		{121 * time.Second, down, 200, "page", "Corral;fwd=stale;fwd-status=503;ttl=-61;detail=origin-failed", 1},
		{661 * time.Second, down, 503, "", "Corral;fwd=uri-miss;detail=origin-failed", 1},
	} {
		t.Run(fmt.Sprint(row.after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := new(corraltest.Store)
				w := open(t, memory{}, validated, stocked(store))
				w.get("/p").want(t, 200, "page", missStored)
				time.Sleep(row.after)
				w = restarted(t, w, row.handler, store)
				w.get("/p").want(t, row.status, row.body, row.cache)
				synctest.Wait()
				w.wantCalls(row.calls)
			})
		})
	}
}

// gone is a Store that cannot be told of anything.
type gone struct{ corraltest.Store }

var errGone = errors.New("connection refused")

func (*gone) Delete(context.Context, corral.Invalidation) error { return errGone }

func TestAChangeThatTheStoreHasNotHeardOfIsAnsweredAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), stocked(new(gone)))
		w.get("/p").want(t, 200, "page", missStored)
		synctest.Wait()
		err := w.proxy.Purge(t.Context(), httpcache.Purge{URL: "http://shop.test/p"})
		if !errors.Is(err, corral.ErrStorePending) {
			t.Errorf("Purge: %v, want ErrStorePending", err)
		}
		w.get("/p").want(t, 200, "page", missStored) // the purge holds here
		g := w.do(t.Context(), http.MethodPut, "/p")
		if g.status != 200 || g.cache() != "Corral;fwd=method;detail=store-pending" {
			t.Errorf("PUT = %d, %s", g.status, g.cache())
		}
	})
}
