package httpcache_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

func TestUnsafeMethodsInvalidate(t *testing.T) {
	for _, test := range []struct {
		method   string
		status   int
		location [2]string
		gone     []string // of /p, /q and their variants
	}{
		{"POST", 200, [2]string{}, []string{"/p"}},
		{"PUT", 204, [2]string{}, []string{"/p"}},
		{"DELETE", 302, [2]string{}, []string{"/p"}},
		{"FROBNICATE", 200, [2]string{}, []string{"/p"}},
		{"POST", 201, [2]string{"Location", "/q"}, []string{"/p", "/q"}},
		{"POST", 200, [2]string{"Content-Location", "http://shop.test/q"}, []string{"/p", "/q"}},
		{"POST", 201, [2]string{"Location", "http://other.test/q"}, []string{"/p"}},
		{"POST", 400, [2]string{"Location", "/q"}, nil},
		{"POST", 500, [2]string{"Location", "/q"}, nil},
		{"OPTIONS", 200, [2]string{"Location", "/q"}, nil},
		{"PROPFIND", 200, [2]string{}, []string{"/p"}}, // safe, but who knows
	} {
		t.Run(fmt.Sprint(test.method, test.status, test.location), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
					if r.Method != "GET" && r.Method != "HEAD" {
						if test.location[0] != "" {
							rw.Header().Set(test.location[0], test.location[1])
						}
						rw.WriteHeader(test.status)
						return
					}
					page("page", "Cache-Control", "max-age=60, stale-while-revalidate=60, stale-if-error=60", "Vary", "Accept-Language")(rw, r)
				}, nil)
				type entry struct{ method, path, language string }
				var entries []entry
				for _, path := range []string{"/p", "/q"} {
					entries = append(entries, entry{"HEAD", path, "en"}, entry{"GET", path, "de"}, entry{"GET", path, "fr"})
				}
				ask := func(e entry) got { return w.do(t.Context(), e.method, e.path, "Accept-Language", e.language) }
				for _, e := range entries {
					ask(e)
				}
				w.wantCalls(6)
				g := w.do(t.Context(), test.method, "/p")
				if g.status != test.status || g.cache() != "Corral;fwd=method;detail=method" {
					t.Errorf("%s = %d, %q", test.method, g.status, g.cache())
				}
				w.wantCalls(1)
				for _, e := range entries {
					ask(e)
				}
				w.wantCalls(3 * len(test.gone))
			})
		})
	}
}

// What an origin had made before it took a POST must not be kept after it.
func TestAFetchThatAPostOvertakesIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &versions{fields: []string{"Cache-Control", "max-age=60"}}
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				slowly(time.Second, v.answer)(rw, r)
			}
		}, nil)
		before := w.begin(t.Context(), "/p")
		w.do(t.Context(), "POST", "/p")
		w.get("/p").want(t, 200, "v2", "Corral;fwd=uri-miss;ttl=59;stored")
		if g := <-before; g.body != "v1" {
			t.Errorf("who asked before got %q, want v1", g.body)
		}
		w.get("/p").want(t, 200, "v2", "Corral;hit;ttl=59")
	})
}

func TestRequestsThatGoByThemselves(t *testing.T) {
	for _, test := range []struct {
		name   string
		method string
		body   string
		fields []string
		detail string
	}{
		{"body", "GET", "a body", nil, "bypass;detail=request-body"},
		{"if-match", "GET", "", []string{"If-Match", `"a"`}, "bypass;detail=precondition"},
		{"no-store", "GET", "", []string{"Cache-Control", "no-store"}, "bypass;detail=request-no-store"},
		{"options", "OPTIONS", "", nil, "method;detail=method"},
		{"post", "POST", "a body", []string{"X-Http-Method-Override", "PUT"}, "method;detail=method"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var body string
				w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
					b, _ := io.ReadAll(r.Body)
					body = string(b)
					page("page", "Cache-Control", "max-age=60")(rw, r)
				}, nil)
				fields := append(test.fields, "X-Forwarded-For", "6.6.6.6", "X-Real-Ip", "6.6.6.6", "X-Forwarded-Host", "evil.test", "X-Original-Url", "/admin", "Forwarded", "for=6.6.6.6")
				for range 2 {
					r := newRequest(t.Context(), test.method, "/p?a=1&a=2;b&c=%zz", strings.NewReader(test.body), fields...)
					w.send(r).want(t, 200, "page", "Corral;fwd="+test.detail)
					if body != test.body {
						t.Errorf("the origin got the content %q, want %q", body, test.body)
					}
				}
				w.wantCalls(2)
				sent := w.origin.seen()
				if sent.RequestURI != "/p?a=1&a=2;b&c=%zz" || sent.Host != "shop.test" {
					t.Errorf("the origin was asked for %s on %s", sent.RequestURI, sent.Host)
				}
				for i := 0; i < len(test.fields); i += 2 {
					if sent.Header.Get(test.fields[i]) != test.fields[i+1] {
						t.Errorf("the origin got %s: %q, want %q", test.fields[i], sent.Header.Get(test.fields[i]), test.fields[i+1])
					}
				}
				for name, want := range map[string]string{
					"X-Forwarded-For": "", // no address in memory
					"X-Real-Ip":       "", "Forwarded": "", "X-Original-Url": "",
					"X-Forwarded-Host": "shop.test", "X-Forwarded-Proto": "http", "Via": "1.1 Corral",
				} {
					if sent.Header.Get(name) != want {
						t.Errorf("the origin got %s: %q, want %q", name, sent.Header.Get(name), want)
					}
				}
			})
		})
	}
}

