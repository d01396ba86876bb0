package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/httpcache"
)

const (
	missStored = "Corral;fwd=uri-miss;ttl=60;stored"
	collapsed  = "Corral;fwd=uri-miss;ttl=60;stored;collapsed"
)

func TestTheFirstAnswerIsStoredAndTheNextIsAHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), nil)
		w.get("/p").want(t, 200, "page", missStored)
		w.get("/p").want(t, 200, "page", "Corral;hit;ttl=60")
		time.Sleep(9*time.Second + 500*time.Millisecond)
		g := w.get("/p")
		g.want(t, 200, "page", "Corral;hit;ttl=50")
		if age := g.header.Get("Age"); age != "9" {
			t.Errorf("Age after 9.5 s = %q, want 9", age)
		}
		w.wantCalls(1)
	})
}

func TestAThousandRequestsForAColdPageReachTheOriginOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(120*time.Millisecond, page("page", "Cache-Control", "public, max-age=60")), nil)
		joined := 0
		for _, g := range together(1000, func(int) got { return w.get("/cold") }) {
			if g.cache() != "Corral;fwd=uri-miss;ttl=59;stored" {
				joined++
				g.wantAt(t, 120*time.Millisecond, 200, "page", "Corral;fwd=uri-miss;ttl=59;stored;collapsed")
			}
		}
		if joined != 999 {
			t.Errorf("%d answers say collapsed, want 999", joined)
		}
		w.wantCalls(1)
	})
}

// The same over sockets. The origin answers when the cache has told that all
// the others wait.
func TestAThousandRequestsOverSocketsReachTheOriginOnce(t *testing.T) {
	const clients = 1000
	release := make(chan struct{})
	w := open(t, sockets{}, func(rw http.ResponseWriter, r *http.Request) {
		<-release
		page("page", "Cache-Control", "max-age=60")(rw, r)
	}, nil)
	events, stop := w.proxy.Cache().Subscribe(2 * clients)
	defer stop()
	go func() {
		joined := 0
		for e := range events {
			if e.Kind == corral.EventJoined {
				joined++
			}
			if joined == clients-1 {
				close(release)
				return
			}
		}
	}()
	for _, g := range together(clients, func(int) got { return w.get("/cold") }) {
		if g.err != nil || g.status != 200 || g.body != "page" {
			t.Fatalf("got %d %q, %v; want 200 page", g.status, g.body, g.err)
		}
	}
	w.wantCalls(1)
}

// echo answers with who asked, so that a foreign answer shows.
func echo(fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		page(r.Header.Get("X-Caller")+r.Header.Get("Cookie")+r.Header.Get("Authorization"), fields...)(w, r)
	}
}

func TestWhatMayNotBeSharedReachesNobodyElse(t *testing.T) {
	for i, test := range []struct {
		detail string
		fields []string
	}{
		{"private", []string{"Cache-Control", "private, max-age=60"}},
		{"no-store", []string{"Cache-Control", "no-store, max-age=60"}},
		{"no-cache", []string{"Cache-Control", "no-cache, max-age=60"}},
		{"expired", []string{"Cache-Control", "max-age=0"}},
		{"no-lifetime", nil},
		{"malformed-cache-control", []string{"Cache-Control", "max-age=60, priv@te"}},
		{"set-cookie", []string{"Cache-Control", "public, max-age=60", "Set-Cookie", "id=1"}},
		{"vary", []string{"Cache-Control", "max-age=60", "Vary", "*"}},
		{"vary", []string{"Cache-Control", "max-age=60", "Vary", "Accept, *"}},
	} {
		clients := 50
		if i == 0 {
			clients = 200
		}
		t.Run(test.detail, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, slowly(100*time.Millisecond, echo(test.fields...)), nil)
				burst := func() []got {
					return together(clients, func(i int) got { return w.get("/own", "X-Caller", strconv.Itoa(i)) })
				}
				cache := "Corral;fwd=uri-miss;detail=" + test.detail
				waited := 0
				for i, g := range burst() {
					g.want(t, 200, strconv.Itoa(i), cache)
					if g.at == 200*time.Millisecond { // behind the first, then side by side
						waited++
					} else if g.at != 100*time.Millisecond {
						t.Fatalf("answer %d took %v, want 100 or 200 ms", i, g.at)
					}
				}
				if waited != clients-1 {
					t.Errorf("%d waited for the first one, want %d", waited, clients-1)
				}
				w.wantCalls(clients)
				for i, g := range burst() { // nobody waits for nothing a second time
					g.wantAt(t, 100*time.Millisecond, 200, strconv.Itoa(i), cache)
				}
				w.wantCalls(clients)
			})
		})
	}
}

