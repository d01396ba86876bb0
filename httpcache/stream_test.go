package httpcache_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// reader is a client that reads an answer as it comes.
type reader struct {
	t   *testing.T
	res *http.Response
	end context.CancelFunc
}

func (w *world) read(target string, fields ...string) *reader {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	res, err := w.client.RoundTrip(newRequest(ctx, "GET", target, nil, fields...))
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	return &reader{w.t, res, cancel}
}

func (r *reader) want(text string) {
	r.t.Helper()
	p := make([]byte, len(text))
	if _, err := io.ReadFull(r.res.Body, p); err != nil || string(p) != text {
		r.t.Fatalf("read %q, %v; want %q", p, err, text)
	}
}

func (r *reader) wantEnd(want error) {
	r.t.Helper()
	if n, err := io.Copy(io.Discard, r.res.Body); n != 0 || !errors.Is(err, want) {
		r.t.Fatalf("%d bytes more, %v; want none and %v", n, err, want)
	}
	r.end()
}

// leave is a client that goes away.
func (r *reader) leave() {
	r.end()
	synctest.Wait()
}

// piecewise is an origin that sends what it is told to, when it is told to.
type piecewise struct {
	fields []string
	pieces chan string // closed: the end; "!" breaks off
	gone   chan struct{}
}

func newPiecewise(fields ...string) *piecewise {
	return &piecewise{fields: fields, pieces: make(chan string), gone: make(chan struct{}, 100)}
}

func (o *piecewise) answer(w http.ResponseWriter, r *http.Request) {
	page("", o.fields...)(w, r)
	http.NewResponseController(w).Flush()
	for {
		select {
		case piece, more := <-o.pieces:
			if !more {
				return
			}
			if piece == "!" {
				panic(http.ErrAbortHandler)
			}
			io.WriteString(w, piece)
			http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			o.gone <- struct{}{}
			return
		}
	}
}

func (o *piecewise) wantGone(t *testing.T, want bool) {
	t.Helper()
	synctest.Wait()
	select {
	case <-o.gone:
		if !want {
			t.Fatal("the fetch was given up")
		}
	default:
		if want {
			t.Fatal("the fetch goes on")
		}
	}
}

func TestWaitersReadAlongWhileTheOriginStillSends(t *testing.T) {
	for _, fields := range [][]string{
		{"Cache-Control", "max-age=60", "Content-Type", "text/event-stream"},
		{"Cache-Control", "max-age=60", "Content-Length", "9"},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newPiecewise(fields...)
			w := open(t, memory{}, o.answer, nil)
			first := w.read("/p")
			o.pieces <- "one"
			first.want("one")
			second := w.read("/p")
			second.want("one")
			o.pieces <- "two"
			first.want("two")
			second.want("two")
			third := w.read("/p")
			hit := "Corral;hit;ttl=60"
			if fields[2] == "Content-Length" { // the first header has waited a millisecond for its body
				hit = "Corral;hit;ttl=59"
			}
			if cache := third.res.Header.Get("Cache-Status"); cache != hit {
				t.Errorf("Cache-Status of a late one = %q", cache)
			}
			third.want("onetwo")
			o.pieces <- "end"
			for _, r := range []*reader{first, second, third} {
				r.want("end")
			}
			close(o.pieces)
			for _, r := range []*reader{first, second, third} {
				r.wantEnd(nil)
			}
			synctest.Wait()
			w.get("/p").want(t, 200, "onetwoend", hit)
			w.wantCalls(1)
		})
	}
}

func TestWhatGoesToOneIsSentOnAtOnce(t *testing.T) {
	for _, fields := range [][]string{{"Content-Type", "text/event-stream"}, {"Content-Length", "6"}} {
		for _, request := range [][]string{{"Cookie", "id=1"}, {"X", "pass"}} {
			synctest.Test(t, func(t *testing.T) {
				o := newPiecewise(append(fields, "Cache-Control", "private")...)
				w := open(t, memory{}, o.answer, nil)
				r := w.read("/p", request...) // the header
				o.pieces <- "one"
				r.want("one")
				o.pieces <- "two"
				r.want("two")
				close(o.pieces)
				r.wantEnd(nil)
			})
		}
	}
}

