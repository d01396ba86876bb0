package httpcache_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// openHandler starts a world whose cache is a middleware before the handler. The
// origin of that world counts calls of the handler.
func openHandler(t *testing.T, on network, handler http.HandlerFunc, change func(*httpcache.Options)) *world {
	t.Helper()
	return openAround(t, on, handler, change, func(cache http.Handler) http.Handler { return cache })
}

// openAround is openHandler with other handlers around the cache.
func openAround(t *testing.T, on network, handler http.HandlerFunc, change func(*httpcache.Options), around func(cache http.Handler) http.Handler) *world {
	t.Helper()
	o := &origin{HandlerFunc: handler}
	options := httpcache.Options{MaxBytes: 64 << 20, Now: on.now(), MaxLoads: 1024}
	if change != nil {
		change(&options)
	}
	cache, err := httpcache.Handler(o, options)
	if err != nil {
		t.Fatal(err)
	}
	front, dial := on.listen(t)
	serve(t, front, around(cache))
	w := &world{t: t, dial: dial, origin: o, client: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 1024, DisableCompression: true}}
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		if err := cache.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

func TestAThousandRequestsAreOneCallOfTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openHandler(t, memory{}, slowly(120*time.Millisecond, page("hello", "Cache-Control", "max-age=60")), nil)
		all := together(1000, func(int) got { return w.get("/p") })
		w.wantCalls(1)
		led := 0
		for _, g := range all {
			if g.cache() == "Corral;fwd=uri-miss;ttl=59;stored" {
				led++
				continue
			}
			g.wantAt(t, 120*time.Millisecond, 200, "hello", "Corral;fwd=uri-miss;ttl=59;stored;collapsed")
		}
		if led != 1 {
			t.Fatalf("%d requests led the call, want 1", led)
		}
		w.get("/p").want(t, 200, "hello", "Corral;hit;ttl=59")
	})
}

func TestWaitersReadAlongWhileTheHandlerStillWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise("Cache-Control", "max-age=60", "Content-Type", "text/event-stream")
		w := openHandler(t, memory{}, o.answer, nil)
		first := w.read("/p")
		o.pieces <- "data: 1\n\n"
		first.want("data: 1\n\n")
		second := w.read("/p")
		second.want("data: 1\n\n")
		o.pieces <- "data: 2\n\n"
		second.want("data: 2\n\n")
		first.want("data: 2\n\n")
		close(o.pieces)
		first.wantEnd(nil)
		second.wantEnd(nil)
		w.wantCalls(1)
	})
}

// answers are handlers whose answers net/http completes, or refuses in part.
var answers = map[string]http.HandlerFunc{
	"nothing": func(w http.ResponseWriter, r *http.Request) {},
	"a header and nothing": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Test", "1")
		w.WriteHeader(http.StatusTeapot)
	},
	"a short page":   page("<html><body>hello"),
	"an empty write": page(""),
	"2047 bytes":     page(strings.Repeat("a", 2047)),
	"2048 bytes":     page(strings.Repeat("a", 2048)),
	"2049 bytes":     page(strings.Repeat("a", 2049)),
	"100 kB":         page(strings.Repeat("0123456789", 10_000)),
	"a type":         page("<html>", "Content-Type", "text/plain"),
	"an empty type":  page("<html>", "Content-Type", ""),
	"no type": func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>")
	},
	"an encoding":       page("<html>", "Content-Encoding", "br"),
	"an empty encoding": page("<html>", "Content-Encoding", ""),
	"a type in pieces":  func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<ht"); io.WriteString(w, "ml>") },
	"a type and a flush": func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "<ht")
		flush(w)
		io.WriteString(w, "ml>")
	},
	"a flush, then text": func(w http.ResponseWriter, r *http.Request) { flush(w); io.WriteString(w, "<html>") },
	"a late field": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.Header().Set("X-Late", "1")
		io.WriteString(w, "text")
	},
	"a status twice": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusGone)
		io.WriteString(w, "text")
	},
	"a hint after the status": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "text")
	},
	"204 with a body":               status(http.StatusNoContent, "text"),
	"204 with a length":             status(http.StatusNoContent, "", "Content-Length", "4"),
	"304 with a body":               status(http.StatusNotModified, "text", "ETag", `"1"`),
	"304 with a type and a length":  status(http.StatusNotModified, "", "ETag", `"1"`, "Content-Type", "text/css", "Content-Length", "4"),
	"404":                           status(http.StatusNotFound, "not here"),
	"a length":                      page("hello", "Content-Length", "5"),
	"a length of zero":              page("", "Content-Length", "0"),
	"a length that is none":         page("hello", "Content-Length", "five"),
	"a negative length":             page("hello", "Content-Length", "-5"),
	"a length that is too short":    page("hello, world", "Content-Length", "5"),
	"a length and a write too many": writes([]string{"hello", "!"}, "Content-Length", "5"),
	"a length that is too long":     page("hello", "Content-Length", "7"),
	"a length, long":                page(strings.Repeat("a", 9999), "Content-Length", "9999"),
	"a length, long, too long":      page(strings.Repeat("a", 9999), "Content-Length", "10000"),
	"transfer coding and length":    page("hello", "Transfer-Encoding", "identity"),
	"no date":                       func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "text") },
	"an announced trailer": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum, X-None")
		io.WriteString(w, "text")
		w.Header().Set("X-Sum", "42")
	},
	"a panic": func(w http.ResponseWriter, r *http.Request) { flush(w); panic(http.ErrAbortHandler) },
	"a panic in the body": func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "he")
		flush(w)
		panic(http.ErrAbortHandler)
	},
}

