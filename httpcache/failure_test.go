package httpcache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

func TestAnErrorPageGoesToWhoCausedItAndItsStatusToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status := 500
		w := open(t, memory{}, slowly(100*time.Millisecond, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Set-Cookie", "id=1")
			rw.Header().Set("Cache-Control", "max-age=60")
			rw.WriteHeader(status)
			io.WriteString(rw, "the origin's page")
		}), nil)
		ask := func(int) got { return w.get("/p") }
		pages := 0
		for _, g := range together(100, ask) {
			if g.body == "the origin's page" {
				pages++
				g.wantAt(t, 100*time.Millisecond, 500, "the origin's page", "Corral;fwd=uri-miss;detail=origin-failed")
				continue
			}
			g.wantAt(t, 100*time.Millisecond, 500, "the origin answered 500 Internal Server Error\n", "Corral;fwd=uri-miss;detail=origin-failed")
			if g.header.Get("Set-Cookie") != "" || g.header.Get("Cache-Control") != "no-store" || g.header.Get("Retry-After") != "1" {
				t.Fatalf("header of another's failure = %v", g.header)
			}
		}
		if pages != 1 {
			t.Errorf("%d clients got the origin's page, want 1", pages)
		}
		w.wantCalls(1)
		for _, g := range together(100, ask) {
			g.wantAt(t, 0, 500, "the origin answered 500 Internal Server Error\n", "Corral;fwd=uri-miss;detail=origin-failed")
		}
		w.wantCalls(0)
		time.Sleep(time.Second) // one probe, however often it has failed
		for range 5 {
			together(100, ask)
			w.wantCalls(1)
			time.Sleep(time.Second)
		}
		status = 200
		w.get("/p").want(t, 200, "the origin's page", "Corral;fwd=uri-miss;detail=set-cookie")
	})
}

func TestAnErrorPageTooLargeOrBrokenIsReplaced(t *testing.T) {
	const ours = "the origin answered 502 Bad Gateway\n"
	for _, test := range []struct {
		size int
		cut  bool
		body string
	}{
		{64 << 10, false, strings.Repeat("x", 64<<10)},
		{64<<10 + 1, false, ours},
		{100, true, ours},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
				rw.WriteHeader(502)
				io.WriteString(rw, strings.Repeat("x", test.size))
				if test.cut {
					http.NewResponseController(rw).Flush()
					panic(http.ErrAbortHandler)
				}
			}, nil)
			w.get("/p").want(t, 502, test.body, "Corral;fwd=uri-miss;detail=origin-failed")
		})
	}
}

func TestRetryAfterIsObeyedForAll(t *testing.T) {
	for _, test := range []struct {
		status int
		after  string
		pause  time.Duration
	}{
		{503, "20", 20 * time.Second},
		{429, "20", 20 * time.Second},
		{503, "Sat, 01 Jan 2000 00:00:20 GMT", 20 * time.Second},
		{503, "0", 0},
		{503, "1000000000", time.Hour},
		{503, "soon", time.Second},
		{429, "", time.Second},
	} {
		t.Run(test.after, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failing := true
				w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
					if !failing {
						page("page", "Cache-Control", "max-age=60")(rw, r)
						return
					}
					rw.Header().Set("Retry-After", test.after)
					rw.WriteHeader(test.status)
				}, nil)
				w.get("/p").want(t, test.status, "", "Corral;fwd=uri-miss;detail=origin-failed")
				w.wantCalls(1)
				if test.pause > 0 {
					time.Sleep(test.pause - time.Nanosecond)
					g := w.get("/p", "Cache-Control", "no-cache")
					if g.status != test.status || g.header.Get("Retry-After") != "1" || g.cache() != "Corral;fwd=uri-miss;detail=origin-failed" {
						t.Errorf("during the pause: %d, %v", g.status, g.header)
					}
					w.wantCalls(0)
					time.Sleep(time.Nanosecond)
				}
				failing = false
				for _, g := range together(100, func(int) got { return w.get("/p") }) {
					if g.body != "page" {
						t.Fatalf("after the pause: %d %q", g.status, g.body)
					}
				}
				w.wantCalls(1)
			})
		})
	}
}

