package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// memory is a listener whose connections are in memory, as virtual time needs
// it.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *memory) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memory) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memory) Addr() net.Addr { return &net.UnixAddr{Net: "memory"} }

func (l *memory) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// serveInMemory starts a server that ends with the test, and gives a transport
// to it.
func serveInMemory(t *testing.T, handler http.Handler) *http.Transport {
	l := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: handler}
	var served sync.WaitGroup
	served.Go(func() { server.Serve(l) })
	transport := &http.Transport{DialContext: l.dial, DisableCompression: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		served.Wait()
	})
	return transport
}

// world is a model with a cache before it, in virtual time.
func world(t *testing.T) (client, *model) {
	m := &model{pause: 50 * time.Millisecond}
	address := &url.URL{Scheme: "http", Host: "models.test"}
	o := options(address)
	o.Transport, o.Now = serveInMemory(t, m), time.Now
	cache, err := httpcache.NewProxy(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	return client{&http.Client{Transport: serveInMemory(t, cache)}, address}, m
}

func TestTwoClientsStreamOnePaidCompletionAndAThirdHitsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := world(t)
		var out strings.Builder
		if err := show(t.Context(), &out, c, m); err != nil {
			t.Fatal(err)
		}
		leader := "(Corral;fwd=uri-miss;ttl=600;stored)"
		waiter := "(Corral;fwd=uri-miss;ttl=600;stored;collapsed)"
		want := func(first, second string) string {
			return "client 1: first of 12 tokens after 50ms, all after 600ms " + first + "\n" +
				"client 2: first of 12 tokens after 50ms, all after 600ms " + second + "\n" +
				"client 3: first of 12 tokens after 0s, all after 0s (Corral;hit;ttl=599)\n" +
				"\"You asked: Why is the sky blue? The short wavelengths scatter most.\"\n" +
				"3 answers, 1 paid for\n"
		}
		if got := out.String(); got != want(leader, waiter) && got != want(waiter, leader) {
			t.Errorf("show printed\n%s\nwant\n%s", got, want(leader, waiter))
		}
	})
}

func TestAClientThatComesInTheMiddleGetsTheSameBytesFromTheFirstOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := world(t)
		var first, second answer
		var both sync.WaitGroup
		ask := func(a *answer) {
			var err error
			if *a, err = c.ask(t.Context(), "Why?"); err != nil {
				t.Error(err)
			}
		}
		both.Go(func() { ask(&first) })
		time.Sleep(225 * time.Millisecond)
		both.Go(func() { ask(&second) })
		both.Wait()
		if !bytes.Equal(first.raw, second.raw) || m.calls.Load() != 1 {
			t.Errorf("after %d calls the clients read\n%s\nand\n%s", m.calls.Load(), first.raw, second.raw)
		}
		if second.first != 0 || second.last != first.last-225*time.Millisecond {
			t.Errorf("the second client's first token came after %v and its last after %v; want at once and with the other's", second.first, second.last)
		}
	})
}

func TestAnotherKeyPaysForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m := world(t)
		if _, err := c.ask(t.Context(), "Why?"); err != nil {
			t.Fatal(err)
		}
		other := c
		other.http = &http.Client{Transport: withKey{c.http.Transport}}
		if _, err := other.ask(t.Context(), "Why?"); err != nil {
			t.Fatal(err)
		}
		if n := m.calls.Load(); n != 2 {
			t.Errorf("%d calls for two keys, want 2", n)
		}
	})
}

// withKey sends requests with another key.
type withKey struct{ http.RoundTripper }

func (k withKey) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer another's")
	return k.RoundTripper.RoundTrip(r)
}

func TestTheCommandPaysForOneCompletion(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out); err != nil || !strings.HasSuffix(out.String(), "\n3 answers, 1 paid for\n") {
		t.Errorf("run = %v, printed\n%s", err, out.String())
	}
}