// differsForHead are those whose header net/http does not mend when there is
// no body, or announces trailers that never come.
var differsForHead = map[string]bool{"a length that is none": true, "a negative length": true, "an announced trailer": true}

func flush(w http.ResponseWriter) { http.NewResponseController(w).Flush() }

func status(code int, text string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, text)
	}
}

func writes(texts []string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		page("", fields...)(w, r)
		for _, text := range texts {
			io.WriteString(w, text)
		}
	}
}

// whole is an answer with its trailer, as far as a client of HTTP/1.1 sees it
// and both net/http and a cache have to agree on it.
func (w *world) whole(method string) string {
	res, err := w.client.RoundTrip(newRequest(context.Background(), method, "/p", nil))
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	header := res.Header.Clone()
	for _, name := range []string{"Date", "Cache-Status"} {
		header.Del(name)
	}
	if method == "GET" && header.Get("Content-Length") == fmt.Sprint(len(body)) { // a cache may know it sooner
		header.Del("Content-Length")
	}
	lines := []string{fmt.Sprintf("%d %d bytes %.20q, %v", res.StatusCode, len(body), body, err)}
	for _, fields := range []http.Header{header, res.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			lines = append(lines, fmt.Sprintf("%s: %q", name, fields[name]))
		}
	}
	return strings.Join(lines, "\n")
}

func TestASharedCallAnswersAsNetHTTPDoes(t *testing.T) {
	for name, handler := range answers {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(method+" "+name, func(t *testing.T) {
				if method == "HEAD" && differsForHead[name] {
					t.Skip("net/http sends what it does not for GET")
				}
				synctest.Test(t, func(t *testing.T) {
					plain, dial := memory{}.listen(t)
					serve(t, plain, handler)
					direct := &world{t: t, client: &http.Transport{DialContext: dial}}
					t.Cleanup(direct.client.CloseIdleConnections)
					cached := openHandler(t, memory{}, handler, nil)
					want, got := direct.whole(method), cached.whole(method)
					if got != want {
						t.Errorf("through the cache:\n%s\nwithout:\n%s", got, want)
					}
					cached.wantCalls(1)
				})
			})
		}
	}
}

func TestTheWriterOfASharedCallSaysWhatNetHTTPsSays(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler func(w http.ResponseWriter) (int, error)
		n       int
		err     error
	}{
		{"a write", func(w http.ResponseWriter) (int, error) { return io.WriteString(w, "text") }, 4, nil},
		{"nothing to a 304", func(w http.ResponseWriter) (int, error) { w.WriteHeader(304); return w.Write(nil) }, 0, nil},
		{"a body for a 304", func(w http.ResponseWriter) (int, error) { w.WriteHeader(304); return io.WriteString(w, "text") }, 0, http.ErrBodyNotAllowed},
		{"more than the length", func(w http.ResponseWriter) (int, error) {
			w.Header().Set("Content-Length", "3")
			return io.WriteString(w, "text")
		}, 0, http.ErrContentLength},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			synctest.Test(t, func(t *testing.T) {
				var n int
				var err error
				handler := func(w http.ResponseWriter, r *http.Request) { n, err = test.handler(w) }
				w := openHandler(t, memory{}, handler, nil)
				w.do(context.Background(), method, "/p")
				if n != test.n || err != test.err {
					t.Errorf("%s, %s: Write = %d, %v; want %d, %v", method, test.name, n, err, test.n, test.err)
				}
			})
		}
	}
}

func TestAHandlerThatPanicsBeforeItsHeaderIsAnOriginThatBrokeOff(t *testing.T) {
	for name, fail := range map[string]func(w http.ResponseWriter){
		"panic":               func(http.ResponseWriter) { panic("boom") },
		"ErrAbortHandler":     func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"Goexit":              func(http.ResponseWriter) { runtime.Goexit() },
		"a status of 0":       func(w http.ResponseWriter) { w.WriteHeader(0) },
		"a status of 1000":    func(w http.ResponseWriter) { w.WriteHeader(1000) },
		"after some bytes":    func(w http.ResponseWriter) { io.WriteString(w, "half"); panic("boom") },
		"after WriteHeader":   func(w http.ResponseWriter) { w.WriteHeader(200); panic("boom") },
		"switching protocols": func(w http.ResponseWriter) { w.WriteHeader(http.StatusSwitchingProtocols) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := openHandler(t, memory{}, slowly(time.Second, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Cache-Control", "max-age=60")
					fail(w)
				}), nil)
				for _, g := range together(10, func(int) got { return w.get("/p") }) {
					g.wantAt(t, time.Second, 502, "the origin broke off, or what it sent is not HTTP\n", "Corral;fwd=uri-miss;detail=origin-invalid")
				}
				w.wantCalls(1)
			})
		})
	}
}

func TestAHandlerThatBreaksOffBreaksItsBodyForAll(t *testing.T) {
	for name, fail := range map[string]func(){
		"panic":           func() { panic("boom") },
		"ErrAbortHandler": func() { panic(http.ErrAbortHandler) },
		"Goexit":          runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newPiecewise("Cache-Control", "max-age=60")
				broken := true
				w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
					if !broken {
						page("whole", "Cache-Control", "max-age=60")(w, r)
						return
					}
					o.answer(w, r)
					fail()
				}, nil)
				first, second := w.read("/p"), w.read("/p")
				o.pieces <- "half"
				first.want("half")
				close(o.pieces)
				second.want("half")
				first.wantEnd(io.ErrUnexpectedEOF)
				second.wantEnd(io.ErrUnexpectedEOF)
				w.wantCalls(1)
				broken = false
				w.get("/p").want(t, 200, "whole", "Corral;fwd=uri-miss;ttl=60;stored")
			})
		})
	}
}

