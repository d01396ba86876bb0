package httpcache_test

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// versions answers with "v1", "v2" and so on, and with 304 to the ETag of the
// one that was sent last while same says so.
type versions struct {
	mu      sync.Mutex
	n       int
	same    bool
	fields  []string
	fields3 []string // of a 304
}

func (v *versions) answer(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	header := w.Header()
	set := func(fields []string) {
		for i := 0; i < len(fields); i += 2 {
			header.Add(fields[i], fields[i+1])
		}
	}
	if v.same && r.Header.Get("If-None-Match") == v.tag() {
		header.Set("Etag", v.tag())
		set(v.fields3)
		w.WriteHeader(304)
		return
	}
	v.n++
	header.Set("Etag", v.tag())
	set(v.fields)
	io.WriteString(w, "v"+strconv.Itoa(v.n))
}

func (v *versions) tag() string { return `"` + strconv.Itoa(v.n) + `"` }

func TestAgeAndLifetimeCountFromTheOrigin(t *testing.T) {
	for _, test := range []struct {
		name   string
		fields []string
		takes  time.Duration
		first  string // Cache-Status
		age    string // of the first answer, and after 10 s
		age10  string
		ttl10  int
	}{
		{"max-age", []string{"Cache-Control", "max-age=60"}, 0, "Corral;fwd=uri-miss;ttl=60;stored", "", "10", 50},
		{"s-maxage", []string{"Cache-Control", "max-age=5, s-maxage=60"}, 0, "Corral;fwd=uri-miss;ttl=60;stored", "", "10", 50},
		{"Expires", []string{"Expires", "Sat, 01 Jan 2000 00:01:00 GMT"}, 0, "Corral;fwd=uri-miss;ttl=60;stored", "", "10", 50},
		{"a tenth of Last-Modified", []string{"Last-Modified", "Fri, 31 Dec 1999 23:50:00 GMT"}, 0, "Corral;fwd=uri-miss;ttl=60;stored", "", "10", 50},
		{"Age", []string{"Cache-Control", "max-age=60", "Age", "20"}, 0, "Corral;fwd=uri-miss;ttl=40;stored", "20", "30", 30},
		{"the fetch's time", []string{"Cache-Control", "max-age=60"}, 5 * time.Second, "Corral;fwd=uri-miss;ttl=55;stored", "5", "15", 45},
		{"both", []string{"Cache-Control", "max-age=60", "Age", "20"}, 5 * time.Second, "Corral;fwd=uri-miss;ttl=35;stored", "25", "35", 25},
		{"an old Date", []string{"Cache-Control", "max-age=60", "Date", "Fri, 31 Dec 1999 23:59:30 GMT"}, 0, "Corral;fwd=uri-miss;ttl=30;stored", "30", "40", 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, slowly(test.takes, page("page", test.fields...)), nil)
				g := w.get("/p")
				g.want(t, 200, "page", test.first)
				if age := g.header.Get("Age"); age != test.age {
					t.Errorf("Age = %q, want %q", age, test.age)
				}
				time.Sleep(10 * time.Second)
				g = w.get("/p")
				g.want(t, 200, "page", "Corral;hit;ttl="+strconv.Itoa(test.ttl10))
				if age := g.header["Age"]; len(age) != 1 || age[0] != test.age10 {
					t.Errorf("Age after 10 s = %q, want %q", age, test.age10)
				}
			})
		})
	}
}

func TestAnAnswerIsFreshUpToTheLastNanosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), nil)
		w.get("/p")
		time.Sleep(time.Minute - time.Nanosecond)
		w.get("/p").want(t, 200, "page", "Corral;hit;ttl=0")
		time.Sleep(time.Nanosecond)
		w.get("/p").want(t, 200, "page", "Corral;fwd=stale;ttl=60;stored")
		w.wantCalls(2)
	})
}

