package unasked

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// talkative is a server that appends a response nobody asked for to each of its
// own.
func talkative(t *testing.T, l net.Listener) {
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", len(r.RequestURI), r.RequestURI)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
}

// quiet silences net/http, which tells of each such response.
func quiet(t *testing.T) {
	before := log.Writer()
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(before) })
}

func listen(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Without Watch some of these requests are given "evil".
func TestWhatNobodyAskedForAnswersNoRequest(t *testing.T) {
	quiet(t)
	l := listen(t)
	talkative(t, l)
	transport := &http.Transport{DialContext: Dial(new(net.Dialer).DialContext), MaxConnsPerHost: 2}
	defer transport.CloseIdleConnections()
	var clients sync.WaitGroup
	for i := range 400 {
		clients.Go(func() {
			path := fmt.Sprint("/", i)
			r, _ := http.NewRequestWithContext(Watch(t.Context()), "GET", "http://"+l.Addr().String()+path, nil)
			res, err := transport.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if body, err := io.ReadAll(res.Body); string(body) != path || err != nil {
				t.Errorf("GET %s = %q, %v", path, body, err)
			}
		})
	}
	clients.Wait()
}

// Connections are used again where servers keep to their framing, with TLS and
// HTTP/2 and without.
func TestConnectionsAreUsedAgain(t *testing.T) {
	for _, version := range []string{"HTTP/1.1", "HTTP/1.1 TLS", "HTTP/2.0 TLS", "HTTP/2.0"} {
		t.Run(version, func(t *testing.T) {
			var opened atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, r.Proto+r.RequestURI)
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					opened.Add(1)
				}
			}
			protocols := new(http.Protocols)
			server.Config.Protocols = protocols
			scheme := "http"
			if strings.HasSuffix(version, "TLS") {
				scheme = "https"
				protocols.SetHTTP1(version == "HTTP/1.1 TLS")
				protocols.SetHTTP2(version == "HTTP/2.0 TLS")
				server.EnableHTTP2 = version == "HTTP/2.0 TLS"
				server.StartTLS()
			} else {
				protocols.SetHTTP1(version == "HTTP/1.1")
				protocols.SetUnencryptedHTTP2(version == "HTTP/2.0")
				server.Start()
			}
			defer server.Close()
			transport := &http.Transport{DialContext: Dial(new(net.Dialer).DialContext), Protocols: protocols}
			defer transport.CloseIdleConnections()
			if scheme == "https" {
				transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
			}
			for i := range 100 {
				path := fmt.Sprint("/", i)
				r, _ := http.NewRequestWithContext(Watch(context.Background()), "GET", scheme+"://"+server.Listener.Addr().String()+path, nil)
				res, err := transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if want := strings.TrimSuffix(version, " TLS") + path; string(body) != want || err != nil {
					t.Fatalf("GET %s = %q, %v; want %q", path, body, err, want)
				}
			}
			if n := opened.Load(); n != 1 {
				t.Errorf("%d connections were opened, want 1", n)
			}
		})
	}
}
