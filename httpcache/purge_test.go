package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

func (w *world) purge(what httpcache.Purge) {
	w.t.Helper()
	if err := w.proxy.Purge(context.Background(), what); err != nil {
		w.t.Fatalf("Purge(%+v): %v", what, err)
	}
}

// tagged is an origin whose answers have the tags that they are asked with.
func tagged(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Surrogate-Key", r.Header.Get("X-Tags"))
	page("page", "Cache-Control", "max-age=60, stale-while-revalidate=600", "Vary", "X-Variant", "Etag", `"a"`)(w, r)
}

func TestAPurgeEndsWhatItNamesAndNothingElse(t *testing.T) {
	type ask struct{ method, url, variant, body, tags string }
	asks := []ask{
		{"GET", "http://shop.test/a", "", "", "x"},
		{"GET", "http://shop.test/a", "1", "", "y"},
		{"HEAD", "http://shop.test/b", "", "", "x y"},
		{"GET", "http://shop.test/b?q=1", "", "", ""},
		{"POST", "http://shop.test/a", "", "one", "z"},
		{"POST", "http://shop.test/a", "", "two", ""},
		{"GET", "http://shop.test/ab", "", "", "X"},
		{"GET", "http://shop.test:8080/a", "", "", ""},
		{"GET", "http://other.test/a", "", "", "x"},
	}
	for _, test := range []struct {
		what httpcache.Purge
		gone string // the asks, by number
	}{
		{httpcache.Purge{URL: "http://shop.test/a"}, "0 1 4 5"},
		{httpcache.Purge{URL: "HTTP://SHOP.test.:80/a"}, "0 1 4 5"},
		{httpcache.Purge{URL: "http://shop.test/b"}, "2"},
		{httpcache.Purge{URL: "http://shop.test/b?q=1"}, "3"},
		{httpcache.Purge{URL: "https://shop.test/a"}, ""},
		{httpcache.Purge{URL: "http://shop.test/"}, ""},
		{httpcache.Purge{URL: "http://shop.test/a?"}, ""},
		{httpcache.Purge{Prefix: "http://shop.test/a"}, "0 1 4 5 6"},
		{httpcache.Purge{Prefix: "http://shop.test/b?"}, "3"},
		{httpcache.Purge{Prefix: "http://shop.test/"}, "0 1 2 3 4 5 6"},
		{httpcache.Purge{Prefix: "http://shop.test"}, "0 1 2 3 4 5 6"},
		{httpcache.Purge{Prefix: "http://shop.test:8080/"}, "7"},
		{httpcache.Purge{Tags: []string{"x"}}, "0 2 8"},
		{httpcache.Purge{Tags: []string{"y", "z"}}, "1 2 4"},
		{httpcache.Purge{Tags: []string{"x y"}}, ""},
		{httpcache.Purge{Tags: []string{"GET http://shop.test/a"}}, ""}, // an address is no tag
		{httpcache.Purge{All: true}, "0 1 2 3 4 5 6 7 8"},
	} {
		for _, soft := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+v", test.what), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := open(t, memory{}, tagged, with(httpcache.Rule{TagFields: []string{"Surrogate-Key"}, MaxContentBytes: 100}))
					do := func(a ask) got {
						var body io.Reader
						if a.body != "" {
							body = strings.NewReader(a.body)
						}
						return w.send(newRequest(context.Background(), a.method, a.url, body, "X-Variant", a.variant, "X-Tags", a.tags))
					}
					for _, a := range asks {
						do(a)
					}
					for i, a := range asks {
						if g := do(a); g.cache() != "Corral;hit;ttl=60" {
							t.Fatalf("ask %d is not stored: %q", i, g.cache())
						}
					}
					time.Sleep(time.Second)
					what := test.what
					what.Soft = soft
					w.purge(what)
					var gone []string
					for i, a := range asks {
						switch g := do(a); {
						case g.cache() == "Corral;hit;ttl=59":
						case !soft && strings.HasPrefix(g.cache(), "Corral;fwd="), soft && g.cache() == "Corral;hit;ttl=0":
							gone = append(gone, strconv.Itoa(i))
						default:
							t.Errorf("ask %d after the purge: %q", i, g.cache())
						}
						synctest.Wait()
					}
					if strings.Join(gone, " ") != test.gone {
						t.Errorf("%v are gone, want %s", gone, test.gone)
					}
				})
			})
		}
	}
}

