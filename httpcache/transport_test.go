package httpcache_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/httpcache"
)

// A user is a program with an http.Client whose transport caches, and an origin.
type user struct {
	*world    // whose client is not used
	transport *httpcache.Transport
	client    *http.Client
	base      *http.Transport
	dials     atomic.Int64
}

// openTransport starts one, in virtual time.
func openTransport(t *testing.T, handler http.HandlerFunc, change func(*httpcache.Options)) *user {
	t.Helper()
	behind, dial := memory{}.listen(t)
	u := &user{world: &world{t: t, origin: &origin{HandlerFunc: handler}}}
	serve(t, behind, u.origin)
	u.base = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		u.dials.Add(1)
		return dial(ctx, network, address)
	}}
	options := httpcache.Options{MaxBytes: 64 << 20, Now: time.Now}
	if change != nil {
		change(&options)
	}
	transport, err := httpcache.NewTransport(u.base, options)
	if err != nil {
		t.Fatal(err)
	}
	u.transport, u.client = transport, &http.Client{Transport: transport}
	t.Cleanup(func() {
		u.client.CloseIdleConnections()
		if err := transport.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return u
}

// send makes a request through the client and reads the answer.
func (u *user) send(r *http.Request) got {
	start := time.Now()
	g := got{what: fmt.Sprintf("%s %s %v", r.Method, r.URL, r.Header)}
	res, err := u.client.Do(r)
	if err != nil {
		g.err, g.at = err, time.Since(start)
		return g
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	g.status, g.header, g.body, g.err, g.at = res.StatusCode, res.Header, string(body), err, time.Since(start)
	return g
}

func (u *user) get(target string, fields ...string) got {
	return u.send(newRequest(context.Background(), "GET", target, nil, fields...))
}

func TestAClientThatAsksTwiceAsksTheOriginOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, page("text", "Cache-Control", "max-age=60"), nil)
		for _, status := range []string{"Corral;fwd=uri-miss;ttl=60;stored", "Corral;hit;ttl=60"} {
			r := newRequest(context.Background(), "GET", "/p", nil)
			res, err := u.transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if string(body) != "text" || err != nil || res.Header.Get("Cache-Status") != status {
				t.Errorf("%q, %v, %v; want text and %s", body, err, res.Header, status)
			}
			if res.Request != r || res.Status != "200 OK" || res.ContentLength != 4 || res.Header.Get("Content-Length") != "4" {
				t.Errorf("%+v, want a response to the very request, with status and length", res)
			}
			for range 2 {
				if err := res.Body.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
		}
		u.wantCalls(1)
	})
}

func TestCallersAtOnceShareOneRequestAndReadItAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise("Cache-Control", "max-age=60", "Content-Type", "text/event-stream")
		u := openTransport(t, o.answer, nil)
		bodies := make([]io.ReadCloser, 100)
		for i := range bodies {
			res, err := u.client.Get("http://shop.test/p")
			if err != nil || res.ContentLength != -1 {
				t.Fatalf("%+v, %v; want a body whose length is not known", res, err)
			}
			bodies[i] = res.Body
		}
		bodies[0].Close() // one that leaves is no loss to the others
		o.wantGone(t, false)
		for _, piece := range []string{"one", "two"} {
			o.pieces <- piece
			for _, body := range bodies[1:] {
				p := make([]byte, 3)
				if _, err := io.ReadFull(body, p); err != nil || string(p) != piece {
					t.Fatalf("%q, %v; want %q", p, err, piece)
				}
			}
		}
		for _, body := range bodies[1:] {
			body.Close()
		}
		o.wantGone(t, true)
		u.wantCalls(1)
	})
}

func TestABodyIsBrokenForEachCallerWhenTheOriginBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise("Cache-Control", "max-age=60")
		u := openTransport(t, o.answer, nil)
		var answers [2]*http.Response
		for i := range answers {
			res, err := u.client.Get("http://shop.test/p")
			if err != nil {
				t.Fatal(err)
			}
			answers[i] = res
		}
		o.pieces <- "half"
		o.pieces <- "!"
		for _, res := range answers {
			if body, err := io.ReadAll(res.Body); string(body) != "half" || !errors.Is(err, corral.ErrBroken) {
				t.Errorf("%q, %v; want half and ErrBroken", body, err)
			}
			res.Body.Close()
		}
	})
}

func TestConnectionsToTheOriginAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, func(w http.ResponseWriter, r *http.Request) {
			control := "max-age=60"
			if r.URL.Path == "/private" {
				control = "private"
			}
			page(strings.Repeat("a", 100_000), "Cache-Control", control)(w, r)
		}, nil)
		for _, path := range []string{"/a", "/a", "/private", "/private", "/b?1", "/b?2"} {
			if g := u.get(path); g.status != 200 || len(g.body) != 100_000 {
				t.Fatalf("%s = %d, %d bytes", path, g.status, len(g.body))
			}
		}
		if n := u.dials.Load(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		u.wantCalls(5)
	})
}

func TestAClientFollowsARedirectThatIsInTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if r.URL.Path == "/old" {
				http.Redirect(w, r, "/new", http.StatusMovedPermanently)
				return
			}
			io.WriteString(w, "moved here")
		}, nil)
		u.get("/old").want(t, 200, "moved here", "Corral;fwd=uri-miss;ttl=60;stored")
		u.wantCalls(2)
		u.get("/old").want(t, 200, "moved here", "Corral;hit;ttl=60")
		u.wantCalls(0)
	})
}

func TestARedirectedPostSendsItsContentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/old" {
				http.Redirect(w, r, "/new", http.StatusTemporaryRedirect)
				return
			}
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %d %s", r.Method, r.ContentLength, body)
		}, nil)
		u.send(newRequest(context.Background(), "POST", "/old", strings.NewReader("content"))).
			want(t, 200, "POST 7 content", "Corral;fwd=method;detail=method")
		u.wantCalls(2)
	})
}

func TestAPostThroughTheTransportInvalidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, page("text", "Cache-Control", "max-age=60"), nil)
		u.get("/p")
		u.send(newRequest(context.Background(), "POST", "/p", strings.NewReader("content")))
		u.get("/p").want(t, 200, "text", "Corral;fwd=uri-miss;ttl=60;stored")
		u.wantCalls(3)
	})
}

func TestACallerWhoseContextEndsLeavesTheOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, slowly(2*time.Second, page("text", "Cache-Control", "max-age=60")), nil)
		bored := errors.New("bored")
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { cancel(bored) })
		all := together(3, func(i int) got {
			if i == 0 {
				return u.send(newRequest(ctx, "GET", "/p", nil))
			}
			return u.get("/p")
		})
		if all[0].at != time.Second || !errors.Is(all[0].err, bored) {
			t.Errorf("the one who leaves got %v after %v, want its cause after 1s", all[0].err, all[0].at)
		}
		for _, g := range all[1:] {
			if g.at != 2*time.Second || g.body != "text" {
				t.Errorf("%+v, want text after 2s", g)
			}
		}
		u.wantCalls(1)
	})
}

func TestAClientsTimeoutIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, slowly(time.Minute, page("")), nil)
		u.client.Timeout = time.Second
		g := u.get("/p")
		var timeout interface{ Timeout() bool }
		if g.at != time.Second || !errors.As(g.err, &timeout) || !timeout.Timeout() {
			t.Errorf("%v after %v, want a timeout after 1s", g.err, g.at)
		}
	})
}

func TestAContextThatEndsWhileABodyComesEndsThatBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise("Cache-Control", "max-age=60")
		u := openTransport(t, o.answer, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		res, err := u.client.Do(newRequest(ctx, "GET", "/p", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); len(body) > 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q, %v; want a deadline that passed", body, err)
		}
		o.wantGone(t, true)
	})
}

