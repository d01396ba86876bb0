package httpcache_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// A pipeline is a client that makes requests on one connection.
type pipeline struct {
	*world
	io.ReadWriteCloser
	in *bufio.Reader
}

func (w *world) pipeline() *pipeline {
	w.t.Helper()
	conn, err := w.dial(w.t.Context(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return &pipeline{w, conn, bufio.NewReader(conn)}
}

// get makes a request and tells whether its answer was a hit.
func (p *pipeline) get(target string, lines ...string) (hit bool) {
	p.t.Helper()
	io.WriteString(p, "GET "+target+" HTTP/1.1\r\nHost: shop.test\r\n"+strings.Join(append(lines, "", ""), "\r\n"))
	res, err := http.ReadResponse(p.in, nil)
	if err != nil {
		p.t.Fatalf("GET %.50s: %v", target, err)
	}
	io.Copy(io.Discard, res.Body)
	if res.StatusCode != 200 {
		p.t.Fatalf("GET %.50s: %s", target, res.Status)
	}
	return strings.Contains(res.Header.Get("Cache-Status"), ";hit;")
}

// Addresses that nobody asks for twice do not push out those that are asked for
// all the time, nor the memory over its limit.
func TestAttackKeyFlood(t *testing.T) {
	const bound, hot = 4 << 20, 20
	for name, address := range map[string]func(i int) string{
		"short keys": func(i int) string { return fmt.Sprint("/?", i) },
		"long keys":  func(i int) string { return fmt.Sprint("/?", i, strings.Repeat("x", 4000)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, sockets{}, page("page", "Cache-Control", "max-age=600"), func(o *httpcache.Options) { o.MaxBytes = bound })
			client := w.pipeline()
			before, missed := held(), 0
			for i := range sizeOf(8_000, 1_500) {
				client.get(address(i))
				if i%20 == 0 {
					for n := range hot {
						if !client.get(fmt.Sprint("/hot/", n)) {
							missed++
						}
					}
				}
				if s := w.proxy.Cache().Stats(); s.Bytes+s.BytesInFlight > bound {
					t.Fatalf("%d bytes are kept after %d keys, want %d at most", s.Bytes+s.BytesInFlight, i, bound)
				}
			}
			if missed != hot {
				t.Errorf("hot keys were fetched %d times, want %d", missed, hot)
			}
			w.origin.calls() // the test's own log
			wantHeld(t, "a flood of keys", before, bound+bound/2)
		})
	}
}

// Parts of a key cannot imitate one another.
func TestAttackCollidingKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			content, _ := io.ReadAll(r.Body)
			page(fmt.Sprintf("%s %s %s|%q %q %q %q %q", r.Method, r.Host, r.RequestURI, r.Header["A"], r.Header["B"], r.Header["Cookie"], r.Header["Content-Type"], content), "Cache-Control", "max-age=60", "Vary", "C, D")(rw, r)
		}, func(o *httpcache.Options) {
			o.Rules = []httpcache.Rule{{Path: "/*", MaxContentBytes: 100, Key: httpcache.KeyParts{Headers: []string{"A", "B"}, Cookies: []string{"a", "b"}}}}
		})
		requests := [][]string{
			{"GET /p"}, {"GET /p%0aa=1"}, {"GET /p%20HTTP"}, {"GET /p?"}, {"GET /pGET"}, {"GET /p?a=1:1"}, {"GET /p?%0abytes=0"}, {"GET /p?%23"},
			{"GET /p", "A: 1"}, {"GET /p", "A: "}, {"GET /p", "A: 1", "B: "}, {"GET /p", "B: 1"}, {"GET /p", "A: 1b=1:1"}, {"GET /p", "A: 1!b!"}, {"GET /p", "A: 1", "B: 1"}, {"GET /p", "A: b=1:1", "B: 1"}, {"GET /p", "A: 11"},
			{"GET /p", "Cookie: a=1"}, {"GET /p", "Cookie: a=1; b=1"}, {"GET /p", "Cookie: b=1; a=1"}, {"GET /p", "Cookie: a=1b=1"}, {"GET /p", "Cookie: a=1=1"},
			{"GET /p", "C: 1"}, {"GET /p", "D: 1"}, {"GET /p", "C: 1d=1:1"}, {"GET /p", "C: ", "D: "}, {"GET /p", "C: " + strings.Repeat("x", 200)}, {"GET /p", "C: " + strings.Repeat("x", 199) + "y"}, {"GET /p", "D: " + strings.Repeat("x", 200)},
			{"POST /p", "Content-Length: 1\r\n\r\n1"}, {"POST /p", "Content-Length: 2\r\n\r\n1\n"}, {"POST /p", "Content-Length: 3\r\n\r\n1\n\n"}, {"POST /p", "Content-Type: 1", "Content-Length: 1\r\n\r\n1"}, {"POST /p", "Content-Type: 1", "Content-Length: 0\r\n\r\n"},
			{"POST /p", "Content-Length: 9\r\n\r\na=1:1\nb!\n"}, {"POST /p", "A: 1", "Content-Length: 0\r\n\r\n"}, {"POST /p", "Content-Length: 4\r\n\r\n\n1\n1"}, {"POST /p", "Content-Encoding: 1", "Content-Length: 1\r\n\r\n1"},
		}
		answers := map[string][]string{}
		for round := range 2 {
			for _, r := range requests {
				answer := w.ask(r[0], r[1:]...)
				if hit := strings.Contains(answer, ";hit;"); hit != (round == 1) {
					t.Errorf("round %d: %q: %q", round, r, answer)
				}
				_, body, _ := strings.Cut(answer, "\r\n\r\n")
				name := fmt.Sprint(r)
				if round == 0 {
					answers[name] = []string{body}
				} else if answers[name][0] != body {
					t.Errorf("%q: got %q, want %q", r, body, answers[name][0])
				}
			}
			w.wantCalls(len(requests) * (1 - round))
		}
	})
}

