package upstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/upstream"
)

// listen starts a server on a socket, and makes a pool of it.
func listen(t *testing.T, handler http.HandlerFunc, prepare func(*httptest.Server), change func(*upstream.Options)) *upstream.Pool {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	prepare(server)
	t.Cleanup(server.Close)
	o := upstream.Options{Name: "shop", Servers: []upstream.Server{at(server.URL)}}
	if server.TLS != nil {
		o.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	}
	if change != nil {
		change(&o)
	}
	p, err := upstream.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func protocol(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto+" "+r.Host) }

func TestTheProtocolIsNegotiatedOverTLSAndGivenWithout(t *testing.T) {
	cleartext := func(s *httptest.Server) {
		s.Config.Protocols = new(http.Protocols)
		s.Config.Protocols.SetUnencryptedHTTP2(true)
		s.Start()
	}
	for _, row := range []struct {
		name    string
		prepare func(*httptest.Server)
		change  func(*upstream.Options)
		want    string
	}{
		{"cleartext", (*httptest.Server).Start, nil, "HTTP/1.1"},
		{"cleartext by prior knowledge", cleartext, func(o *upstream.Options) { o.HTTP2Cleartext = true }, "HTTP/2.0"},
		{"TLS", (*httptest.Server).StartTLS, nil, "HTTP/1.1"},
		{"TLS with HTTP/2", func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }, nil, "HTTP/2.0"},
		{"TLS although HTTP2Cleartext is on", (*httptest.Server).StartTLS, func(o *upstream.Options) { o.HTTP2Cleartext = true }, "HTTP/1.1"},
	} {
		p := listen(t, protocol, row.prepare, row.change)
		for range 3 {
			if g := get(p, "/"); g.err != nil || g.body != row.want+" shop.test" {
				t.Errorf("%s: got %q, error %v; want %q", row.name, g.body, g.err, row.want)
			}
		}
	}
}

func TestAServerThatIsNotTrustedIsAskedNothing(t *testing.T) {
	called := false
	p := listen(t, func(http.ResponseWriter, *http.Request) { called = true }, func(s *httptest.Server) {
		s.Config.ErrorLog = quiet
		s.StartTLS()
	}, func(o *upstream.Options) {
		o.TLS, o.EjectAfter = nil, 2
	})
	g := send(p, request("POST", "/", strings.NewReader("x")))
	if unknown := (*tls.CertificateVerificationError)(nil); !errors.As(g.err, &unknown) {
		t.Fatalf("error %v, want one of verification", g.err)
	}
	if called {
		t.Fatal("the server was asked")
	}
	if s := p.Stats().Servers[0]; s.Healthy || s.Requests != 2 || s.Failures != 2 {
		t.Fatalf("Stats = %+v, want 2 failures: nothing was sent, so POST may be tried again", s)
	}
}

func TestAServerMayAskForACertificate(t *testing.T) {
	p := listen(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.TLS.PeerCertificates[0].Subject.Organization[0])
	}, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		s.StartTLS()
		s.Client().Transport.(*http.Transport).TLSClientConfig.Certificates = s.TLS.Certificates
	}, nil)
	get(p, "/").want(t, 200, "Acme Co")
}

func TestNothingOfHTTPProxyRedirectsAndCompression(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		var encodings []string
		f.host("a").does(func(w http.ResponseWriter, r *http.Request) {
			encodings = r.Header["Accept-Encoding"]
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		})
		if g := get(f.pool(nil), "/"); g.status != http.StatusFound || g.header.Get("Location") != "/elsewhere" {
			t.Fatalf("got %d %v, error %v; want the redirect", g.status, g.header, g.err)
		}
		f.host("a").want(t, "GET shop.test/")
		if len(encodings) != 0 {
			t.Fatalf("the server was asked for the encodings %q", encodings)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(slowly(time.Second, text("a")))
		var dials, open atomic.Int64
		p := f.pool(func(o *upstream.Options) { o.MaxConns, o.DialContext = 2, f.counting(&dials, &open) })
		var all []<-chan got
		for range 6 {
			all = append(all, begin(p, "/"))
		}
		for i, g := range all {
			(<-g).wantAt(t, time.Duration(i/2+1)*time.Second, 200, "a")
		}
		if n := dials.Load(); n != 2 {
			t.Fatalf("%d connections were made, want 2", n)
		}
	})
}

func TestAConnectionThatIsNotThereInTimeIsAFailureOfDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		p := f.pool(func(o *upstream.Options) {
			o.ConnectTimeout, o.Retries = 3*time.Second, -1
			o.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		g := get(p, "/")
		var op *net.OpError
		if !errors.As(g.err, &op) || op.Op != "dial" || g.at != 3*time.Second {
			t.Fatalf("error %v after %v, want one of dial after 3s", g.err, g.at)
		}
	})
}

func TestConnectionsAreKeptForIdleTimeoutAndNotBeyondClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		var dials, open atomic.Int64
		p := f.pool(func(o *upstream.Options) {
			o.IdleTimeout, o.DialContext = time.Minute, f.counting(&dials, &open)
		})
		for i, row := range []struct {
			pause time.Duration
			dials int64
		}{{0, 1}, {time.Minute - 1, 1}, {time.Minute + 1, 2}} {
			time.Sleep(row.pause)
			get(p, "/").want(t, 200, "a")
			if n := dials.Load(); n != row.dials {
				t.Fatalf("request %d: %d connections so far, want %d", i+1, n, row.dials)
			}
			synctest.Wait()
		}

		f.host("a").does(slowly(time.Second, text("a")))
		last, other := begin(p, "/1"), begin(p, "/2")
		p.Close()
		(<-last).want(t, 200, "a")
		(<-other).want(t, 200, "a")
		synctest.Wait()
		if n := open.Load(); n != 0 {
			t.Fatalf("%d connections are open after Close and the last answer, want 0", n)
		}
	})
}

func TestTheHeaderOfAnAnswerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		f.host("a").does(text("a", "X", strings.Repeat("x", 9000)))
		if g := get(f.pool(func(o *upstream.Options) { o.MaxHeaderBytes = 4 << 10 }), "/"); g.err == nil {
			t.Fatalf("got %d", g.status)
		}
		get(f.pool(nil), "/").want(t, 200, "a")
	})
}

func TestAPoolIsTheTransportOfAClient(t *testing.T) {
	p := listen(t, protocol, (*httptest.Server).Start, nil)
	client := &http.Client{Transport: p}
	res, err := client.Get("http://shop.test/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != "HTTP/1.1 shop.test" || err != nil {
		t.Fatalf("got %q, %v", body, err)
	}
}