func TestASharedCallKnowsNothingOfItsClient(t *testing.T) {
	type session struct{}
	synctest.Test(t, func(t *testing.T) {
		var seen *http.Request
		var values []any
		w := openAround(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			seen = r
			values = []any{r.Context().Value(session{}), r.Context().Value(http.LocalAddrContextKey), r.Context().Value(http.ServerContextKey) != nil}
			page("", "Cache-Control", "max-age=60")(w, r)
		}, nil, func(cache http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				cache.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), session{}, "alice")))
			})
		})
		w.get("http://SHOP.test:80/a%2fb?q=1&q=2", "X-Real-Ip", "192.0.2.1", "X-Forwarded-For", "192.0.2.1", "If-None-Match", `"1"`, "Range", "bytes=0-1", "Accept", "text/html", "User-Agent", "test")
		if synctest.Wait(); seen.Context().Err() == nil {
			t.Error("its context lasts longer than the call")
		}
		if want := []any{nil, nil, true}; !slices.Equal(values, want) {
			t.Errorf("context values %v, want %v", values, want)
		}
		if seen.RemoteAddr != "" || seen.TLS != nil || seen.GetBody != nil || seen.Body != http.NoBody || seen.ContentLength != 0 {
			t.Errorf("the handler's request is %+v, want nothing of the client's connection in it", seen)
		}
		if got, want := fmt.Sprint(seen.Method, " ", seen.Host, " ", seen.RequestURI, " ", seen.Proto), "GET shop.test /a%2fb?q=1&q=2 HTTP/1.1"; got != want {
			t.Errorf("the handler got %q, want %q", got, want)
		}
		if want := (url.URL{Path: "/a/b", RawPath: "/a%2fb", RawQuery: "q=1&q=2"}); *seen.URL != want {
			t.Errorf("URL = %#v, want %#v", *seen.URL, want)
		}
		want := http.Header{"Accept": {"text/html"}, "User-Agent": {"test"}, "Via": {"1.1 Corral"}}
		if !maps.EqualFunc(seen.Header, want, slices.Equal) {
			t.Errorf("Header = %v, want %v", seen.Header, want)
		}
		w.get("/a", "X-Forwarded-For", "192.0.2.1", "Cookie", "session=alice")
		if want := []any{"alice", true, true}; values[0] != want[0] || values[1] == nil || seen.RemoteAddr == "" || seen.Header.Get("X-Forwarded-For") != "192.0.2.1" {
			t.Errorf("a pass has context values %v and the request %+v, want the client's own", values, seen)
		}
	})
}

func TestASharedCallOverTLSIsToldSo(t *testing.T) {
	cache := cached(t, func(w http.ResponseWriter, r *http.Request) {
		page(fmt.Sprint("TLS ", r.TLS != nil), "Cache-Control", "max-age=60")(w, r)
	})
	for _, state := range []*tls.ConnectionState{nil, {Version: tls.VersionTLS13}} {
		w, r := &recorder{header: http.Header{}}, newRequest(context.Background(), "GET", "/p", nil)
		r.TLS = state
		cache.ServeHTTP(w, r)
		if got, want := w.body.String(), fmt.Sprint("TLS ", state != nil); got != want || !strings.HasPrefix(w.header.Get("Cache-Status"), "Inner;fwd=uri-miss;") {
			t.Errorf("%q, %v; want %q from a call of its own", got, w.header, want)
		}
	}
}