func TestAKeyIsSharedAgainWhenItsAnswersMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		control := "private"
		w := open(t, memory{}, slowly(100*time.Millisecond, func(rw http.ResponseWriter, r *http.Request) {
			page("page", "Cache-Control", control)(rw, r)
		}), nil)
		w.get("/p").want(t, 200, "page", "Corral;fwd=uri-miss;detail=private")
		control = "max-age=60"
		w.get("/p").want(t, 200, "page", "Corral;fwd=uri-miss")
		w.get("/p").want(t, 200, "page", "Corral;fwd=uri-miss;ttl=59;stored")
		w.get("/p").want(t, 200, "page", "Corral;hit;ttl=59")
	})
}

func TestCredentialsGetTheirOwnAnswerAndWaitForNobody(t *testing.T) {
	const clients = 100
	for _, name := range []string{"Cookie", "Authorization"} {
		for _, control := range []string{"max-age=60", "public, max-age=60", "private"} {
			t.Run(name+" "+control, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := open(t, memory{}, slowly(100*time.Millisecond, echo("Cache-Control", control)), nil)
					for range 2 {
						for i, g := range together(clients, func(i int) got { return w.get("/own", name, "id="+strconv.Itoa(i)) }) {
							g.wantAt(t, 100*time.Millisecond, 200, "id="+strconv.Itoa(i), "Corral;fwd=uri-miss;detail="+strings.ToLower(name))
						}
						w.wantCalls(clients)
					}
				})
			})
		}
	}
}

func TestACookieDoesNotTurnOffCollapsingForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Cookie") != "" {
				echo("Cache-Control", "private")(rw, r)
				return
			}
			page("public", "Cache-Control", "max-age=60")(rw, r)
		}), nil)
		first := w.begin(t.Context(), "/p", "Cookie", "id=7")
		for range 2 { // cold, and then expired
			for _, g := range together(100, func(int) got { return w.get("/p") }) {
				if g.body != "public" {
					t.Fatalf("a request without a cookie got %q, want public", g.body)
				}
			}
			time.Sleep(time.Minute)
		}
		(<-first).want(t, 200, "id=7", "Corral;fwd=uri-miss;detail=cookie")
		w.wantCalls(3)
		w.get("/p").want(t, 200, "public", "Corral;fwd=stale;ttl=59;stored")
		w.get("/p", "Cookie", "id=7").want(t, 200, "public", "Corral;hit;ttl=59")
	})
}

func TestIgnoredCookiesDoNotReachTheOriginAndDoNotMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, echo("Cache-Control", "max-age=60")), func(o *httpcache.Options) { o.IgnoreCookies = true })
		for _, g := range together(100, func(i int) got { return w.get("/p", "Cookie", fmt.Sprint("id=", i)) }) {
			if g.status != 200 || g.body != "" {
				t.Fatalf("got %d %q, want 200 and no cookie", g.status, g.body)
			}
		}
		w.wantCalls(1)
		// A request that goes by itself keeps it.
		w.do(t.Context(), "GET", "/p", "Cookie", "id=1", "If-Match", "*").want(t, 200, "id=1", "Corral;fwd=bypass;detail=precondition")
	})
}

// language answers in the language that was asked for.
func language(vary string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		page("in "+r.Header.Get("Accept-Language")+" for "+r.Header.Get("X-Tier"), "Cache-Control", "max-age=60", "Vary", vary)(w, r)
	}
}

