package httpcache_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// strict is an origin that says what is wrong with the requests that it gets.
type strict struct {
	t     *testing.T
	calls atomic.Int64
}

// one reads a request from a connection's bytes by the letter of RFC 9112, with
// none of the leniency of section 2.2, and not with net/http's own parser,
// which would find what its other half meant.
func (o *strict) one(in *bufio.Reader) (ok bool) {
	line := func() (string, bool) {
		text, err := in.ReadString('\n')
		if err != nil {
			return "", false
		}
		text, found := strings.CutSuffix(text, "\r\n")
		if !found || strings.ContainsAny(text, "\r\n\x00") {
			o.t.Errorf("the origin got the line %q", text)
		}
		return text, true
	}
	start, ok := line()
	if !ok {
		return false
	}
	parts := strings.Split(start, " ")
	if len(parts) != 3 || parts[0] == "" || !strings.HasPrefix(parts[1], "/") || parts[2] != "HTTP/1.1" {
		o.t.Errorf("the origin got the request line %q", start)
	}
	hosts, length, chunked := 0, 0, 0
	size := int64(0)
	for {
		field, ok := line()
		if !ok {
			return false
		}
		if field == "" {
			break
		}
		name, value, found := strings.Cut(field, ": ")
		if !found || strings.ContainsAny(name, " \t:") {
			o.t.Errorf("the origin got the field %q", field)
		}
		switch strings.ToLower(name) {
		case "host":
			hosts++
		case "content-length":
			length++
			fmt.Sscan(value, &size)
		case "transfer-encoding":
			chunked++
		}
	}
	if hosts != 1 || length+chunked > 1 {
		o.t.Errorf("the origin got %d hosts, %d lengths, %d codings", hosts, length, chunked)
	}
	if chunked > 0 {
		return o.chunks(in, line)
	}
	n, _ := io.CopyN(io.Discard, in, size)
	return n == size
}

func (o *strict) chunks(in *bufio.Reader, line func() (string, bool)) bool {
	for {
		text, ok := line()
		if !ok {
			return false
		}
		size := int64(-1)
		if fmt.Sscanf(text, "%x", &size); size < 0 {
			o.t.Errorf("the origin got the chunk size %q", text)
			return false
		}
		if n, _ := io.CopyN(io.Discard, in, size); n != size {
			return false
		}
		if end, ok := line(); !ok || end != "" && size > 0 {
			return false
		}
		if size == 0 {
			return true
		}
	}
}

func (o *strict) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for o.one(in) {
		o.calls.Add(1)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok")
	}
}

// FuzzRequest sends bytes to the proxy. The origin must see well-formed
// requests only, and not more of them than net/http has found in the bytes.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"GET /p HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /p HTTP/1.1\r\nHost: a\r\n\r\nGET /q HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET http://a/p?x=%zz;y HTTP/1.1\r\nHost: a\r\nVary: x\r\nCache-Control: no-cache\r\n\r\n",
		"HEAD //p/../q HTTP/1.1\r\nHost: A.:80\r\nIf-None-Match: \"x\"\r\n\r\n",
		"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd",
		"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nX: y\r\n\r\n",
		"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /q HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /p HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"GET /p HTTP/1.1\r\nHost: a\r\nCookie: b\r\nRange: bytes=0-1\r\nConnection: host, via\r\n\r\n",
		"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"M-SEARCH /\x80\xff|^ HTTP/1.1\r\nHost: a\r\nX: \x80\xff\r\n\r\n",
		"GET /p HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		synctest.Test(t, func(t *testing.T) {
			o := &strict{t: t}
			dial := listenWith(t, o.serve)
			var asked atomic.Int64
			w := openBefore(t, memory{}, dial, func(options *httpcache.Options) { options.LoadTimeout, options.TailTimeout = time.Second, time.Second })
			front, dialFront := memory{}.listen(t)
			serve(t, front, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				w.proxy.ServeHTTP(rw, r)
			}))
			conn, err := dialFront(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go conn.Write(request)
			conn.SetReadDeadline(time.Now().Add(time.Minute))
			io.Copy(io.Discard, conn)
			synctest.Wait()
			if o.calls.Load() > asked.Load() {
				t.Errorf("the origin got %d requests of %d", o.calls.Load(), asked.Load())
			}
		})
	})
}

// listenWith serves connections in memory.
func listenWith(t *testing.T, handle func(net.Conn)) dialer {
	l, dial := memory{}.listen(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { handle(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return dial
}