func TestTheURLOfASharedCallIsThatOfNetHTTP(t *testing.T) {
	for _, target := range []string{"/", "/a/b?x=1", "/a?", "/a%20b", "/a%2Fb", "/%41", "//a//b", "/a;b?c;d", "/a+b?c+d", "/ü?ü=ü", "/a/../b", "/a?%zz", "/*", "/a:b"} {
		synctest.Test(t, func(t *testing.T) {
			var seen *http.Request
			look := func(w http.ResponseWriter, r *http.Request) { seen = r }
			w := openHandler(t, memory{}, look, nil)
			ask := func(method string) *http.Request {
				conn, err := w.dial(context.Background(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n", method, target)
				if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || res.StatusCode != 200 {
					t.Fatalf("%s = %v, %v", target, res, err)
				}
				return seen
			}
			got, want := *ask("GET"), *ask("OPTIONS")
			if target == "/ü?ü=ü" { // the key has it encoded, and so has what is called
				want.RequestURI, want.URL.RawPath = "/%C3%BC?ü=ü", ""
			}
			if got.RequestURI != want.RequestURI || *got.URL != *want.URL {
				t.Errorf("%s: a shared call gets %q, %#v; want %q, %#v", target, got.RequestURI, *got.URL, want.RequestURI, *want.URL)
			}
		})
	}
}

func TestPathValuesAndPrefixesWorkBeforeAndBehindTheCache(t *testing.T) {
	item := func(w http.ResponseWriter, r *http.Request) {
		page(fmt.Sprintf("%s %s %s %s", r.PathValue("id"), r.PathValue("rest"), r.URL.Path, r.Pattern), "Cache-Control", "max-age=60")(w, r)
	}
	strip := func(cache http.Handler) http.Handler { return http.StripPrefix("/shop", cache) }
	muxed := func(handler http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /items/{id}/{rest...}", handler)
		mux.Handle("GET /shop/items/{id}/{rest...}", handler)
		mux.Handle("GET /{$}", handler)
		return mux
	}
	same := func(cache http.Handler) http.Handler { return cache }
	for name, test := range map[string]struct {
		handler      http.Handler
		around       func(http.Handler) http.Handler
		target, want string
	}{
		"a mux behind":                {muxed(http.HandlerFunc(item)), same, "/items/a%20b/c/d", "a b c/d /items/a b/c/d GET /items/{id}/{rest...}"},
		"a mux before":                {http.HandlerFunc(item), muxed, "/items/a%20b/c/d", "a b c/d /items/a b/c/d GET /items/{id}/{rest...}"},
		"a pattern with its end":      {http.HandlerFunc(item), muxed, "/", "  / GET /{$}"},
		"a prefix behind":             {strip(muxed(http.HandlerFunc(item))), same, "/shop/items/1/2", "1 2 /items/1/2 GET /items/{id}/{rest...}"},
		"a prefix before":             {muxed(http.HandlerFunc(item)), strip, "/shop/items/1/2?q", "1 2 /items/1/2 GET /items/{id}/{rest...}"},
		"a mux and a prefix before":   {http.HandlerFunc(item), func(cache http.Handler) http.Handler { return muxed(strip(cache)) }, "/shop/items/1/2", "1 2 /items/1/2 GET /shop/items/{id}/{rest...}"},
		"a prefix with a space":       {http.StripPrefix("/a b", http.HandlerFunc(item)), same, "/a%20b/c", "  /c "},
		"a prefix up to a slash":      {http.HandlerFunc(item), func(cache http.Handler) http.Handler { return http.StripPrefix("/a/", cache) }, "/a/c", "  c "},
		"a mux between two caches":    {muxed(cached(t, item)), same, "/items/1/2", "1 2 /items/1/2 GET /items/{id}/{rest...}"},
		"a mux before, a cache twice": {cached(t, item), muxed, "/items/1/2", "1 2 /items/1/2 GET /items/{id}/{rest...}"},
	} {
		t.Run(name, func(t *testing.T) {
			w := openAround(t, sockets{}, test.handler.ServeHTTP, nil, test.around)
			g := w.get(test.target)
			if g.status != 200 || g.body != test.want {
				t.Fatalf("GET %s = %d %q, want %q", test.target, g.status, g.body, test.want)
			}
			again := w.get(test.target)
			if again.body != test.want || !strings.Contains(again.cache(), "Corral;hit") {
				t.Fatalf("again: %q, %s; want a hit", again.body, again.cache())
			}
			w.wantCalls(1)
		})
	}
}

// cached is a middleware of its own.
func cached(t *testing.T, handler http.HandlerFunc) http.Handler {
	cache, err := httpcache.Handler(handler, httpcache.Options{MaxBytes: 1 << 20, Name: "Inner"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	return cache
}

func TestWhatOtherHandlersRewriteIsInTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := func(w http.ResponseWriter, r *http.Request) {
			page(r.URL.Path+" "+r.PathValue("tenant")+r.URL.RawQuery, "Cache-Control", "max-age=60")(w, r)
		}
		w := openAround(t, memory{}, handler, nil, func(cache http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				user := r.Header.Get("X-User") // stands for a session that is no cookie
				with := r.Clone(r.Context())
				switch r.URL.Path {
				case "/me":
					with.URL.Path = "/users/" + user
				case "/tenant":
					with.Pattern = "/{tenant}"
					with.SetPathValue("tenant", user)
					with.URL.Path = "/x"
				case "/query":
					with.URL.RawQuery = "user=" + user
				}
				cache.ServeHTTP(w, with)
			})
		})
		for _, test := range [][2]string{{"/me", "/users/%s "}, {"/tenant", "/x %s"}, {"/query", "/query user=%s"}} {
			for range 2 {
				for _, user := range []string{"alice", "bob"} {
					if g, want := w.get(test[0], "X-User", user), fmt.Sprintf(test[1], user); g.body != want {
						t.Errorf("%s for %s = %q, want %q", test[0], user, g.body, want)
					}
				}
			}
		}
		w.wantCalls(6)
	})
}

func TestParametersThatAreDroppedAreDroppedFromARewrittenURLToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openAround(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			page(r.URL.String()+" "+r.RequestURI, "Cache-Control", "max-age=60")(w, r)
		}, func(o *httpcache.Options) {
			o.Rules = []httpcache.Rule{{Key: httpcache.KeyParts{DropQuery: []string{"utm_*"}}}}
		}, func(cache http.Handler) http.Handler { return http.StripPrefix("/shop", cache) })
		w.get("/shop/p?utm_a=1&b=2").want(t, 200, "/p?b=2 /shop/p?b=2", "Corral;fwd=uri-miss;ttl=60;stored")
		w.get("/shop/p?b=2&utm_c=3").want(t, 200, "/p?b=2 /shop/p?b=2", "Corral;hit;ttl=60")
	})
}

// A request that a shared call makes of another cache, under its own context, is
// not mounted where the call is.
func TestACallMayAskAnotherCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := cached(t, func(w http.ResponseWriter, r *http.Request) {
			page(r.URL.Path, "Cache-Control", "max-age=60")(w, r)
		})
		w := openAround(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(w, newRequest(r.Context(), "GET", "/other", nil))
		}, nil, func(cache http.Handler) http.Handler { return http.StripPrefix("/shop", cache) })
		if g := w.get("/shop/p"); g.body != "/other" {
			t.Errorf("%q, want /other", g.body)
		}
	})
}