// Whoever sends a different field each time fills a ring of variants, and no more
// than that: not with what is kept, and not with what is remembered of it.
func TestAttackVariantFlood(t *testing.T) {
	const bound, addresses, variants = 4 << 20, 30, 16
	w := open(t, sockets{}, page("page", "Cache-Control", "max-age=600", "Vary", "Accept-Language"), func(o *httpcache.Options) {
		o.MaxBytes, o.MaxVariants = bound, variants
	})
	client := w.pipeline()
	for range 2 {
		client.get("/other")
	}
	before := held()
	for i := range sizeOf(100, 30) {
		for address := range addresses {
			client.get(fmt.Sprint("/", address), "Accept-Language: "+fmt.Sprint(i, strings.Repeat("x", 7000)))
		}
		if !client.get("/other") {
			t.Fatalf("the page that everybody reads was pushed out by %d variants of others", i)
		}
		if s := w.proxy.Cache().Stats(); s.Bytes+s.BytesInFlight > bound || s.Entries > addresses*(variants+1)+1 {
			t.Fatalf("%d entries of %d bytes after %d variants, want %d of %d at most", s.Entries, s.Bytes+s.BytesInFlight, i, addresses*(variants+1)+1, bound)
		}
	}
	w.origin.calls() // the test's own log
	wantHeld(t, "a flood of variants", before, bound+bound/2)
}

// A client that asks for addresses without end is told to wait. Others, and what
// is stored, are not concerned.
func TestAttackKeyFloodByOneClientIsLimited(t *testing.T) {
	w := open(t, sockets{}, page("page", "Cache-Control", "max-age=600"), func(o *httpcache.Options) {
		o.KeysPerMinute = 10
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		start := time.Now()
		o.Now = func() time.Time { return start } // within one minute
	})
	for i := range 100 {
		// What stands before its address anybody can write.
		for _, named := range []string{"192.0.2.1", "192.0.2.2, 192.0.2.1", "evil, 192.0.2.1", "192.0.2.1:80, 192.0.2.1"} {
			w.get(fmt.Sprint("/", i, len(named)), "X-Forwarded-For", named)
		}
	}
	w.wantCalls(10)
	w.get("/flood", "X-Forwarded-For", "192.0.2.1").want(t, 429, "too many addresses at once\n", "Corral;detail=keys-per-minute")
	w.get("/flood", "X-Forwarded-For", "192.0.2.9").want(t, 200, "page", "Corral;fwd=uri-miss;ttl=600;stored")
	w.get("/flood", "X-Forwarded-For", "192.0.2.1").want(t, 200, "page", "Corral;hit;ttl=600")
	w.wantCalls(1)
}

// Those who wait past the limit are told to come again; the others, and whoever
// wants something else, are served.
func TestAttackWaiterFlood(t *testing.T) {
	for name, limit := range map[string]func(*httpcache.Options){
		"on a key": func(o *httpcache.Options) { o.MaxWaitersPerKey = 100 },
		"in all":   func(o *httpcache.Options) { o.MaxWaiters = 100 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/slow" {
						slowly(time.Second, page("page", "Cache-Control", "max-age=60"))(rw, r)
						return
					}
					page("other", "Cache-Control", "max-age=60")(rw, r)
				}, limit)
				w.get("/stored")
				w.origin.calls()
				answers := make(chan string, 300)
				for range 300 {
					go func() { answers <- w.ask("GET /slow") }()
				}
				synctest.Wait()
				if strings.HasPrefix(name, "on") {
					w.get("/other").want(t, 200, "other", missStored)
				}
				w.get("/stored").want(t, 200, "other", "Corral;hit;ttl=60")
				served := 0
				for range 300 {
					switch answer := <-answers; {
					case statuses(answer) == "200":
						served++
					case statuses(answer) != "503" || !strings.Contains(answer, "\r\nRetry-After: 1\r\n"):
						t.Errorf("got %q", answer)
					}
				}
				if served != 100 {
					t.Errorf("%d were served, want 100", served)
				}
			})
		})
	}
}