func TestEachVariantIsFetchedOnceAndGoesToThoseWhoAskedForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, language("Accept-Language")), nil)
		languages := []string{"de", "fr", "en, de;q=0.5", ""}
		ask := func(i int) got {
			if lang := languages[i%4]; lang != "" {
				return w.get("/p", "Accept-Language", lang)
			}
			return w.get("/p")
		}
		for i, g := range together(200, ask) { // nobody knows yet that it varies
			if want := "in " + languages[i%4] + " for "; g.body != want || g.at > 200*time.Millisecond {
				t.Fatalf("answer %d = %q after %v, want %q after 200 ms at most", i, g.body, g.at, want)
			}
		}
		w.wantCalls(4)
		for i, g := range together(200, ask) {
			g.wantAt(t, 0, 200, "in "+languages[i%4]+" for ", g.cache())
			if !strings.HasPrefix(g.cache(), "Corral;hit;") {
				t.Fatalf("Cache-Status of answer %d = %q, want a hit", i, g.cache())
			}
		}
		w.get("/p", "Accept-Language", "it").want(t, 200, "in it for ", "Corral;fwd=vary-miss;ttl=59;stored")
		w.wantCalls(1)
	})
}

func TestAVaryThatGrowsIsFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vary := "Accept-Language"
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) { language(vary)(rw, r) }, nil)
		w.get("/p", "Accept-Language", "de", "X-Tier", "1").want(t, 200, "in de for 1", missStored)
		vary = "Accept-Language, X-Tier"
		w.get("/p", "Accept-Language", "fr", "X-Tier", "1").want(t, 200, "in fr for 1", "Corral;fwd=vary-miss;ttl=60;stored")
		w.get("/p", "Accept-Language", "fr", "X-Tier", "2").want(t, 200, "in fr for 2", "Corral;fwd=vary-miss;ttl=60;stored")
		w.get("/p", "Accept-Language", "fr", "X-Tier", "1").want(t, 200, "in fr for 1", "Corral;hit;ttl=60")
		w.get("/p", "Accept-Language", "fr", "X-Tier", "2").want(t, 200, "in fr for 2", "Corral;hit;ttl=60")
		w.get("/p", "Accept-Language", "de", "X-Tier", "2").want(t, 200, "in de for 1", "Corral;hit;ttl=60") // which said so
		w.wantCalls(3)
		time.Sleep(time.Minute)
		w.get("/p", "Accept-Language", "de", "X-Tier", "2").want(t, 200, "in de for 2", "Corral;fwd=stale;ttl=60;stored")
		w.get("/p", "Accept-Language", "de", "X-Tier", "1").want(t, 200, "in de for 1", "Corral;fwd=vary-miss;ttl=60;stored")
		w.wantCalls(2)
	})
}

func TestVariantsWhoseBaseIsGoneAnswerNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, language("Accept-Language"), nil)
		for _, lang := range []string{"de", "fr", "en"} {
			w.get("/p", "Accept-Language", lang)
		}
		w.wantCalls(3)
		if err := w.proxy.Cache().Invalidate(t.Context(), "GET http://shop.test/p"); err != nil { // de's
			t.Fatal(err)
		}
		w.get("/p", "Accept-Language", "en").want(t, 200, "in en for ", missStored)
		w.get("/p", "Accept-Language", "fr").want(t, 200, "in fr for ", "Corral;hit;ttl=60")
		w.get("/p", "Accept-Language", "de").want(t, 200, "in de for ", "Corral;fwd=vary-miss;ttl=60;stored")
		w.wantCalls(2)
	})
}

// A 304 for If-Modified-Since confirms whatever has that date: it must not be
// asked for another request's variant.
func TestAVariantIsNotConfirmedByAnothersValidators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			rw.Header().Set("Last-Modified", "Fri, 31 Dec 1999 00:00:00 GMT")
			rw.Header().Set("Vary", "Accept-Language")
			if r.Header.Get("If-Modified-Since") != "" {
				rw.WriteHeader(304)
				return
			}
			io.WriteString(rw, "in "+r.Header.Get("Accept-Language"))
		}), nil)
		german := w.begin(t.Context(), "/p", "Accept-Language", "de")
		// It waits for the German one, is not content with what began before
		// it, and finds the German one when it fetches itself.
		french := w.begin(t.Context(), "/p", "Accept-Language", "fr", "Cache-Control", "no-cache")
		if g := <-german; g.body != "in de" {
			t.Errorf("got %q, want in de", g.body)
		}
		if g := <-french; g.body != "in fr" {
			t.Errorf("got %q, want in fr", g.body)
		}
	})
}

