package httpcache_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// A header that the origin would choke on must not let its error be stored, or
// counted against the page: it is refused here.
func TestAttackMalformedOrOversizedHeaderIsRefusedHere(t *testing.T) {
	for _, test := range []struct{ field, status string }{
		{"X: " + strings.Repeat("x", 2<<20), "431"},
		{strings.Repeat("X: y\r\n", 400_000) + "X: y", "431"},
		{strings.Repeat("x", 2<<20) + ": y", "431"},
		{"X Y: z", "400"},
		{"X : z", "400"},
		{": z", "400"},
		{"X\x00: z", "400"},
		{"X(: z", "400"},
		{"X\xc3\xb6: z", "400"},
		{"X: a\x00b", "400"},
		{"X: a\x01b", "400"},
		{"X: a\x7fb", "400"},
		{"X: a\rb", "400"},
		{"X: a\r\r\n", "400"},
		{" X: z", "400"},
		{"X", "400"},
		{"\x00", "400"},
	} {
		w := open(t, sockets{}, reflecting, nil)
		if answer := w.raw("GET /p HTTP/1.1\r\nHost: shop.test\r\n" + test.field + "\r\n\r\n"); statuses(answer) != test.status {
			t.Errorf("%.20q: %.200q, want %s", test.field, answer, test.status)
		}
		w.wantCalls(0)
		w.wantClean("nothing")
		w.wantCalls(1)
	}
}

// squeamish is an origin with a limit below ours, a dislike of bytes beyond
// ASCII, and a lifetime for everything that it says.
func squeamish(status int) http.HandlerFunc {
	return slowly(100*time.Millisecond, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=60, stale-if-error=60")
		if value := r.Header.Get("X-Odd"); len(value) > 8000 || strings.ContainsFunc(value, func(c rune) bool { return c > '~' }) {
			w.WriteHeader(status)
		}
		io.WriteString(w, "page")
	})
}

// Where the origin has stricter limits, its error goes to whoever caused it. It
// is not kept, is told to nobody who waits, and leaves no mark that keeps later
// requests from sharing.
func TestAttackErrorThatAHeaderCausesIsItsSendersAlone(t *testing.T) {
	for _, status := range []int{400, 406, 413, 415, 417, 421, 426, 428, 431} {
		for _, odd := range []string{strings.Repeat("x", 9000), "\xe4"} {
			for name, setup := range setups {
				if status > 400 && setup != nil { // what holds for one of them holds for all
					continue
				}
				t.Run(http.StatusText(status)+" "+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := open(t, memory{}, squeamish(status), setup)
						attack := make(chan string, 1)
						go func() { attack <- w.ask("GET /p", "X-Odd: "+odd) }()
						synctest.Wait()
						for _, g := range together(20, func(int) got { return w.get("/p") }) { // who wait behind it
							if g.status != 200 || g.body != "page" {
								t.Fatalf("who waited got %d %q, %s", g.status, g.body, g.cache())
							}
						}
						if answer := <-attack; !strings.HasPrefix(answer, "HTTP/1.1 4") {
							t.Errorf("the attacker got %q", answer)
						}
						w.get("/p")
						if g := w.get("/p"); g.body != "page" || !strings.Contains(g.cache(), ";hit;") {
							t.Errorf("the next visitor got %d %q, %s", g.status, g.body, g.cache())
						}
						if err := w.proxy.Purge(t.Context(), httpcache.Purge{All: true}); err != nil {
							t.Fatal(err)
						}
						w.ask("GET /p", "X-Odd: "+odd)
						w.origin.calls()
						for _, g := range together(20, func(int) got { return w.get("/p") }) { // no mark is left
							g.wantAt(t, 100*time.Millisecond, 200, "page", g.cache())
						}
						w.wantCalls(1)
					})
				})
			}
		}
	}
}

// What the origin says of the address itself may be kept as it says.
func TestAttackErrorOfAnAddressMayBeKept(t *testing.T) {
	for _, status := range []int{404, 405, 410, 414} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Cache-Control", "max-age=60")
				rw.WriteHeader(status)
			}, nil)
			w.get("/p")
			w.get("/p").want(t, status, "", "Corral;hit;ttl=60")
			w.wantCalls(1)
		})
	}
}