func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for name, test := range map[string]struct {
		base http.RoundTripper
		took time.Duration
		want error
	}{
		"unreachable":            {roundTrip(func(*http.Request) (*http.Response, error) { return nil, refused }), 0, refused},
		"an error of the base's": {roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }), 0, io.ErrUnexpectedEOF},
		"no answer in time": {roundTrip(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}), 3 * time.Second, corral.ErrLoadTimeout},
		"a panic": {roundTrip(func(*http.Request) (*http.Response, error) { panic("boom") }), 0, corral.ErrPanic},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport, err := httpcache.NewTransport(test.base, httpcache.Options{MaxBytes: 1 << 20, LoadTimeout: 3 * time.Second, Now: time.Now})
				if err != nil {
					t.Fatal(err)
				}
				defer transport.Close()
				for _, g := range together(3, func(int) got {
					start := time.Now()
					res, err := transport.RoundTrip(newRequest(context.Background(), "GET", "/p", nil))
					if res != nil {
						t.Errorf("a response of status %d", res.StatusCode)
					}
					return got{err: err, at: time.Since(start)}
				}) {
					if !errors.Is(g.err, test.want) || g.at != test.took {
						t.Errorf("%v after %v, want %v after %v", g.err, g.at, test.want, test.took)
					}
				}
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAClosedTransportAnswersWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, page("text"), nil)
		if err := u.transport.Close(); err != nil {
			t.Fatal(err)
		}
		if g := u.get("/p"); !errors.Is(g.err, corral.ErrClosed) {
			t.Errorf("GET = %v, want ErrClosed", g.err)
		}
		u.send(newRequest(context.Background(), "POST", "/p", strings.NewReader("x"))).want(t, 200, "text", "")
	})
}

func TestTheOriginsErrorPageGoesToTheCallerWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, slowly(time.Second, status(http.StatusInternalServerError, "the page", "X-Id", "7")), nil)
		pages := 0
		for _, g := range together(3, func(int) got { return u.get("/p") }) {
			if g.err != nil || g.status != 500 {
				t.Fatalf("%d, %v; want 500", g.status, g.err)
			}
			if g.body == "the page" && g.header.Get("X-Id") == "7" {
				pages++
			} else if g.body != "the origin answered 500 Internal Server Error\n" || g.header.Get("X-Id") != "" {
				t.Errorf("%q %v", g.body, g.header)
			}
		}
		if pages != 1 {
			t.Errorf("%d callers got the page, want 1", pages)
		}
		u.wantCalls(1)
	})
}

func TestWhatTheBaseDecompressesIsCachedDecompressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := strings.Repeat("hello ", 1000)
		u := openTransport(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Vary", "Accept-Encoding")
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				io.WriteString(w, text)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			io.WriteString(z, text)
			z.Close()
		}, nil)
		for range 2 {
			if g := u.get("/p"); g.body != text || g.header.Get("Content-Encoding") != "" {
				t.Errorf("%d bytes, %v; want the text, decompressed", len(g.body), g.header)
			}
		}
		u.wantCalls(1)
		for range 2 { // who asks for gzip gets gzip, as without a cache
			if g := u.get("/p", "Accept-Encoding", "gzip"); len(g.body) >= len(text) || g.header.Get("Content-Encoding") != "gzip" {
				t.Errorf("%d bytes, %v; want them compressed", len(g.body), g.header)
			}
		}
		u.wantCalls(1)
	})
}

func TestATransportIsNoProxyToTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, page("text", "Cache-Control", "max-age=60"), nil)
		u.get("/p")
		seen := u.origin.seen()
		if seen.Header.Get("User-Agent") != "Go-http-client/1.1" || len(seen.Header["Via"]) > 0 {
			t.Errorf("the origin saw %v, want what http.Transport sends", seen.Header)
		}
		u.get("/q", "User-Agent", "test")
		if seen := u.origin.seen(); seen.Header.Get("User-Agent") != "test" {
			t.Errorf("the origin saw %v, want User-Agent test", seen.Header)
		}
	})
}

func TestASharedTransportKeepsPersonalAnswersToTheirCallers(t *testing.T) {
	for name, test := range map[string]struct{ request, answer []string }{
		"Authorization": {[]string{"Authorization", "Bearer a"}, []string{"Cache-Control", "max-age=60"}},
		"Cookie":        {[]string{"Cookie", "a=b"}, []string{"Cache-Control", "max-age=60"}},
		"private":       {nil, []string{"Cache-Control", "private, max-age=60"}},
		"Set-Cookie":    {nil, []string{"Cache-Control", "max-age=60", "Set-Cookie", "a=b"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := openTransport(t, page("text", test.answer...), nil)
				u.get("/p", test.request...)
				u.get("/p", test.request...)
				u.wantCalls(2)
			})
		})
	}
}