// Nobody knows yet whether such a body is going to be whole.
func TestABodyThatStillArrivesIsNotConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newPiecewise("Cache-Control", "max-age=60", "Etag", `"a"`)
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") != "" {
				rw.WriteHeader(304)
				return
			}
			o.answer(rw, r)
		}, nil)
		first := w.read("/p")
		o.pieces <- "one"
		first.want("one")
		second := w.read("/p", "Cache-Control", "no-cache")
		if cache := second.res.Header.Get("Cache-Status"); cache != "Corral;fwd=request;ttl=60;stored" {
			t.Errorf("Cache-Status = %q", cache)
		}
		close(o.pieces)
		first.wantEnd(nil)
		second.wantEnd(nil)
		w.wantCalls(2)
	})
}

func TestABodyThatBreaksOffIsBrokenForAllAndNotStored(t *testing.T) {
	for _, fields := range [][]string{
		{"Cache-Control", "max-age=60"},                          // a chunked body without its end
		{"Cache-Control", "max-age=60", "Content-Length", "100"}, // fewer bytes than announced
		{"Cache-Control", "private", "Content-Length", "100"},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newPiecewise(fields...)
			w := open(t, memory{}, o.answer, nil)
			readers := []*reader{w.read("/p")}
			o.pieces <- "part"
			if fields[1] != "private" {
				readers = append(readers, w.read("/p"), w.read("/p"))
			}
			for _, r := range readers {
				r.want("part")
			}
			o.pieces <- "!"
			for _, r := range readers {
				r.wantEnd(io.ErrUnexpectedEOF)
			}
			w.wantCalls(1)
			again := w.read("/p")
			if cache := again.res.Header.Get("Cache-Status"); !strings.HasPrefix(cache, "Corral;fwd=uri-miss") {
				t.Errorf("Cache-Status of the next one = %q, want a new fetch", cache)
			}
			again.leave()
			w.wantCalls(1)
		})
	}
}

func TestAFetchGoesOnWithoutTheClientWhoBeganIt(t *testing.T) {
	t.Run("before the header", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, slowly(time.Second, page("page", "Cache-Control", "max-age=60")), nil)
			ctx, leave := context.WithCancel(t.Context())
			first := w.begin(ctx, "/p")
			second := w.begin(t.Context(), "/p")
			leave()
			if g := <-first; !errors.Is(g.err, context.Canceled) {
				t.Errorf("the one that left got %v", g.err)
			}
			(<-second).wantAt(t, time.Second, 200, "page", "Corral;fwd=uri-miss;ttl=59;stored;collapsed")
			w.wantCalls(1)
		})
	})
	t.Run("during the body", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := newPiecewise("Cache-Control", "max-age=60")
			w := open(t, memory{}, o.answer, nil)
			first, second := w.read("/p"), w.read("/p")
			o.pieces <- "one"
			first.leave()
			o.wantGone(t, false)
			o.pieces <- "two"
			close(o.pieces)
			second.want("onetwo")
			second.wantEnd(nil)
			synctest.Wait()
			w.get("/p").want(t, 200, "onetwo", "Corral;hit;ttl=60")
			w.wantCalls(1)
		})
	})
}

