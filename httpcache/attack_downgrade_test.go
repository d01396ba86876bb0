package httpcache_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
)

// What HTTP/2 can carry and HTTP/1.1 cannot must not become a second request,
// with TLS or without.
func TestAttackDowngrade(t *testing.T) {
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
	without := func(name string) []string {
		var all []string
		for i, r := 0, request(); i < len(r); i += 2 {
			if r[i] != name {
				all = append(all, r[i], r[i+1])
			}
		}
		return all
	}
	post := func(fields ...string) []string { return append(with(":method", "POST"), fields...) }
	for _, test := range []struct {
		name    string
		fields  []string
		content []string // in frames; nil: none
		answer  string   // one of these; "reset": the stream is refused
	}{
		{"a good one", request(), nil, "200"},
		{"a good one with content", post("content-length", "6"), []string{"con", "ten"}, "200"},
		{"method with a request", with(":method", "GET /x HTTP/1.1\r\nHost: evil\r\n\r\n"), nil, "reset"},
		{"method with a space", with(":method", "GE T"), nil, "400"},
		{"method that is empty", with(":method", ""), nil, "reset"},
		{"no method", without(":method"), nil, "reset"},
		{"path with a request", with(":path", "/p HTTP/1.1\r\nHost: evil\r\n\r\nGET /x"), nil, "reset"},
		{"path with a space", with(":path", "/p HTTP/1.1"), nil, "400"},
		{"path with a NUL", with(":path", "/p\x00"), nil, "reset"},
		{"path that is none", with(":path", "p"), nil, "reset"},
		{"path that is empty", with(":path", ""), nil, "reset"},
		{"path with another host", with(":path", "http://evil.test/p"), nil, "421"},
		{"path with user and host", with(":path", "http://shop.test@evil.test/p"), nil, "400 421"},
		{"path with a fragment", with(":path", "/p#evil"), nil, "400"},
		{"path that is all", with(":path", "*"), nil, "400"},
		{"no path", without(":path"), nil, "reset"},
		{"two paths", request(":path", "/evil"), nil, "reset"},
		{"a path behind a field", append(without(":path"), "x", "y", ":path", "/p"), nil, "reset"},
		{"authority with a line feed", with(":authority", "shop.test\nX: y"), nil, "reset"},
		{"authority with a user", with(":authority", "evil@shop.test"), nil, "reset"},
		{"authority with a path", with(":authority", "shop.test/evil"), nil, "400"},
		{"authority that is empty", with(":authority", ""), nil, "400"},
		{"two authorities", request(":authority", "evil.test"), nil, "reset"},
		{"no authority and no host", without(":authority"), nil, "400"},
		{"host in place of the authority", append(without(":authority"), "host", "shop.test"), nil, "200"},
		{"another host", request("host", "evil.test"), nil, "200"},                                         // which does not go on
		{"two hosts", append(without(":authority"), "host", "shop.test", "host", "evil.test"), nil, "200"}, // likewise
		{"scheme that is none", with(":scheme", "evil"), nil, "reset"},
		{"no scheme", without(":scheme"), nil, "reset"},
		{"scheme of the other kind", with(":scheme", "https"), nil, "200"}, // the connection's counts
		{"unknown pseudo-field", append([]string{":evil", "x"}, request()...), nil, "reset"},
		{"an answer's pseudo-field", append([]string{":status", "200"}, request()...), nil, "reset"},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "evil.test:443"}, nil, "405"},
		{"CONNECT with a protocol", append(with(":method", "CONNECT"), ":protocol", "websocket"), nil, "reset"},
		{"value with a line feed", request("x", "y\r\nX: z"), nil, "reset"},
		{"value with a NUL", request("x", "y\x00z"), nil, "reset"},
		{"name with a colon", request("x: y\r\nz", "1"), nil, "reset"},
		{"name with a space", request("x y", "1"), nil, "reset"},
		{"name in upper case", request("X", "y"), nil, "reset"},
		{"name that is empty", request("", "y"), nil, "reset"},
		{"transfer-encoding", request("transfer-encoding", "chunked"), nil, "400"},
		{"transfer-encoding with content", post("transfer-encoding", "chunked"), []string{"0\r\n\r\n" + hidden}, "400"},
		{"transfer_encoding", request("transfer_encoding", "chunked"), nil, "200"}, // which does not go on
		{"connection", request("connection", "close"), nil, "400"},
		{"connection that names one", request("connection", "x-forwarded-for"), nil, "400"},
		{"keep-alive", request("keep-alive", "timeout=5"), nil, "400"},
		{"proxy-connection", request("proxy-connection", "keep-alive"), nil, "400"},
		{"upgrade", request("upgrade", "websocket"), nil, "400"},
		{"te that is not trailers", request("te", "gzip"), nil, "400"},
		{"a length without content", request("content-length", "5"), nil, "200"},                 // which does not go on
		{"a length that is none", post("content-length", "x"), []string{"content"}, "200 reset"}, // neither does go on
		{"content beyond its length", post("content-length", "3"), []string{"con" + hidden}, "reset"},
		{"content beyond its length later", post("content-length", "3"), []string{"con", hidden}, "200 reset"},
		{"content beyond a length of zero", post("content-length", "0"), []string{hidden}, "200 reset"},
		{"content short of its length", post("content-length", "100"), []string{"con"}, "400"},
		{"content of a GET", request("content-length", fmt.Sprint(len(hidden))), []string{hidden}, "200"}, // in its framing
		{"content of a GET without length", request(), []string{hidden}, "200"},
		{"content that looks like chunks", post(), []string{"0\r\n\r\n" + hidden}, "200"},
		{"an obfuscated expectation", post("expect", "y 100-continue"), []string{hidden}, "417"},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", test.name, secure), func(t *testing.T) {
				o := newWire(t)
				w := o.before(t)
				client := w.multiplexedOver(secure)
				flags := byte(endHeaders)
				if test.content == nil {
					flags |= endStream
				}
				client.send(frame(frameHeaders, flags, 1, literals(test.fields)))
				for i, piece := range test.content {
					flags := byte(0)
					if i == len(test.content)-1 {
						flags = endStream
					}
					client.send(frame(frameData, flags, 1, piece))
				}
				status := ""
				if a := client.answers(1)[1]; a != nil {
					status = a.status
				}
				if status == "" || !strings.Contains(test.answer, status) {
					t.Errorf("answer is %q, want %q", status, test.answer)
				}
				client.close()
				if status == "200" {
					o.wantFramed(w)
				} else {
					o.wantOne(w, false)
				}
			})
		}
	}
}