// What is being fetched when a purge comes was made before it: those who wait
// get it, those who come later do not.
func TestAFetchThatAPurgeOvertakesIsNotKept(t *testing.T) {
	for _, what := range []httpcache.Purge{
		{URL: "http://shop.test/p"}, {Prefix: "http://shop.test/"}, {Tags: []string{"t"}}, {All: true},
		{URL: "http://shop.test/p", Soft: true}, {Prefix: "http://shop.test/", Soft: true}, {Tags: []string{"t"}, Soft: true}, {All: true, Soft: true},
	} {
		t.Run(fmt.Sprintf("%+v", what), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &versions{fields: []string{"Cache-Control", "max-age=60", "Surrogate-Key", "t"}}
				w := open(t, memory{}, slowly(time.Second, v.answer), with(httpcache.Rule{TagFields: []string{"Surrogate-Key"}}))
				before := w.begin(t.Context(), "/p")
				time.Sleep(time.Second / 2)
				w.purge(what)
				after := w.get("/p")
				if g := <-before; g.status != 200 || g.body != "v1" {
					t.Errorf("who asked before got %d %q, want v1", g.status, g.body)
				}
				if after.body != "v2" {
					t.Errorf("who asked after got %q, %q, want v2", after.body, after.cache())
				}
				w.wantCalls(2)
				w.get("/p").want(t, 200, "v2", "Corral;hit;ttl=59")
				w.wantCalls(0)
			})
		})
	}
}

func TestABodyThatArrivesWhenAPurgeComesGoesToItsReaders(t *testing.T) {
	for _, soft := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := newPiecewise("Cache-Control", "max-age=60")
			purged := false
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
				if purged {
					page("new", "Cache-Control", "max-age=60")(rw, r)
					return
				}
				o.answer(rw, r)
			}, nil)
			first, second := w.read("/p"), w.read("/p")
			o.pieces <- "one"
			first.want("one")
			w.purge(httpcache.Purge{All: true, Soft: soft})
			purged = true
			if g := w.get("/p"); g.body != "new" {
				t.Errorf("after the purge: %q, %q", g.body, g.cache())
			}
			o.pieces <- "two"
			close(o.pieces)
			first.want("two")
			second.want("onetwo")
			first.wantEnd(nil)
			second.wantEnd(nil)
			synctest.Wait()
			w.get("/p").want(t, 200, "new", "Corral;hit;ttl=60")
			w.wantCalls(2)
		})
	}
}

// A soft purge leaves what a 304 can confirm.
func TestWhatIsPurgedSoftlyIsConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &versions{same: true, fields: []string{"Cache-Control", "max-age=60"}, fields3: []string{"Cache-Control", "max-age=60"}}
		w := open(t, memory{}, v.answer, nil)
		w.get("/p")
		w.purge(httpcache.Purge{URL: "http://shop.test/p", Soft: true})
		w.get("/p").want(t, 200, "v1", "Corral;fwd=stale;fwd-status=304;ttl=60;stored")
		w.get("/p").want(t, 200, "v1", "Corral;hit;ttl=60")
		w.purge(httpcache.Purge{URL: "http://shop.test/p"})
		w.get("/p").want(t, 200, "v2", missStored)
	})
}