func TestAFetchEndsWithItsLastClientUnlessMostHasCome(t *testing.T) {
	t.Run("before the header", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gone := make(chan struct{})
			w := open(t, memory{}, func(_ http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
				close(gone)
			}, nil)
			ctx, leave := context.WithCancel(t.Context())
			first, second := w.begin(ctx, "/p"), w.begin(ctx, "/p")
			leave()
			<-gone
			<-first
			<-second
		})
	})
	for _, test := range []struct {
		piece  string
		finish bool
	}{{"1234", false}, {"12345", true}} {
		t.Run(test.piece, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newPiecewise("Cache-Control", "max-age=60", "Content-Length", "10")
				w := open(t, memory{}, o.answer, nil)
				first, second := w.read("/p"), w.read("/p")
				o.pieces <- test.piece
				first.want(test.piece)
				second.want(test.piece)
				first.leave()
				o.wantGone(t, false)
				second.leave()
				o.wantGone(t, !test.finish)
				if !test.finish {
					w.wantCalls(1)
					w.read("/p").leave()
					w.wantCalls(1)
					return
				}
				o.pieces <- "67890"
				synctest.Wait()
				w.get("/p").want(t, 200, "1234567890", "Corral;hit;ttl=59")
				w.wantCalls(1)
			})
		})
	}
}

func TestABodyThatMakesNoProgressIsBrokenOff(t *testing.T) {
	for _, control := range []string{"max-age=60", "private"} {
		synctest.Test(t, func(t *testing.T) {
			o := newPiecewise("Cache-Control", control)
			w := open(t, memory{}, o.answer, func(o *httpcache.Options) { o.TailTimeout = 10 * time.Second })
			for _, name := range []string{"X", "Cookie"} { // shared or not, and by itself
				r := w.read("/p", name, "id=1")
				o.pieces <- "one"
				r.want("one")
				time.Sleep(10*time.Second - time.Nanosecond)
				o.pieces <- "two"
				r.want("two")
				start := time.Now()
				r.wantEnd(io.ErrUnexpectedEOF)
				if took := time.Since(start); took != 10*time.Second {
					t.Errorf("broken off after %v, want 10 s", took)
				}
				o.wantGone(t, true)
				time.Sleep(time.Minute)
			}
		})
	}
}

// stuck asks for a page and reads nothing of it.
func (w *world) stuck(target string, fields ...string) net.Conn {
	w.t.Helper()
	conn, err := w.dial(context.Background(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	head := "GET " + target + " HTTP/1.1\r\nHost: shop.test\r\n"
	for i := 0; i < len(fields); i += 2 {
		head += fields[i] + ": " + fields[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

func TestASlowReaderSlowsNobodyAndIsCutOff(t *testing.T) {
	const size = 8 << 20
	for _, test := range []struct {
		name  string
		limit int64
	}{{"stored", 64 << 20}, {"through a window", 4 << 20}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, slowly(time.Second, large(size)), func(o *httpcache.Options) {
					o.MaxBytes, o.TailTimeout = test.limit, 10*time.Second
				})
				slow := make(chan net.Conn, 1)
				go func() { slow <- w.stuck("/p") }()
				synctest.Wait()
				start := time.Now()
				g := w.get("/p")
				if g.err != nil || g.status != 200 || sum(g.body) != sumOf(size) {
					t.Fatalf("the fast reader got %d, %d bytes, %v", g.status, len(g.body), g.err)
				}
				// It waits for the slow one where the body does not fit, but
				// not longer than that may hold it up.
				if took := time.Since(start); took > 11*time.Second || test.name == "stored" && took != time.Second {
					t.Errorf("the fast reader waited %v", took)
				}
				conn := <-slow
				time.Sleep(10 * time.Second)
				synctest.Wait()
				n, err := io.Copy(io.Discard, conn) // what net/http had taken before
				if n > 1<<20 || err != nil {
					t.Errorf("the slow reader found %d bytes, %v; want it cut off", n, err)
				}
				w.wantCalls(1)
			})
		})
	}
}

// Over sockets: net/http/httputil holds a mutex while it writes.
func TestASlowReaderOfItsOwnAnswerIsCutOff(t *testing.T) {
	gone := make(chan struct{})
	w := open(t, sockets{}, func(rw http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for {
			if _, err := io.Copy(rw, content(1<<20)); err != nil {
				return
			}
		}
	}, func(o *httpcache.Options) { o.TailTimeout = 200 * time.Millisecond })
	conn := w.stuck("/p", "Cookie", "id=1")
	defer conn.Close()
	<-gone // the origin's side is let go
}

