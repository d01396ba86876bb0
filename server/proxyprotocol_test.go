package server

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

// answerTo sends raw bytes and gives what comes back until the connection ends.
func answerTo(t *testing.T, address string, sent []byte) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write(sent) // the other side may have hung up
	all, _ := io.ReadAll(conn)
	return string(all)
}

func tellRemote(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "from "+r.RemoteAddr) }

const plainRequest = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

func TestAConnectionBeginsWithAHeaderOfTheProxyProtocol(t *testing.T) {
	s := start(t, stub{HandlerFunc: tellRemote}, "proxy-protocol", "on", "trusted-proxies", "127.0.0.0/8", "header-timeout", "1s")
	address := s.frontOn.Addr().String()
	header := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 7}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80})
	v2, err := header.Format()
	if err != nil {
		t.Fatal(err)
	}
	for sent, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 192.0.2.1 7 80\r\n" + plainRequest:        "from 192.0.2.7:7",
		"PROXY TCP6 2001:db8::7 2001:db8::1 7 80\r\n" + plainRequest:    "from [2001:db8::7]:7",
		"PROXY UNKNOWN\r\n" + plainRequest:                              "from 127.0.0.1:",
		string(v2) + plainRequest:                                       "from 192.0.2.7:7",
		plainRequest:                                                    "", // whether there is a header is not guessed
		"PROXY TCP4 192.0.2.7\r\n" + plainRequest:                       "",
		"PROXY TCP4 999.0.2.7 192.0.2.1 7 80\r\n" + plainRequest:        "",
		"PROXY TCP4 192.0.2.7 192.0.2.1 7 80 90 100\r\n" + plainRequest: "",
	} {
		got := answerTo(t, address, []byte(sent))
		if want == "" && strings.Contains(got, "200 OK") || !strings.Contains(got, want) {
			t.Errorf("sent %q: answer %q, want %q", sent, got, want)
		}
	}
}

func TestOnlyTrustedAddressesMayConnectWithTheProxyProtocol(t *testing.T) {
	s := start(t, stub{HandlerFunc: tellRemote}, "proxy-protocol", "on", "trusted-proxies", "192.0.2.0/24")
	sent := "PROXY TCP4 192.0.2.7 192.0.2.1 7 80\r\n" + plainRequest
	for range 2 { // and the listener goes on
		if got := answerTo(t, s.frontOn.Addr().String(), []byte(sent)); got != "" {
			t.Errorf("answer to a stranger: %q, want none", got)
		}
	}
	waitFor(t, func() bool { return s.conns.open.Load() == 0 })
}

func TestAConnectionWithoutItsHeaderHoldsUpNobodyElse(t *testing.T) {
	s := start(t, stub{HandlerFunc: tellRemote}, "proxy-protocol", "on", "trusted-proxies", "127.0.0.1", "header-timeout", "1h")
	silent, err := net.Dial("tcp", s.frontOn.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	waitFor(t, func() bool { return s.conns.open.Load() == 1 })
	got := answerTo(t, s.frontOn.Addr().String(), []byte("PROXY TCP4 192.0.2.7 192.0.2.1 7 80\r\n"+plainRequest))
	if !strings.Contains(got, "from 192.0.2.7:7") {
		t.Errorf("answer %q, want one", got)
	}
}

func TestTheAccessLogHasTheClientThatTrustedProxiesName(t *testing.T) {
	s := startProxy(t, "http://127.0.0.1:1", "trusted-proxies", "127.0.0.1", "log.level", "error")
	for i, test := range []struct{ forwarded, want string }{{"192.0.2.7", "192.0.2.7"}, {"10.0.0.1, 2001:db8::7", "2001:db8::7"}, {"", "127.0.0.1"}} {
		request, _ := http.NewRequest("GET", s.URL()+"/", nil)
		if test.forwarded != "" {
			request.Header.Set("X-Forwarded-For", test.forwarded)
		}
		response, err := client(t, false).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		waitFor(t, func() bool { return len(s.log.lines()) == i+1 && s.log.lines()[i] != "" })
		var line struct{ Client string }
		if err := json.Unmarshal([]byte(s.log.lines()[i]), &line); err != nil {
			t.Fatal(err)
		}
		if line.Client != test.want {
			t.Errorf("X-Forwarded-For %q: client %q, want %q", test.forwarded, line.Client, test.want)
		}
	}
}

func TestTheProxyProtocolComesBeforeTLS(t *testing.T) {
	a := newAuthority(t)
	cert, key, _ := a.issue(t, "a", "a.example")
	s := start(t, stub{HandlerFunc: tellRemote}, "tls.listen", "127.0.0.1:0", "tls.cert", cert, "tls.key", key, "proxy-protocol", "on", "trusted-proxies", "127.0.0.1")
	conn, err := net.Dial("tcp", s.tlsOn.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "PROXY TCP4 192.0.2.7 192.0.2.1 7 80\r\n")
	secure := tls.Client(conn, a.trusting("a.example"))
	defer secure.Close()
	fmt.Fprint(secure, plainRequest)
	response, err := http.ReadResponse(bufio.NewReader(secure), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != "from 192.0.2.7:7" {
		t.Errorf("body = %q, want the address of the header", body)
	}
}

func TestBothKindsOfConnectionsAreWhatNetHTTPLooksFor(t *testing.T) {
	type halfCloser interface{ CloseWrite() error }
	for _, conn := range []net.Conn{&limitedConn{}, &greetedConn{}} {
		if _, ok := conn.(halfCloser); !ok {
			t.Errorf("%T has no CloseWrite: a client may lose the end of a last answer", conn)
		}
		if _, ok := conn.(io.ReaderFrom); !ok {
			t.Errorf("%T has no ReadFrom", conn)
		}
	}
}