func TestATrailerThatWasNotAnnouncedIsNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(http.TrailerPrefix+"X-Sum", "42")
			page("text", "Cache-Control", "max-age=60")(w, r)
			flush(w)
			time.Sleep(time.Second) // its length is not known yet: there may be trailers
		}, nil)
		for range 2 {
			if got := w.whole("GET"); strings.Contains(got, "X-Sum") {
				t.Errorf("there is a trailer:\n%s", got)
			}
		}
		w.wantCalls(1)
	})
}

// What net/http leaves out of a 304 must not reach what is stored.
func TestAHandlersConfirmationChangesNeitherTypeNorLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			fields := []string{"Cache-Control", "max-age=60", "ETag", `"1"`}
			if r.Header.Get("If-None-Match") == "" {
				page("<html>", fields...)(w, r)
				return
			}
			status(http.StatusNotModified, "", append(fields, "Content-Type", "text/wrong", "Content-Length", "1", "X-New", "1")...)(w, r)
		}, nil)
		w.get("/p")
		time.Sleep(61 * time.Second)
		g := w.get("/p")
		g.want(t, 200, "<html>", "Corral;fwd=stale;fwd-status=304;ttl=60;stored")
		if g.header.Get("Content-Type") != "text/html; charset=utf-8" || g.header.Get("Content-Length") != "6" || g.header.Get("X-New") != "1" {
			t.Errorf("%v, want the type and length of what is stored and the new field", g.header)
		}
	})
}

// A handler that returns because its context has ended has said nothing of what
// is stored.
func TestAHeadThatTimesOutLeavesTheStoredGetAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "HEAD" {
				w.Header().Set("ETag", `"to be confirmed"`)
				<-r.Context().Done()
				return
			}
			page("text", "Cache-Control", "max-age=60", "ETag", `"1"`)(w, r)
		}, func(o *httpcache.Options) { o.LoadTimeout = time.Second })
		w.get("/p")
		time.Sleep(10 * time.Second)
		w.do(context.Background(), "HEAD", "/p", "Cache-Control", "no-cache").
			wantAt(t, time.Second, 504, "", "Corral;fwd=uri-miss;detail=origin-timeout")
		synctest.Wait()
		w.get("/p").want(t, 200, "text", "Corral;hit;ttl=49")
	})
}

func TestARequestThatIsMadeByHandIsAnsweredToo(t *testing.T) {
	calls := 0
	cache := cached(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		page(r.RequestURI, "Cache-Control", "max-age=60")(w, r)
	})
	for range 2 {
		w := &recorder{header: http.Header{}}
		cache.ServeHTTP(w, newRequest(context.Background(), "GET", "/p?q", nil))
		if w.code != 200 || w.body.String() != "/p?q" || calls != 1 {
			t.Errorf("%d %q after %d calls, want 200, /p?q and 1", w.code, w.body.String(), calls)
		}
	}
}

// recorder is a ResponseWriter that can do nothing else.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(code int)        { w.code = code }
func (w *recorder) Write(p []byte) (int, error) { return w.body.Write(p) }

func TestASharedCallHasNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []error
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			_, _, hijack := control.Hijack()
			got = []error{control.SetReadDeadline(time.Now()), control.SetWriteDeadline(time.Now()), control.EnableFullDuplex(), hijack, control.Flush()}
			if _, ok := w.(http.Flusher); !ok {
				t.Error("it is no http.Flusher")
			}
			if _, ok := w.(http.Hijacker); ok {
				t.Error("it is an http.Hijacker")
			}
		}, nil)
		w.get("/p")
		for i, err := range got {
			if want := i < 4; errors.Is(err, http.ErrNotSupported) != want {
				t.Errorf("feature %d: %v; want ErrNotSupported: %v", i, err, want)
			}
		}
	})
}

func TestAPassHasTheClientsOwnWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			control := http.NewResponseController(w)
			for _, err := range []error{control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{}), control.EnableFullDuplex(), control.Flush()} {
				if err != nil {
					t.Errorf("a feature: %v", err)
				}
			}
			if content, err := io.ReadAll(r.Body); string(content) != "content" || err != nil {
				t.Errorf("the content is %q, %v", content, err)
			}
			w.Header().Set(http.TrailerPrefix+"X-Sum", "42")
			w.(http.Flusher).Flush()
			if n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("text")); n != 4 || err != nil {
				t.Errorf("ReadFrom = %d, %v", n, err)
			}
		}, nil)
		res, err := w.client.RoundTrip(newRequest(context.Background(), "POST", "/p", strings.NewReader("content")))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if string(body) != "text" || err != nil || res.Trailer.Get("X-Sum") != "42" || res.Header.Get("Cache-Status") != "Corral;fwd=method;detail=method" {
			t.Fatalf("%q, %v, trailer %v, Cache-Status %q; want text, 42 and a pass", body, err, res.Trailer, res.Header.Get("Cache-Status"))
		}
	})
}

// readerFrom is a ResponseWriter that would rather read.
type readerFrom struct {
	recorder
	read bool
}

func (w *readerFrom) ReadFrom(src io.Reader) (int64, error) {
	w.read = true
	return w.body.ReadFrom(src)
}

