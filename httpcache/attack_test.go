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
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

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

// raw sends bytes on a connection of its own and gives all that comes back.
func (w *world) raw(request string) string {
	w.t.Helper()
	conn, err := w.dial(w.t.Context(), "", "")
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	go io.WriteString(conn, request)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

// What a client can say beside the key must not be in anybody else's page.
func TestUnkeyedFieldsDoNotReachASharedAnswer(t *testing.T) {
	for _, field := range []string{
		"X-Forwarded-Host: evil.test", "X-Forwarded-Scheme: nothttps", "X-Forwarded-Proto: evil", "X-Forwarded-Prefix: /evil", "X-Forwarded-For: evil",
		"x_forwarded_host: evil.test", "X-Host: evil.test", "X-Original-URL: /evil", "X-Rewrite-URL: /evil", "X-Real-IP: evil",
		"X-HTTP-Method-Override: EVIL", "X-Method-Override: EVIL", "Forwarded: host=evil.test", "True-Client-IP: evil", "X-Middleware-Subrequest: evil",
		"If-None-Match: evil", "Range: bytes=0-3", "Connection: Cache-Control, X-Evil", "Cache-Control: max-age=evil", "Pragma: evil", "TE: evil",
		"Upgrade: evil", "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nevil", "Content-Length: 4\r\n\r\nevil",
		"Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n", "Cookie: evil", "Authorization: evil",
	} {
		t.Run(field, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, reflecting, nil)
				w.raw("GET /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n" + field + "\r\n\r\n")
				g := w.get("/p")
				if g.status != 200 || strings.Contains(strings.ToLower(g.body+fmt.Sprint(g.header)), "evil") || !strings.HasPrefix(g.body, "GET shop.test /p ") {
					t.Errorf("the next visitor got %d %q, %v", g.status, g.body, g.header)
				}
			})
		})
	}
}