func TestAConditionalRequestIsAnsweredFromTheCache(t *testing.T) {
	const modified = "Fri, 31 Dec 1999 00:00:00 GMT"
	fields := []string{"Cache-Control", "max-age=60", "Etag", `"a"`, "Last-Modified", modified, "Content-Type", "text/plain"}
	for _, test := range []struct {
		name, value string
		status      int
	}{
		{"If-None-Match", `"a"`, 304},
		{"If-None-Match", `W/"a"`, 304},
		{"If-None-Match", `"b", "a"`, 304},
		{"If-None-Match", `*`, 304},
		{"If-None-Match", `"b"`, 200},
		{"If-Modified-Since", modified, 304},
		{"If-Modified-Since", "Fri, 31 Dec 1999 00:00:01 GMT", 304},
		{"If-Modified-Since", "Thu, 30 Dec 1999 23:59:59 GMT", 200},
		{"If-Modified-Since", "yesterday", 200},
	} {
		t.Run(test.name+" "+test.value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, page("page", fields...), nil)
				body := ""
				if test.status == 200 {
					body = "page"
				}
				cold := missStored
				if test.status == 304 { // the origin's 200 differs from what is sent
					cold = "Corral;fwd=uri-miss;fwd-status=200;ttl=60;stored"
				}
				w.get("/p", test.name, test.value).want(t, test.status, body, cold)
				if sent := w.origin.seen().Header.Get(test.name); sent != "" {
					t.Errorf("the origin was sent the client's %s: %s", test.name, sent)
				}
				g := w.get("/p", test.name, test.value)
				g.want(t, test.status, body, "Corral;hit;ttl=60")
				if g.status == 304 && (g.header.Get("Etag") != `"a"` || g.header.Get("Content-Type") != "" || g.header.Get("Content-Length") != "") {
					t.Errorf("header of the 304 = %v, want the ETag, and nothing about a body", g.header)
				}
				w.wantCalls(1)
			})
		})
	}
}

// A client that has a current copy takes no body. The fetch that it began ends
// all the same: else clients with copies would keep a page out of the cache.
func TestAConditionalRequestFillsTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			page("first half, ", "Cache-Control", "max-age=60", "Etag", `"a"`)(rw, r)
			http.NewResponseController(rw).Flush()
			time.Sleep(time.Second)
			io.WriteString(rw, "second half")
		}, nil)
		w.get("/p", "If-None-Match", `"a"`).wantAt(t, 0, 304, "", "Corral;fwd=uri-miss;fwd-status=200;ttl=60;stored")
		time.Sleep(2 * time.Second)
		w.get("/p").wantAt(t, 0, 200, "first half, second half", "Corral;hit;ttl=58")
		w.wantCalls(1)
	})
}

func TestAnExpiredAnswerIsConfirmedByOneConditionalRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &versions{same: true, fields: []string{"Cache-Control", "max-age=60", "X-Old", "1", "X-Both", "1"}, fields3: []string{"Cache-Control", "max-age=30", "X-Both", "2"}}
		w := open(t, memory{}, slowly(100*time.Millisecond, v.answer), nil)
		w.get("/p").want(t, 200, "v1", "Corral;fwd=uri-miss;ttl=59;stored")
		time.Sleep(time.Minute)
		led := 0
		for _, g := range together(100, func(int) got { return w.get("/p") }) {
			if g.cache() == "Corral;fwd=stale;fwd-status=304;ttl=29;stored" {
				led++
			} else {
				g.want(t, 200, "v1", "Corral;fwd=stale;fwd-status=304;ttl=29;stored;collapsed")
			}
			if g.header.Get("X-Old") != "1" || g.header.Get("X-Both") != "2" || g.header.Get("Content-Length") != "2" {
				t.Fatalf("header = %v, want that of the 200 with what the 304 changed", g.header)
			}
		}
		if led != 1 {
			t.Errorf("%d answers were fetched, want 1", led)
		}
		w.wantCalls(2)
		w.get("/p").want(t, 200, "v1", "Corral;hit;ttl=29")
		w.get("/p", "If-None-Match", `"1"`).want(t, 304, "", "Corral;hit;ttl=29")
		time.Sleep(time.Minute)
		w.get("/p", "If-None-Match", `"1"`).want(t, 304, "", "Corral;fwd=stale;ttl=29;stored")
	})
}

