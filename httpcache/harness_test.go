package httpcache_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// dialer is http.Transport's DialContext.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// A network is where a test's servers listen: on sockets, or, in virtual time,
// where a socket would stand for something outside that may still happen, in
// memory.
type network interface {
	listen(t *testing.T) (l net.Listener, dial dialer)
	now() func() time.Time
}

type sockets struct{}

func (sockets) now() func() time.Time { return nil }

func (sockets) listen(t *testing.T) (net.Listener, dialer) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l, func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}
}

type memory struct{}

func (memory) now() func() time.Time { return time.Now }

func (memory) listen(t *testing.T) (net.Listener, dialer) {
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return l, l.dial
}

// pipes is a listener in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "pipe"} }

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A world is a client, a proxy and an origin.
type world struct {
	t      *testing.T
	proxy  *httpcache.Proxy
	client *http.Transport
	dial   dialer // to the proxy
	origin *origin
}

// origin is an origin's handler with a log of its requests.
type origin struct {
	http.HandlerFunc
	mu   sync.Mutex
	log  []string
	last *http.Request
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.log = append(o.log, r.Method+" "+r.RequestURI)
	o.last = r.Clone(context.Background())
	o.mu.Unlock()
	o.HandlerFunc(w, r)
}

// calls is how often the origin was asked since the last time calls was.
func (o *origin) calls() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.log)
	o.log = nil
	return n
}

// seen is the last request that the origin got.
func (o *origin) seen() *http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
}

// open starts a world. It ends with the test.
func open(t *testing.T, on network, handler http.HandlerFunc, change func(*httpcache.Options)) *world {
	t.Helper()
	behind, dialOrigin := on.listen(t)
	o := &origin{HandlerFunc: handler}
	serve(t, behind, o)
	w := openBefore(t, on, dialOrigin, change)
	w.origin = o
	return w
}

// openBefore starts a proxy before an origin that is somewhere already.
func openBefore(t *testing.T, on network, dialOrigin dialer, change func(*httpcache.Options)) *world {
	t.Helper()
	transport := &http.Transport{DialContext: dialOrigin, MaxConnsPerHost: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true, ExpectContinueTimeout: time.Second}
	options := httpcache.Options{
		Origin: &url.URL{Scheme: "http", Host: "origin.test"}, MaxBytes: 64 << 20,
		Transport: transport, Now: on.now(), MaxLoads: 1024,
	}
	if change != nil {
		change(&options)
	}
	proxy, err := httpcache.NewProxy(options)
	if err != nil {
		t.Fatal(err)
	}
	front, dial := on.listen(t)
	serve(t, front, proxy)
	w := &world{t: t, proxy: proxy, dial: dial, client: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 1024, DisableCompression: true}}
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		if err := proxy.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		transport.CloseIdleConnections()
	})
	return w
}

func serve(t *testing.T, l net.Listener, handler http.Handler) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: handler, Protocols: protocols}
	var done sync.WaitGroup
	done.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		done.Wait()
	})
}

// got is what one request came to.
type got struct {
	status int
	header http.Header
	body   string
	err    error         // of the transport or while the body was read
	at     time.Duration // since the request, to the end of the body
	what   string        // the request
}

// do makes a request. Fields are names and values in turn.
func (w *world) do(ctx context.Context, method, target string, fields ...string) got {
	return w.send(newRequest(ctx, method, target, nil, fields...))
}

func (w *world) get(target string, fields ...string) got {
	return w.do(context.Background(), "GET", target, fields...)
}

func newRequest(ctx context.Context, method, target string, body io.Reader, fields ...string) *http.Request {
	if !strings.Contains(target, "://") {
		target = "http://shop.test" + target
	}
	r, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

// send makes a request and reads the answer to its end, no redirect followed.
func (w *world) send(r *http.Request) got {
	start := time.Now()
	g := got{what: fmt.Sprintf("%s %s %v", r.Method, r.URL, r.Header)}
	res, err := w.client.RoundTrip(r)
	if err != nil {
		g.err, g.at = err, time.Since(start)
		return g
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	g.status, g.header, g.body, g.err, g.at = res.StatusCode, res.Header, string(body), err, time.Since(start)
	return g
}

// begin is get on a goroutine of its own, in virtual time: when it returns,
// nothing more happens until time passes.
func (w *world) begin(ctx context.Context, target string, fields ...string) <-chan got {
	answer := make(chan got, 1)
	go func() { answer <- w.do(ctx, "GET", target, fields...) }()
	synctest.Wait()
	return answer
}

// together makes n requests at once.
func together(n int, do func(i int) got) []got {
	all := make([]got, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { all[i] = do(i) })
	}
	wg.Wait()
	return all
}

// cache is this cache's Cache-Status.
func (g got) cache() string { return strings.Join(g.header["Cache-Status"], ", ") }

func (g got) want(t *testing.T, status int, body, cache string) {
	t.Helper()
	if g.err != nil || g.status != status || g.body != body || g.cache() != cache {
		t.Fatalf("%s = %d %.200q, Cache-Status %q, error %v; want %d %.200q, %q", g.what, g.status, g.body, g.cache(), g.err, status, body, cache)
	}
}

// wantAt is want with the time at which the answer was complete.
func (g got) wantAt(t *testing.T, at time.Duration, status int, body, cache string) {
	t.Helper()
	g.want(t, status, body, cache)
	if g.at != at {
		t.Fatalf("%s took %v, want %v", g.what, g.at, at)
	}
}

func (w *world) wantCalls(want int) {
	w.t.Helper()
	w.origin.mu.Lock()
	log := slices.Clone(w.origin.log)
	w.origin.mu.Unlock()
	if n := w.origin.calls(); n != want {
		w.t.Fatalf("the origin was called %d times, want %d: %.300q", n, want, log)
	}
}

// page answers with a text and header fields.
func page(text string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		io.WriteString(w, text)
	}
}

// slowly lets a handler take a time before it begins.
func slowly(d time.Duration, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			handler(w, r)
		case <-r.Context().Done():
		}
	}
}
