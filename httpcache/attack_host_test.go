package httpcache_test

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

type hostCase struct {
	request string // without the end of the header
	status  string
	host    string // as the origin gets it
}

func TestAttackHostHasOneSpellingOrIsRefused(t *testing.T) {
	for _, test := range []hostCase{
		{"GET /p HTTP/1.1\r\nHost: shop.test", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: SHOP.test", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: shop.test:80", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: shop.test:", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: shop.test.", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: ShOp.TeSt.:80", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: shop.test:0080", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost:\tshop.test\t", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nhOST: shop.test", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: shop.test:443", "200", "shop.test:443"},
		{"GET /p HTTP/1.1\r\nHost: shop.test:8080", "200", "shop.test:8080"},
		{"GET http://shop.test/p HTTP/1.1\r\nHost: shop.test", "200", "shop.test"},
		{"GET HTTP://SHOP.test:80/p HTTP/1.1\r\nHost: shop.test", "200", "shop.test"},
		{"GET http://other.test/p HTTP/1.1\r\nHost: shop.test", "200", "other.test"}, // RFC 9112, section 3.2.2
		{"GET https://shop.test/p HTTP/1.1\r\nHost: shop.test", "421", ""},
		{"GET ftp://shop.test/p HTTP/1.1\r\nHost: shop.test", "421", ""},
		{"GET http://shop.test@evil.test/p HTTP/1.1\r\nHost: shop.test", "400", ""},
		{"GET http:///p HTTP/1.1\r\nHost: shop.test", "400", ""},
		{"GET shop.test/p HTTP/1.1\r\nHost: shop.test", "400", ""},
		{"GET shop.test:80 HTTP/1.1\r\nHost: shop.test", "400", ""},
		{"GET //evil.test/p HTTP/1.1\r\nHost: shop.test:80", "200", "shop.test"}, // a path
		{"GET /p HTTP/1.1\r\nHost: shop.test\r\nHost: evil.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test\r\nHost: shop.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test\r\n Host: evil.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost : evil.test\r\nHost: shop.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test, evil.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test evil.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test:evil", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test:80:80", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test:-1", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test:0", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test:99999", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test/evil", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test?evil", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test#evil", "400", ""},
		{`GET /p HTTP/1.1` + "\r\n" + `Host: shop.test\evil`, "400", ""},
		{"GET /p HTTP/1.1\r\nHost: evil@shop.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: ..shop.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test..", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: sh%6fp.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: sh\xc3\xb6p.test", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test\x00", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: [::1", "400", ""},
		{"GET /p HTTP/1.1\r\nHost: " + strings.Repeat("a", 300), "400", ""},
		{"GET /p HTTP/1.1\r\nHost:", "400", ""},
		{"GET /p HTTP/1.1", "400", ""},
		{"GET /p HTTP/1.0", "400", ""},
		{"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443", "405", ""},
		{"GET * HTTP/1.1\r\nHost: shop.test", "400", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, reflecting, nil)
			w.wantHost(test, w.raw(test.request+"\r\nConnection: close\r\n\r\n"))
			if test.host != "" && !strings.Contains(test.request, "//evil") {
				g := w.get("http://" + test.host + "/p")
				g.want(t, 200, g.body, "Corral;hit;ttl=60")
				w.wantCalls(0)
			}
		})
	}
}

// wantHost looks at an answer and at what the origin got.
func (w *world) wantHost(test hostCase, answer string) {
	w.t.Helper()
	if got := statuses(answer); got != test.status {
		w.t.Errorf("%q: %s %q; want %s", test.request, got, answer, test.status)
	}
	if test.host == "" {
		w.wantCalls(0)
		return
	}
	if host := w.origin.seen().Host; host != test.host {
		w.t.Errorf("%q: the origin got Host %q, want %q", test.request, host, test.host)
	}
	w.wantCalls(1)
}

// Over TLS the default port is another one, and the key says so.
func TestAttackHostOverTLS(t *testing.T) {
	w := open(t, sockets{}, reflecting, nil)
	front := httptest.NewUnstartedServer(w.proxy)
	front.StartTLS()
	defer front.Close()
	secure := func(request string) string {
		t.Helper()
		conn, err := tls.Dial("tcp", front.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		return exchanged(t, conn, request)
	}
	for i, test := range []hostCase{
		{"GET /p HTTP/1.1\r\nHost: shop.test:443", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: SHOP.test.", "200", "shop.test"},
		{"GET /p HTTP/1.1\r\nHost: shop.test:80", "200", "shop.test:80"},
		{"GET https://shop.test:443/p HTTP/1.1\r\nHost: other.test", "200", "shop.test"},
		{"GET http://shop.test/p HTTP/1.1\r\nHost: shop.test", "421", ""},
		{"GET /p HTTP/1.1\r\nHost: shop.test\r\nHost: shop.test", "400", ""},
	} {
		answer := secure(test.request + "\r\nConnection: close\r\nCache-Control: no-cache\r\n\r\n")
		w.wantHost(test, answer)
		if i == 0 { // the same page over TCP alone is another one
			if answer := w.ask("GET /p"); strings.Contains(answer, ";hit;") {
				t.Errorf("without TLS: %q", answer)
			}
			w.wantCalls(1)
		}
	}
	if answer := secure("GET /p HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-Proto: http\r\nConnection: close\r\n\r\n"); !strings.Contains(answer, ";hit;") {
		t.Errorf("a client that is not trusted with the scheme got %q", answer)
	}
}