func TestA304ForSomethingElseIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &versions{fields: []string{"Cache-Control", "max-age=60"}}
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				rw.Header().Set("Etag", `"other"`)
				rw.WriteHeader(304)
				return
			}
			v.answer(rw, r)
		}, nil)
		w.get("/p").want(t, 200, "v1", missStored)
		time.Sleep(time.Minute)
		w.get("/p").want(t, 200, "v2", "Corral;fwd=stale;ttl=60;stored")
		w.wantCalls(3) // the second without validators, after the 304
	})
}

func TestA304NobodyAskedForIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			rw.WriteHeader(304)
		}, nil)
		w.get("/p").want(t, 304, "", "Corral;fwd=uri-miss;detail=status")
		w.get("/p").want(t, 304, "", "Corral;fwd=uri-miss;detail=status")
		w.wantCalls(2)
	})
}

func TestA304ThatSaysPrivateEndsTheSharing(t *testing.T) {
	for _, fields := range [][]string{{"Cache-Control", "private"}, {"Cache-Control", "max-age=60", "Set-Cookie", "id=1"}} {
		synctest.Test(t, func(t *testing.T) {
			v := &versions{same: true, fields: []string{"Cache-Control", "max-age=60"}, fields3: fields}
			w := open(t, memory{}, slowly(100*time.Millisecond, v.answer), nil)
			w.get("/p")
			time.Sleep(time.Minute)
			cookies := 0
			for _, g := range together(10, func(int) got { return w.get("/p") }) {
				if g.status != 200 || g.err != nil {
					t.Fatalf("got %d, %v", g.status, g.err)
				}
				cookies += len(g.header["Set-Cookie"])
			}
			if cookies > 1 {
				t.Errorf("%d clients got the cookie, want the one who asked", cookies)
			}
			w.wantCalls(11) // of which each of the ten is one's own
		})
	}
}

func TestHeadIsAnsweredFromAStoredGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), nil)
		w.do(t.Context(), "HEAD", "/p").want(t, 200, "", missStored)
		w.do(t.Context(), "HEAD", "/p").want(t, 200, "", "Corral;hit;ttl=60")
		w.wantCalls(1)
		w.get("/p").want(t, 200, "page", missStored) // a HEAD has no body to answer it with
		time.Sleep(10 * time.Second)
		g := w.do(t.Context(), "HEAD", "/p")
		g.want(t, 200, "", "Corral;hit;ttl=50")
		if length := g.header.Get("Content-Length"); length != "4" {
			t.Errorf("Content-Length = %q, want 4", length)
		}
		w.do(t.Context(), "HEAD", "/p", "Cache-Control", "only-if-cached").want(t, 200, "", "Corral;hit;ttl=50")
		w.wantCalls(1)
	})
}

func TestClientsMayAskForFreshness(t *testing.T) {
	const hit = "Corral;hit;ttl=50"
	const fetched = "Corral;fwd=request;ttl=60;stored"
	for _, test := range []struct{ name, value, cache string }{
		{"Cache-Control", "no-cache", fetched},
		{"Pragma", "no-cache", fetched},
		{"Cache-Control", "max-age=0", fetched},
		{"Cache-Control", "max-age=9", fetched},
		{"Cache-Control", "max-age=10", hit},
		{"Cache-Control", "min-fresh=50", hit},
		{"Cache-Control", "min-fresh=51", fetched},
		{"Cache-Control", "max-stale", hit},
		{"Cache-Control", "something", hit},
		{"Cache-Control", "no-store", "Corral;fwd=bypass;detail=request-no-store"},
		{"Cache-Control", "only-if-cached", hit},
	} {
		t.Run(test.name+" "+test.value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), nil)
				w.get("/p")
				time.Sleep(10 * time.Second)
				w.get("/p", test.name, test.value).want(t, 200, "page", test.cache)
				if sent := w.origin.seen().Header; test.cache == fetched && (sent.Get("Cache-Control") != "" || sent.Get("Pragma") != "") {
					t.Errorf("the origin was sent %v", sent)
				}
			})
		})
	}
}