func TestAPrivateTransportKeepsThemForItsOneUser(t *testing.T) {
	for name, test := range map[string]struct {
		request, answer []string
		calls           int
	}{
		"Authorization":   {[]string{"Authorization", "Bearer a"}, []string{"Cache-Control", "max-age=60"}, 1},
		"Cookie":          {[]string{"Cookie", "a=b"}, []string{"Cache-Control", "max-age=60"}, 1},
		"private":         {nil, []string{"Cache-Control", "private, max-age=60"}, 1},
		"Set-Cookie":      {nil, []string{"Cache-Control", "max-age=60", "Set-Cookie", "a=b"}, 1},
		"no-store":        {nil, []string{"Cache-Control", "no-store"}, 2},
		"s-maxage":        {nil, []string{"Cache-Control", "s-maxage=60"}, 2},
		"max-age=0":       {nil, []string{"Cache-Control", "max-age=0, s-maxage=60"}, 2},
		"Vary: *":         {nil, []string{"Cache-Control", "max-age=60", "Vary", "*"}, 2},
		"CDN":             {nil, []string{"CDN-Cache-Control", "max-age=60"}, 2},
		"X-Forwarded-For": {[]string{"X-Forwarded-For", "192.0.2.1"}, []string{"Cache-Control", "max-age=60"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := openTransport(t, page("text", test.answer...), func(o *httpcache.Options) { o.Private = true })
				u.get("/p", test.request...)
				u.get("/p", test.request...)
				u.wantCalls(test.calls)
			})
		})
	}
}

// A cookie that is told again from the cache would put an old one in the place
// of a newer one.
func TestACookieJarGetsACookieFromTheOriginAndNotAgainFromTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, func(w http.ResponseWriter, r *http.Request) {
			session := "1"
			if r.URL.Path == "/login" {
				session = "2"
			}
			page("text", "Cache-Control", "max-age=60", "Set-Cookie", "session="+session+"; Path=/")(w, r)
		}, func(o *httpcache.Options) { o.Private = true })
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		u.client.Jar = jar
		want := func(cookie string) {
			t.Helper()
			got := fmt.Sprint(jar.Cookies(&url.URL{Scheme: "http", Host: "shop.test", Path: "/"}))
			if got != cookie {
				t.Errorf("the jar has %s, want %s", got, cookie)
			}
		}
		u.get("/p")
		want("[session=1]")
		u.get("/login")
		want("[session=2]")
		u.get("/p").want(t, 200, "text", "Corral;hit;ttl=60")
		want("[session=2]")
		time.Sleep(61 * time.Second)
		u.get("/p") // the origin gives a cookie again
		want("[session=1]")
	})
}

func TestFieldsThatCouldChangeTheAnswerForOthersGoByThemselves(t *testing.T) {
	for _, private := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := openTransport(t, func(w http.ResponseWriter, r *http.Request) {
				page(r.Header.Get("X-Forwarded-Host"), "Cache-Control", "max-age=60")(w, r)
			}, func(o *httpcache.Options) { o.Private = private })
			u.get("/p").want(t, 200, "", "Corral;fwd=uri-miss;ttl=60;stored")
			u.get("/p", "X-Forwarded-Host", "evil.test").want(t, 200, "evil.test", "Corral;fwd=bypass;detail=unkeyed-field")
			u.get("/p").want(t, 200, "", "Corral;hit;ttl=60")
		})
	}
}

func TestARequestForAnotherHostThanItsURLsGoesToItsURLByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dialled []string
		behind, dial := memory{}.listen(t)
		serve(t, behind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			page(r.Host, "Cache-Control", "max-age=60")(w, r)
		}))
		base := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialled = append(dialled, address)
			return dial(ctx, network, address)
		}}
		transport, err := httpcache.NewTransport(base, httpcache.Options{MaxBytes: 1 << 20, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer transport.Close()
		defer transport.CloseIdleConnections()
		ask := func(address, host string) string {
			r := newRequest(context.Background(), "GET", "http://"+address+"/p", nil)
			r.Host = host
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			return string(body) + " " + res.Header.Get("Cache-Status")
		}
		for _, test := range [][3]string{
			{"shop.test", "", "shop.test Corral;fwd=uri-miss;ttl=60;stored"},
			{"10.0.0.1:81", "shop.test", "shop.test Corral;fwd=bypass;detail=unkeyed-field"},
			{"10.0.0.2:81", "shop.test", "shop.test Corral;fwd=bypass;detail=unkeyed-field"},
			{"shop.test", "SHOP.test", "shop.test Corral;hit;ttl=60"},
		} {
			if got := ask(test[0], test[1]); got != test[2] {
				t.Errorf("%s for %q: %s, want %s", test[0], test[1], got, test[2])
			}
		}
		if got, want := fmt.Sprint(dialled), "[shop.test:80 10.0.0.1:81 10.0.0.2:81]"; got != want {
			t.Errorf("dialled %s, want %s", got, want)
		}
	})
}