// large answers with a body of so many bytes that is different at every place.
func large(size int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if r.URL.Query().Get("length") != "" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		io.Copy(w, content(size))
	}
}

// content is the bytes of large: a block again and again, whose length has no
// factor in common with that of any buffer.
func content(size int) io.Reader { return &repeated{left: size} }

type repeated struct{ at, left int }

var block = func() []byte {
	b := make([]byte, 65521)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

func (c *repeated) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.left)], block[c.at:])
	c.at, c.left = (c.at+n)%len(block), c.left-n
	return n, nil
}

func sum(body string) [32]byte { return sha256.Sum256([]byte(body)) }

func sumOf(size int) (s [32]byte) {
	h := sha256.New()
	io.Copy(h, content(size))
	copy(s[:], h.Sum(nil))
	return s
}

func TestBodiesOfEverySizeAreExact(t *testing.T) {
	const bound = 16 << 20
	w := open(t, sockets{}, func(rw http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Path[1:])
		large(size)(rw, r)
	}, func(o *httpcache.Options) { o.MaxBytes, o.MaxObjectBytes = bound, 8<<20 })
	for _, size := range []int{0, 1, 4095, 4096, 4097, 64 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 8<<20 - 1<<16, 8 << 20, 64 << 20} {
		for _, query := range []string{"", "?length=1"} {
			target := fmt.Sprint("/", size, query)
			want := sumOf(size)
			if size == 64<<20 && query == "" {
				continue // once is enough
			}
			for round := range 2 {
				together(3, func(int) got {
					res, err := w.client.RoundTrip(newRequest(t.Context(), "GET", target, nil))
					if err != nil {
						t.Error(err)
						return got{}
					}
					defer res.Body.Close()
					h := sha256.New()
					n, err := io.Copy(h, res.Body)
					if err != nil || int(n) != size || [32]byte(h.Sum(nil)) != want {
						t.Errorf("GET %s, round %d: %d bytes, %v; want %d exact ones", target, round, n, err, size)
					}
					hit := strings.Contains(res.Header.Get("Cache-Status"), ";hit")
					if kept := size < 8<<20; round == 1 && kept && !hit {
						t.Errorf("GET %s, round %d: Cache-Status %q, want a hit", target, round, res.Header.Get("Cache-Status"))
					}
					if s := w.proxy.Cache().Stats(); s.Bytes+s.BytesInFlight > bound {
						t.Errorf("GET %s: %d bytes held, want %d at most", target, s.Bytes+s.BytesInFlight, bound)
					}
					return got{}
				})
			}
		}
	}
}

func TestWhatIsCompressedStaysAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, page("\x1f\x8bnot really", "Cache-Control", "max-age=60", "Content-Encoding", "gzip", "Vary", "Accept-Encoding"), nil)
		for _, cache := range []string{missStored, "Corral;hit;ttl=60"} {
			g := w.get("/p", "Accept-Encoding", "gzip")
			g.want(t, 200, "\x1f\x8bnot really", cache)
			if coding := g.header.Get("Content-Encoding"); coding != "gzip" {
				t.Errorf("Content-Encoding = %q", coding)
			}
		}
		if sent := w.origin.seen().Header["Accept-Encoding"]; len(sent) != 1 || sent[0] != "gzip" {
			t.Errorf("the origin was sent Accept-Encoding %q", sent)
		}
		w.get("/p").want(t, 200, "\x1f\x8bnot really", "Corral;fwd=vary-miss;ttl=60;stored")
		if sent := w.origin.seen().Header["Accept-Encoding"]; len(sent) != 0 {
			t.Errorf("the origin was sent Accept-Encoding %q by the proxy itself", sent)
		}
	})
}

