package httpcache_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// with makes options that have one rule.
func with(rule httpcache.Rule) func(*httpcache.Options) {
	return func(o *httpcache.Options) { o.Rules = []httpcache.Rule{rule} }
}

// repeating is an origin that tells what it was asked.
func repeating(fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		page(r.Method+" "+r.Header.Get("Content-Type")+" "+string(body), fields...)(w, r)
	}
}

func (w *world) post(target, body string, fields ...string) got {
	return w.send(newRequest(context.Background(), "POST", target, strings.NewReader(body), fields...))
}

func TestPostsOfTheSameContentShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, repeating("Cache-Control", "max-age=60")), with(httpcache.Rule{Path: "/ask", MaxContentBytes: 100}))
		const kind, json, text = "Content-Type", "application/json", "text/plain"
		asks := []struct{ body, kind string }{{"a", json}, {"b", json}, {"a", text}, {"", json}}
		for i, g := range together(400, func(i int) got { ask := asks[i%4]; return w.post("/ask", ask.body, kind, ask.kind) }) {
			ask := asks[i%4]
			g.wantAt(t, 100*time.Millisecond, 200, "POST "+ask.kind+" "+ask.body, g.cache())
		}
		w.wantCalls(4)
		for _, ask := range asks {
			w.post("/ask", ask.body, kind, ask.kind).want(t, 200, "POST "+ask.kind+" "+ask.body, "Corral;hit;ttl=59")
		}
		w.get("/ask").want(t, 200, "GET  ", "Corral;fwd=uri-miss;ttl=59;stored") // it is none of them
		w.post("/else", "a", kind, json).want(t, 200, "POST application/json a", "Corral;fwd=method;detail=method")
		w.wantCalls(2)
	})
}

// Two keys whose parts could be cut differently are two.
func TestNoContentImitatesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, repeating("Cache-Control", "max-age=60"), with(httpcache.Rule{MaxContentBytes: 100, Key: httpcache.KeyParts{Headers: []string{"X-A"}}}))
		asks := []struct{ body, kind, a string }{
			{"a\nb", "c", ""}, {"a", "b\tc", ""}, {"a\nb\nc", "", ""}, {"", "c", "x"}, {"x-a=1:x", "c", ""}, {"\nc", "c", ""}, {"a\nb\nc\n", "", ""}, {"a\nb\n", "c", ""},
		}
		for range 2 {
			for _, ask := range asks {
				g := w.post("/ask", ask.body, "Content-Type", ask.kind, "X-A", ask.a)
				g.want(t, 200, "POST "+ask.kind+" "+ask.body, g.cache())
			}
		}
		w.wantCalls(len(asks))
	})
}

func TestContentThatIsTooLongGoesByItselfAsItIs(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, repeating("Cache-Control", "max-age=60"), with(httpcache.Rule{MaxContentBytes: 100}))
			for size, want := range map[int]int{99: 1, 100: 1, 101: 2, 3000: 2, 10_000: 2} {
				body := strings.Repeat("0123456789", size/10) + "012345678"[:size%10]
				for i := range 2 {
					var content io.Reader = strings.NewReader(body)
					if chunked {
						content = io.MultiReader(content) // whose length net/http does not see
					}
					cache := "Corral;fwd=bypass;detail=request-body"
					if want == 1 {
						cache = [2]string{missStored, "Corral;hit;ttl=60"}[i]
					}
					w.send(newRequest(t.Context(), "POST", "/ask", content)).want(t, 200, "POST  "+body, cache)
				}
				w.wantCalls(want)
			}
		})
	}
}

func TestTheContentReachesTheOriginAsItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got string
		var length atomic.Int64
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got = string(body)
			length.Store(r.ContentLength)
			page("answer", "Cache-Control", "max-age=60")(rw, r)
		}, with(httpcache.Rule{MaxContentBytes: 1 << 20}))
		for _, body := range []string{"", "\x00\xff\r\n\r\n0\r\n\r\n", strings.Repeat("long", 200_000)} {
			w.post("/ask", body, "Content-Encoding", "br", "Content-Type", "x/y", "Trailer-Like", "no").want(t, 200, "answer", missStored)
			if got != body || length.Load() != int64(len(body)) {
				t.Errorf("the origin got %d bytes with Content-Length %d, want %d", len(got), length.Load(), len(body))
			}
			sent := w.origin.seen().Header
			if sent.Get("Content-Encoding") != "br" || sent.Get("Content-Type") != "x/y" || sent.Get("Expect") != "" {
				t.Errorf("the origin got %v", sent)
			}
		}
	})
}

