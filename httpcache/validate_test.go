package httpcache_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// What is to be validated at each use is kept for that, and every request asks
// the origin itself.
func TestWhatMustBeValidatedIsAskedForConditionally(t *testing.T) {
	for _, fields := range [][]string{
		{"Cache-Control", "no-cache"},
		{"Cache-Control", "no-cache, max-age=60"},
		{"Cache-Control", "max-age=0"},
		{"Cache-Control", "max-age=0, must-revalidate"},
		{"Expires", "0"},
		{}, // no lifetime at all
	} {
		t.Run(fmt.Sprint(fields), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &versions{same: true, fields: fields, fields3: fields}
				var full atomic.Int64
				w := open(t, memory{}, slowly(100*time.Millisecond, func(rw http.ResponseWriter, r *http.Request) {
					if r.Header.Get("If-None-Match") == "" {
						full.Add(1)
					}
					v.answer(rw, r)
				}), nil)
				first := w.get("/p")
				first.wantAt(t, 100*time.Millisecond, 200, "v1", first.cache())
				if strings.Contains(first.cache(), "stored") || !strings.HasPrefix(first.cache(), "Corral;fwd=uri-miss;detail=") {
					t.Errorf("Cache-Status = %q", first.cache())
				}
				for range 2 { // side by side, each by its own
					for _, g := range together(50, func(int) got { return w.get("/p") }) {
						g.wantAt(t, 100*time.Millisecond, 200, "v1", g.cache())
						if !strings.Contains(g.cache(), "fwd-status=304") {
							t.Fatalf("Cache-Status = %q, want a 304 behind it", g.cache())
						}
					}
				}
				w.wantCalls(101)
				if full.Load() != 1 {
					t.Errorf("%d whole answers, want 1", full.Load())
				}
				v.mu.Lock()
				v.same = false // a new version each time
				v.mu.Unlock()
				seen := map[string]bool{}
				for _, g := range together(20, func(int) got { return w.get("/p") }) {
					seen[g.body] = true
				}
				if len(seen) != 20 || seen["v1"] {
					t.Errorf("twenty requests got %d versions, v1 %v: want each its own", len(seen), seen["v1"])
				}
				w.wantCalls(20)
			})
		})
	}
}

// Such an answer may be one user's, whose page an origin sends with no-cache and
// one ETag for all: only a 304 to the request itself gives it to another.
func TestWhatIsKeptForValidationGoesToNobodyWithoutA304(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "no-cache")
			rw.Header().Set("Etag", `"`+r.Header.Get("X-Caller")+`"`)
			if r.Header.Get("If-None-Match") == rw.Header().Get("Etag") {
				rw.WriteHeader(304)
				return
			}
			page("for "+r.Header.Get("X-Caller"))(rw, r)
		}), nil)
		for range 3 {
			for i, g := range together(20, func(i int) got { return w.get("/own", "X-Caller", strconv.Itoa(i)) }) {
				g.want(t, 200, fmt.Sprint("for ", i), g.cache())
			}
		}
		w.wantCalls(60)
		w.get("/own", "Cache-Control", "only-if-cached").want(t, 504, "not in the cache\n", "Corral;detail=only-if-cached")
		w.get("/own", "Cache-Control", "only-if-cached, max-stale").want(t, 504, "not in the cache\n", "Corral;detail=only-if-cached")
		if g := w.get("/own", "Cache-Control", "max-stale", "X-Caller", "99"); g.body != "for 99" {
			t.Errorf("who takes what is stale got %q", g.body)
		}
		if g := w.get("/own", "X-Caller", "98", "Cookie", "id=1"); g.body != "for 98" {
			t.Errorf("an identified request got %q", g.body)
		}
		if g := w.do(t.Context(), "HEAD", "/own", "X-Caller", "97"); g.header.Get("Etag") != `"97"` {
			t.Errorf("a HEAD got the ETag %s", g.header.Get("Etag"))
		}
	})
}

func TestWhatIsKeptForValidationCoversNoFailure(t *testing.T) {
	for _, status := range []int{500, 503, 0} {
		synctest.Test(t, func(t *testing.T) {
			handler := page("page", "Cache-Control", "no-cache, stale-if-error=60", "Etag", `"a"`)
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) { handler(rw, r) }, nil)
			w.get("/p")
			handler = func(rw http.ResponseWriter, r *http.Request) {
				if status == 0 {
					panic(http.ErrAbortHandler)
				}
				rw.WriteHeader(status)
			}
			for range 2 {
				if g := w.get("/p"); g.status < 500 {
					t.Errorf("got %d %q, want the failure", g.status, g.body)
				}
			}
		})
	}
}