// Requests over HTTP/2 without TLS, side by side on one connection.
func TestHTTP2InFront(t *testing.T) {
	w := open(t, sockets{}, func(rw http.ResponseWriter, r *http.Request) { large(1<<20)(rw, r) }, nil)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	w.client = &http.Transport{Protocols: protocols, DialContext: w.dial}
	defer w.client.CloseIdleConnections()
	want := sumOf(1 << 20)
	for _, g := range together(100, func(int) got { return w.get("/p") }) {
		if g.err != nil || sum(g.body) != want {
			t.Fatalf("got %d bytes, %v", len(g.body), g.err)
		}
	}
	w.wantCalls(1)
	if via := w.origin.seen().Header.Get("Via"); via != "2 Corral" {
		t.Errorf("Via = %q, want 2 Corral", via)
	}
}

func TestABrokenBodyResetsAnHTTP2Stream(t *testing.T) {
	w := open(t, sockets{}, func(rw http.ResponseWriter, r *http.Request) {
		page("part", "Cache-Control", "max-age=60")(rw, r)
		http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	}, nil)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	w.client = &http.Transport{Protocols: protocols, DialContext: w.dial}
	defer w.client.CloseIdleConnections()
	if g := w.get("/p"); g.err == nil {
		t.Errorf("got a whole answer: %d %q", g.status, g.body)
	}
}

// A body is as long as its Content-Length says; what follows it is nothing, and
// its connection is not used again.
func TestWhatAnOriginSendsAgainstItsFraming(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
	for _, test := range []struct {
		name, raw string
		status    int // 0: broken off
		body      string
	}{
		{"more than its length", head + "Content-Length: 4\r\n\r\npageHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 200, "page"},
		{"less than its length", head + "Content-Length: 40\r\n\r\npage", 0, "page"},
		{"two lengths", head + "Content-Length: 4\r\nContent-Length: 5\r\n\r\npage!", 502, ""},
		{"one length twice", head + "Content-Length: 4\r\nContent-Length: 4\r\n\r\npage", 200, "page"},
		{"length and chunks", head + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "abc"},
		{"a length that is none", head + "Content-Length: +4\r\n\r\npage", 502, ""},
		{"a bad chunk", head + "Transfer-Encoding: chunked\r\n\r\n4\r\npage\r\nz\r\n", 0, "page"},
		{"chunks that end early", head + "Transfer-Encoding: chunked\r\n\r\n4\r\npage\r\n", 0, "page"},
		{"a coding that is unknown", head + "Transfer-Encoding: gzip\r\n\r\npage", 502, ""},
		{"no HTTP", "hello\r\n\r\n", 502, ""},
		{"a status below 100", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", 502, ""},
		{"101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", 502, ""},
		{"a header line that is none", head + "What is this\r\n\r\npage", 502, ""},
		{"an endless header", head + "X: " + strings.Repeat("x", 11<<20) + "\r\n\r\n", 502, ""},
		{"nothing", "", 502, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, dial := sockets{}.listen(t)
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
							io.WriteString(conn, test.raw)
						}
					}()
				}
			}()
			w := openBefore(t, sockets{}, dial, nil)
			for _, name := range []string{"X", "Cookie"} { // shared, and by itself
				g := w.get("/p", name, "id=1")
				switch {
				case test.status == 0:
					if g.err == nil {
						t.Errorf("%s: got a whole answer, %d %q", name, g.status, g.body)
					}
				case g.err != nil || g.status != test.status || test.body != "" && g.body != test.body:
					t.Errorf("%s: got %d %q, %v; want %d %q", name, g.status, g.body, g.err, test.status, test.body)
				}
			}
			if s := w.proxy.Cache().Stats(); test.status != 200 && s.Bytes > 1000 {
				t.Errorf("%d bytes are stored", s.Bytes)
			}
		})
	}
}
