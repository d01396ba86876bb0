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

func TestByHashATargetKeepsItsServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFleet(t, "a", "b", "c").pool(func(o *upstream.Options) { o.Policy = upstream.Hash })
		seen := map[string]bool{}
		for i := range 20 {
			target := "/?" + strings.Repeat("x", i)
			first := get(p, target).body
			seen[first] = true
			for range 3 {
				get(p, target).want(t, 200, first)
			}
		}
		if len(seen) != 3 {
			t.Fatalf("twenty targets are at %v, want all three servers", seen)
		}
	})
}

func TestByHashHostsAreKeptApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFleet(t, "a", "b", "c").pool(func(o *upstream.Options) { o.Policy = upstream.Hash })
		seen := map[string]bool{}
		for _, host := range []string{"one.test", "two.test", "three.test", "four.test", "five.test", "six.test"} {
			r := request("GET", "/", nil)
			r.Host = host
			seen[send(p, r).body] = true
		}
		if len(seen) == 1 {
			t.Fatal("one target of six hosts is at one server")
		}
	})
}

func TestADialFailureCanBeToldFromOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, name := range []string{"refuses", "unknown"} {
			f := newFleet(t, "refuses")
			f.host("refuses").refuse(true)
			f.names = []string{name}
			err := get(f.pool(nil), "/").err
			var op *net.OpError
			if !errors.As(err, &op) || op.Op != "dial" {
				t.Fatalf("error %v is not of dial", err)
			}
			if want := `upstream: pool "shop", server "http://` + name + `.test": `; !strings.HasPrefix(err.Error(), want) {
				t.Fatalf("error %q does not begin with %q", err, want)
			}
		}
		f := newFleet(t, "a")
		f.host("a").does(hangUp)
		err := get(f.pool(nil), "/").err
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
			t.Fatalf("a connection that was closed is an error of dial: %v", err)
		}
	})
}

func TestTheRequestIsNotChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		p := f.pool(nil)
		r := request("POST", "/x", strings.NewReader("body"), "Idempotency-Key", "k")
		r.Host = ""
		before, fields := *r.URL, r.Header.Clone()
		res, err := p.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.Request != r {
			t.Error("the answer is to another request")
		}
		if *r.URL != before || r.Host != "" || len(r.Header) != len(fields) || r.Header.Get("Idempotency-Key") != "k" {
			t.Errorf("the request is now %v %q %v", r.URL, r.Host, r.Header)
		}
		f.host("a").want(t, "POST shop.test/x")
	})
}

func TestTheHostFieldIsTheClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		r := request("GET", "/x", nil)
		r.Host = "other.test"
		send(f.pool(nil), r).want(t, 200, "a")
		f.host("a").want(t, "GET other.test/x")
	})
}

func TestTheTargetIsPutBelowTheServersPathAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct{ path, target, want string }{
			{"", "/x%2fy/../%41?q=%20;a", "/x%2fy/../%41?q=%20;a"},
			{"/", "/x", "/x"},
			{"/shop", "/", "/shop/"},
			{"/shop/", "/x%2fy/../%41?q=%20;a", "/shop/x%2fy/../%41?q=%20;a"},
			{"/a%2Fb", "/c%2fd?", "/a%2Fb/c%2fd?"},
		} {
			f := newFleet(t, "a")
			at, err := url.Parse("http://a.test" + row.path)
			if err != nil {
				t.Fatal(err)
			}
			p := f.pool(func(o *upstream.Options) { o.Servers = []upstream.Server{{URL: at}} })
			send(p, request("GET", row.target, nil)).want(t, 200, "a")
			f.host("a").want(t, "GET shop.test"+row.want)
		}
	})
}

func TestARequestWithoutAURLIsAnError(t *testing.T) {
	body := &closing{Reader: strings.NewReader("x")}
	p, err := upstream.New(upstream.Options{Servers: []upstream.Server{{URL: &url.URL{Scheme: "http", Host: "a.test"}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.RoundTrip(&http.Request{Body: body}); err == nil || body.times != 1 {
		t.Fatalf("error %v, body closed %d times; want an error and once", err, body.times)
	}
}

func TestWhatNetHTTPRefusesToSendSaysNothingOfAServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		p := f.pool(func(o *upstream.Options) { o.EjectAfter = 1 })
		if err := send(p, request("GET", "/", nil, "Bad Name", "x")).err; err == nil {
			t.Fatal("a field's name with a space in it was sent")
		}
		bad := request("PUT", "/", io.MultiReader(strings.NewReader("x"), broken{}))
		bad.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }
		if err := send(p, bad).err; !errors.Is(err, errBroken) {
			t.Fatalf("error %v, want the body's", err)
		}
		for _, s := range p.Stats().Servers {
			if s.Failures != 0 || !s.Healthy || s.Retries != 0 {
				t.Errorf("Stats of %s = %+v, want no failures and no retries", s.URL, s)
			}
		}
	})
}

var errBroken = errors.New("the client is gone")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

// FuzzATargetIsKept puts any target below any path of a server.
func FuzzATargetIsKept(f *testing.F) {
	f.Add("/", "/x%2fy/../%41?q=%20;a")
	f.Add("/a%2Fb/", "//c?")
	f.Add("", "/%")
	f.Fuzz(func(t *testing.T, path, target string) {
		to, err := url.ParseRequestURI(target)
		if err != nil || !strings.HasPrefix(target, "/") || to.Host != "" {
			return
		}
		base, err := url.Parse("http://a.test" + path)
		if err != nil || base.Host != "a.test" || base.RawQuery != "" || base.Fragment != "" {
			return
		}
		got := upstream.Direct(base, to)
		want := strings.TrimSuffix(base.EscapedPath(), "/") + to.EscapedPath()
		if to.ForceQuery || to.RawQuery != "" {
			want += "?" + to.RawQuery
		}
		if got.RequestURI() != want || got.Host != "a.test" {
			t.Fatalf("%q below %q is %q at %q, want %q", target, path, got.RequestURI(), got.Host, want)
		}
	})
}