// pieces sends a request in pieces over a connection of its own, with a pause
// before each but the first, and gives all that comes back.
func (w *world) pieces(pause time.Duration, pieces ...string) string {
	conn, err := w.dial(context.Background(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		for i, piece := range pieces {
			if i > 0 {
				time.Sleep(pause)
			}
			io.WriteString(conn, piece)
		}
	}()
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

func TestContentThatIsAwaitedIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, repeating("Cache-Control", "max-age=60"), with(httpcache.Rule{MaxContentBytes: 100}))
		conn, err := w.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go io.WriteString(conn, "POST /ask HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		in := bufio.NewReader(conn)
		if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != 100 {
			t.Fatalf("got %v, %v; want 100", res, err)
		}
		go io.WriteString(conn, "data")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); string(body) != "POST  data" || res.Header.Get("Cache-Status") != missStored {
			t.Errorf("got %q, %v", body, res.Header)
		}
		w.post("/ask", "data").want(t, 200, "POST  data", "Corral;hit;ttl=60")
		w.wantCalls(1)
	})
}

func TestContentThatStopsIsTheClientsFaultAndNobodyElses(t *testing.T) {
	for _, test := range []struct {
		raw    []string
		status string
		after  time.Duration
	}{
		{[]string{"Content-Length: 10\r\n\r\nfour"}, "408", 5 * time.Second},
		{[]string{"Transfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n"}, "408", 5 * time.Second},
		{[]string{"Content-Length: 10\r\n\r\n"}, "408", 5 * time.Second},
		{[]string{"Content-Length: 10\r\n\r\nfo", "ur"}, "408", 9 * time.Second}, // it counts from the last piece
		{[]string{"Transfer-Encoding: chunked\r\n\r\n4\r\nfour\r\nz\r\n"}, "400", 0},
		{[]string{"Content-Length: 4\r\nConnection: close\r\n\r\nfo", "ur"}, "200", 4 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, repeating("Cache-Control", "max-age=60"), func(o *httpcache.Options) {
				o.LoadTimeout = 5 * time.Second
				o.Rules = []httpcache.Rule{{MaxContentBytes: 100}}
			})
			start := time.Now()
			test.raw[0] = "POST /ask HTTP/1.1\r\nHost: shop.test\r\n" + test.raw[0]
			answer := w.pieces(4*time.Second, test.raw...)
			if !strings.HasPrefix(answer, "HTTP/1.1 "+test.status) || strings.Count(answer, "HTTP/1.1 ") != 1 {
				t.Errorf("%q: got %q, want %s", test.raw, answer, test.status)
			}
			if took := time.Since(start); took < test.after || took > test.after+time.Second {
				t.Errorf("%q: answered after %v, want %v", test.raw, took, test.after)
			}
			if test.status != "200" {
				w.wantCalls(0)
			}
			g := w.post("/ask", "four")
			g.want(t, 200, "POST  four", g.cache())
		})
	}
}

// Content in the key does not change what may be shared.
func TestAPostIsJudgedLikeAGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			repeating("Cache-Control", r.URL.Query().Get("control"), "Etag", `"a"`)(rw, r)
		}, with(httpcache.Rule{MaxContentBytes: 100}))
		for control, calls := range map[string]int{"private": 3, "no-store": 3, "no-cache": 3, "max-age=60": 1} {
			for range 3 {
				g := w.post("/ask?control="+control, "x")
				g.want(t, 200, "POST  x", g.cache())
			}
			w.wantCalls(calls)
		}
	})
}

func TestAPostIsNeverAnsweredWithAPartNorBy304(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, repeating("Cache-Control", "max-age=60", "Etag", `"a"`), with(httpcache.Rule{MaxContentBytes: 100}))
		for range 2 {
			g := w.post("/ask", "x", "Range", "bytes=0-1", "If-None-Match", `"a"`)
			g.want(t, 200, "POST  x", g.cache())
		}
		w.wantCalls(1)
	})
}