func TestAVaryOnFieldsTooLongForAKeyIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, language("Accept-Language"), func(o *httpcache.Options) { o.MaxKeyBytes = 100 })
		w.get("/p", "Accept-Language", "de").want(t, 200, "in de for ", missStored)
		long := strings.Repeat("x", 8000)
		w.get("/p", "Accept-Language", long).want(t, 200, "in "+long+" for ", "Corral;fwd=vary-miss;ttl=60;stored")
		long = strings.Repeat("x", 9<<10)
		w.get("/p", "Accept-Language", long).want(t, 200, "in "+long+" for ", "Corral;fwd=vary-miss;detail=vary")
	})
}

func TestAKeyOverItsLimitIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), func(o *httpcache.Options) { o.MaxKeyBytes = 100 })
		path := "/" + strings.Repeat("x", 100-len("GET http://shop.test/"))
		w.get(path).want(t, 200, "page", missStored)
		w.get(path+"x").want(t, 414, "the address is too long\n", "Corral;detail=key-too-long")
		w.wantCalls(1)
	})
}

func TestAFloodOfKeysStaysWithinTheBound(t *testing.T) {
	const bound = 1 << 20
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page(strings.Repeat("x", 2000), "Cache-Control", "max-age=60"), func(o *httpcache.Options) { o.MaxBytes = bound })
		for i := range 2000 {
			w.get(fmt.Sprint("/", i, strings.Repeat("y", 1000)))
			if s := w.proxy.Cache().Stats(); s.Bytes+s.BytesInFlight > bound {
				t.Fatalf("%d bytes after %d keys, want %d at most", s.Bytes+s.BytesInFlight, i, bound)
			}
		}
		if s := w.proxy.Cache().Stats(); s.Evictions == 0 || s.Entries < 100 {
			t.Errorf("%d evictions, %d entries; want some, and the bound used", s.Evictions, s.Entries)
		}
	})
}

func TestWaitersOverTheirLimitAreTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(time.Second, page("page", "Cache-Control", "max-age=60")), func(o *httpcache.Options) { o.MaxWaitersPerKey = 10 })
		refused := 0
		for _, g := range together(15, func(int) got { return w.get("/p") }) {
			if g.status == 503 {
				refused++
				g.wantAt(t, 0, 503, "too much is being asked for at once\n", "Corral;fwd=uri-miss;detail=overloaded")
				if after := g.header.Get("Retry-After"); after != "1" {
					t.Errorf("Retry-After = %q, want 1", after)
				}
			}
		}
		if refused != 5 {
			t.Errorf("%d were turned away, want 5", refused)
		}
		w.wantCalls(1)
	})
}

func TestTheTraceTellsOfTheOriginOnlyToWhoAskedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, page("page", "Cache-Control", "max-age=60")), nil)
		traces := make([]httpcache.Trace, 4)
		ask := func(i int) got {
			r := newRequest(httpcache.WithTrace(context.Background(), &traces[i]), "GET", "/p", nil)
			r.RequestURI = "/p"
			w.proxy.ServeHTTP(&sink{header: http.Header{}}, r)
			return got{}
		}
		together(3, ask)
		ask(3)
		led := 0
		for i, trace := range traces {
			switch {
			case trace == httpcache.Trace{Status: "Corral;fwd=uri-miss;ttl=59;stored", OriginTime: 100 * time.Millisecond, OriginCode: 200}:
				led++
			case i < 3 && trace == httpcache.Trace{Status: "Corral;fwd=uri-miss;ttl=59;stored;collapsed"}:
			case i == 3 && trace == httpcache.Trace{Status: "Corral;hit;ttl=59"}:
			default:
				t.Errorf("trace %d = %+v", i, trace)
			}
		}
		if led != 1 {
			t.Errorf("%d of the traces tell of the origin, want 1", led)
		}
	})
}