func TestPurgesWhileThousandsAskLeaveNothingOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		version := 0
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			mu.Lock()
			v := version
			mu.Unlock()
			time.Sleep(time.Millisecond)
			page(strconv.Itoa(v), "Cache-Control", "max-age=60", "Surrogate-Key", "t")(rw, r)
		}, with(httpcache.Rule{TagFields: []string{"Surrogate-Key"}}))
		kinds := []httpcache.Purge{{URL: "http://shop.test/p"}, {Prefix: "http://shop.test/p"}, {Tags: []string{"t"}}, {All: true}, {Tags: []string{"t"}, Soft: true}}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 200 {
					mu.Lock()
					least := version
					mu.Unlock()
					if v, err := strconv.Atoi(w.get("/p").body); err != nil || v < least {
						t.Errorf("got version %d, %v; want %d at least", v, err, least)
						return
					}
					time.Sleep(100 * time.Microsecond)
				}
			})
		}
		wg.Go(func() {
			for i := range 100 {
				time.Sleep(700 * time.Microsecond)
				mu.Lock()
				next := version + 1
				version = next
				w.purge(kinds[i%len(kinds)]) // before anybody can have seen the number
				mu.Unlock()
			}
		})
		wg.Wait()
	})
}

func TestAPurgeThatNamesNothingIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), nil)
		w.get("/p")
		for _, test := range []struct {
			what httpcache.Purge
			says string
		}{
			{httpcache.Purge{}, "exactly one"},
			{httpcache.Purge{Soft: true}, "exactly one"},
			{httpcache.Purge{URL: "http://shop.test/p", All: true}, "exactly one"},
			{httpcache.Purge{URL: "http://shop.test/p", Prefix: "http://shop.test/"}, "exactly one"},
			{httpcache.Purge{Tags: []string{}}, "exactly one"},
			{httpcache.Purge{Tags: []string{"a", ""}}, "empty"},
			{httpcache.Purge{URL: "/p"}, `"/p"`},
			{httpcache.Purge{URL: "shop.test/p"}, `"shop.test/p"`},
			{httpcache.Purge{URL: "ftp://shop.test/p"}, "ftp"},
			{httpcache.Purge{URL: "http://"}, "http://"},
			{httpcache.Purge{URL: "http://me@shop.test/p"}, "me@shop.test"},
			{httpcache.Purge{URL: "http://shop.test/p#part"}, "#part"},
			{httpcache.Purge{URL: "http://shop.test/a b"}, "a b"},
			{httpcache.Purge{URL: "http://shop.test/%zz"}, "%zz"},
			{httpcache.Purge{URL: "http://sh op.test/"}, "sh op"},
			{httpcache.Purge{Prefix: "shop.test"}, `"shop.test"`},
			{httpcache.Purge{Prefix: "*"}, `"*"`},
		} {
			err := w.proxy.Purge(t.Context(), test.what)
			if !errors.Is(err, httpcache.ErrPurge) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Purge(%+v) = %v, want ErrPurge that says %s", test.what, err, test.says)
			}
		}
		w.get("/p").want(t, 200, "page", "Corral;hit;ttl=60")
	})
}

// The address that a client asks with is the one that is purged, also where a
// rule takes parameters out of it.
func TestAPurgeByURLGoesByTheRulesKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), with(httpcache.Rule{Key: httpcache.KeyParts{DropQuery: []string{"utm_*"}}}))
		w.get("/p?a=1&utm_source=x")
		w.purge(httpcache.Purge{URL: "http://shop.test/p?utm_source=y&a=1"})
		w.get("/p?a=1").want(t, 200, "page", missStored)
		w.wantCalls(2)
	})
}

// What Location names is keyed as a request for it would be.
func TestAnInvalidationByLocationGoesByTheRulesKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				rw.Header().Set("Location", "/p?a=1&utm_source=form")
				rw.WriteHeader(303)
				return
			}
			page("page", "Cache-Control", "max-age=60")(rw, r)
		}, with(httpcache.Rule{Key: httpcache.KeyParts{DropQuery: []string{"utm_*"}}}))
		w.get("/p?a=1")
		w.do(t.Context(), "POST", "/form")
		w.get("/p?a=1").want(t, 200, "page", missStored)
	})
}