func TestPartsHeadsAndConditionsAreAnsweredFromOneStoredResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, page("0123456789", "Cache-Control", "max-age=60", "ETag", `"1"`), nil)
		do := func(method string, fields ...string) (*http.Response, string) {
			res, err := u.transport.RoundTrip(newRequest(context.Background(), method, "/p", nil, fields...))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return res, string(body)
		}
		for _, test := range []struct {
			method string
			fields []string
			status int
			body   string
			length int64
		}{
			{"GET", nil, 200, "0123456789", 10},
			{"GET", []string{"Range", "bytes=2-4"}, 206, "234", 3},
			{"GET", []string{"Range", "bytes=20-"}, 416, "", 0},
			{"GET", []string{"If-None-Match", `"1"`}, 304, "", 0},
			{"HEAD", nil, 200, "", 10},
		} {
			res, body := do(test.method, test.fields...)
			if res.StatusCode != test.status || body != test.body || res.ContentLength != test.length {
				t.Errorf("%s %v = %d %q, length %d; want %d %q, %d", test.method, test.fields, res.StatusCode, body, res.ContentLength, test.status, test.body, test.length)
			}
		}
		u.wantCalls(1)
	})
}

// noting is a request's body that notes whether it was closed.
type noting struct {
	io.Reader
	closed atomic.Int64
}

func (c *noting) Close() error {
	c.closed.Add(1)
	return nil
}

func TestTheTransportClosesContentAndChangesNoRequest(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		body   string
		length int64
		fields []string
		status int
	}{
		"a miss":                {"GET", "", 0, nil, 200},
		"a POST that is cached": {"POST", "question", 8, nil, 200},
		"one of unknown length": {"POST", "question", -1, nil, 200},
		"one said to be empty":  {"POST", "question", 0, nil, 200},
		"one that is too long":  {"POST", "a question too long", 19, nil, 200},
		"too long, unknown":     {"POST", "a question too long", -1, nil, 200},
		"one by itself":         {"POST", "question", 8, []string{"X-Forwarded-For", "192.0.2.1"}, 200},
		"an unsafe method":      {"PUT", "content", 7, nil, 200},
		"only if cached":        {"GET", "", 0, []string{"Cache-Control", "only-if-cached"}, 504},
		"a GET with content":    {"GET", "content", 0, nil, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := openTransport(t, func(w http.ResponseWriter, r *http.Request) {
					body, err := io.ReadAll(r.Body)
					page(fmt.Sprintf("%s %v", body, err))(w, r)
				}, func(o *httpcache.Options) {
					o.Rules = []httpcache.Rule{{Path: "/p", Methods: []string{"POST"}, MaxContentBytes: 10, TTL: time.Minute}}
				})
				for range 2 {
					content := &noting{Reader: strings.NewReader(test.body)}
					r := newRequest(context.Background(), test.method, "/p", nil, test.fields...)
					r.Body, r.ContentLength = content, test.length
					before := *r
					header := r.Header.Clone()
					res, err := u.transport.RoundTrip(r)
					if err != nil {
						t.Fatal(err)
					}
					body, _ := io.ReadAll(res.Body)
					res.Body.Close()
					if res.StatusCode != test.status || test.status == 200 && string(body) != test.body+" <nil>" {
						t.Errorf("%d %q, want %d and the content", res.StatusCode, body, test.status)
					}
					synctest.Wait()
					if content.closed.Load() == 0 {
						t.Error("the content was not closed")
					}
					if !reflect.DeepEqual(*r, before) || !reflect.DeepEqual(r.Header, header) {
						t.Errorf("the request is %+v, and was %+v", *r, before)
					}
				}
			})
		})
	}
}

func TestARulesPostIsOneRequestForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, slowly(time.Second, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			page("answer to "+string(body))(w, r)
		}), func(o *httpcache.Options) {
			o.Rules = []httpcache.Rule{{Path: "/p", Methods: []string{"POST"}, MaxContentBytes: 10, TTL: time.Minute}}
		})
		all := together(10, func(i int) got {
			return u.send(newRequest(context.Background(), "POST", "/p", strings.NewReader(fmt.Sprint("q", i%2))))
		})
		for i, g := range all {
			if want := fmt.Sprint("answer to q", i%2); g.body != want || g.at != time.Second {
				t.Errorf("%q after %v, want %q", g.body, g.at, want)
			}
		}
		u.wantCalls(2)
	})
}

// closer is a RoundTripper that keeps connections.
type closer struct {
	http.RoundTripper
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }

func TestWhatNoCacheCanAnswerGoesToTheBaseAsItIs(t *testing.T) {
	var seen *http.Request
	base := &closer{RoundTripper: roundTrip(func(r *http.Request) (*http.Response, error) {
		seen = r
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil // no header, which some fakes leave out
	})}
	transport, err := httpcache.NewTransport(base, httpcache.Options{MaxBytes: 1 << 20, MaxKeyBytes: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	for _, r := range []*http.Request{
		{Method: "CONNECT", URL: &url.URL{Host: "shop.test:443"}, Host: "shop.test:443"},
		{Method: "GET", URL: &url.URL{Scheme: "file", Path: "/etc/hosts"}},
		{Method: "GET", URL: &url.URL{Scheme: "http", Host: "bücher.test"}},
		{Method: "GET", URL: &url.URL{Scheme: "http"}},
		{Method: "NO TOKEN", URL: &url.URL{Scheme: "http", Host: "shop.test"}},
		{Method: "GET", URL: &url.URL{Scheme: "http", Host: "shop.test", Path: "/" + strings.Repeat("a", 100)}},
		{Method: "GET"},
	} {
		seen = nil
		if res, err := transport.RoundTrip(r); err != nil || seen != r || res.StatusCode != 200 {
			t.Errorf("%s %v: %v, %v, and the base got %v", r.Method, r.URL, res, err, seen)
		}
	}
	if transport.CloseIdleConnections(); base.closed != 1 {
		t.Errorf("the base was asked %d times to close its connections, want once", base.closed)
	}
}

func TestAZeroRequestIsAGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, page("text", "Cache-Control", "max-age=60"), nil)
		for range 2 {
			res, err := u.transport.RoundTrip(&http.Request{URL: &url.URL{Scheme: "http", Host: "shop.test", Path: "/p"}})
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		u.get("/p").want(t, 200, "text", "Corral;hit;ttl=60")
		u.wantCalls(1)
	})
}

func TestTheTrailerOfAnAnswerForOneIsThereWithTheEndOfItsBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := openTransport(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			page("text", "Cache-Control", "private")(w, r)
			w.Header().Set("X-Sum", "42")
		}, nil)
		res, err := u.client.Get("http://shop.test/p")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if values, announced := res.Trailer["X-Sum"]; !announced || values != nil {
			t.Errorf("Trailer = %v, want X-Sum announced", res.Trailer)
		}
		if body, err := io.ReadAll(res.Body); string(body) != "text" || err != nil || res.Trailer.Get("X-Sum") != "42" {
			t.Errorf("%q, %v, %v; want text and X-Sum 42", body, err, res.Trailer)
		}
	})
}

func TestATransportRefusesWhatIsAProxys(t *testing.T) {
	for name, o := range map[string]httpcache.Options{
		"Origin":    {MaxBytes: 1, Origin: &url.URL{Scheme: "http", Host: "origin.test"}},
		"Transport": {MaxBytes: 1, Transport: http.DefaultTransport},
		"MaxBytes":  {},
	} {
		if transport, err := httpcache.NewTransport(nil, o); err == nil {
			t.Errorf("%s: NewTransport = %v, want an error", name, transport)
		}
	}
	transport, err := httpcache.NewTransport(nil, httpcache.Options{MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	if err := transport.Reload(httpcache.Options{MaxBytes: 1 << 20, Origin: &url.URL{Scheme: "http", Host: "origin.test"}}); err == nil {
		t.Error("Reload took an Origin")
	}
	if err := transport.Reload(httpcache.Options{MaxBytes: 1 << 20, Private: true}); err == nil {
		t.Error("Reload made answers of many those of one")
	}
	if err := transport.Reload(httpcache.Options{MaxBytes: 1 << 20, StoreCookies: true}); err != nil {
		t.Error(err)
	}
}