func TestTheClientsAddressIsToldOnlyWhereTheAnswerIsItsOwn(t *testing.T) {
	w := open(t, sockets{}, page("page", "Cache-Control", "max-age=60"), nil)
	w.get("/p", "X-Forwarded-For", "6.6.6.6")
	for name := range w.origin.seen().Header {
		if strings.HasPrefix(name, "X-") && name != "X-Forwarded-Proto" || name == "Forwarded" { // the scheme is in the key
			t.Errorf("a shared fetch tells %s: %s", name, w.origin.seen().Header.Get(name))
		}
	}
	w.get("/p", "X-Forwarded-For", "6.6.6.6", "If-Match", "*")
	if from := w.origin.seen().Header.Get("X-Forwarded-For"); from != "127.0.0.1" {
		t.Errorf("X-Forwarded-For = %q, want 127.0.0.1", from)
	}
}

func TestTrailersPassThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Trailer", "X-Sum")
			rw.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(rw, "page")
			rw.Header().Set("X-Sum", "7")
		}, nil)
		res, err := w.client.RoundTrip(newRequest(t.Context(), "POST", "/p", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.ReadAll(res.Body); err != nil || res.Trailer.Get("X-Sum") != "7" {
			t.Errorf("trailer = %v, %v", res.Trailer, err)
		}
		g := w.get("/p") // shared: without
		g.want(t, 200, "page", missStored)
		if g.header.Get("Trailer") != "" {
			t.Errorf("header = %v, want no announcement of a trailer", g.header)
		}
	})
}

func TestInformationalAnswersPassThroughAndAreNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Link", "</a.css>; rel=preload")
			rw.WriteHeader(103)
			rw.Header().Del("Link")
			page("page", "Cache-Control", "max-age=60")(rw, r)
		}, nil)
		hints := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 103 && h.Get("Link") != "" {
				hints++
			}
			return nil
		}})
		w.do(ctx, "POST", "/p").want(t, 200, "page", "Corral;fwd=method;detail=method")
		if hints != 1 {
			t.Errorf("%d early hints, want 1", hints)
		}
		w.do(ctx, "GET", "/p").want(t, 200, "page", missStored)
		if g := w.get("/p"); g.header.Get("Link") != "" {
			t.Errorf("the hint's field is stored: %v", g.header)
		}
	})
}

func TestExpectContinueWaitsForTheOrigin(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
				if refuse {
					rw.WriteHeader(403)
					return
				}
				body, _ := io.ReadAll(r.Body)
				page("got "+string(body))(rw, r)
			}, nil)
			conn, err := w.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go io.WriteString(conn, "POST /p HTTP/1.1\r\nHost: shop.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if refuse {
				if res.StatusCode != 403 {
					t.Errorf("got %s, want 403 without 100", res.Status)
				}
				return
			}
			if res.StatusCode != 100 {
				t.Fatalf("got %s, want 100", res.Status)
			}
			go io.WriteString(conn, "data")
			res, err = http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); string(body) != "got data" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
		})
	}
}

func TestAnUpgradeIsAConnectionThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			conn, buffered, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
			for {
				line, err := buffered.ReadString('\n')
				if err != nil {
					return
				}
				io.WriteString(conn, "echo "+line)
			}
		}, func(o *httpcache.Options) {
			o.LoadTimeout, o.TailTimeout, o.IgnoreCookies = time.Second, time.Second, true
		})
		conn, err := w.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go io.WriteString(conn, "GET /socket HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: id=1\r\n\r\n")
		in := bufio.NewReader(conn)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 101 || res.Header.Get("Upgrade") != "websocket" {
			t.Fatalf("got %+v, %v; want 101", res, err)
		}
		if cookie := w.origin.seen().Header.Get("Cookie"); cookie != "id=1" {
			t.Errorf("Cookie = %q, want id=1", cookie)
		}
		for range 3 {
			time.Sleep(time.Hour) // it may be silent as long as it likes
			go io.WriteString(conn, "hello\n")
			if line, err := in.ReadString('\n'); line != "echo hello\n" || err != nil {
				t.Fatalf("got %q, %v", line, err)
			}
		}
	})
}

