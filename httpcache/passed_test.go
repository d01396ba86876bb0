package httpcache_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

func TestWhatIsForOneGoesToTheOriginAsItsClientSentIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "private")
			rw.Header().Set("Etag", `"a"`)
			if r.Header.Get("If-None-Match") == `"a"` {
				rw.WriteHeader(304)
				return
			}
			fmt.Fprint(rw, "own")
		}, nil)
		w.get("/p").want(t, 200, "own", "Corral;fwd=uri-miss;detail=private")
		g := w.get("/p", "If-None-Match", `"a"`)
		if g.status != 304 || g.body != "" {
			t.Errorf("got %d %q", g.status, g.body)
		}
		if host := w.origin.seen().Header.Get("X-Forwarded-Host"); host != "shop.test" {
			t.Errorf("X-Forwarded-Host is %q: the origin does not learn what the client asked for", host)
		}
		w.wantCalls(2)
	})
}

func TestAPrivateAnswerIsFetchedByAThousandAtOnceWhateverMaxLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		w := open(t, memory{}, slowly(200*time.Millisecond, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "private")
			fmt.Fprint(rw, "answer ", n.Add(1))
		}), func(o *httpcache.Options) { o.MaxLoads = 4 })
		for burst, at := range []time.Duration{400 * time.Millisecond, 200 * time.Millisecond} {
			different := map[string]bool{}
			for _, g := range together(1000, func(int) got { return w.get("/p") }) {
				if g.status != 200 || g.at > at {
					t.Fatalf("burst %d: %d after %v, want it by %v", burst, g.status, g.at, at)
				}
				different[g.body] = true
			}
			if len(different) != 1000 {
				t.Errorf("burst %d: %d different answers", burst, len(different))
			}
			w.wantCalls(1000)
		}
	})
}

func TestAKeyWhoseAnswersCanBeSharedAgainIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var control atomic.Pointer[string]
		say := func(s string) { control.Store(&s) }
		say("private")
		w := open(t, memory{}, slowly(time.Second, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", *control.Load())
			fmt.Fprint(rw, "page")
		}), nil)
		w.get("/p")
		say("max-age=60")
		w.get("/p").want(t, 200, "page", "Corral;fwd=uri-miss") // it is the first to see that
		w.wantCalls(2)
		for _, g := range together(10, func(int) got { return w.get("/p") }) {
			g.wantAt(t, time.Second, 200, "page", g.cache())
		}
		w.wantCalls(1)
	})
}

func TestAnOriginThatIsGoneLetsAKeyRestThatIsForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			if broken.Load() {
				panic(http.ErrAbortHandler)
			}
			rw.Header().Set("Cache-Control", "private")
			fmt.Fprint(rw, "own")
		}, nil)
		w.get("/p")
		broken.Store(true)
		w.origin.calls()
		w.get("/p").want(t, 502, "the origin broke off, or what it sent is not HTTP\n", "Corral;fwd=uri-miss;detail=origin-invalid")
		asked := w.origin.calls()
		w.get("/p").want(t, 502, "the origin broke off, or what it sent is not HTTP\n", "Corral;fwd=uri-miss;detail=origin-invalid")
		w.wantCalls(0)
		broken.Store(false)
		time.Sleep(time.Second)
		w.get("/p").want(t, 200, "own", "Corral;fwd=uri-miss;detail=private")
		if asked == 0 {
			t.Error("the origin was not asked")
		}
	})
}

func TestAPostThatMayBeCachedAndGoesByItselfEndsNobodysAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("answer", "Cache-Control", "max-age=60"), func(o *httpcache.Options) {
			o.Rules = []httpcache.Rule{{Path: "/search", MaxContentBytes: 4}}
		})
		post := func(content, cache string) {
			t.Helper()
			w.send(newRequest(t.Context(), "POST", "/search", strings.NewReader(content))).want(t, 200, "answer", cache)
		}
		post("four", "Corral;fwd=uri-miss;ttl=60;stored")
		w.get("/search").want(t, 200, "answer", "Corral;fwd=uri-miss;ttl=60;stored")
		post("longer", "Corral;fwd=bypass;detail=request-body")
		post("four", "Corral;hit;ttl=60")
		w.get("/search").want(t, 200, "answer", "Corral;hit;ttl=60")
		w.wantCalls(3)
	})
}

func TestTheOriginLearnsTheSchemeThatIsInTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			fmt.Fprint(rw, r.Header["X-Forwarded-Proto"])
		}, nil)
		w.get("/p", "X-Forwarded-Proto", "https").want(t, 200, "[http]", "Corral;fwd=uri-miss;ttl=60;stored")
		w.get("/p").want(t, 200, "[http]", "Corral;hit;ttl=60")
	})
}