func TestStaleIfErrorCoversFailuresWithinItsWindow(t *testing.T) {
	failures := map[string]http.HandlerFunc{
		"500":   func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) },
		"503":   func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) },
		"reset": func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
		"hang":  func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	want := map[string]string{
		"500":   "Corral;fwd=stale;fwd-status=500;ttl=-1;detail=origin-failed",
		"503":   "Corral;fwd=stale;fwd-status=503;ttl=-1;detail=origin-failed",
		"reset": "Corral;fwd=stale;ttl=-1;detail=origin-invalid",
		"hang":  "Corral;fwd=stale;ttl=-11;detail=origin-timeout",
	}
	for name, failure := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handler := page("page", "Cache-Control", "max-age=60, stale-if-error=30", "Etag", `"a"`)
				w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) { handler(rw, r) },
					func(o *httpcache.Options) { o.LoadTimeout = 10 * time.Second })
				w.get("/p")
				handler = failure
				time.Sleep(time.Minute + time.Second)
				w.get("/p").want(t, 200, "page", want[name])
				if name == "reset" { // net/http repeats a GET once when a connection that was kept breaks
					w.wantCalls(3)
				} else {
					w.wantCalls(2)
				}
				if name != "hang" { // after which there is no pause
					_, detail, _ := strings.Cut(want[name], "detail=")
					w.get("/p").wantAt(t, 0, 200, "page", "Corral;hit;ttl=-1;detail="+detail)
					w.wantCalls(0)
				}
				g := w.get("/p", "Cache-Control", "max-age=10")
				if g.status < 500 {
					t.Errorf("who bounds the age got %d %q, want the failure", g.status, g.body)
				}
				time.Sleep(30 * time.Second)
				if g := w.get("/p"); g.status < 500 {
					t.Errorf("after the window: %d %q, want the failure", g.status, g.body)
				}
			})
		})
	}
}

func TestNothingStaleIsGivenThatTheOriginDidNotAllow(t *testing.T) {
	for _, control := range []string{"max-age=60", "max-age=60, stale-if-error=30, must-revalidate"} {
		synctest.Test(t, func(t *testing.T) {
			handler := page("page", "Cache-Control", control)
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) { handler(rw, r) }, nil)
			w.get("/p")
			handler = func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(500) }
			time.Sleep(time.Minute)
			w.get("/p").want(t, 500, "", "Corral;fwd=stale;detail=origin-failed")
		})
	}
}

func TestAnOriginThatIsDownIs502AndComesBackByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, dial := memory{}.listen(t)
		up := false
		var log bytes.Buffer
		w := openBefore(t, memory{}, func(ctx context.Context, network, address string) (net.Conn, error) {
			if !up {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
			}
			return dial(ctx, network, address)
		}, func(o *httpcache.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		serve(t, l, page("page", "Cache-Control", "max-age=60"))

		down := func(g got) {
			t.Helper()
			g.want(t, 502, "the origin cannot be reached\n", g.cache())
			if !strings.HasSuffix(g.cache(), ";detail=origin-unreachable") {
				t.Fatalf("Cache-Status = %q", g.cache())
			}
		}
		for range 40 { // for long: the pause does not grow
			down(w.get("/p"))
			time.Sleep(time.Second)
		}
		down(w.do(t.Context(), "POST", "/p"))
		if log := log.String(); !strings.Contains(log, "connection refused") || !strings.Contains(log, `key="POST http://shop.test/p"`) {
			t.Errorf("log = %s, want the causes", log)
		}
		down(w.get("/p"))
		up = true
		time.Sleep(time.Second)
		w.get("/p").want(t, 200, "page", missStored)
	})
}