// private has no part in this: not even a 304 gives such a page to another.
func TestAPrivateAnswerIsNotKeptForValidation(t *testing.T) {
	for _, control := range []string{"private, no-cache", "private", "no-store, no-cache"} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("If-None-Match") != "" {
					t.Errorf("the origin was asked about another's %s page", control)
				}
				page("page", "Cache-Control", control, "Etag", `"a"`)(rw, r)
			}, nil)
			for range 5 {
				g := w.get("/own")
				g.want(t, 200, "page", g.cache())
			}
			w.wantCalls(5)
		})
	}
}

func TestWhatCannotBeValidatedIsFetchedEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &versions{fields: []string{"Cache-Control", "no-cache", "Vary", "*"}}
		w := open(t, memory{}, v.answer, nil)
		for i := range 3 {
			g := w.get("/p")
			g.want(t, 200, fmt.Sprint("v", i+1), g.cache())
			if sent := w.origin.seen().Header.Get("If-None-Match"); sent != "" {
				t.Errorf("the origin was asked about %s, which no request may have", sent)
			}
		}
	})
}

// The body of what is kept so may be large, and still arrive.
func TestABodyThatArrivesForOneIsKeptForTheNextToValidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise("Cache-Control", "no-cache", "Etag", `"a"`)
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == `"a"` {
				rw.Header().Set("Etag", `"a"`)
				rw.WriteHeader(304)
				return
			}
			o.answer(rw, r)
		}, nil)
		first := w.read("/p")
		o.pieces <- "one"
		first.want("one")
		second := w.begin(t.Context(), "/p") // of a body that still arrives nobody knows whether it will be whole
		o.pieces <- "two"
		o.pieces <- "two"
		close(o.pieces)
		synctest.Wait()
		first.end()
		if g := <-second; g.err != nil || g.body != "two" {
			t.Errorf("got %q, %v", g.body, g.err)
		}
		w.wantCalls(2)
		g := w.get("/p")
		if !strings.Contains(g.cache(), "fwd-status=304") || !strings.HasSuffix(g.body, "two") {
			t.Errorf("got %q, %q; want what is kept", g.body, g.cache())
		}
		w.wantCalls(1)
	})
}

func TestTargetedFieldsStandInPlaceOfCacheControl(t *testing.T) {
	const cdn, own = "CDN-Cache-Control", "Corral-Cache-Control"
	for _, test := range []struct {
		name    string
		targets []string // nil: the default
		fields  []string
		cache   string
	}{
		{"the default", nil, []string{"Cache-Control", "no-store", cdn, "max-age=60"}, missStored},
		{"not asked for", nil, []string{"Cache-Control", "max-age=60", own, "no-store"}, missStored},
		{"none are heeded", []string{}, []string{"Cache-Control", "max-age=60", cdn, "no-store"}, missStored},
		{"the first counts", []string{own, cdn}, []string{cdn, "no-store", own, "max-age=60"}, missStored},
		{"the second where there is no first", []string{own, cdn}, []string{cdn, "max-age=60", "Cache-Control", "private"}, missStored},
		{"an invalid one is none", nil, []string{"Cache-Control", "max-age=60", cdn, "no-store,,"}, missStored},
		{"an empty one is none", nil, []string{"Cache-Control", "max-age=60", cdn, ""}, missStored},
		{"it forbids", nil, []string{"Cache-Control", "max-age=60", cdn, "private"}, "Corral;fwd=uri-miss;detail=private"},
		{"by its own spelling", []string{"cdn-cache-control"}, []string{"Cache-Control", "no-store", cdn, "max-age=60"}, missStored},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, page("page", test.fields...), func(o *httpcache.Options) { o.TargetedFields = test.targets })
				g := w.get("/p")
				g.want(t, 200, "page", test.cache)
				for i := 0; i < len(test.fields); i += 2 {
					if g.header.Get(test.fields[i]) != test.fields[i+1] {
						t.Errorf("header = %v, want all as it came", g.header)
					}
				}
			})
		})
	}
}
