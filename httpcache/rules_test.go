package httpcache_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/corraltest"
	"github.com/corralcache/corral/httpcache"
)

func TestARulesLifetimesStandInPlaceOfTheOrigins(t *testing.T) {
	for _, test := range []struct {
		name    string
		rule    httpcache.Rule
		control string
		first   string // Cache-Status
		fails   bool   // the origin does, from then on
		at      time.Duration
		later   string
	}{
		{"ttl", httpcache.Rule{TTL: time.Minute}, "max-age=5", missStored, false, time.Minute - 1, "Corral;hit;ttl=0"},
		{"ttl is over", httpcache.Rule{TTL: time.Minute}, "max-age=500", missStored, false, time.Minute, "Corral;fwd=stale;ttl=60;stored"},
		{"ttl where there is none", httpcache.Rule{TTL: time.Minute}, "public", missStored, false, 30 * time.Second, "Corral;hit;ttl=30"},
		{"ttl for no-cache", httpcache.Rule{TTL: time.Minute}, "no-cache", missStored, false, 30 * time.Second, "Corral;hit;ttl=30"},
		{"no ttl for private", httpcache.Rule{TTL: time.Minute}, "private", "Corral;fwd=uri-miss;detail=private", false, 0, "Corral;fwd=uri-miss;detail=private"},
		{"no ttl for no-store", httpcache.Rule{TTL: time.Minute}, "no-store", "Corral;fwd=uri-miss;detail=no-store", false, 0, "Corral;fwd=uri-miss;detail=no-store"},
		{"none", httpcache.Rule{TTL: -1}, "max-age=60", "Corral;fwd=uri-miss;detail=expired", false, 0, "Corral;fwd=uri-miss;detail=expired"},
		{"stale", httpcache.Rule{StaleFor: 10 * time.Second}, "max-age=60", missStored, false, 70*time.Second - 1, "Corral;hit;ttl=-10"},
		{"stale is over", httpcache.Rule{StaleFor: 10 * time.Second}, "max-age=60, stale-while-revalidate=100", missStored, false, 70 * time.Second, "Corral;fwd=stale;ttl=60;stored"},
		{"nothing stale", httpcache.Rule{StaleFor: -1}, "max-age=60, stale-while-revalidate=100", missStored, false, 60 * time.Second, "Corral;fwd=stale;ttl=60;stored"},
		{"nothing stale that must be validated", httpcache.Rule{StaleFor: time.Minute}, "max-age=60, must-revalidate", missStored, false, 60 * time.Second, "Corral;fwd=stale;ttl=60;stored"},
		{"error", httpcache.Rule{StaleOnError: 10 * time.Second}, "max-age=60", missStored, true, 70*time.Second - 1, "Corral;fwd=stale;fwd-status=500;ttl=-10;detail=origin-failed"},
		{"error is over", httpcache.Rule{StaleOnError: 10 * time.Second}, "max-age=60, stale-if-error=100", missStored, true, 70 * time.Second, "Corral;fwd=stale;detail=origin-failed"},
		{"no error", httpcache.Rule{StaleOnError: -1}, "max-age=60, stale-if-error=100", missStored, true, 60 * time.Second, "Corral;fwd=stale;detail=origin-failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fails := false
				w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
					if fails {
						rw.WriteHeader(500)
						return
					}
					page("page", "Cache-Control", test.control)(rw, r)
				}, with(test.rule))
				w.get("/p").want(t, 200, "page", test.first)
				fails = test.fails
				time.Sleep(test.at)
				if g := w.get("/p"); g.cache() != test.later {
					t.Errorf("after %v: %d, %q; want %q", test.at, g.status, g.cache(), test.later)
				}
			})
		})
	}
}

// What a rule's TTL keeps counts from when it arrived, whatever Age says.
func TestARulesTTLCountsFromTheArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60", "Age", "1000"), with(httpcache.Rule{TTL: time.Minute}))
		w.get("/p").want(t, 200, "page", missStored)
		time.Sleep(30 * time.Second)
		g := w.get("/p")
		g.want(t, 200, "page", "Corral;hit;ttl=30")
		if g.header.Get("Age") != "1030" {
			t.Errorf("Age = %s, want 1030", g.header.Get("Age"))
		}
	})
}

func TestARuleThatBypassesSendsAllToTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), with(httpcache.Rule{Path: "/live/*", Bypass: true}))
		for range 3 {
			w.get("/live/p").want(t, 200, "page", "Corral;fwd=bypass;detail=rule")
		}
		w.get("/live/p", "Cache-Control", "only-if-cached").want(t, 504, "not in the cache\n", "Corral;detail=only-if-cached")
		w.wantCalls(3)
		w.get("/p").want(t, 200, "page", missStored)
		w.get("/p").want(t, 200, "page", "Corral;hit;ttl=60")
	})
}

func TestTagFieldsAreForTheCacheAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Surrogate-Key", "a b")
			rw.Header().Set("Cache-Tag", "c")
			switch r.URL.Path {
			case "/fails":
				rw.WriteHeader(500)
			case "/own":
				rw.Header().Set("Cache-Control", "private")
			default:
				page("page", "Cache-Control", "max-age=60", "Etag", `"a"`)(rw, r)
			}
		}, with(httpcache.Rule{TagFields: []string{"surrogate-key", "Cache-Tag"}}))
		for _, ask := range [][]string{{"GET", "/p"}, {"GET", "/p"}, {"GET", "/p", "Range", "bytes=0-1"}, {"GET", "/p", "If-None-Match", `"a"`}, {"HEAD", "/q"}, {"POST", "/p"}, {"GET", "/own"}, {"GET", "/own"}, {"GET", "/fails"}, {"GET", "/p", "If-Match", "*"}} {
			g := w.do(t.Context(), ask[0], ask[1], ask[2:]...)
			if g.err != nil || g.header.Get("Surrogate-Key") != "" || g.header.Get("Cache-Tag") != "" {
				t.Errorf("%s: header = %v, %v; want none of the tags", g.what, g.header, g.err)
			}
		}
	})
}

func TestARulesOriginAnswersItsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := make(chan string, 10)
		l, dial := memory{}.listen(t)
		serve(t, l, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			page("other: "+r.Method+" "+r.Host+r.RequestURI, "Cache-Control", "max-age=60")(rw, r)
		}))
		transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials <- address
			return dial(ctx, network, address)
		}}
		defer transport.CloseIdleConnections()
		w := open(t, memory{}, page("standard", "Cache-Control", "max-age=60"), with(httpcache.Rule{
			Host: "api.test", Origin: &url.URL{Scheme: "http", Host: "other.test:81", Path: "/v1"}, Transport: transport,
		}))
		w.get("http://api.test/p?q").want(t, 200, "other: GET api.test/v1/p?q", missStored)
		w.get("http://api.test/p?q").want(t, 200, "other: GET api.test/v1/p?q", "Corral;hit;ttl=60")
		w.do(t.Context(), "POST", "http://api.test/p").want(t, 200, "other: POST api.test/v1/p", "Corral;fwd=method;detail=method")
		w.get("http://api.test/a/../p").want(t, 200, "other: GET api.test/v1/a/../p", "Corral;fwd=bypass;detail=ambiguous-path")
		w.get("http://shop.test/p?q").want(t, 200, "standard", missStored)
		w.wantCalls(1)
		if address := <-dials; address != "other.test:81" {
			t.Errorf("dialed %s, want other.test:81", address)
		}
	})
}

func TestCookiesAreStoredWhereARuleSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60", "Set-Cookie", "currency=eur"), with(httpcache.Rule{Path: "/p", StoreCookies: true}))
		for _, cache := range []string{missStored, "Corral;hit;ttl=60"} {
			g := w.get("/p")
			g.want(t, 200, "page", cache)
			if g.header.Get("Set-Cookie") != "currency=eur" {
				t.Errorf("header = %v, want the cookie", g.header)
			}
		}
		w.get("/q").want(t, 200, "page", "Corral;fwd=uri-miss;detail=set-cookie")
		w.wantCalls(2)
	})
}

func TestARuleIgnoresCookiesForItsOwnPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, echo("Cache-Control", "max-age=60"), with(httpcache.Rule{Path: "/p", IgnoreCookies: true}))
		w.get("/p", "Cookie", "id=1").want(t, 200, "", missStored)
		w.get("/p", "Cookie", "id=2").want(t, 200, "", "Corral;hit;ttl=60")
		w.get("/q", "Cookie", "id=1").want(t, 200, "id=1", "Corral;fwd=uri-miss;detail=cookie")
	})
}

