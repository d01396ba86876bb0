package httpcache_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// The attacks that this cache has to stand, a test each, named TestAttack and
// the attack. They send bytes over a connection and count at the origin.

// reflecting is an origin that every request field, the host, the path, the
// method and the content have a hand in, and that lets all of it be cached.
func reflecting(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=60")
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.RequestURI, body)
	for name, values := range r.Header {
		if name != "Via" {
			fmt.Fprintf(w, " %s: %s", name, values)
		}
	}
}

// raw sends bytes on a connection of its own and gives all that comes back, to
// the end of the connection.
func (w *world) raw(request string) string {
	w.t.Helper()
	conn, err := w.dial(w.t.Context(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	return exchanged(w.t, conn, request)
}

func exchanged(t *testing.T, conn net.Conn, request string) string {
	t.Helper()
	defer conn.Close()
	go io.WriteString(conn, request)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer, err := io.ReadAll(conn)
	if err, ok := err.(net.Error); ok && err.Timeout() {
		t.Errorf("%.100q: the connection stays open", request)
	}
	return string(answer)
}

// ask is raw for one request whose header has these lines.
func (w *world) ask(request string, lines ...string) string {
	w.t.Helper()
	lines = append([]string{request + " HTTP/1.1", "Host: shop.test", "Connection: close"}, lines...)
	return w.raw(strings.Join(lines, "\r\n") + "\r\n\r\n")
}

var statusLine = regexp.MustCompile(`HTTP/1\.[01] (\d{3})`)

// statuses are those of the answers in what came back.
func statuses(answer string) string {
	var all []string
	for _, line := range statusLine.FindAllStringSubmatch(answer, -1) {
		all = append(all, line[1])
	}
	return strings.Join(all, " ")
}

// wire is an origin that keeps the bytes it is sent.
type wire struct {
	net.Listener
	serving sync.WaitGroup
	mu      sync.Mutex
	sent    bytes.Buffer
}

func newWire(t *testing.T) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &wire{Listener: l}
	o.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			o.serving.Go(func() { o.serve(conn) })
		}
	})
	return o
}

// Write keeps what is read of a connection.
func (o *wire) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent.Write(p)
}

func (o *wire) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(io.TeeReader(conn, o))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			io.Copy(io.Discard, in)
			return
		}
		io.Copy(io.Discard, r.Body)
		body := r.RequestURI
		if r.Method == http.MethodHead {
			body = ""
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n%s", len(r.RequestURI), body)
	}
}

// end waits until all connections have ended, and gives what was sent on them.
func (o *wire) end() string {
	o.Close()
	o.serving.Wait()
	return o.sent.String()
}

// before starts a proxy before the wire, as it is in service.
func (o *wire) before(t *testing.T) *world {
	return openBefore(t, sockets{}, nil, func(options *httpcache.Options) {
		options.Origin.Host = o.Addr().String()
		options.Transport = nil
	})
}
