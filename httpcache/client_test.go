package httpcache_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// from asks the proxy as a client at an address does.
func (w *world) from(address, target string, fields ...string) (got, httpcache.Trace) {
	var trace httpcache.Trace
	r := newRequest(httpcache.WithTrace(context.Background(), &trace), "GET", target, nil, fields...)
	r.RequestURI, r.RemoteAddr = r.URL.RequestURI(), address
	rw := &sink{header: http.Header{}}
	w.proxy.ServeHTTP(rw, r)
	return got{status: rw.status, header: rw.header, what: "GET " + target + " from " + address}, trace
}

func TestTheClientIsWhomTrustedProxiesName(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, test := range []struct {
		peer string
		for_ []string // lines of X-Forwarded-For
		want string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1"}, // nobody asked it
		{"10.0.0.1:5", nil, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"203.0.113.1, 198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"203.0.113.1", "198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"198.51.100.1, 10.0.0.2,10.0.0.3 "}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:5", []string{"198.51.100.1, junk, 10.0.0.2"}, "10.0.0.2"},
		{"10.0.0.1:5", []string{"198.51.100.1, "}, "10.0.0.1"},
		{"10.0.0.1:5", []string{"2001:db8::1"}, "2001:db8::1"},
		{"10.0.0.1:5", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"[fd00::1]:5", []string{"2001:db8::1"}, "2001:db8::1"},
		{"[::ffff:10.0.0.1]:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"pipe", []string{"198.51.100.1"}, "invalid IP"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, page("page", "Cache-Control", "max-age=60"), func(o *httpcache.Options) { o.TrustedProxies = trusted })
			var fields []string
			for _, line := range test.for_ {
				fields = append(fields, "X-Forwarded-For", line)
			}
			for range 2 { // a miss and a hit
				if _, trace := w.from(test.peer, "/p", fields...); trace.Client.String() != test.want {
					t.Errorf("the client at %s, for %q, is %s, want %s", test.peer, test.for_, trace.Client, test.want)
				}
			}
			if sent := w.origin.seen().Header; sent.Get("X-Forwarded-For") != "" {
				t.Errorf("a shared fetch tells %v", sent)
			}
			w.from(test.peer, "/p", append(fields, "If-Match", "*")...)
			sent, want := w.origin.seen().Header.Get("X-Forwarded-For"), strings.TrimPrefix(strings.Split(test.peer, "]:")[0], "[")
			want, _, _ = strings.Cut(want, ":5")
			if strings.HasPrefix(test.want, "198") || strings.HasPrefix(test.want, "2001") || strings.HasPrefix(test.peer, "10.") && len(test.for_) > 0 {
				want = strings.Join(test.for_, ", ") + ", " + want
			}
			if test.peer == "pipe" {
				want = ""
			}
			if sent != want {
				t.Errorf("by itself from %s for %q: X-Forwarded-For = %q, want %q", test.peer, test.for_, sent, want)
			}
		})
	}
}

func TestTheSchemeIsTheOneATrustedProxyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			page("page", "Cache-Control", "max-age=60")(rw, r)
		}, func(o *httpcache.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")} })
		const proto = "X-Forwarded-Proto"
		for _, test := range []struct {
			peer   string
			proto  []string
			scheme string
		}{
			{"10.0.0.1:5", []string{proto, "https"}, "https"},
			{"10.0.0.1:5", []string{proto, "HTTPS"}, "https"},
			{"10.0.0.1:5", []string{proto, "http"}, "http"},
			{"10.0.0.1:5", nil, "http"},
			{"10.0.0.1:5", []string{proto, "ftp"}, "http"},
			{"10.0.0.1:5", []string{proto, "https", proto, "http"}, "http"},
			{"10.0.0.2:5", []string{proto, "https"}, "http"},
			{"192.0.2.1:5", []string{proto, "https"}, "http"},
		} {
			w.from(test.peer, "/p", append(test.proto, "If-Match", "*")...)
			if sent := w.origin.seen().Header.Get(proto); sent != test.scheme {
				t.Errorf("%v from %s: the origin is told %q, want %s", test.proto, test.peer, sent, test.scheme)
			}
		}
		w.wantCalls(8)
		w.from("10.0.0.1:5", "/p", proto, "https")
		if g, _ := w.from("10.0.0.2:5", "/p", proto, "https"); g.cache() != missStored {
			t.Errorf("one that is not trusted reached the key of https: %q", g.cache())
		}
		if g, _ := w.from("10.0.0.1:5", "/p", proto, "https"); g.cache() != "Corral;hit;ttl=60" {
			t.Errorf("https again: %q", g.cache())
		}
		w.wantCalls(2)
		// A connection with TLS is https, whatever it says, where nobody is trusted.
		r := newRequest(t.Context(), "GET", "/p", nil, proto, "http")
		r.RequestURI, r.RemoteAddr, r.TLS = "/p", "192.0.2.1:5", new(tls.ConnectionState)
		rw := &sink{header: http.Header{}}
		w.proxy.ServeHTTP(rw, r)
		if cache := rw.header.Get("Cache-Status"); cache != "Corral;hit;ttl=60" {
			t.Errorf("by TLS: %q, want what https has", cache)
		}
	})
}