func TestARulesMaxLoadsBoundsItsOwnFetchesAndNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/slow/") {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
			}
			time.Sleep(time.Second)
			page("page", "Cache-Control", "max-age=60")(rw, r)
		}, with(httpcache.Rule{Path: "/slow/*", MaxLoads: 3}))
		took := map[time.Duration]int{}
		for i, g := range together(13, func(i int) got {
			if i == 12 {
				return w.get("/quick")
			}
			return w.get(fmt.Sprint("/slow/", i))
		}) {
			g.want(t, 200, "page", g.cache())
			if i == 12 && g.at != time.Second {
				t.Errorf("another rule's took %v", g.at)
			} else if i < 12 {
				took[g.at]++
			}
		}
		if most.Load() != 3 || took[time.Second] != 3 || took[2*time.Second] != 3 || took[3*time.Second] != 3 || took[4*time.Second] != 3 {
			t.Errorf("%d at once, times %v; want 3 at once, 3 a second", most.Load(), took)
		}
		w.wantCalls(13)
	})
}

// A body that is still being sent holds no turn.
func TestARulesMaxLoadsCountsUpToTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise("Cache-Control", "max-age=60")
		w := open(t, memory{}, o.answer, with(httpcache.Rule{MaxLoads: 1}))
		for i := range 3 {
			defer w.read(fmt.Sprint("/", i)).leave()
		}
		w.wantCalls(3)
	})
}

func TestARulesRateSpreadsItsFetches(t *testing.T) {
	for _, test := range []struct {
		name    string
		timeout time.Duration // of the options; the rule's is 2.9 s
		refused int           // the status of those whose turn does not come
		after   time.Duration
	}{
		{"whose turn is after the deadline of all is told at once", 2900 * time.Millisecond, 503, 0},
		{"whose turn is after the rule's waits for that", time.Minute, 504, 2900 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, page("page", "Cache-Control", "max-age=600"), func(o *httpcache.Options) {
					o.LoadTimeout = test.timeout
					o.Rules = []httpcache.Rule{{Rate: 2, Burst: 4, LoadTimeout: 2900 * time.Millisecond}}
				})
				took := map[time.Duration]int{}
				for _, g := range together(16, func(i int) got { return w.get(fmt.Sprint("/", i)) }) {
					if g.status == 200 {
						took[g.at]++
					} else if g.status != test.refused || g.at != test.after {
						t.Errorf("got %d after %v, want %d after %v", g.status, g.at, test.refused, test.after)
					}
				}
				want := map[time.Duration]int{0: 4}
				for i := range 5 {
					want[time.Duration(i+1)*500*time.Millisecond] = 1
				}
				if fmt.Sprint(took) != fmt.Sprint(want) {
					t.Errorf("times %v, want %v", took, want)
				}
				w.wantCalls(9)
			})
		})
	}
}

func TestARulesRateIsDividedAmongProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		process := corraltest.NewDomain().Process("a")
		process.SetShare(0.5)
		rules := []httpcache.Rule{{Rate: 10, Burst: 4}}
		w, o := reloading(t, page("page", "Cache-Control", "max-age=600"), func(o *httpcache.Options) {
			o.Coordinator, o.Rules = process, rules
		})
		rounds := 0
		spread := func(want ...time.Duration) {
			t.Helper()
			rounds++
			took := map[time.Duration]int{}
			for _, g := range together(4, func(i int) got { return w.get(fmt.Sprint("/", rounds, "/", i)) }) {
				took[g.at]++
			}
			for _, at := range want {
				took[at*time.Millisecond]--
			}
			for at, n := range took {
				if n != 0 {
					t.Errorf("round %d: %d answers too many after %v", rounds, n, at)
				}
			}
		}
		time.Sleep(time.Minute)
		spread(0, 0, 200, 400)
		if err := w.proxy.Reload(o); err != nil { // from where it begins with one
			t.Fatal(err)
		}
		spread(0, 200, 400, 600)
	})
}

func TestARulesMaxObjectBytesBoundsWhatItKeeps(t *testing.T) {
	for _, announced := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
				body := strings.Repeat("x", 10_000)
				if strings.HasSuffix(r.URL.Path, "over") {
					body += "x"
				}
				if announced {
					rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
				}
				page(body, "Cache-Control", "max-age=60")(rw, r)
			}, with(httpcache.Rule{Path: "/small/*", MaxObjectBytes: 10_000}))
			for path, calls := range map[string]int{"/small/at": 1, "/small/over": 2, "/large/over": 1} {
				for range 2 {
					if g := w.get(path); g.err != nil || len(g.body) < 10_000 {
						t.Errorf("%s: %d bytes, %v", path, len(g.body), g.err)
					}
					synctest.Wait()
				}
				w.wantCalls(calls)
			}
		})
	}
}
