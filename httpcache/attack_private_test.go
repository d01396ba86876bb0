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

// sizeOf is the size of a throng: the full one, or, under the race detector, one
// whose goroutines it can count.
func sizeOf(full, underDetector int) int {
	if underRace {
		return underDetector
	}
	return full
}

// Ten thousand wait on a key when its answer turns out to be private: each gets
// its own, and nobody another's.
func TestAttackPrivateAnswerWhileTenThousandWait(t *testing.T) {
	size := sizeOf(10_000, 1_000)
	release := make(chan struct{})
	var asked atomic.Int64
	w := open(t, sockets{}, func(rw http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			<-release
		}
		page(r.Header.Get("X-Caller"), "Cache-Control", "private, max-age=60")(rw, r)
	}, func(o *httpcache.Options) {
		o.MaxWaitersPerKey = size
		o.Transport.(*http.Transport).MaxConnsPerHost = 256
	})
	joined := w.joined(t, size-1)
	c := w.throng(size, 1<<20)
	defer c.leave()
	c.ask(func(i int) []string { return []string{":path", "/own", "x-caller", strconv.Itoa(i)} })
	<-joined
	close(release)
	for i, a := range c.answers() {
		if a.status != "200" || !a.whole || a.body != strconv.Itoa(i) {
			t.Fatalf("client %d got %s %q, whole %v", i, a.status, a.body, a.whole)
		}
	}
	w.wantCalls(size)
}

// A cookie that is set goes to whom it is set for, whatever else the answer says
// of its being stored.
func TestAttackSetCookieOnACacheableAnswer(t *testing.T) {
	ruled := func(o *httpcache.Options) {
		o.Rules = []httpcache.Rule{{Path: "/*", TTL: time.Hour, StaleFor: time.Hour, StaleOnError: time.Hour, IgnoreCookies: true}}
	}
	for _, fields := range [][]string{
		{"Cache-Control", "public, max-age=60"}, {"Cache-Control", "s-maxage=60, must-revalidate"}, {"Cdn-Cache-Control", "max-age=60"}, {"Expires", "Sat, 01 Jan 2050 00:00:00 GMT"}, {"Cache-Control", "max-age=60, no-cache=\"x\""},
	} {
		for name, setup := range map[string]func(*httpcache.Options){"no rules": nil, "a rule with a lifetime": ruled} {
			t.Run(fmt.Sprint(fields, name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := open(t, memory{}, slowly(100*time.Millisecond, func(rw http.ResponseWriter, r *http.Request) {
						page("of "+r.Header.Get("X-Caller"), append(fields, "Set-Cookie", "id="+r.Header.Get("X-Caller"))...)(rw, r)
					}), setup)
					for round := range 2 {
						for i, g := range together(40, func(i int) got { return w.get("/p", "X-Caller", strconv.Itoa(i)) }) {
							if cookie := g.header.Get("Set-Cookie"); g.body != fmt.Sprint("of ", i) || cookie != fmt.Sprint("id=", i) {
								t.Fatalf("round %d: client %d got %q with the cookie %q", round, i, g.body, cookie)
							}
						}
						w.wantCalls(40)
					}
				})
			})
		}
	}
}

// Nor does a cookie come by a side door: a confirmation of what is stored, an
// error that many wait for, a HEAD, an early hint or a trailer.
func TestAttackSetCookieBesideTheAnswer(t *testing.T) {
	const cookie = "id=victim"
	for name, handler := range map[string]http.HandlerFunc{
		"304": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=1")
			w.Header().Set("Etag", `"a"`)
			if r.Header.Get("If-None-Match") != "" {
				w.Header().Set("Set-Cookie", cookie)
				w.WriteHeader(304)
			}
		},
		"500": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Set-Cookie", cookie)
			w.Header().Set("Cache-Control", "max-age=60")
			w.WriteHeader(500)
		},
		"HEAD": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if r.Method == http.MethodHead {
				w.Header().Set("Set-Cookie", cookie)
			}
		},
		"103": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Set-Cookie", cookie)
			w.WriteHeader(103)
			w.Header().Del("Set-Cookie")
			w.Header().Set("Cache-Control", "max-age=60")
		},
		"trailer": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "Set-Cookie")
			w.Header().Set("Cache-Control", "max-age=60")
			w.Write([]byte("page"))
			w.Header().Set("Set-Cookie", cookie)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, slowly(100*time.Millisecond, handler), nil)
				for range 3 {
					w.do(t.Context(), "HEAD", "/p") // whoever asks first may be told
					led := 0
					for _, g := range together(50, func(int) got { return w.get("/p") }) {
						if strings.Contains(fmt.Sprint(g.header), cookie) {
							led++
						}
					}
					if led > 1 {
						t.Errorf("%d were given a cookie that was set for one", led)
					}
					if g := w.get("/p"); strings.Contains(fmt.Sprint(g.header), cookie) && name != "500" {
						t.Errorf("the next visitor was given it: %v", g.header)
					}
					time.Sleep(2 * time.Second)
				}
			})
		})
	}
}
