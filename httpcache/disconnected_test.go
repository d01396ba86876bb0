package httpcache_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// An origin that cannot be reached, or closes without an answer, leaves the cache
// disconnected: it gives what is stale, unless a directive forbids it (RFC 9111,
// section 4.2.4).
func TestWhatIsStaleStandsInWhileTheOriginIsAway(t *testing.T) {
	const stale, away, silent = "page", "the origin cannot be reached\n", "the origin broke off, or what it sent is not HTTP\n"
	for _, test := range []struct {
		control string
		after   time.Duration
		gives   bool
	}{
		{"max-age=60", 2 * time.Minute, true},
		{"max-age=60", 1000 * time.Hour, true},
		{"max-age=60, stale-while-revalidate=5", time.Hour, true},
		{"max-age=60, stale-if-error=60", 2*time.Minute - 1, true}, // its origin has said for how long
		{"max-age=60, stale-if-error=60", 2 * time.Minute, false},
		{"max-age=60, stale-if-error=0", time.Minute, false},
		{"max-age=60, must-revalidate", time.Hour, false},
		{"max-age=60, proxy-revalidate", time.Hour, false},
		{"s-maxage=60", time.Hour, false}, // which has the meaning of proxy-revalidate
	} {
		for _, how := range []string{"unreachable", "closes"} {
			t.Run(fmt.Sprint(test.control, " after ", test.after, " ", how), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					gone := false
					w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
						if gone {
							panic(http.ErrAbortHandler)
						}
						page("page", "Cache-Control", test.control, "Connection", "close")(rw, r)
					}, func(o *httpcache.Options) {
						dial := o.Transport.(*http.Transport).DialContext
						o.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
							if gone && how == "unreachable" {
								return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
							}
							return dial(ctx, network, address)
						}
					})
					w.get("/p").want(t, 200, "page", missStored)
					time.Sleep(test.after)
					gone = true
					for range 3 {
						for _, g := range together(20, func(int) got { return w.get("/p") }) {
							want := got{status: 502, body: map[string]string{"unreachable": away, "closes": silent}[how]}
							if test.gives {
								want = got{status: 200, body: stale}
							}
							g.want(t, want.status, want.body, g.cache())
							if test.gives && !strings.Contains(g.cache(), fmt.Sprintf("ttl=%d;detail=%s", -((test.after-time.Minute+time.Second-1)/time.Second), map[string]string{"unreachable": "origin-unreachable", "closes": "origin-invalid"}[how])) {
								t.Fatalf("Cache-Status = %q after %v", g.cache(), test.after)
							}
						}
					}
					if g := w.get("/p", "Cache-Control", "max-age=30"); g.status != 502 {
						t.Errorf("who bounds the age got %d, want 502", g.status)
					}
					gone = false
					time.Sleep(time.Second)
					w.get("/p").want(t, 200, "page", "Corral;fwd=stale;ttl=60;stored")
				})
			})
		}
	}
}

func TestAnAnswerThatIsAFailureIsNoDisconnection(t *testing.T) {
	for _, status := range []int{500, 502, 503, 504, 429} {
		synctest.Test(t, func(t *testing.T) {
			handler := page("page", "Cache-Control", "max-age=60")
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) { handler(rw, r) }, nil)
			w.get("/p")
			time.Sleep(time.Hour)
			handler = func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(status) }
			w.get("/p").want(t, status, "", "Corral;fwd=stale;detail=origin-failed")
		})
	}
}

// A field that an answer has for one goes to the request that began the fetch,
// and the rest of it to all.
func TestAFieldForOneIsGivenToOne(t *testing.T) {
	for _, test := range []struct {
		control string
		field   string
	}{
		{`max-age=60, private="X-User"`, "X-User"},
		{`max-age=60, no-cache="Set-Cookie"`, "Set-Cookie"},
		{`max-age=60, private="x-user, set-cookie"`, "X-User"},
		{`max-age=60, private="x-user, set-cookie"`, "Set-Cookie"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, slowly(100*time.Millisecond, page("page", "Cache-Control", test.control, test.field, "for=one", "X-All", "1", "Etag", `"a"`)), nil)
			given := 0
			for _, g := range together(50, func(int) got { return w.get("/p") }) {
				g.want(t, 200, "page", g.cache())
				if g.header.Get("X-All") != "1" {
					t.Fatalf("header = %v, want what is for all", g.header)
				}
				if g.header.Get(test.field) != "" {
					given++
					if strings.HasSuffix(g.cache(), "collapsed") {
						t.Errorf("one who joined got %s: %s", test.field, g.header.Get(test.field))
					}
				}
			}
			if given != 1 {
				t.Errorf("%d got %s, want 1", given, test.field)
			}
			for _, fields := range [][]string{nil, {"Range", "bytes=0-1"}, {"If-None-Match", `"a"`}} {
				if g := w.get("/p", fields...); g.header.Get(test.field) != "" || !strings.Contains(g.cache(), "hit") {
					t.Errorf("%v: %q, header = %v; want a hit without %s", fields, g.cache(), g.header, test.field)
				}
			}
			if g := w.do(t.Context(), "HEAD", "/p"); g.header.Get(test.field) != "" {
				t.Errorf("a HEAD got %s", test.field)
			}
			w.wantCalls(1)
		})
	}
}

