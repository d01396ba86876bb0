package upstream_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/upstream"
)

func TestRequestsTakeTurnsAmongEquals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFleet(t, "a", "b", "c").pool(nil)
		if got, want := sequence(p, 6), "abcabc"; got != want {
			t.Fatalf("answered by %q, want %q", got, want)
		}
	})
}

func TestAServerThatRefusesIsReplacedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		f.host("a").refuse(true)
		p := f.pool(nil)
		get(p, "/x").want(t, 200, "b")
		f.host("a").want(t)
		f.host("b").want(t, "GET shop.test/x")
		if s := p.Stats(); s.Servers[0].Failures != 1 || s.Servers[1].Retries != 1 {
			t.Fatalf("Stats = %+v", s)
		}
	})
}

func TestADialFailureCanBeToldFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").refuse(true)
		err := get(f.pool(nil), "/").err
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" {
			t.Fatalf("error %v is not of dial", err)
		}
		if want := `upstream: pool "shop", server "http://a.test": `; !strings.HasPrefix(err.Error(), want) {
			t.Fatalf("error %q does not begin with %q", err, want)
		}
	})
}

func TestTheTargetIsPutBelowTheServersPathAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		p := f.pool(func(o *upstream.Options) {
			o.Servers = []upstream.Server{{URL: &url.URL{Scheme: "http", Host: "a.test", Path: "/shop/"}}}
		})
		r := request("GET", "/x%2fy/../%41?q=%20;a", nil)
		before := *r.URL
		send(p, r).want(t, 200, "a")
		f.host("a").want(t, "GET shop.test/shop/x%2fy/../%41?q=%20;a")
		if *r.URL != before || r.URL.Host != "shop.test" {
			t.Fatalf("the request's URL is now %v", r.URL)
		}
	})
}

func TestRequestsBeyondMaxRequestsWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(slowly(time.Second, text("a")))
		p := f.pool(func(o *upstream.Options) { o.MaxRequests, o.MaxQueued = 1, 2 })
		first, second, third := begin(p, "/1"), begin(p, "/2"), begin(p, "/3")
		if err := (<-begin(p, "/4")).err; !errors.Is(err, upstream.ErrBusy) {
			t.Fatalf("the fourth got %v, want ErrBusy", err)
		}
		(<-first).wantAt(t, 1*time.Second, 200, "a")
		(<-second).wantAt(t, 2*time.Second, 200, "a")
		(<-third).wantAt(t, 3*time.Second, 200, "a")
	})
}

func TestASeatIsHeldToTheEndOfTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "begun")
			w.(http.Flusher).Flush()
			time.Sleep(time.Second)
		})
		p := f.pool(nil)
		res, err := p.RoundTrip(request("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if n := p.Stats().Servers[0].InFlight; n != 1 {
			t.Fatalf("%d in flight while the body arrives, want 1", n)
		}
		io.Copy(io.Discard, res.Body)
		if n := p.Stats().Servers[0].InFlight; n != 0 {
			t.Fatalf("%d in flight after the body, want 0", n)
		}
		res.Body.Close()
		if n := p.Stats().Servers[0].InFlight; n != 0 {
			t.Fatalf("%d in flight after Close, want 0", n)
		}
	})
}