// What looks alike to one side may differ for the other: each spelling is its
// own key and is sent on byte for byte, or refused.
func TestTargetsAreKeyedAsTheyAreSent(t *testing.T) {
	targets := []string{
		"/account", "/account/x.css", "/account;x.css", "/account%2fx.css", "/account%2Fx.css", "/account%00x.css", "/account%3bx.css", "/account%23x.css", "/account%3fx.css",
		"//account", "/./account", "/x/../account", "/%2e/account", "/Account", "/account/", "/account?", "/account?a=1&b=2", "/account?b=2&a=1",
		"/account?a=1&a=2", "/account?a=1;a=2", "/account?a=1&utm_source=x;a=2", "/account?a=%zz", "/account?%61=1", "/account?a=1%26a=2", `/account?x=\`,
	}
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, reflecting, nil)
		for round := range 2 {
			for _, target := range targets {
				answer := w.raw("GET " + target + " HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
				hit := strings.Contains(answer, ";hit;")
				if !strings.Contains(answer, "GET shop.test "+target+" ") || hit != (round == 1) {
					t.Errorf("round %d: GET %s = %q", round, target, answer)
				}
			}
			w.wantCalls(len(targets) * (1 - round))
		}
	})
}

// The classes of cache deception: what is private is so under every name.
func TestAFileNameDoesNotMakeAnAnswerPublic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) { // a router that is generous with paths
			page("the account of "+r.Header.Get("Cookie"), "Cache-Control", "private")(rw, r)
		}, nil)
		for _, target := range []string{"/account/x.css", "/account;x.css", "/account%2fx.css", "/account%00.js", "//account.png", "/./account.png", `/account\x.css`} {
			w.raw("GET " + target + " HTTP/1.1\r\nHost: shop.test\r\nCookie: victim\r\nConnection: close\r\n\r\n")
			answer := w.raw("GET " + target + " HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
			if strings.Contains(answer, "victim") {
				t.Errorf("GET %s gave another's account: %q", target, answer)
			}
		}
		if s := w.proxy.Cache().Stats(); s.Shares > 0 {
			t.Errorf("%d answers were shared", s.Shares)
		}
	})
}

func TestAHostHasOneSpellingOrIsRefused(t *testing.T) {
	for _, test := range []struct {
		request string // without the end of the header
		status  string
		host    string // as the origin gets it
	}{
		{"GET /p HTTP/1.1\r\nHost: shop.test", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: SHOP.test", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: shop.test:80", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: shop.test.", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: shop.test:0080", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: shop.test:8080", "200", "shop.test:8080"},
		{"GET http://shop.test/p HTTP/1.1\r\nHost: shop.test", "200", "shop.test"},
		{"GET http://other.test/p HTTP/1.1\r\nHost: shop.test", "200", "other.test"}, // RFC 9112, section 3.2.2
		{"GET https://shop.test/p HTTP/1.1\r\nHost: shop.test", "421", ""},
		{"GET http://shop.test@evil.test/p HTTP/1.1\r\nHost: shop.test", "4", ""},
		{"GET shop.test/p HTTP/1.1\r\nHost: shop.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test\r\nHost: evil.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test, evil.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test:evil", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test:99999", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test/evil", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: evil@shop.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: ..shop.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: sh%6fp.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost:", "400", ""},
		{"GET /p HTTP/1.1", "400", ""},
		{"GET /p HTTP/1.0", "400", ""},
		{"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443", "405", ""},
		{"GET * HTTP/1.1\r\nHost: shop.test", "400", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, reflecting, nil)
			answer := w.raw(test.request + "\r\nConnection: close\r\n\r\n")
			if !strings.Contains(answer, " "+test.status) || strings.Count(answer, "HTTP/1.") != 1 {
				t.Errorf("%q: %q; want %s", test.request, answer, test.status)
			}
			if test.host == "" {
				w.wantCalls(0)
				return
			}
			if host := w.origin.seen().Host; host != test.host {
				t.Errorf("%q: the origin got Host %q, want %q", test.request, host, test.host)
			}
			w.wantCalls(1)
			w.get("http://"+test.host+"/p").want(t, 200, w.get("http://"+test.host+"/p").body, "Corral;hit;ttl=60")
			w.wantCalls(0)
		})
	}
}

// A header that the origin would choke on must not let its error be stored, or
// counted against the page: it is refused here.
func TestMalformedAndOversizedHeadersAreRefusedHere(t *testing.T) {
	for _, test := range []struct{ field, status string }{
		{"X: " + strings.Repeat("x", 2<<20), "431"},
		{strings.Repeat("X: y\r\n", 400_000) + "X: y", "431"},
		{"X Y: z", "400"},
		{"X : z", "400"},
		{": z", "400"},
		{"X\x00: z", "400"},
		{"X: a\x00b", "400"},
		{"X: a\x01b", "400"},
		{"X: a\rb", "400"},
		{" X: z", "400"},
		{"X", "400"},
	} {
		w := open(t, sockets{}, reflecting, nil)
		answer := w.raw("GET /p HTTP/1.1\r\nHost: shop.test\r\n" + test.field + "\r\n\r\n")
		if !strings.HasPrefix(answer, "HTTP/1.1 "+test.status) {
			t.Errorf("%.20q: %.200q, want %s", test.field, answer, test.status)
		}
		w.wantCalls(0)
	}
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
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n%s", len(r.RequestURI), r.RequestURI)
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

var statusLine = regexp.MustCompile(`HTTP/1\.[01] (\d{3})`)

// Each class of request smuggling ends with a refusal and a closed connection.
// Where net/http takes chunks for it, as RFC 9112, section 6.1, allows, the one
// request goes on with a framing that leaves no doubt, and the connection is
// closed as well.
func TestSmuggling(t *testing.T) {
	const hidden = "GET /hidden HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
	const post = "POST /p HTTP/1.1\r\nHost: shop.test\r\n"
	chunked := "0\r\n\r\n" + hidden
	length := fmt.Sprintf("Content-Length: %d\r\n", len(chunked))
	for _, test := range []struct{ name, request, status string }{
		{"CL.TE", post + length + "Transfer-Encoding: chunked\r\n\r\n" + chunked, "200"},
		{"TE.CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden), "200"},
		{"CL.0", "GET /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hidden), hidden), "200"},
		{"TE.TE two lines", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked, "501"},
		{"TE.TE list", post + "Transfer-Encoding: identity, chunked\r\n\r\n" + chunked, "501"},
		{"TE.TE unknown", post + "Transfer-Encoding: xchunked\r\n" + length + "\r\n" + chunked, "501"},
		{"TE.TE space before colon", post + "Transfer-Encoding : chunked\r\n" + length + "\r\n" + chunked, "400"},
		{"TE.TE vertical tab", post + "Transfer-Encoding: \vchunked\r\n" + length + "\r\n" + chunked, "400"},
		{"TE.TE folded", post + "Transfer-Encoding:\r\n chunked\r\n" + length + "\r\n" + chunked, "200"},
		{"TE in HTTP/1.0", strings.Replace(post, "1.1", "1.0", 1) + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, "200 400"},
		{"CL.CL", post + "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + hidden, "400"},
		{"CL list", post + "Content-Length: 0, 44\r\n\r\n" + hidden, "400"},
		{"CL sign", post + "Content-Length: +0\r\n\r\n" + hidden, "400"},
		{"CL negative", post + "Content-Length: -1\r\n\r\n" + hidden, "400"},
		{"CL hexadecimal", post + "Content-Length: 0x0\r\n\r\n" + hidden, "400"},
		{"CL overflow", post + "Content-Length: 18446744073709551616\r\n\r\n" + hidden, "400"},
		{"CL empty", post + "Content-Length:\r\n\r\n" + hidden, "400"},
		{"bare CR in a field", post + "X: y\rContent-Length: 44\r\n\r\n" + hidden, "400"},
		{"bare LF in a field's name", post + "X\nY: z\r\n\r\n" + hidden, "400"},
		{"chunk size with a sign", post + "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + hidden, "400"},
		{"chunk size 0x", post + "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + hidden, "400"},
		{"chunk size overflow", post + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + hidden, "400"},
		{"chunk longer than its size", post + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + hidden, "400"},
		{"method with a line feed", "GET\n/hidden HTTP/1.1\r\nHost: shop.test\r\n\r\n", "400"},
		{"target with a space", "GET /p /hidden HTTP/1.1\r\nHost: shop.test\r\n\r\n", "400"},
		{"target with a tab", "GET /p\t/hidden HTTP/1.1\r\nHost: shop.test\r\n\r\n", "400"},
		{"version", "GET /p HTTP/3.7\r\nHost: shop.test\r\n\r\n", "505"},
		{"no version", "GET /a-path-without-a-version\r\n\r\n", "400"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newWire(t)
			w := o.before(t)
			answer := w.raw(test.request)
			if err := w.proxy.Close(); err != nil { // ends the connections to the origin
				t.Fatal(err)
			}
			var statuses []string
			for _, line := range statusLine.FindAllStringSubmatch(answer, -1) {
				statuses = append(statuses, line[1])
			}
			if got := strings.Join(statuses, " "); got != test.status {
				t.Errorf("answers %q, want %s: %q", got, test.status, answer)
			}
			sent := o.end()
			if n := strings.Count(sent, "Host: shop.test\r\nVia: "); n > 1 || n == 1 && strings.HasPrefix(test.status, "4") && !strings.Contains(sent, "chunked") {
				t.Errorf("the origin was sent %d requests: %q", n, sent)
			}
			if strings.Contains(sent, "Content-Length: ") && strings.Contains(sent, "Transfer-Encoding: ") {
				t.Errorf("the origin was sent both framings: %q", sent)
			}
		})
	}
}

// What HTTP/2 can carry and HTTP/1.1 cannot must not become a second request.
func TestNothingIsSmuggledThroughADowngrade(t *testing.T) {
	request := func(fields ...string) []string {
		return append([]string{":method", "GET", ":scheme", "http", ":authority", "shop.test", ":path", "/p"}, fields...)
	}
	with := func(name, value string) []string {
		all := request()
		for i := 0; i < len(all); i += 2 {
			if all[i] == name {
				all[i+1] = value
			}
		}
		return all
	}
	for _, test := range []struct {
		name   string
		fields []string
		answer string
	}{
		{"a good one", request(), "200"},
		{"method with a request", with(":method", "GET /x HTTP/1.1\r\nHost: evil\r\n\r\n"), "refused"},
		{"method with a space", with(":method", "GE T"), "refused"},
		{"path with a request", with(":path", "/p HTTP/1.1\r\nHost: evil\r\n\r\nGET /x"), "refused"},
		{"path with a space", with(":path", "/p HTTP/1.1"), "refused"},
		{"path that is none", with(":path", "p"), "refused"},
		{"authority with a line feed", with(":authority", "shop.test\nX: y"), "refused"},
		{"two authorities", append(request(":authority", "evil.test"), "x", "y"), "refused"},
		{"another host", request("host", "evil.test"), "200"}, // which does not go on
		{"value with a line feed", request("x", "y\r\nX: z"), "refused"},
		{"name with a colon", request("x: y\r\nz", "1"), "refused"},
		{"name in upper case", request("X", "y"), "refused"},
		{"transfer-encoding", request("transfer-encoding", "chunked"), "refused"},
		{"connection", request("connection", "close"), "refused"},
		{"a length without content", request("content-length", "5"), "200"}, // which has none
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newWire(t)
			w := o.before(t)
			conn, err := w.dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			fmt.Fprintf(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n%s%s", frame(4, 0, 0, ""), frame(1, 5, 1, literals(test.fields)))
			if got := h2Answer(conn); got != test.answer {
				t.Errorf("answer is %s, want %s", got, test.answer)
			}
			if err := w.proxy.Close(); err != nil {
				t.Fatal(err)
			}
			sent := o.end()
			if n := strings.Count(sent, "HTTP/1.1\r\n"); n > 1 || n == 1 && test.answer != "200" || strings.Contains(sent, "evil") || strings.Contains(sent, "Content-Length") {
				t.Errorf("the origin was sent %q", sent)
			}
		})
	}
}

// frame is one of HTTP/2 (RFC 9113, section 4.1).
func frame(kind, flags byte, stream byte, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, 0, 0, 0, stream}) + payload
}

// literals is a field block without compression (RFC 7541, section 6.2.3).
func literals(fields []string) string {
	var b strings.Builder
	for i, text := range fields {
		if i%2 == 0 {
			b.WriteByte(0x10)
		}
		b.WriteByte(byte(len(text)))
		b.WriteString(text)
	}
	return b.String()
}

// h2Answer is the status that comes first, or that the request was refused.
func h2Answer(conn net.Conn) string {
	in := bufio.NewReader(conn)
	for {
		head := make([]byte, 9)
		if _, err := io.ReadFull(in, head); err != nil {
			return "refused"
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		if _, err := io.ReadFull(in, payload); err != nil {
			return "refused"
		}
		switch {
		case head[3] == 3 || head[3] == 7: // RST_STREAM, GOAWAY
			return "refused"
		case head[3] == 1 && payload[0] == 0x8c: // :status 400
			return "refused"
		case head[3] == 1 && payload[0] == 0x88:
			return "200"
		case head[3] == 1:
			return fmt.Sprintf("%q", payload)
		}
	}
}