// early is an origin that hints at what comes.
func early(hint, control string, pause time.Duration) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Link", hint)
		rw.WriteHeader(103)
		rw.Header().Del("Link")
		time.Sleep(pause)
		page("page", "Cache-Control", control)(rw, r)
	}
}

// hinted asks with an ear for hints.
func (w *world) hinted(target string, fields ...string) (got, []string) {
	var mu sync.Mutex
	var hints []string
	ctx := httptrace.WithClientTrace(w.t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		mu.Lock()
		defer mu.Unlock()
		hints = append(hints, strconv.Itoa(code)+" "+h.Get("Link"))
		return nil
	}})
	g := w.do(ctx, "GET", target, fields...)
	mu.Lock()
	defer mu.Unlock()
	return g, hints
}

func TestEarlyHintsReachWhoBeganTheFetch(t *testing.T) {
	const link = "</a.css>; rel=preload"
	for _, control := range []string{"max-age=60", "private"} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, early(link, control, time.Second), nil)
			var mu sync.Mutex
			hinted := 0
			for _, g := range together(20, func(int) got {
				g, hints := w.hinted("/p")
				mu.Lock()
				defer mu.Unlock()
				if len(hints) > 0 {
					if hinted++; len(hints) != 1 || hints[0] != "103 "+link {
						t.Errorf("hints = %q", hints)
					}
				}
				return g
			}) {
				g.want(t, 200, "page", g.cache())
				if g.header.Get("Link") != "" {
					t.Errorf("a hint's field is in the answer: %v", g.header)
				}
			}
			want := 1
			if control == "private" {
				want = 20 // each began its own
			}
			if hinted != want {
				t.Errorf("%d were sent hints, want %d", hinted, want)
			}
			if control == "private" {
				return
			}
			if g, hints := w.hinted("/p"); len(hints) != 0 || g.header.Get("Link") != "" {
				t.Errorf("a hit has the hints %q, %v", hints, g.header)
			}
		})
	}
}

func TestNoMoreHintsThanAFewArePassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			for i := range 20 {
				rw.Header().Set("Link", strconv.Itoa(i))
				rw.WriteHeader(103)
			}
			rw.WriteHeader(102)
			rw.Header().Del("Link")
			page("page", "Cache-Control", "max-age=60")(rw, r)
		}, nil)
		g, hints := w.hinted("/p")
		g.want(t, 200, "page", missStored)
		if fmt.Sprint(hints) != "[103 0 103 1 103 2 103 3 103 4]" {
			t.Errorf("hints = %q, want the first five", hints)
		}
	})
}

// A refresh behind a stale answer may be hinted at while, or after, the client
// is answered.
func TestWhoHasItsAnswerIsSentNoHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, early("x", "max-age=1, stale-while-revalidate=1000", 0), nil)
		w.get("/p")
		for range 200 {
			time.Sleep(2 * time.Second)
			g, hints := w.hinted("/p")
			g.want(t, 200, "page", "Corral;hit;ttl=-1")
			if len(hints) > 0 {
				t.Fatalf("hints = %q, want none to who has its answer", hints)
			}
		}
	})
}

// RFC 9110, section 15.2: HTTP/1.0 does not know answers with 1xx.
func TestAClientOfHTTP10IsSentNoHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, early("x", "max-age=60", 0), nil)
		if answer := w.raw("GET /p HTTP/1.0\r\nHost: shop.test\r\n\r\n"); strings.Contains(answer, "103") || !strings.HasSuffix(answer, "page") {
			t.Errorf("got %q", answer)
		}
	})
}

func TestAHintsConnectionFieldsStayOnTheirConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var header textproto.MIMEHeader
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Connection", "X-Hop")
			rw.Header().Set("X-Hop", "1")
			rw.Header().Set("Link", "x")
			rw.WriteHeader(103)
			for name := range rw.Header() {
				rw.Header().Del(name)
			}
			page("page", "Cache-Control", "max-age=60")(rw, r)
		}, nil)
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
			header = h
			return nil
		}})
		w.do(ctx, "GET", "/p").want(t, 200, "page", missStored)
		if fmt.Sprint(header) != "map[Link:[x]]" {
			t.Errorf("the hint came as %v, want its Link", header)
		}
	})
}
