package httpcache_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/corralcache/corral/httpcache"
)

// A scripted origin answers each request with bytes and leaves its connection
// open, so that what it has sent beside an answer would be there for the next.
type scripted struct {
	net.Listener
	answer  func(r *http.Request) string
	serving sync.WaitGroup
	conns   atomic.Int64 // accepted
	calls   atomic.Int64
}

func newScripted(t *testing.T, answer func(r *http.Request) string) *scripted {
	l, _ := sockets{}.listen(t)
	o := &scripted{Listener: l, answer: answer}
	o.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			o.conns.Add(1)
			o.serving.Go(func() { o.serve(conn) })
		}
	})
	t.Cleanup(func() { // after the proxies
		o.Close()
		o.serving.Wait()
	})
	return o
}

func (o *scripted) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		io.Copy(io.Discard, r.Body)
		o.calls.Add(1)
		answer, more := strings.CutSuffix(o.answer(r), "…") // … : and then no more
		io.WriteString(conn, answer)
		if more {
			return
		}
	}
}

// before starts a proxy before the origin, as it is in service, with a number of
// connections.
func (o *scripted) before(t *testing.T, conns int) *world {
	return openBefore(t, sockets{}, nil, func(options *httpcache.Options) {
		options.Origin.Host = o.Addr().String()
		options.Transport = nil
		options.MaxConns = conns
	})
}

// whispering keeps what net/http tells of such origins out of the test's output.
func whispering(t *testing.T) {
	before := log.Writer()
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(before) })
}

const pageHead = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"

// What an origin sends against its own framing is no answer to anything: the
// connection is dropped and, except for the whole of what was announced, nothing
// is stored.
func TestAttackOriginAgainstItsFraming(t *testing.T) {
	whispering(t)
	const evil = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nevil"
	for _, test := range []struct {
		name, raw string
		status    int // 0: broken off
	}{
		{"bytes after the body", pageHead + "Content-Length: 4\r\n\r\npage" + evil, 200},
		{"bytes after the last chunk", pageHead + "Transfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\n\r\n" + evil, 200},
		{"bytes after an empty body", "HTTP/1.1 404 Not Found\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n" + evil, 404},
		{"a body with 204", "HTTP/1.1 204 No Content\r\nCache-Control: max-age=60\r\n\r\n" + evil, 204},
		{"a body with 204, with its length", "HTTP/1.1 204 No Content\r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nevil", 204},
		{"a length and chunks", pageHead + "Content-Length: 400\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\n\r\n" + evil, 200},
		{"a short body", pageHead + "Content-Length: 40\r\n\r\npage…", 0},
		{"two lengths", pageHead + "Content-Length: 4\r\nContent-Length: 5\r\n\r\npage!", 502},
		{"two lengths in a list", pageHead + "Content-Length: 4, 5\r\n\r\npage!", 502},
		{"a length with a sign", pageHead + "Content-Length: +4\r\n\r\npage", 502},
		{"a negative length", pageHead + "Content-Length: -4\r\n\r\npage", 502},
		{"a length in hexadecimal", pageHead + "Content-Length: 0x4\r\n\r\npage", 502},
		{"a length beyond all", pageHead + "Content-Length: 99999999999999999999\r\n\r\npage", 502},
		{"chunks without an end", pageHead + "Transfer-Encoding: chunked\r\n\r\n4\r\npage\r\n…", 0},
		{"a chunk that is too long", pageHead + "Transfer-Encoding: chunked\r\n\r\n4\r\npages\r\n0\r\n\r\n", 0},
		{"a chunk size that is none", pageHead + "Transfer-Encoding: chunked\r\n\r\nz\r\npage\r\n0\r\n\r\n", 0},
		{"a chunk size beyond all", pageHead + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\npage\r\n", 0},
		{"a bare LF in chunks", pageHead + "Transfer-Encoding: chunked\r\n\r\n4\npage\r\n0\r\n\r\n", 0},
		{"an unknown coding", pageHead + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 502},
		{"two codings", pageHead + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 502},
		{"a line that is no field", pageHead + "evil\r\n\r\n", 502},
		{"a length with a space before the colon", pageHead + "Content-Length : 4\r\n\r\npage…", 502},
		{"chunks with a space before the colon", pageHead + "Transfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\n4\r\npage\r\n0\r\n\r\n", 502},
		{"a folded first line", "HTTP/1.1 200 OK\r\n X: y\r\nContent-Length: 4\r\n\r\npage", 502},
		{"a status that is none", "HTTP/1.1 2OO OK\r\nContent-Length: 4\r\n\r\npage", 502},
		{"a status below 100", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", 502},
		{"no HTTP", "evil\r\n\r\n…", 502},
		{"101 for nothing", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n", 502},
		{"a header without end", pageHead + "X: " + strings.Repeat("x", 1<<20) + "…", 502},
		{"nothing", "…", 502},
	} {
		for _, alone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, alone %v", test.name, alone), func(t *testing.T) {
				o := newScripted(t, func(*http.Request) string { return test.raw })
				w := o.before(t, 2)
				name := "X"
				if alone {
					name = "Cookie"
				}
				g := w.get("/p", name, "id=1")
				if broken := g.err != nil; broken != (test.status == 0) || !broken && g.status != test.status || strings.Contains(g.body, "evil") || test.status == 200 && g.body != "page" {
					t.Errorf("got %d %q, %v; want %d", g.status, g.body, g.err, test.status)
				}
				if n := o.calls.Load(); n != 1 {
					t.Errorf("the origin was called %d times, want 1", n)
				}
				wanted := !alone && test.status != 0 && test.status != 502
				if stored := w.get("/p", "Cache-Control", "only-if-cached").status != 504; stored != wanted {
					t.Errorf("it is stored: %v, want %v", stored, wanted)
				}
				before := o.conns.Load()
				if g := w.get("/q", name, "id=1"); strings.Contains(g.body, "evil") || g.err == nil && g.status != test.status {
					t.Errorf("the next got %d %q, %v", g.status, g.body, g.err)
				}
				if o.conns.Load() == before {
					t.Error("the next request went by the same connection")
				}
			})
		}
	}
}

