package httpsem

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

func TestBypass(t *testing.T) {
	for _, c := range []struct {
		name, line, fields string
		want               Reason
	}{
		{"GET", "GET /a HTTP/1.1", "", NoReason},
		{"HEAD", "HEAD /a HTTP/1.1", "", NoReason},
		{"with Cookie", "GET /a HTTP/1.1", "Cookie: a=b\r\nAuthorization: x\r\n", NoReason},
		{"reload", "GET /a HTTP/1.1", "Cache-Control: no-cache\r\n", NoReason},
		{"If-None-Match", "GET /a HTTP/1.1", "If-None-Match: \"a\"\r\n", NoReason},
		{"content of no length", "GET /a HTTP/1.1", "Content-Length: 0\r\n", NoReason},
		{"If-Range without Range", "GET /a HTTP/1.1", "If-Range: \"a\"\r\n", NoReason},
		{"POST", "POST /a HTTP/1.1", "Content-Length: 0\r\n", ReasonMethod},
		{"CONNECT", "CONNECT a:443 HTTP/1.1", "", ReasonMethod},
		{"TRACE", "TRACE /a HTTP/1.1", "", ReasonMethod},
		{"OPTIONS", "OPTIONS * HTTP/1.1", "", ReasonMethod},
		{"another method", "BREW /a HTTP/1.1", "", ReasonMethod},
		{"Range", "GET /a HTTP/1.1", "Range: bytes=0-1\r\nIf-Range: \"a\"\r\n", NoReason},
		{"Range in HEAD", "HEAD /a HTTP/1.1", "Range: bytes=0-1\r\n", NoReason},
		{"content", "GET /a HTTP/1.1", "Content-Length: 1\r\n\r\nx", ReasonRequestBody},
		{"content in chunks", "GET /a HTTP/1.1", "Transfer-Encoding: chunked\r\n", ReasonRequestBody},
		{"content to come", "GET /a HTTP/1.1", "Expect: 100-continue\r\n", ReasonRequestBody},
		{"upgrade", "GET /a HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\n", ReasonUpgrade},
		{"If-Match", "GET /a HTTP/1.1", "If-Match: \"a\"\r\n", ReasonPrecondition},
		{"If-Unmodified-Since", "GET /a HTTP/1.1", "If-Unmodified-Since: x\r\n", ReasonPrecondition},
		{"no-store", "GET /a HTTP/1.1", "Cache-Control: no-store\r\n", ReasonNoStoreAsked},
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(c.line + "\r\nHost: a\r\n" + c.fields + "\r\n")))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		is(t, c.name, Bypass(r), c.want)
	}
}

func TestIdentified(t *testing.T) {
	is(t, "nobody", Identified(header("Accept: x")), false)
	is(t, "Cookie", Identified(header("Cookie: a=b")), true)
	is(t, "Authorization", Identified(header("Authorization: x")), true)
}