// A POST that the rule lets be cached is a question, not a change; what goes by
// itself may be one.
func TestACachedPostInvalidatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, repeating("Cache-Control", "max-age=60"), with(httpcache.Rule{MaxContentBytes: 10}))
		w.get("/ask")
		w.post("/ask", "a")
		w.post("/ask", "b")
		w.get("/ask").want(t, 200, "GET  ", "Corral;hit;ttl=60")
		w.wantCalls(3)
		w.do(t.Context(), "DELETE", "/ask")
		w.post("/ask", "a").want(t, 200, "POST  a", missStored)
		w.get("/ask").want(t, 200, "GET  ", missStored)
		w.wantCalls(3)
	})
}

func TestWhatIsDroppedFromTheKeyDoesNotReachTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			page(r.Method+" "+r.RequestURI, "Cache-Control", "max-age=60")(rw, r)
		}, with(httpcache.Rule{Key: httpcache.KeyParts{DropQuery: []string{"utm_*"}}}))
		for i, target := range []string{"/p?b=2&a=1", "/p?utm_source=x&b=2&a=1", "/p?b=2&utm_medium=y&a=1&utm_z"} {
			cache := "Corral;hit;ttl=60"
			if i == 0 {
				cache = missStored
			}
			w.get(target).want(t, 200, "GET /p?b=2&a=1", cache)
		}
		w.get("/p?a=1&b=2&utm_x").want(t, 200, "GET /p?a=1&b=2", missStored)
		w.get("/p?utm_x").want(t, 200, "GET /p", missStored)
		w.get("/p").want(t, 200, "GET /p", "Corral;hit;ttl=60")
		w.wantCalls(3)
		w.do(t.Context(), "POST", "/p?utm_x=1").want(t, 200, "POST /p", "Corral;fwd=method;detail=method") // and it ends what is stored
		w.get("/p").want(t, 200, "GET /p", missStored)
	})
}

func TestARulesHeadersAreInTheKeyWhetherVarySaysSoOrNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			page("for "+strings.Join(r.Header["X-Tier"], "+"), "Cache-Control", "max-age=60")(rw, r)
		}, with(httpcache.Rule{Key: httpcache.KeyParts{Headers: []string{"x-tier"}}}))
		for range 2 {
			for _, fields := range [][]string{nil, {"X-Tier", ""}, {"X-Tier", "1"}, {"X-Tier", "2"}, {"X-Tier", "1", "X-Tier", "2"}} {
				var tiers []string
				for i := 1; i < len(fields); i += 2 {
					tiers = append(tiers, fields[i])
				}
				g := w.get("/p", fields...)
				g.want(t, 200, "for "+strings.Join(tiers, "+"), g.cache())
			}
		}
		w.wantCalls(5)
		w.do(t.Context(), "HEAD", "/p", "X-Tier", "1").want(t, 200, "", "Corral;hit;ttl=60")
		w.wantCalls(0)
	})
}

func TestEachIdentityHasAnswersOfItsOwn(t *testing.T) {
	for _, test := range []struct {
		name   string
		rule   httpcache.Rule
		fields func(i int) []string // by which the client i says who it is
	}{
		{"cookie", httpcache.Rule{Key: httpcache.KeyParts{Cookies: []string{"session"}}}, func(i int) []string {
			return []string{"Cookie", fmt.Sprintf("tracking=%d; session=%d", i, i%3), "X-Caller", strconv.Itoa(i % 3)}
		}},
		{"authorization", httpcache.Rule{Key: httpcache.KeyParts{Authorization: true}}, func(i int) []string {
			return []string{"Authorization", fmt.Sprint("Bearer ", i%3), "X-Caller", strconv.Itoa(i % 3)}
		}},
	} {
		for _, control := range []string{"private, max-age=60", "max-age=60"} {
			t.Run(test.name+" "+control, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := open(t, memory{}, slowly(100*time.Millisecond, func(rw http.ResponseWriter, r *http.Request) {
						page("for "+r.Header.Get("X-Caller"), "Cache-Control", control, "Set-Cookie", "for="+r.Header.Get("X-Caller"))(rw, r)
					}), with(test.rule))
					for i, g := range together(300, func(i int) got { return w.get("/own", test.fields(i)...) }) {
						g.wantAt(t, 100*time.Millisecond, 200, fmt.Sprint("for ", i%3), g.cache())
						if g.header.Get("Set-Cookie") != fmt.Sprint("for=", i%3) {
							t.Fatalf("client %d got the cookie %q", i, g.header.Get("Set-Cookie"))
						}
					}
					w.wantCalls(3)
					for i := range 6 {
						w.get("/own", test.fields(i)...).want(t, 200, fmt.Sprint("for ", i%3), "Corral;hit;ttl=59")
					}
					w.wantCalls(0)
				})
			})
		}
	}
}