func TestAClientMayAskForSoManyNewAddressesAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("page", "Cache-Control", "max-age=600"), func(o *httpcache.Options) {
			o.KeysPerMinute = 10
			o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
		})
		refused := func(address string, from, to int, fields ...string) (n int) {
			for i := from; i < to; i++ {
				if g, _ := w.from(address, "/"+strconv.Itoa(i), fields...); g.status == 429 {
					n++
					if g.header.Get("Retry-After") != "60" || g.cache() != "Corral;detail=keys-per-minute" {
						t.Errorf("header = %v", g.header)
					}
				}
			}
			return n
		}
		if n := refused("192.0.2.1:5", 0, 15); n != 5 {
			t.Errorf("%d of 15 new addresses were refused, want 5", n)
		}
		if n := refused("192.0.2.1:6", 0, 10); n != 0 {
			t.Errorf("%d of those that are in the cache were refused", n)
		}
		if n := refused("192.0.2.2:5", 100, 110); n != 0 {
			t.Errorf("%d of another client's were refused", n)
		}
		if n := refused("10.0.0.1:5", 200, 215, "X-Forwarded-For", "192.0.2.3"); n != 5 {
			t.Errorf("%d of one behind a proxy were refused, want 5", n)
		}
		if n := refused("10.0.0.1:5", 300, 310, "X-Forwarded-For", "192.0.2.4"); n != 0 {
			t.Errorf("%d of another behind it were refused", n)
		}
		if n := refused("[2001:db8::1]:5", 400, 407) + refused("[2001:db8::2]:5", 407, 415); n != 5 {
			t.Errorf("%d of one network's were refused, want 5", n)
		}
		if n := refused("[2001:db8:0:1::1]:5", 500, 510); n != 0 {
			t.Errorf("%d of another network's were refused", n)
		}
		time.Sleep(time.Minute)
		if n := refused("192.0.2.1:5", 600, 615); n != 5 {
			t.Errorf("%d of 15 in the next minute were refused, want 5", n)
		}
	})
}

// It is addresses that are counted, not requests: those who wait for one that is
// being fetched make the cache fetch nothing.
func TestWhoWaitsForAnAddressDoesNotAskForANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(100*time.Millisecond, page("page", "Cache-Control", "max-age=600")), func(o *httpcache.Options) { o.KeysPerMinute = 10 })
		for _, g := range together(50, func(int) got {
			g, _ := w.from("192.0.2.1:5", "/p")
			return g
		}) {
			if g.status != 200 {
				t.Fatalf("got %d, %v", g.status, g.header)
			}
		}
		w.wantCalls(1)
	})
}

func TestAVariantFloodIsBounded(t *testing.T) {
	const limit = 20
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, language("Accept-Language"), func(o *httpcache.Options) { o.MaxVariants = limit })
		w.get("/p", "Accept-Language", "base")
		w.get("/p", "Accept-Language", "hot")
		w.wantCalls(2)
		for i := range 10 * limit {
			w.get("/p", "Accept-Language", fmt.Sprint("x", i))
			if s := w.proxy.Cache().Stats(); s.Entries > limit+1 {
				t.Fatalf("%d responses of one address after %d variants, want %d at most", s.Entries, i, limit+1)
			}
		}
		w.wantCalls(10 * limit)
		w.get("/p", "Accept-Language", "base").want(t, 200, "in base for ", "Corral;hit;ttl=60") // by which the others are found
		w.get("/p", "Accept-Language", "hot").want(t, 200, "in hot for ", "Corral;fwd=vary-miss;ttl=60;stored")
		w.get("/p", "Accept-Language", "hot").want(t, 200, "in hot for ", "Corral;hit;ttl=60")
		w.wantCalls(1)
		for i := 9*limit + 1; i < 10*limit; i++ { // the newest are there, but for the one in whose place hot is
			w.get("/p", "Accept-Language", fmt.Sprint("x", i)).want(t, 200, fmt.Sprintf("in x%d for ", i), "Corral;hit;ttl=60")
		}
		w.wantCalls(0)
	})
}

// A variant that is fetched again is not counted again.
func TestAVariantThatExpiresKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, language("Accept-Language"), func(o *httpcache.Options) { o.MaxVariants = 3 })
		tongues := []string{"base", "a", "b", "c"}
		for range 5 {
			for _, tongue := range tongues {
				w.get("/p", "Accept-Language", tongue)
			}
			w.wantCalls(4)
			for _, tongue := range tongues {
				w.get("/p", "Accept-Language", tongue).want(t, 200, "in "+tongue+" for ", "Corral;hit;ttl=60")
			}
			time.Sleep(time.Minute)
		}
	})
}
