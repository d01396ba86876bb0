package upstream_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/upstream"
)

// A fleet is the servers of a test, in memory: a read from a socket would stand
// for something outside that may still happen, and hold virtual time.
type fleet struct {
	t       *testing.T
	servers map[string]*host // by address
	names   []string
}

// A host is a server of a fleet, with a log of its requests.
type host struct {
	http.HandlerFunc
	conns  chan net.Conn
	closed chan struct{} // when it refuses connections

	mu   sync.Mutex
	log  []string
	down bool
}

func newFleet(t *testing.T, names ...string) *fleet {
	f := &fleet{t: t, servers: map[string]*host{}, names: names}
	for _, name := range names {
		h := &host{HandlerFunc: text(name), conns: make(chan net.Conn), closed: make(chan struct{})}
		f.servers[name+".test:80"] = h
		f.run(h)
	}
	return f
}

func (f *fleet) run(h *host) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: h, Protocols: protocols}
	var done sync.WaitGroup
	done.Go(func() { server.Serve(h) })
	f.t.Cleanup(func() {
		server.Close()
		done.Wait()
	})
}

func (f *fleet) host(name string) *host { return f.servers[name+".test:80"] }

// dial is Options.DialContext.
func (f *fleet) dial(ctx context.Context, _, address string) (net.Conn, error) {
	h := f.servers[address]
	if h == nil {
		return nil, fmt.Errorf("no such host: %s", address)
	}
	if h.refuses() {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: fmt.Errorf("connection refused")}
	}
	client, server := net.Pipe()
	select {
	case h.conns <- server:
		return client, nil
	case <-h.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// counting is dial, counting connections, and those that are open.
func (f *fleet) counting(dials, open *atomic.Int64) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := f.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		dials.Add(1)
		open.Add(1)
		return &counted{Conn: conn, open: open}, nil
	}
}

// counted is a connection that counts as open until it is closed.
type counted struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

func (h *host) refuses() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down
}

// refuse has the server refuse connections, or take them again.
func (h *host) refuse(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

func (h *host) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *host) Close() error {
	close(h.closed)
	return nil
}

func (h *host) Addr() net.Addr { return &net.UnixAddr{Net: "pipe"} }

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.log = append(h.log, r.Method+" "+r.Host+r.RequestURI)
	handler := h.HandlerFunc
	h.mu.Unlock()
	handler(w, r)
}

// does has the server do something else from now on.
func (h *host) does(handler http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.HandlerFunc = handler
}

// calls are the requests since the last time calls was asked.
func (h *host) calls() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	log := h.log
	h.log = nil
	return log
}

// pool makes a pool of all servers.
func (f *fleet) pool(change func(*upstream.Options)) *upstream.Pool {
	f.t.Helper()
	o := upstream.Options{Name: "shop", DialContext: f.dial}
	for _, name := range f.names {
		o.Servers = append(o.Servers, upstream.Server{URL: &url.URL{Scheme: "http", Host: name + ".test"}})
	}
	if change != nil {
		change(&o)
	}
	p, err := upstream.New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { p.Close() })
	return p
}

// got is what one request came to.
type got struct {
	status int
	header http.Header
	body   string
	err    error
	at     time.Duration // since the request
}

func request(method, target string, body io.Reader, fields ...string) *http.Request {
	r, err := http.NewRequest(method, "http://shop.test"+target, body)
	if err != nil {
		panic(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	return r
}

func send(p *upstream.Pool, r *http.Request) got {
	start := time.Now()
	res, err := p.RoundTrip(r)
	if err != nil {
		return got{err: err, at: time.Since(start)}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return got{res.StatusCode, res.Header, string(body), err, time.Since(start)}
}

func get(p *upstream.Pool, target string) got { return send(p, request("GET", target, nil)) }

// begin is get on a goroutine of its own, in virtual time: when it returns,
// nothing more happens until time passes.
func begin(p *upstream.Pool, target string) <-chan got {
	answer := make(chan got, 1)
	go func() { answer <- get(p, target) }()
	synctest.Wait()
	return answer
}

// sequence is who answers n requests, one after the other.
func sequence(p *upstream.Pool, n int) string {
	var who []string
	for range n {
		who = append(who, get(p, "/").body)
	}
	return strings.Join(who, "")
}

func (g got) want(t *testing.T, status int, body string) {
	t.Helper()
	if g.err != nil || g.status != status || g.body != body {
		t.Fatalf("got %d %q, error %v; want %d %q", g.status, g.body, g.err, status, body)
	}
}

func (g got) wantAt(t *testing.T, at time.Duration, status int, body string) {
	t.Helper()
	g.want(t, status, body)
	if g.at != at {
		t.Fatalf("the answer came after %v, want %v", g.at, at)
	}
}

func (h *host) want(t *testing.T, calls ...string) {
	t.Helper()
	if got := h.calls(); !slices.Equal(got, calls) {
		t.Fatalf("the server got %q, want %q", got, calls)
	}
}

// text answers with a text.
func text(text string, fields ...string) http.HandlerFunc {
	return status(http.StatusOK, text, fields...)
}

func status(code int, text string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		w.WriteHeader(code)
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

// withHints has a trace collect the status codes of interim answers.
func withHints(ctx context.Context, codes *[]int) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			*codes = append(*codes, code)
			return nil
		},
	})
}

// quiet is for servers whose errors are the test.
var quiet = log.New(io.Discard, "", 0)

// nothing adds nothing to an answer.
func nothing(http.ResponseWriter, *http.Request) {}

// hangUp closes the connection without an answer.
func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