// The same while many wait for a connection, where the next request is on it at
// once: nobody is given what was sent behind another's answer, and nothing of it
// is stored under any address.
func TestAttackOriginPoisonsNoQueue(t *testing.T) {
	whispering(t)
	const clients = 400
	o := newScripted(t, func(r *http.Request) string {
		return fmt.Sprintf(pageHead+"Content-Length: %d\r\n\r\n%s"+pageHead+"Content-Length: 4\r\n\r\nevil", len(r.RequestURI), r.RequestURI)
	})
	for _, name := range []string{"X", "Cookie"} {
		w := o.before(t, 2)
		for round := range 2 { // the second from the cache
			for i, g := range together(clients, func(i int) got { return w.get(fmt.Sprint("/", i), name, "id=1") }) {
				if g.body != fmt.Sprint("/", i) {
					t.Fatalf("%s, round %d: %s = %d %q, %v", name, round, g.what, g.status, g.body, g.err)
				}
			}
		}
	}
}

// A space before a colon does not hide what a field says.
func TestAttackOriginHidesNoFieldBehindASpace(t *testing.T) {
	for _, field := range []string{"Cache-Control : private", "cache-control  : no-store", "Set-Cookie : id=1", "Vary : *"} {
		o := newScripted(t, func(r *http.Request) string {
			return pageHead + field + "\r\nContent-Length: " + fmt.Sprint(len(r.Header.Get("X"))) + "\r\n\r\n" + r.Header.Get("X")
		})
		w := o.before(t, 2)
		for i := range 2 {
			if g := w.get("/p", "X", fmt.Sprint(i)); g.body != fmt.Sprint(i) {
				t.Errorf("%s: got another's answer: %q, %s", field, g.body, g.cache())
			}
		}
	}
}