func TestClientsMayTakeWhatIsStale(t *testing.T) {
	const stale = "Corral;hit;ttl=-10"
	const fetched = "Corral;fwd=stale;ttl=60;stored"
	for _, test := range []struct{ answer, request, cache string }{
		{"max-age=60", "max-stale=11", stale},
		{"max-age=60", "max-stale", stale},
		{"max-age=60", "max-stale=9", fetched},
		{"max-age=60, must-revalidate", "max-stale", fetched},
		{"max-age=60, proxy-revalidate", "max-stale", fetched},
		{"s-maxage=60", "max-stale", fetched},
		{"max-age=60, stale-while-revalidate=11", "max-age=3600", fetched},
		{"max-age=60, stale-while-revalidate=11", "x", stale},
		{"max-age=60, stale-while-revalidate=10", "x", fetched},
		{"max-age=60", "only-if-cached, max-stale=10", stale},
	} {
		t.Run(test.answer+"; "+test.request, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, page("page", "Cache-Control", test.answer), nil)
				w.get("/p")
				time.Sleep(70 * time.Second)
				w.get("/p", "Cache-Control", test.request).want(t, 200, "page", test.cache)
			})
		})
	}
}

func TestOnlyIfCachedNeverReachesTheOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), nil)
		const control, only = "Cache-Control", "only-if-cached"
		for _, fields := range [][]string{
			{control, only},
			{control, only, "Cookie", "id=1"},
			{control, only, "Range", "bytes=0-1"},
			{control, only + ", no-store"},
		} {
			w.get("/p", fields...).want(t, 504, "not in the cache\n", "Corral;detail=only-if-cached")
		}
		w.wantCalls(0)
		w.get("/p")
		w.get("/p", control, only).want(t, 200, "page", "Corral;hit;ttl=60")
		time.Sleep(time.Minute)
		w.get("/p", control, only).want(t, 504, "not in the cache\n", "Corral;detail=only-if-cached")
		w.wantCalls(1)
	})
}

func TestManyWhoWantItNewShareTwoFetches(t *testing.T) {
	for _, control := range []string{"no-cache", "max-age=0"} {
		synctest.Test(t, func(t *testing.T) {
			v := &versions{fields: []string{"Cache-Control", "max-age=60"}}
			w := open(t, memory{}, slowly(100*time.Millisecond, v.answer), nil)
			w.get("/p").want(t, 200, "v1", "Corral;fwd=uri-miss;ttl=59;stored")
			time.Sleep(time.Second)
			w.wantCalls(1)
			var early got
			all := together(200, func(i int) got {
				if i == 0 { // one after the others have begun
					time.Sleep(50 * time.Millisecond)
					early = w.get("/p", "Cache-Control", control)
					return early
				}
				return w.get("/p", "Cache-Control", control)
			})
			if early.body != "v3" {
				t.Errorf("who asked while v2 was fetched got %s, want v3", early.body)
			}
			for _, g := range all {
				if g.err != nil || g.body == "v1" {
					t.Fatalf("got %s, %v; want a new one", g.body, g.err)
				}
			}
			w.wantCalls(2)
		})
	}
}

// Of those whose wishes an expired answer does not meet, none needs more than
// the fetch that is under way.
func TestAnExpiredAnswerIsFetchedOnceWhateverClientsAskFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, page("page", "Cache-Control", "max-age=60")), nil)
		w.get("/p")
		time.Sleep(time.Minute)
		w.wantCalls(1)
		controls := []string{"max-age=600", "min-fresh=10", "max-stale=0", "x"}
		for _, g := range together(100, func(i int) got { return w.get("/p", "Cache-Control", controls[i%4]) }) {
			if g.body != "page" || g.at != 100*time.Millisecond {
				t.Fatalf("got %q after %v, want page after 100 ms", g.body, g.at)
			}
		}
		w.wantCalls(1)
	})
}