func TestAPassLetsNetHTTPReadFromAFile(t *testing.T) {
	cache := cached(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, io.LimitReader(strings.NewReader("text"), 4)) })
	w := &readerFrom{recorder: recorder{header: http.Header{}}}
	cache.ServeHTTP(w, newRequest(context.Background(), "POST", "/p", nil))
	if !w.read || w.code != 200 || w.body.String() != "text" || w.header.Get("Cache-Status") != "Inner;fwd=method;detail=method" {
		t.Errorf("read from: %v, %d %q, %v; want the writer's own ReadFrom and the header before", w.read, w.code, w.body.String(), w.header)
	}
}

func TestAPassCanBeHijacked(t *testing.T) {
	w := openHandler(t, sockets{}, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
		line, _ := rw.ReadString('\n')
		fmt.Fprint(rw, "you said ", line)
		rw.Flush()
	}, nil)
	conn, err := w.dial(context.Background(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /p HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
	all, err := io.ReadAll(conn)
	if want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nyou said hello\n"; string(all) != want || err != nil {
		t.Errorf("%q, %v; want %q", all, err, want)
	}
}

// hijackable is a ResponseWriter whose connection can be taken.
type hijackable struct{ recorder }

func (w *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil }

func TestNothingIsWrittenAfterAHijack(t *testing.T) {
	cache := cached(t, func(w http.ResponseWriter, r *http.Request) { http.NewResponseController(w).Hijack() })
	w := &hijackable{recorder{header: http.Header{}}}
	cache.ServeHTTP(w, newRequest(context.Background(), "POST", "/p", nil))
	if w.code != 0 {
		t.Errorf("status %d was written", w.code)
	}
}

func TestAnUnsafeMethodInvalidatesHoweverItIsAnswered(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"nothing":     func(http.ResponseWriter, *http.Request) {},
		"a status":    func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) },
		"a body":      func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "done") },
		"a flush":     func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() },
		"by ReadFrom": func(w http.ResponseWriter, r *http.Request) { w.(io.ReaderFrom).ReadFrom(strings.NewReader("done")) },
		"a hint":      func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
					if r.Method == "GET" {
						page("text", "Cache-Control", "max-age=60")(w, r)
						return
					}
					answer(w, r)
				}, nil)
				w.get("/p").want(t, 200, "text", "Corral;fwd=uri-miss;ttl=60;stored")
				w.get("/p").want(t, 200, "text", "Corral;hit;ttl=60")
				if g := w.do(context.Background(), "DELETE", "/p"); g.err != nil || g.cache() != "Corral;fwd=method;detail=method" {
					t.Fatalf("DELETE = %v, Cache-Status %q", g.err, g.cache())
				}
				w.get("/p").want(t, 200, "text", "Corral;fwd=uri-miss;ttl=60;stored")
			})
		})
	}
}

func TestAnUnsafeMethodThatFailsInvalidatesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			switch r.Method {
			case "GET":
				page("text", "Cache-Control", "max-age=60")(w, r)
			case "DELETE":
				w.WriteHeader(http.StatusForbidden)
			default:
				panic(http.ErrAbortHandler)
			}
		}, nil)
		w.get("/p")
		w.do(context.Background(), "DELETE", "/p").want(t, 403, "", "Corral;fwd=method;detail=method")
		if g := w.do(context.Background(), "PUT", "/p"); g.err == nil {
			t.Fatalf("PUT = %d, want a connection that broke off", g.status)
		}
		w.get("/p").want(t, 200, "text", "Corral;hit;ttl=60")
	})
}

func TestALastClientThatLeavesEndsTheHandlersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise("Cache-Control", "max-age=60")
		w := openHandler(t, memory{}, o.answer, nil)
		first, second := w.read("/p"), w.read("/p")
		first.leave()
		o.wantGone(t, false)
		second.leave()
		o.wantGone(t, true)
		w.wantCalls(1)
	})
}

func TestAClientThatLeavesBeforeTheHeaderEndsTheHandlersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := make(chan time.Time, 1)
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			gone <- time.Now()
		}, nil)
		ctx, leave := context.WithTimeout(context.Background(), time.Second)
		defer leave()
		start := time.Now()
		<-w.begin(ctx, "/p")
		if took := (<-gone).Sub(start); took != time.Second {
			t.Errorf("the handler was told after %v, want 1s", took)
		}
	})
}

// What a handler that is told to stop writes, or leaves out, is no answer: it
// must not be taken for a whole one.
func TestAHandlerThatStopsWhenItsContextEndsHasNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := 0
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			started++
			if started == 1 {
				io.WriteString(w, "half")
				flush(w)
			}
			<-r.Context().Done()
		}, func(o *httpcache.Options) { o.TailTimeout, o.LoadTimeout = 5*time.Second, 3*time.Second })
		first := w.read("/p")
		start := time.Now()
		first.want("half")
		first.wantEnd(io.ErrUnexpectedEOF)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the body broke off after %v, want TailTimeout", took)
		}
		w.get("/p").wantAt(t, 3*time.Second, 504, "the origin did not answer in time\n", "Corral;fwd=uri-miss;detail=origin-timeout")
		w.wantCalls(2)
	})
}

func TestAnErrorPageThatIsShorterThanItsLengthIsPassedOnToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openHandler(t, memory{}, status(http.StatusInternalServerError, "half of", "Content-Length", "20"), nil)
		w.get("/p").want(t, 500, "the origin answered 500 Internal Server Error\n", "Corral;fwd=uri-miss;detail=origin-failed")
	})
}