func TestARequestsContentThatStopsIsTheClientsFault(t *testing.T) {
	for _, test := range []struct {
		raw, status string
		after       time.Duration
	}{
		{"Content-Length: 10\r\n\r\nfour", "408", 5 * time.Second},
		{"Transfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n", "408", 5 * time.Second},
		{"Transfer-Encoding: chunked\r\n\r\n4\r\nfour\r\nz\r\n", "400", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) },
				func(o *httpcache.Options) { o.LoadTimeout = 5 * time.Second })
			conn, err := w.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			start := time.Now()
			go io.WriteString(conn, "POST /p HTTP/1.1\r\nHost: shop.test\r\n"+test.raw)
			answer, err := io.ReadAll(conn) // to its end: the connection is closed
			if !strings.HasPrefix(string(answer), "HTTP/1.1 "+test.status) || err != nil || strings.Count(string(answer), "HTTP/1.1 ") != 1 {
				t.Errorf("%q: got %q, %v; want %s", test.raw, answer, err, test.status)
			}
			if took := time.Since(start); took < test.after || took > test.after+time.Second {
				t.Errorf("%q: answered after %v, want %v", test.raw, took, test.after)
			}
		})
	}
}

// Some answers need no content. Whoever holds it back then gets the answer and
// does not hold the connection.
func TestContentThatNobodyWantsIsNotAwaited(t *testing.T) {
	for _, target := range []string{"/p", "/" + strings.Repeat("x", 9<<10), "*"} {
		for _, length := range []string{"Content-Length: 10\r\n\r\nfour", "Transfer-Encoding: chunked\r\n\r\n4\r\nfour"} {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, page("no need", "Connection", "close"), nil)
				start := time.Now()
				answer := w.raw("POST " + target + " HTTP/1.1\r\nHost: shop.test\r\n" + length)
				if took := time.Since(start); !strings.Contains(answer, "Cache-Status: Corral;") || took > time.Second {
					t.Errorf("POST %.10s %q: got %q after %v", target, length, answer, took)
				}
			})
		}
	}
}

// An upload may take longer than LoadTimeout as long as it goes on.
func TestALongUploadIsNotATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			page(fmt.Sprint(n, err))(rw, r)
		}, func(o *httpcache.Options) { o.LoadTimeout = 5 * time.Second })
		in, out := io.Pipe()
		go func() {
			for range 10 {
				time.Sleep(4 * time.Second)
				io.WriteString(out, "piece")
			}
			out.Close()
		}()
		w.send(newRequest(context.Background(), "POST", "/p", in)).wantAt(t, 40*time.Second, 200, "50 <nil>", "Corral;fwd=method;detail=method")
	})
}

func TestAnOriginWithAPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), func(o *httpcache.Options) {
			o.Origin.Path, o.Origin.RawPath = "/a b/", "/a%20b/"
		})
		for target, want := range map[string]string{"/": "/a%20b/", "/x%2Fy?q": "/a%20b/x%2Fy?q", "//z": "/a%20b//z", "/p?": "/a%20b/p?"} {
			for _, cookie := range []string{"", "id=1"} {
				conn, err := w.dial(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				go fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: shop.test\r\nCache-Control: no-cache\r\nX: %s\r\nConnection: close\r\n\r\n", target, cookie)
				io.Copy(io.Discard, conn)
				if sent := w.origin.seen().RequestURI; sent != want {
					t.Errorf("GET %s is sent as %s, want %s", target, sent, want)
				}
			}
		}
	})
}

func TestTheConnectionsFieldsStayOnIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			page("page", "Cache-Control", "max-age=60", "Connection", "X-Hop", "X-Hop", "1", "Keep-Alive", "timeout=5", "Server", "origin")(rw, r)
		}, nil)
		for range 2 {
			g := w.get("/p", "Connection", "X-Mine, close", "X-Mine", "1", "Keep-Alive", "5", "Te", "trailers", "Proxy-Authorization", "x")
			for _, name := range []string{"X-Hop", "Keep-Alive"} {
				if g.header.Get(name) != "" {
					t.Errorf("the client got %s: %s", name, g.header.Get(name))
				}
			}
			if g.header.Get("Server") != "origin" || g.header.Get("Date") == "" {
				t.Errorf("header = %v, want the origin's Server and Date", g.header)
			}
		}
		for _, name := range []string{"X-Mine", "Keep-Alive", "Te", "Proxy-Authorization", "Connection"} {
			if value := w.origin.seen().Header.Get(name); value != "" {
				t.Errorf("the origin got %s: %s", name, value)
			}
		}
		if agent := w.origin.seen().Header["User-Agent"]; len(agent) > 0 && strings.Contains(agent[0], "corral") {
			t.Errorf("User-Agent = %q", agent)
		}
	})
}

// An origin may answer before the transport has seen that the content is at its
// end. That the server behind us is done with the content then is no failure.
func TestAnAnswerThatComesWithTheEndOfTheContentIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			rw.Write(body)
		}, nil)
		body := strings.Repeat("x", 10_000) // more than net/http buffers
		for range 100 {
			w.send(newRequest(t.Context(), "POST", "/p", strings.NewReader(body))).want(t, 200, body, "Corral;fwd=method;detail=method")
		}
	})
}
