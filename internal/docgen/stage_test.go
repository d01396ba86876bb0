package docgen

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
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

// A stage is a proxy before an origin, in virtual time and without sockets, and
// what a terminal shows of it.
type stage struct {
	t        *testing.T
	origin   http.HandlerFunc // nil: nobody listens there
	behind   *http.Transport  // to the origin
	front    *pipes
	running  sync.WaitGroup // what began in the background
	terminal strings.Builder
	last     *shown
}

// opening is when every scene begins: the hour at which hot keys expire.
var opening = time.Date(2026, time.November, 21, 21, 0, 0, 0, time.UTC)

// play lets a scene happen and gives what a terminal shows of it, and the last
// answer.
func play(t *testing.T, sc scene) (terminal string, last *shown) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(opening))
		s := openStage(t, sc)
		sc.act(s)
		s.running.Wait()
		terminal, last = s.terminal.String(), s.last
	})
	return terminal, last
}

func openStage(t *testing.T, sc scene) *stage {
	s := &stage{t: t, origin: sc.origin, front: newPipes()}
	behind := newPipes()
	listen(t, behind, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.origin(w, r) }))
	s.behind = &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if s.origin == nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed}
		}
		return behind.dial()
	}}
	options := httpcache.Options{
		Name: "corral", Origin: &url.URL{Scheme: "http", Host: "127.0.0.1:9000"}, MaxBytes: 64 << 20, Transport: s.behind, Now: time.Now,
	}
	if sc.options != nil {
		sc.options(&options)
	}
	proxy, err := httpcache.NewProxy(options)
	if err != nil {
		t.Fatal(err)
	}
	listen(t, s.front, proxy)
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
		s.behind.CloseIdleConnections()
	})
	return s
}

// wait lets time pass.
func (s *stage) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// vanish leaves nobody listening where the origin was.
func (s *stage) vanish() {
	s.origin = nil
	s.behind.CloseIdleConnections()
}

// say puts a remark between two commands.
func (s *stage) say(remark string) { fmt.Fprintf(&s.terminal, "# %s\n", remark) }

// curl is that command, with -i: it knows -H, -r, -b, -d, -X, -o and
// --request-target. The last argument is the path.
func (s *stage) curl(args ...string) {
	s.show(s.ask(args))
	synctest.Wait()
}

// before is curl, unseen.
func (s *stage) before(args ...string) {
	s.ask(args)
	synctest.Wait()
}

// begin is curl in the background, unseen. It returns when nothing more happens
// until time passes.
func (s *stage) begin(args ...string) {
	s.running.Go(func() { s.ask(args) })
	synctest.Wait()
}

// A shown is a command with what it prints.
type shown struct {
	command, head, body string
	code                int
	cache               string // Cache-Status
}

// show writes down a command and its answer.
func (s *stage) show(a *shown) {
	fmt.Fprintf(&s.terminal, "$ %s\n%s", a.command, a.head)
	if a.body != "" {
		fmt.Fprintf(&s.terminal, "\n%s", a.body)
	}
	s.terminal.WriteString("\n")
	s.last = a
}

// ask sends a request as curl would.
func (s *stage) ask(args []string) *shown {
	r, err := http.NewRequest(http.MethodGet, "http://shop.example"+args[len(args)-1], nil)
	if err != nil {
		panic(err)
	}
	r.Header = http.Header{"Accept": {"*/*"}, "User-Agent": {"curl/8.9.1"}}
	command, method, saved := "curl -i", "", false
	for i := 0; i < len(args)-1; i += 2 {
		option, value := args[i], args[i+1]
		command += " " + option + " " + quoted(value)
		switch option {
		case "-H":
			name, value, _ := strings.Cut(value, ": ")
			r.Header.Add(name, value)
		case "-r":
			r.Header.Set("Range", "bytes="+value)
		case "-b":
			r.Header.Set("Cookie", value)
		case "-d":
			r.Method, r.Body, r.ContentLength = http.MethodPost, io.NopCloser(strings.NewReader(value)), int64(len(value))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		case "-X":
			method = value
		case "-o":
			saved = true
		case "--request-target":
			r.Host = "shop.example"
			r.URL = &url.URL{Scheme: "https", Opaque: strings.TrimPrefix(value, "https:")}
		default:
			panic("docgen: curl has no stand-in for " + option)
		}
	}
	if method != "" {
		r.Method = method
	}
	if saved {
		command = strings.Replace(command, "-i", "-s -D -", 1)
	}
	a := s.send(r)
	a.command = command + " " + quoted("http://shop.example"+args[len(args)-1])
	if saved {
		a.body = ""
	}
	return a
}

// send makes a request over a connection of its own.
func (s *stage) send(r *http.Request) *shown {
	conn, err := s.front.dial()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	go r.Write(conn)
	var wire bytes.Buffer
	from := bufio.NewReader(io.TeeReader(conn, &wire))
	a := new(shown)
	for {
		res, err := http.ReadResponse(from, r)
		if err != nil {
			panic(err)
		}
		head := wire.Bytes()[len(a.head):]
		a.head += string(head[:bytes.Index(head, []byte("\r\n\r\n"))+4])
		if res.StatusCode < 200 {
			continue
		}
		a.code, a.cache = res.StatusCode, res.Header.Get("Cache-Status")
		body, err := io.ReadAll(res.Body)
		a.body = string(body)
		if len(body) > 0 && !strings.HasSuffix(a.body, "\n") {
			a.body += "\n"
		}
		if err != nil {
			a.body += "curl: (18) transfer closed with outstanding read data remaining\n"
		}
		a.head = strings.ReplaceAll(strings.TrimSuffix(a.head, "\r\n"), "\r\n", "\n")
		return a
	}
}

// quoted writes an argument as a shell reads it.
func quoted(text string) string {
	if strings.ContainsAny(text, " \"*&?;\\") {
		return "'" + text + "'"
	}
	return text
}

// pipes is a listener in memory: time stands still while a socket is waited for.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

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

func (l *pipes) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// listen serves until the test ends.
func listen(t *testing.T, l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler}
	var done sync.WaitGroup
	done.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		done.Wait()
	})
}