func TestAHandlerThatIgnoresItsContextKeepsNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var healed atomic.Bool
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			if !healed.Load() {
				<-release
			}
			page("text", "Cache-Control", "max-age=60")(w, r)
		}, func(o *httpcache.Options) { o.LoadTimeout = 3 * time.Second })
		for _, g := range together(10, func(int) got { return w.get("/p") }) {
			g.wantAt(t, 3*time.Second, 504, "the origin did not answer in time\n", "Corral;fwd=uri-miss;detail=origin-timeout")
		}
		w.wantCalls(1)
		healed.Store(true)
		w.get("/p").want(t, 200, "text", "Corral;fwd=uri-miss;ttl=60;stored")
		close(release)
		synctest.Wait()
		w.get("/p").want(t, 200, "text", "Corral;hit;ttl=60")
	})
}

func TestHandlersThatIgnoreTheirContextsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var running atomic.Int64
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			<-release
			running.Add(-1)
		}, func(o *httpcache.Options) { o.LoadTimeout = time.Second })
		for i := range 64 {
			if g := w.get(fmt.Sprint("/", i)); g.status != 504 {
				t.Fatalf("request %d = %d, want 504", i, g.status)
			}
		}
		if g := w.get("/65"); g.status != 503 || g.header.Get("Retry-After") != "1" {
			t.Errorf("the 65th = %d, Retry-After %q; want 503 at once", g.status, g.header.Get("Retry-After"))
		}
		if n := running.Load(); n != 64 {
			t.Errorf("%d handlers run, want 64", n)
		}
		close(release)
		synctest.Wait()
		if n := running.Load(); n != 0 {
			t.Errorf("%d handlers run, want none", n)
		}
	})
}

func TestAHandlerThatHangsInItsBodyBreaksItOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var wrote error
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, "half")
			flush(w)
			<-release
			_, wrote = w.Write(make([]byte, 4096))
		}, func(o *httpcache.Options) { o.TailTimeout = 5 * time.Second })
		first, second := w.read("/p"), w.read("/p")
		first.want("half")
		second.want("half")
		start := time.Now()
		first.wantEnd(io.ErrUnexpectedEOF)
		second.wantEnd(io.ErrUnexpectedEOF)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the body broke off after %v, want 5s", took)
		}
		close(release)
		synctest.Wait()
		if wrote == nil {
			t.Error("a write after that was taken")
		}
	})
}

// Nobody reads the body of a failure beyond what is passed on, nor that of a
// handler whose answer is for another's condition.
func TestAHandlerThatWritesForNobodyIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		w := openHandler(t, memory{}, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					<-r.Context().Done()
					ended <- err
					return
				}
			}
		}, nil)
		if g := w.get("/p"); g.status != 500 {
			t.Errorf("%d, want 500", g.status)
		}
		<-ended
	})
}

func TestABrokenUpstreamOfAReverseProxyBehindTheCacheIsBrokenForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream := newPiecewise("Cache-Control", "max-age=60")
		behind, dial := memory{}.listen(t)
		serve(t, behind, http.HandlerFunc(upstream.answer))
		transport := &http.Transport{DialContext: dial}
		t.Cleanup(transport.CloseIdleConnections)
		proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "upstream.test"}) }, FlushInterval: -1}
		w := openHandler(t, memory{}, proxy.ServeHTTP, nil)
		first, second := w.read("/p"), w.read("/p")
		upstream.pieces <- "half"
		first.want("half")
		second.want("half")
		upstream.pieces <- "!"
		first.wantEnd(io.ErrUnexpectedEOF)
		second.wantEnd(io.ErrUnexpectedEOF)
		w.wantCalls(1)
	})
}

func TestEarlyHintsOfAHandlerReachWhoBeganTheCallOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		behind, dial := memory{}.listen(t)
		serve(t, behind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			page("text", "Cache-Control", "max-age=60")(w, r)
		}))
		transport := &http.Transport{DialContext: dial}
		t.Cleanup(transport.CloseIdleConnections)
		proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "upstream.test"}) }}
		w := openHandler(t, memory{}, proxy.ServeHTTP, nil)
		for _, want := range []string{"103 </style.css>; rel=preload", ""} {
			var hints []string
			ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				hints = append(hints, fmt.Sprint(code, " ", header.Get("Link")))
				return nil
			}})
			g := w.do(ctx, "GET", "/p")
			if got := strings.Join(hints, ", "); g.status != 200 || g.header.Get("Link") != "" || got != want {
				t.Errorf("%d, Link %q, hints %q; want 200, none and %q", g.status, g.header.Get("Link"), got, want)
			}
		}
	})
}

func TestAFileServerBehindTheCacheServesRangesOfTheWhole(t *testing.T) {
	dir := t.TempDir()
	text := strings.Repeat("0123456789", 500)
	old := time.Now().Add(-240 * time.Hour)
	file := filepath.Join(dir, "digits.txt")
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.Chtimes(file, old, old)); err != nil {
		t.Fatal(err)
	}
	var ranges []string
	files := http.FileServer(http.Dir(dir))
	w := openHandler(t, sockets{}, func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header["Range"]...)
		files.ServeHTTP(w, r)
	}, nil)
	if g := w.get("/digits.txt", "Range", "bytes=10-14"); g.status != 206 || g.body != "01234" || g.header.Get("Content-Range") != "bytes 10-14/5000" {
		t.Fatalf("a part = %d %q %v", g.status, g.body, g.header)
	}
	if g := w.get("/digits.txt"); g.status != 200 || g.body != text || g.header.Get("Content-Length") != "5000" || !strings.HasPrefix(g.cache(), "Corral;hit;ttl=") {
		t.Fatalf("the whole = %d, %d bytes, %v; want a hit", g.status, len(g.body), g.header)
	}
	if g := w.get("/digits.txt", "If-Modified-Since", old.UTC().Format(http.TimeFormat)); g.status != 304 || g.body != "" {
		t.Fatalf("unchanged = %d %q", g.status, g.body)
	}
	if w.wantCalls(1); len(ranges) > 0 {
		t.Errorf("the file server saw Range %q, want none", ranges)
	}
}

