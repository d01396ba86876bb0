package httpcache_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// patientOrigin reads content to its end, however long that takes.
func patientOrigin(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		page("page", "Cache-Control", "max-age=60")(w, r)
	}
}

// drip is a client that sends a byte now and then, and for ever. It gives what
// came back once its connection has ended, and when that was.
func (w *world) drip(head, byteByByte string, pause time.Duration) <-chan got {
	answer, ended := make(chan got, 1), make(chan struct{})
	start := time.Now()
	conn, err := w.dial(w.t.Context(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	go func() {
		for text := head; ; text = byteByByte {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
			select {
			case <-time.After(pause):
			case <-ended:
				return
			}
		}
	}()
	go func() {
		body, _ := io.ReadAll(conn)
		conn.Close()
		close(ended)
		answer <- got{body: string(body), at: time.Since(start)}
	}()
	return answer
}

// Headers that never end are the server's to limit, by ReadHeaderTimeout as
// corral serve sets it; here it is seen that this is enough, also for a client
// that seems to begin with HTTP/2, and that nobody else waits.
func TestAttackSlowlorisHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, patientOrigin, nil)
		front, dial := memory{}.listen(t)
		protocols := new(http.Protocols)
		protocols.SetHTTP1(true)
		protocols.SetUnencryptedHTTP2(true)
		server := &http.Server{Handler: w.proxy, Protocols: protocols, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second}
		go server.Serve(front)
		defer server.Close()
		w.dial = dial
		w.client.DialContext = dial
		var ends []<-chan got
		for range 50 {
			for _, head := range []string{"", "G", "PRI * HT", "GET /p HTTP/1.1\r\nHost: shop.test\r\nX: ", "POST /p HTTP/1.1\r\n"} {
				ends = append(ends, w.drip(head, "x", time.Second))
			}
		}
		synctest.Wait()
		w.get("/p").wantAt(t, 0, 200, "page", missStored)
		for _, end := range ends {
			if g := <-end; g.at > 21*time.Second { // twice: to see whether it is HTTP/2, and for the header
				t.Fatalf("a connection lived for %v, with %q", g.at, g.body)
			}
		}
		w.wantCalls(1)
	})
}

// Content that stops is 408 after LoadTimeout, whether it passes through or is
// read here for a key, and holds nobody up meanwhile.
func TestAttackSlowlorisContent(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		for _, length := range []string{"Content-Length: 1000\r\n\r\nx", "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"} {
			t.Run(fmt.Sprintf("keyed %v %.10s", keyed, length), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := open(t, memory{}, patientOrigin, func(o *httpcache.Options) {
						o.LoadTimeout = 5 * time.Second
						if keyed {
							o.Rules = []httpcache.Rule{{Path: "/p", MaxContentBytes: 2000}}
						}
					})
					var ends []<-chan got
					for range 100 {
						ends = append(ends, w.drip("POST /p HTTP/1.1\r\nHost: shop.test\r\n"+length, "", time.Hour))
					}
					synctest.Wait()
					w.get("/q").wantAt(t, 0, 200, "page", missStored)
					for _, end := range ends {
						if g := <-end; statuses(g.body) != "408" || g.at != 5*time.Second && g.at != 5*time.Second+500*time.Millisecond { // in which the rest is thrown away
							t.Fatalf("got %q after %v, want 408 after 5 s", g.body, g.at)
						}
					}
					w.get("/p").wantAt(t, 0, 200, "page", missStored)
				})
			})
		}
	}
}

// A hundred stuck readers of one body hold neither the fetch nor the others, and
// are cut off.
func TestAttackSlowReaders(t *testing.T) {
	const size, bound = 4 << 20, 16 << 20
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, slowly(time.Second, large(size)), func(o *httpcache.Options) { o.MaxBytes, o.TailTimeout = bound, 10*time.Second })
		var stuck []net.Conn
		for i := range 100 {
			if i%2 == 0 {
				stuck = append(stuck, w.stuck("/p"))
			} else {
				stuck = append(stuck, w.stuck("/p", "Range", "bytes=1-"))
			}
		}
		for _, g := range together(10, func(int) got { return w.get("/p") }) {
			if g.err != nil || sum(g.body) != sumOf(size) || g.at != time.Second {
				t.Fatalf("a fast reader got %d bytes after %v, %v", len(g.body), g.at, g.err)
			}
		}
		if s := w.proxy.Cache().Stats(); s.Bytes+s.BytesInFlight > bound {
			t.Errorf("%d bytes are held", s.Bytes+s.BytesInFlight)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		for _, conn := range stuck {
			if n, err := io.Copy(io.Discard, conn); n > 1<<20 || err != nil {
				t.Fatalf("a stuck reader found %d bytes, %v; want it cut off", n, err)
			}
		}
		w.wantCalls(1)
	})
}

// zeros is so many of them, packed.
func zeros(t *testing.T, n int64) string {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	for piece := make([]byte, 1<<20); n > 0; n -= int64(len(piece)) {
		w.Write(piece)
	}
	w.Close()
	return packed.String()
}

// A body in a coding is bytes: it is neither unpacked here nor larger than it is,
// whoever sends it.
func TestAttackDecompressionBomb(t *testing.T) {
	const unpacked = 64 << 20
	bomb := zeros(t, unpacked)
	w := open(t, sockets{}, func(rw http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body)
		if r.Method == http.MethodPost && string(content) != bomb {
			t.Errorf("the origin got %d bytes, want %d", len(content), len(bomb))
		}
		page(bomb, "Cache-Control", "max-age=60", "Content-Encoding", "gzip", "Vary", "Accept-Encoding")(rw, r)
	}, func(o *httpcache.Options) {
		o.Rules = []httpcache.Rule{{Path: "/keyed", MaxContentBytes: 1 << 20}}
	})
	before, most := held(), int64(0)
	for _, accepts := range []string{"", "gzip", "identity", "deflate", "br"} {
		for _, target := range []string{"/p", "/p", "/keyed", "/keyed"} {
			r := newRequest(t.Context(), "GET", target, nil, "Accept-Encoding", accepts)
			if target == "/keyed" {
				r = newRequest(t.Context(), "POST", target, strings.NewReader(bomb), "Accept-Encoding", accepts, "Content-Encoding", "gzip")
			}
			if g := w.send(r); g.err != nil || g.body != bomb || g.header.Get("Content-Encoding") != "gzip" {
				t.Fatalf("%s: %d, %d bytes in %q, %v", g.what, g.status, len(g.body), g.header.Get("Content-Encoding"), g.err)
			}
			most = max(most, held()-before)
		}
	}
	if limit := int64(32 << 20); most > limit {
		t.Errorf("%s were held, want %s at most", mebibytes(most), mebibytes(limit))
	}
}