// multiplexedOver opens a connection that is known to speak HTTP/2, or one of
// TLS on which that is agreed.
func (w *world) multiplexedOver(secure bool) *multiplexed {
	w.t.Helper()
	if !secure {
		return w.multiplexed(1 << 20)
	}
	front := httptest.NewUnstartedServer(w.proxy)
	front.EnableHTTP2 = true
	front.StartTLS()
	w.t.Cleanup(front.Close)
	conn, err := tls.Dial("tcp", front.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return startMultiplexed(w.t, conn, 1<<20)
}

// wantFramed is wantOne for a request that is answered well, with content that
// may be framed anew.
func (o *wire) wantFramed(w *world) {
	w.t.Helper()
	if err := w.proxy.Close(); err != nil {
		w.t.Fatal(err)
	}
	sent := o.end()
	head, content, _ := strings.Cut(sent, "\r\n\r\n")
	if strings.Contains(head, "Transfer-Encoding: chunked") { // HTTP/2 did not say how long it is
		in := bufio.NewReader(strings.NewReader(content))
		if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(in)); err != nil || in.Buffered() > len("\r\n") {
			w.t.Errorf("the origin was sent the chunks %q: %v", content, err)
		}
	}
	if _, length, found := strings.Cut(head, "\r\nContent-Length: "); found && !strings.HasPrefix(length+"\r\n", fmt.Sprint(len(content), "\r\n")) {
		w.t.Errorf("the origin was sent %d bytes of content behind %q", len(content), head)
	}
	lower := strings.ToLower(head)
	if strings.Count(head, " HTTP/1.1\r\nHost: shop.test") != 1 || strings.Contains(lower, "evil") || strings.Contains(lower, "_encoding") {
		w.t.Errorf("the origin was sent %q", sent)
	}
}

// Trailers of a request say nothing to an origin that a header would not have
// been let say.
func TestAttackDowngradeByTrailers(t *testing.T) {
	for _, name := range []string{"x-forwarded-for", "x-original-url", "content-length", "transfer-encoding", "host", "authorization", ":path"} {
		o := newWire(t)
		w := o.before(t)
		client := w.multiplexed(1 << 20)
		client.send(frame(frameHeaders, endHeaders, 1, literals([]string{":method", "POST", ":scheme", "http", ":authority", "shop.test", ":path", "/p", "trailer", name})) +
			frame(frameData, 0, 1, "content") + frame(frameHeaders, endHeaders|endStream, 1, literals([]string{name, "evil"})))
		client.answers(1)
		client.close()
		if err := w.proxy.Close(); err != nil {
			t.Fatal(err)
		}
		if sent := o.end(); strings.Contains(sent, "evil") || strings.Count(sent, " HTTP/1.1\r\n") > 1 {
			t.Errorf("%s: the origin was sent %q", name, sent)
		}
	}
}
