package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// A trailer comes while its announcement is being sent on.
func TestATrailerGoesToWhomTheAnswerIsFor(t *testing.T) {
	for _, test := range []struct {
		control string
		ask     []string
		want    string
	}{
		{"private", nil, "7"},
		{"no-store", nil, "7"},
		{"private", []string{"Cookie", "id=1"}, "7"},
		{"private", []string{"If-Match", "*"}, "7"},
		{"max-age=60", nil, ""}, // RFC 9110, section 6.5.1, lets those of shared answers go
	} {
		t.Run(fmt.Sprint(test.control, test.ask), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
					rw.Header().Set("Trailer", "X-Sum, X-More")
					rw.Header().Set("Cache-Control", test.control)
					io.WriteString(rw, strings.Repeat("x", 10_000))
					rw.Header().Set("X-Sum", "7")
					rw.Header().Set("X-More", "8")
				}, nil)
				for range 100 {
					res, err := w.client.RoundTrip(newRequest(t.Context(), "GET", "/p", nil, test.ask...))
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(res.Body)
					res.Body.Close()
					if len(body) != 10_000 || err != nil || res.Trailer.Get("X-Sum") != test.want || (res.Trailer.Get("X-More") != "") != (test.want != "") {
						t.Fatalf("%d bytes, %v, trailer %v; want X-Sum %q", len(body), err, res.Trailer, test.want)
					}
				}
			})
		})
	}
}

// What nobody reads to its end has no trailer, and nothing waits for one.
func TestAnAnswerWithATrailerThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Trailer", "X-Sum")
			rw.Header().Set("Cache-Control", "private")
			rw.Header().Set("Etag", `"a"`)
			io.WriteString(rw, strings.Repeat("x", 10_000))
			rw.Header().Set("X-Sum", "7")
		}, nil)
		for range 50 {
			for _, ask := range [][]string{{"GET", "/p", "If-None-Match", `"a"`}, {"GET", "/p", "Range", "bytes=0-1"}, {"HEAD", "/p"}} {
				if g := w.do(t.Context(), ask[0], ask[1], ask[2:]...); g.err != nil || g.status > 304 {
					t.Fatalf("%s = %d, %v", g.what, g.status, g.err)
				}
			}
		}
	})
}

// What an origin leaves open stays so: a guess of ours would be a promise of its
// own, and with nosniff a browser would believe it.
func TestNoContentTypeIsMadeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header()["Content-Type"] = nil
			control := "max-age=60"
			if strings.HasPrefix(r.URL.Path, "/own") {
				control = "private"
			}
			page("<html><script>alert(1)</script>", "Cache-Control", control, "X-Content-Type-Options", "nosniff", "Etag", `"a"`)(rw, r)
		}, func(o *httpcache.Options) { o.PassTTL = time.Minute })
		for _, ask := range [][]string{{"/p"}, {"/p"}, {"/own"}, {"/own"}, {"/p", "Range", "bytes=0-9"}, {"/p", "If-Match", `"a"`}, {"/q", "Range", "bytes=6-"}, {"/q", "Cookie", "id=1"}} {
			g := w.get(ask[0], ask[1:]...)
			if kind, typed := g.header["Content-Type"]; g.err != nil || typed {
				t.Errorf("%s: Content-Type = %q, %v; want none", g.what, kind, g.err)
			}
		}
	})
}

func TestPassesByARulesOwnHandleLikeTheOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, page("own", "Cache-Control", "private")), func(o *httpcache.Options) {
			o.PassTTL = time.Hour
			o.Rules = []httpcache.Rule{{Path: "/short", PassTTL: time.Minute}, {Path: "/none", PassTTL: -1}}
		})
		// within reports whether ten requests wait behind the first of them.
		parks := func(path string) bool {
			for _, g := range together(10, func(int) got { return w.get(path) }) {
				if g.at > 100*time.Millisecond {
					return true
				}
			}
			return false
		}
		for _, path := range []string{"/short", "/long", "/none"} {
			if !parks(path) {
				t.Errorf("%s: nobody waits for the first answer", path)
			}
			if got, want := parks(path), path == "/none"; got != want {
				t.Errorf("%s: they wait at the second burst: %v, want %v", path, got, want)
			}
		}
		time.Sleep(time.Minute)
		if !parks("/short") || parks("/long") {
			t.Error("after a minute the rule's mark is to be gone, and the options' there")
		}
	})
}