func TestStaleWhileRevalidateAnswersAtOnceAndRefreshesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &versions{fields: []string{"Cache-Control", "max-age=60, stale-while-revalidate=30"}}
		w := open(t, memory{}, slowly(100*time.Millisecond, v.answer), nil)
		w.get("/p")
		time.Sleep(time.Minute + 10*time.Second)
		for _, g := range together(100, func(int) got { return w.get("/p") }) {
			g.wantAt(t, 0, 200, "v1", "Corral;hit;ttl=-11")
		}
		synctest.Wait()
		w.wantCalls(2)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		w.get("/p").wantAt(t, 0, 200, "v2", "Corral;hit;ttl=59")
		time.Sleep(90 * time.Second)
		w.get("/p").want(t, 200, "v3", "Corral;fwd=stale;ttl=59;stored")
	})
}

func TestWhatComesStaleIsKeptForTheRestOfItsWindow(t *testing.T) {
	for _, test := range []struct {
		name   string
		fields []string
		window time.Duration
	}{
		{"without a lifetime", []string{"Cache-Control", "max-age=0, stale-while-revalidate=30"}, 30 * time.Second},
		{"too old", []string{"Cache-Control", "max-age=10, stale-while-revalidate=30", "Age", "20"}, 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &versions{fields: test.fields}
				w := open(t, memory{}, v.answer, nil)
				w.get("/p").want(t, 200, "v1", "Corral;fwd=uri-miss;ttl=0;stored")
				time.Sleep(test.window - time.Nanosecond)
				w.get("/p").want(t, 200, "v1", "Corral;hit;ttl="+strconv.Itoa(-int(test.window/time.Second)))
				synctest.Wait() // for the refresh
				time.Sleep(test.window)
				w.get("/p").want(t, 200, "v3", "Corral;fwd=stale;ttl=0;stored")
			})
		})
	}
}

func TestWhatComesStaleCoversErrorsForTheRestOfItsWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := page("page", "Cache-Control", "max-age=10, stale-while-revalidate=20, stale-if-error=40", "Age", "20")
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) { handler(rw, r) }, nil)
		w.get("/p")
		handler = func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(500) }
		time.Sleep(30*time.Second - time.Nanosecond)
		w.get("/p").want(t, 200, "page", "Corral;fwd=stale;fwd-status=500;ttl=-30;detail=origin-failed")
		time.Sleep(time.Nanosecond)
		w.get("/p").want(t, 500, "the origin answered 500 Internal Server Error\n", "Corral;fwd=stale;detail=origin-failed")
	})
}

func TestWhatExpiredOnItsWayIsSharedAndNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(2*time.Second, page("page", "Cache-Control", "max-age=1")), nil)
		for _, g := range together(100, func(int) got { return w.get("/p") }) {
			if g.body != "page" || g.at != 2*time.Second {
				t.Fatalf("got %q after %v", g.body, g.at)
			}
		}
		w.wantCalls(1)
		w.get("/p").want(t, 200, "page", "Corral;fwd=uri-miss;detail=slow-fetch")
	})
}

func TestAnswersWithoutABody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Cache-Control", "max-age=60")
			switch r.URL.Path {
			case "/204":
				rw.WriteHeader(204)
			case "/301":
				rw.Header().Set("Location", "/elsewhere")
				rw.WriteHeader(301)
			case "/404":
				rw.WriteHeader(404)
			case "/chunked":
				http.NewResponseController(rw).Flush()
			}
		}, nil)
		for path, status := range map[string]int{"/204": 204, "/301": 301, "/404": 404, "/chunked": 200} {
			w.get(path).want(t, status, "", missStored)
			g := w.get(path)
			g.want(t, status, "", "Corral;hit;ttl=60")
			if length := g.header.Get("Content-Length"); (status == 204) != (length == "") {
				t.Errorf("Content-Length of a %d = %q", status, length)
			}
		}
	})
}