func TestFieldsOfHandlersAroundTheCacheStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openAround(t, memory{}, page("text", "Cache-Control", "max-age=60", "Vary", "Accept", "X-Frame-Options", "DENY"), nil, func(cache http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Add("Vary", "Origin")
				w.Header().Set("X-Frame-Options", "SAMEORIGIN")
				w.Header().Set("X-Content-Type-Options", "nosniff")
				cache.ServeHTTP(w, r)
			})
		})
		for _, method := range []string{"GET", "GET", "POST"} {
			g := w.do(context.Background(), method, "/p")
			vary, frame := strings.Join(g.header["Vary"], ", "), strings.Join(g.header["X-Frame-Options"], ", ")
			wantFrame := "DENY"
			if method == "POST" {
				wantFrame = "SAMEORIGIN, DENY" // the handler adds to what it finds
			}
			if vary != "Origin, Accept" || frame != wantFrame || g.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: Vary %q, X-Frame-Options %q, %v", method, vary, frame, g.header)
			}
		}
		w.wantCalls(2)
	})
}

func TestAMiddlewareKeysACacheablePostByItsContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := openHandler(t, memory{}, slowly(time.Second, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if r.GetBody != nil {
				t.Error("the handler's request has GetBody, which is for clients")
			}
			page(fmt.Sprintf("%s %d %s %v", r.Method, r.ContentLength, body, err))(w, r)
		}), func(o *httpcache.Options) {
			o.Rules = []httpcache.Rule{{Path: "/search", Methods: []string{"POST"}, MaxContentBytes: 10, TTL: time.Minute}}
		})
		post := func(text string) got {
			return w.send(newRequest(context.Background(), "POST", "/search", strings.NewReader(text)))
		}
		for _, g := range together(10, func(int) got { return post("question") }) {
			if g.body != "POST 8 question <nil>" {
				t.Fatalf("%+v", g)
			}
		}
		w.wantCalls(1)
		post("another").want(t, 200, "POST 7 another <nil>", "Corral;fwd=uri-miss;ttl=60;stored")
		post("question").want(t, 200, "POST 8 question <nil>", "Corral;hit;ttl=59")
		post("a question too long").want(t, 200, "POST 19 a question too long <nil>", "Corral;fwd=bypass;detail=request-body")
	})
}

func TestAMiddlewareRefusesWhatIsAProxys(t *testing.T) {
	handler := http.NotFoundHandler()
	elsewhere := &url.URL{Scheme: "http", Host: "origin.test"}
	for name, o := range map[string]httpcache.Options{
		"Origin":           {MaxBytes: 1, Origin: elsewhere},
		"Transport":        {MaxBytes: 1, Transport: http.DefaultTransport},
		"a rule's":         {MaxBytes: 1, Rules: []httpcache.Rule{{Origin: elsewhere}}},
		"a rule's, second": {MaxBytes: 1, Rules: []httpcache.Rule{{Path: "/a"}, {Path: "/b", Transport: http.DefaultTransport}}},
		"MaxBytes":         {},
	} {
		if cache, err := httpcache.Handler(handler, o); err == nil {
			t.Errorf("%s: Handler = %v, want an error", name, cache)
		}
		cache, err := httpcache.Handler(handler, httpcache.Options{MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := cache.Reload(o); err == nil {
			t.Errorf("%s: Reload took it", name)
		}
		cache.Close()
	}
	if _, err := httpcache.Handler(nil, httpcache.Options{MaxBytes: 1}); err == nil || !strings.Contains(err.Error(), "handler is nil") {
		t.Errorf("Handler(nil) = %v", err)
	}
}

func TestAReloadKeepsTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cache *httpcache.Middleware
		w := openAround(t, memory{}, page("text"), nil, func(h http.Handler) http.Handler {
			cache = h.(*httpcache.Middleware)
			return h
		})
		err := cache.Reload(httpcache.Options{MaxBytes: 64 << 20, MaxLoads: 1024, Rules: []httpcache.Rule{{Path: "/p", TTL: time.Minute}}})
		if err != nil {
			t.Fatal(err)
		}
		w.get("/p").want(t, 200, "text", "Corral;fwd=uri-miss;ttl=60;stored")
	})
}

func TestAClientThatTakesNothingIsLetGoAfterTailTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 2)
		w := openAround(t, memory{}, page(strings.Repeat("a", 64<<10), "Cache-Control", "max-age=60"), func(o *httpcache.Options) { o.TailTimeout = 5 * time.Second },
			func(cache http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { ended <- time.Now() }()
					cache.ServeHTTP(w, r)
				})
			})
		if g := w.get("/p"); len(g.body) != 64<<10 || g.err != nil {
			t.Fatalf("%d bytes, %v", len(g.body), g.err)
		}
		<-ended
		conn, err := w.dial(context.Background(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		start := time.Now()
		fmt.Fprint(conn, "GET /p HTTP/1.1\r\nHost: shop.test\r\n\r\n")
		if took := (<-ended).Sub(start); took != 5*time.Second {
			t.Errorf("it was held for %v, want 5s", took)
		}
	})
}