// Those who do not say who they are have no key of their own: what is for one
// of them is for nobody else.
func TestWhoHasNoIdentitySharesOnlyWhatIsForAll(t *testing.T) {
	for _, test := range []struct {
		name   string
		rule   httpcache.Rule
		fields []string
	}{
		{"no cookie", httpcache.Rule{Key: httpcache.KeyParts{Cookies: []string{"session"}}}, nil},
		{"another cookie", httpcache.Rule{Key: httpcache.KeyParts{Cookies: []string{"session"}}}, []string{"Cookie", "theme=dark; sessions=1"}},
		{"an empty cookie", httpcache.Rule{Key: httpcache.KeyParts{Cookies: []string{"session"}}}, []string{"Cookie", "session="}},
		{"no authorization", httpcache.Rule{Key: httpcache.KeyParts{Authorization: true}}, nil},
		{"an empty authorization", httpcache.Rule{Key: httpcache.KeyParts{Authorization: true}}, []string{"Authorization", ""}},
	} {
		for _, fields := range [][]string{{"Cache-Control", "private, max-age=60"}, {"Cache-Control", "max-age=60", "Set-Cookie", "session=new"}} {
			t.Run(test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := open(t, memory{}, slowly(100*time.Millisecond, echo(fields...)), with(test.rule))
					for range 2 {
						for i, g := range together(20, func(i int) got {
							return w.get("/own", append([]string{"X-Caller", strconv.Itoa(i)}, test.fields...)...)
						}) {
							if body := strconv.Itoa(i); g.err != nil || !strings.HasPrefix(g.body, body) || len(g.body) > len(body) && g.body[len(body)] <= '9' {
								t.Fatalf("client %d got %q, %v", i, g.body, g.err)
							}
						}
						w.wantCalls(20)
					}
				})
			})
		}
	}
	t.Run("what is for all is shared", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), with(httpcache.Rule{Key: httpcache.KeyParts{Cookies: []string{"session"}}}))
			w.get("/p").want(t, 200, "page", missStored)
			w.get("/p", "Cookie", "theme=dark").want(t, 200, "page", "Corral;hit;ttl=60")
			w.wantCalls(1)
		})
	})
}

func TestOnlyTheCookiesInTheKeyReachTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), with(httpcache.Rule{Key: httpcache.KeyParts{Cookies: []string{"a", "b"}}}))
		for i, test := range []struct{ sent, kept string }{
			{"x=1; a=2; y=3; b=4", "a=2; b=4"},
			{"b=4;a=2", "b=4; a=2"},
			{"a=1; a=2", "a=1; a=2"},
			{"aa=1; A=2; =a; a", "a"},
			{`x="a=1"; a="q;x=2"`, `a="q`},
			{"x=1", ""},
		} {
			w.get(fmt.Sprint("/", i), "Cookie", test.sent)
			if sent := w.origin.seen().Header.Get("Cookie"); sent != test.kept {
				t.Errorf("of %q the origin was sent %q, want %q", test.sent, sent, test.kept)
			}
		}
		w.wantCalls(6)
	})
}

// What the key leaves out still says who asks.
func TestAnotherIdentityThanTheKeysGoesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, echo("Cache-Control", "max-age=60"), with(httpcache.Rule{Key: httpcache.KeyParts{Cookies: []string{"session"}}}))
		for range 2 {
			w.get("/p", "Cookie", "session=1", "Authorization", "me").want(t, 200, "session=1me", "Corral;fwd=uri-miss;detail=authorization")
		}
		w.wantCalls(2)
	})
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, echo("Cache-Control", "max-age=60"), with(httpcache.Rule{Key: httpcache.KeyParts{Authorization: true}}))
		for range 2 {
			w.get("/p", "Cookie", "session=1", "Authorization", "me").want(t, 200, "session=1me", "Corral;fwd=uri-miss;detail=cookie")
		}
		w.wantCalls(2)
	})
}
