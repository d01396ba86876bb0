package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// headed is an origin whose page has the fields that it has at the moment.
type headed struct {
	fields atomic.Pointer[[]string]
	body   string
}

func (o *headed) set(fields ...string) { o.fields.Store(&fields) }

func (o *headed) answer(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	fields := *o.fields.Load()
	for i := 0; i < len(fields); i += 2 {
		header.Add(fields[i], fields[i+1])
	}
	if tag := header.Get("Etag"); tag != "" && r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(304)
		return
	}
	if header.Get("Content-Length") == "" {
		header.Set("Content-Length", fmt.Sprint(len(o.body)))
	}
	if r.Method != "HEAD" {
		io.WriteString(w, o.body)
	}
}

// A HEAD that comes back from the origin says how the stored answer to GET is
// now (RFC 9111, section 4.3.5).
func TestAHeadUpdatesTheStoredGet(t *testing.T) {
	for _, test := range []struct {
		name    string
		now     []string // the fields at the time of the HEAD
		x       string   // X of the stored GET then
		cache   string   // its Cache-Status
		fetched bool     // it was, conditionally
	}{
		{"the same", []string{"Etag", `"a"`, "Cache-Control", "max-age=600", "X", "2"}, "2", "Corral;hit;ttl=600", false},
		{"without validators", []string{"Cache-Control", "max-age=600", "X", "2"}, "2", "Corral;hit;ttl=600", false},
		{"another version", []string{"Etag", `"b"`, "Cache-Control", "max-age=600", "X", "2"}, "2", "Corral;fwd=stale;ttl=600;stored", true},
		{"another length", []string{"Content-Length", "5", "Cache-Control", "max-age=600", "X", "2"}, "1", "Corral;fwd=stale;ttl=600;stored", true},
		{"private now", []string{"Etag", `"a"`, "Cache-Control", "private", "X", "2"}, "2", "Corral;fwd=uri-miss;detail=private", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &headed{body: "page"}
				w := open(t, memory{}, o.answer, nil)
				o.set("Etag", `"a"`, "Cache-Control", "max-age=60", "X", "1")
				w.get("/p").want(t, 200, "page", missStored)
				time.Sleep(time.Minute)
				o.set(test.now...)
				if g := w.do(t.Context(), "HEAD", "/p"); g.status != 200 || g.header.Get("X") != "2" {
					t.Fatalf("HEAD = %d, %v", g.status, g.header)
				}
				synctest.Wait()
				w.wantCalls(2)
				if test.name == "another length" {
					o.body = "page5"
					o.set("Cache-Control", "max-age=600", "X", "1")
				}
				g := w.get("/p")
				g.want(t, 200, o.body, test.cache)
				if g.header.Get("X") != test.x || g.header.Get("Content-Length") != fmt.Sprint(len(o.body)) {
					t.Errorf("header = %v", g.header)
				}
				calls := 0
				if test.fetched {
					calls = 1
				}
				w.wantCalls(calls)
			})
		})
	}
}

func TestAHeadThatFailsSaysNothingOfTheStoredGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 200
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			rw.WriteHeader(status)
			io.WriteString(rw, "page")
		}, nil)
		w.get("/p")
		time.Sleep(30 * time.Second)
		status = 500
		w.do(t.Context(), "HEAD", "/p", "Cache-Control", "no-cache").want(t, 500, "", "Corral;fwd=uri-miss;detail=origin-failed")
		w.get("/p").want(t, 200, "page", "Corral;hit;ttl=30")
	})
}

// Nothing is leaked and no seat is taken twice: the HEAD has one already.
func TestAHeadUpdatesWithinItsOwnTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &headed{body: strings.Repeat("x", 100_000)}
		w := open(t, memory{}, o.answer, func(o *httpcache.Options) { o.MaxLoads = 1 })
		o.set("Etag", `"a"`, "Cache-Control", "max-age=60")
		w.get("/p")
		for range 20 {
			time.Sleep(time.Minute)
			if g := w.do(t.Context(), "HEAD", "/p"); g.status != 200 {
				t.Fatalf("HEAD = %d, %v", g.status, g.err)
			}
		}
		w.wantCalls(21)
		if g := w.get("/p"); g.cache() != "Corral;hit;ttl=60" || len(g.body) != 100_000 {
			t.Errorf("GET: %d bytes, %q", len(g.body), g.cache())
		}
		if s := w.proxy.Cache().Stats(); s.BytesInFlight != 0 {
			t.Errorf("%d bytes are in flight when nothing is", s.BytesInFlight)
		}
	})
}

// Whoever joins what the HEAD does to the stored GET gets that, or what is new.
func TestAHeadAndGetsAtOnceGiveEveryoneAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &headed{body: "page"}
		w := open(t, memory{}, slowly(10*time.Millisecond, o.answer), nil)
		o.set("Etag", `"a"`, "Cache-Control", "max-age=1")
		w.get("/p")
		for i := range 50 {
			time.Sleep(time.Duration(i%3) * time.Second)
			if i%5 == 4 {
				o.set("Etag", fmt.Sprintf(`"%d"`, i), "Cache-Control", "max-age=1")
			}
			for j, g := range together(30, func(j int) got {
				switch j % 4 {
				case 0:
					return w.do(t.Context(), "HEAD", "/p")
				case 1:
					return w.get("/p", "Cache-Control", "no-cache")
				}
				return w.get("/p")
			}) {
				if g.err != nil || g.status != 200 || j%4 != 0 && g.body != "page" {
					t.Fatalf("round %d: %s = %d %q, %q, %v", i, g.what, g.status, g.body, g.cache(), g.err)
				}
			}
		}
	})
}

// The update is of the version that the HEAD was about.
func TestAHeadDoesNotDressANewerGetInItsFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var version atomic.Int64
		version.Store(1)
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			v := version.Load()
			page(fmt.Sprint("version ", v), "Cache-Control", "max-age=60", "X", fmt.Sprint(v))(rw, r) // without a validator
			if r.Method == "HEAD" {
				time.Sleep(time.Second)
			}
		}, nil)
		w.get("/p")
		time.Sleep(time.Minute)
		head := make(chan got)
		go func() { head <- w.do(t.Context(), "HEAD", "/p") }()
		synctest.Wait()
		version.Store(2)
		w.get("/p").want(t, 200, "version 2", "Corral;fwd=stale;ttl=60;stored")
		<-head
		g := w.get("/p")
		g.want(t, 200, "version 2", g.cache())
		if g.header.Get("X") != "2" {
			t.Errorf("version 2 has the X of version %s", g.header.Get("X"))
		}
	})
}

func TestHeadsShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, page("page", "Cache-Control", "max-age=60")), nil)
		for _, g := range together(200, func(int) got { return w.do(t.Context(), "HEAD", "/p") }) {
			g.wantAt(t, 100*time.Millisecond, 200, "", g.cache())
			if g.header.Get("Content-Length") != "4" {
				t.Fatalf("header = %v", g.header)
			}
		}
		w.wantCalls(1)
	})
}

func TestAHeadOfAVariantIsAnsweredFromItsGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, language("Accept-Language"), nil)
		for _, tongue := range []string{"de", "fr", "en"} {
			w.get("/p", "Accept-Language", tongue)
		}
		w.wantCalls(3)
		for _, tongue := range []string{"fr", "de", "en"} {
			g := w.do(t.Context(), "HEAD", "/p", "Accept-Language", tongue)
			g.want(t, 200, "", "Corral;hit;ttl=60")
		}
		w.wantCalls(0)
		w.do(t.Context(), "HEAD", "/p", "Accept-Language", "it")
		w.wantCalls(1)
	})
}