func TestAHungOriginIs504AtTheDeadlineAndTheKeyWorksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		hangs.Store(true)
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			if hangs.Load() {
				<-r.Context().Done()
				return
			}
			page("page", "Cache-Control", "max-age=60")(rw, r)
		}, func(o *httpcache.Options) { o.LoadTimeout = 5 * time.Second })
		for _, g := range together(100, func(int) got { return w.get("/p") }) {
			g.wantAt(t, 5*time.Second, 504, "the origin did not answer in time\n", "Corral;fwd=uri-miss;detail=origin-timeout")
		}
		w.wantCalls(1)
		hangs.Store(false)
		w.get("/p").wantAt(t, 0, 200, "page", missStored)
		hangs.Store(true)
		for _, g := range []got{w.do(t.Context(), "POST", "/q"), w.get("/q", "If-Match", "*")} { // that go by themselves
			g.wantAt(t, 5*time.Second, 504, "the origin did not answer in time\n", g.cache())
			if !strings.HasSuffix(g.cache(), ";detail=origin-timeout") {
				t.Errorf("Cache-Status = %q", g.cache())
			}
		}
	})
}

func TestWhoHasLeftIsToldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(time.Second, page("page")), nil)
		for _, method := range []string{"GET", "POST"} {
			ctx, leave := context.WithCancel(t.Context())
			r := newRequest(ctx, method, "/p", nil)
			r.RequestURI = "/p"
			to := &sink{header: http.Header{}}
			ended := make(chan any)
			go func() {
				defer func() { ended <- recover() }()
				w.proxy.ServeHTTP(to, r)
			}()
			synctest.Wait()
			leave()
			if how := <-ended; how != http.ErrAbortHandler || to.status != 0 {
				t.Errorf("%s ended with %v and status %d, want http.ErrAbortHandler and none", method, how, to.status)
			}
		}
	})
}

func TestAnOriginThatBreaksOffBeforeItsHeaderIs502(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil)
		for _, g := range together(50, func(int) got { return w.get("/p") }) {
			g.want(t, 502, "the origin broke off, or what it sent is not HTTP\n", "Corral;fwd=uri-miss;detail=origin-invalid")
		}
		w.wantCalls(1)
	})
}

func TestAStoppingProxySays503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(time.Second, page("page", "Cache-Control", "max-age=60")), nil)
		first := w.begin(t.Context(), "/p")
		stopped := make(chan error, 1)
		go func() { stopped <- w.proxy.Shutdown(context.Background()) }()
		synctest.Wait()
		w.get("/other").want(t, 503, "this server is stopping\n", "Corral;fwd=uri-miss;detail=closing")
		(<-first).want(t, 200, "page", "Corral;fwd=uri-miss;ttl=59;stored")
		if err := <-stopped; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

func TestOptionsThatCannotBeAreNamed(t *testing.T) {
	valid := httpcache.Options{Origin: &url.URL{Scheme: "http", Host: "o"}, MaxBytes: 1 << 20}
	for field, change := range map[string]func(*httpcache.Options){
		"Origin":         func(o *httpcache.Options) { o.Origin = nil },
		"Origin ":        func(o *httpcache.Options) { o.Origin = &url.URL{Scheme: "ftp", Host: "o"} },
		"Origin is":      func(o *httpcache.Options) { o.Origin = &url.URL{Scheme: "http"} },
		"Origin is http": func(o *httpcache.Options) { o.Origin = &url.URL{Scheme: "http", Host: "o", User: url.User("u")} },
		"Name":           func(o *httpcache.Options) { o.Name = "a b" },
		"MaxBytes":       func(o *httpcache.Options) { o.MaxBytes = 0 },
		"MaxObjectBytes": func(o *httpcache.Options) { o.MaxObjectBytes = 2 << 20 },
		"MaxConns":       func(o *httpcache.Options) { o.MaxConns = -1 },
		"MaxKeyBytes":    func(o *httpcache.Options) { o.MaxKeyBytes = -1 },
		"LoadTimeout":    func(o *httpcache.Options) { o.LoadTimeout = -1 },
		"TailTimeout":    func(o *httpcache.Options) { o.TailTimeout = -1 },
		"MaxLoads":       func(o *httpcache.Options) { o.MaxLoads = -1 },
	} {
		o := valid
		change(&o)
		if _, err := httpcache.NewProxy(o); err == nil || !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("NewProxy with a wrong %s: %v", field, err)
		}
	}
}
