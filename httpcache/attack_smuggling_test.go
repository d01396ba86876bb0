package httpcache_test

import (
	"fmt"
	"strings"
	"testing"
)

// hidden is the request that an attacker would have somebody find in another.
const hidden = "GET /hidden HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"

// Each class of request smuggling ends with one definite answer and a closed
// connection. Most are refused. Where net/http takes chunks for it, as RFC 9112,
// section 6.1, allows, the one request goes on with a framing that leaves no
// doubt. The origin sees one request at most, and in no case the hidden one.
func TestAttackSmuggling(t *testing.T) {
	const post = "POST /p HTTP/1.1\r\nHost: shop.test\r\n"
	const coded = post + "Transfer-Encoding: chunked\r\n\r\n"
	old := strings.Replace(post, "1.1", "1.0", 1) + "Connection: keep-alive\r\n"
	chunked := "0\r\n\r\n" + hidden
	length := fmt.Sprintf("Content-Length: %d\r\n", len(chunked))
	inChunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)
	coding := func(line string) string { return post + line + "\r\n" + length + "\r\n" + chunked }
	for _, test := range []struct{ name, request, status string }{
		{"CL.TE", post + length + "Transfer-Encoding: chunked\r\n\r\n" + chunked, "200"},
		{"TE.CL", post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + inChunk, "200"},
		{"CL.0", "GET /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hidden), hidden), "200"},
		{"CL.0 with HEAD", "HEAD /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hidden), hidden), "200"},
		{"TE.0", coded + inChunk, "200"},
		{"TE.0 with OPTIONS", strings.Replace(coded, "POST", "OPTIONS", 1) + inChunk, "200"},
		{"TE.TE two lines", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked, "501"},
		{"TE.TE two lines alike", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, "501"},
		{"TE.TE list", post + "Transfer-Encoding: identity, chunked\r\n\r\n" + chunked, "501"},
		{"TE.TE twice", coding("Transfer-Encoding: chunked, chunked"), "501"},
		{"TE.TE comma", coding("Transfer-Encoding: chunked,"), "501"},
		{"TE.TE unknown", coding("Transfer-Encoding: xchunked"), "501"},
		{"TE.TE quoted", coding(`Transfer-Encoding: "chunked"`), "501"},
		{"TE.TE parameter", coding("Transfer-Encoding: chunked;q=1"), "501"},
		{"TE.TE empty", coding("Transfer-Encoding:"), "501"},
		{"TE.TE space of another kind", coding("Transfer-Encoding:\xa0chunked"), "501"},
		{"TE.TE byte behind", coding("Transfer-Encoding: chunked\xff"), "501"},
		{"TE.TE space before colon", coding("Transfer-Encoding : chunked"), "400"},
		{"TE.TE line feed before colon", coding("Transfer-Encoding\n: chunked"), "400"},
		{"TE.TE vertical tab", coding("Transfer-Encoding: \vchunked"), "400"},
		{"TE.TE NUL", coding("Transfer-Encoding: chunked\x00"), "400"},
		{"TE.TE bare CR", coding("Transfer-Encoding: chunked\rX: y"), "400"},
		{"TE.TE in the first line's fold", "POST /p HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: shop.test\r\n" + length + "\r\n" + chunked, "400"},
		{"TE.TE tab", coding("Transfer-Encoding:\tchunked"), "200"},
		{"TE.TE case", coding("tRANSFER-eNCODING: CHUNKED"), "200"},
		{"TE.TE folded", coding("Transfer-Encoding:\r\n chunked"), "200"},
		{"TE.TE after a bare LF", coding("X: y\nTransfer-Encoding: chunked"), "200"}, // a line's end (RFC 9112, section 2.2)
		{"TE.TE underscore", "GET /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nTransfer_Encoding: chunked\r\n\r\n", "200"},
		{"TE in HTTP/1.0", old + "Transfer-Encoding: chunked\r\n\r\n" + chunked, "200 400"}, // no chunk is a request
		{"TE.CL in HTTP/1.0", old + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + inChunk, "200"},
		{"CL.CL", post + "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + hidden, "400"},
		{"CL list", post + "Content-Length: 0, 44\r\n\r\n" + hidden, "400"},
		{"CL list of one", post + "Content-Length: 0, 0\r\n\r\n" + hidden, "400"},
		{"CL sign", post + "Content-Length: +0\r\n\r\n" + hidden, "400"},
		{"CL negative", post + "Content-Length: -1\r\n\r\n" + hidden, "400"},
		{"CL hexadecimal", post + "Content-Length: 0x0\r\n\r\n" + hidden, "400"},
		{"CL fraction", post + "Content-Length: 0.0\r\n\r\n" + hidden, "400"},
		{"CL exponent", post + "Content-Length: 0e1\r\n\r\n" + hidden, "400"},
		{"CL space inside", post + "Content-Length: 0 0\r\n\r\n" + hidden, "400"},
		{"CL vertical tab", post + "Content-Length: \v0\r\n\r\n" + hidden, "400"},
		{"CL digits of another script", post + "Content-Length: \xd9\xa0\r\n\r\n" + hidden, "400"},
		{"CL overflow", post + "Content-Length: 18446744073709551616\r\n\r\n" + hidden, "400"},
		{"CL empty", post + "Content-Length:\r\n\r\n" + hidden, "400"},
		{"CL underscore", "GET /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nContent_Length: 44\r\n\r\n", "200"},
		{"0.CL by an expectation that is none", post + "Expect: y 100-continue\r\n" + length + "\r\n" + chunked, "417"},
		{"0.CL by an unknown expectation", post + "Expect: x\r\n" + length + "\r\n" + chunked, "417"},
		{"0.CL by two expectations", post + "Expect: 100-continue\r\nExpect: 100-continue\r\n" + length + "\r\n" + chunked, "417"},
		{"bare CR in a field", post + "X: y\rContent-Length: 44\r\n\r\n" + hidden, "400"},
		{"bare CR ends the header", post + "X: y\r\r" + hidden, "400"},
		{"bare LF in a field's name", post + "X\nY: z\r\n\r\n" + hidden, "400"},
		{"bare LF in chunks", coded + "1\nx\r\n0\r\n\r\n" + hidden, "400"},
		{"bare LF after a chunk", coded + "1\r\nx\n0\r\n\r\n" + hidden, "400"},
		{"bare LF after an extension", coded + "0;a\n\r\n" + hidden, "400"},
		{"chunk extension", coded + "1;a=b\r\nx\r\n0;c\r\n\r\n" + hidden, "200"}, // which does not go on
		{"chunk extension with a CR", coded + "0;a\rb\r\n\r\n" + hidden, "400"},
		{"chunk extension without end", coded + "0;" + strings.Repeat("a", 10_000) + "\r\n\r\n" + hidden, "400"},
		{"chunk extensions without end", coded + strings.Repeat("1;"+strings.Repeat("a", 100)+"\r\nx\r\n", 1000) + "0\r\n\r\n" + hidden, "400"},
		{"chunk size with a sign", coded + "+0\r\n\r\n" + hidden, "400"},
		{"chunk size 0x", coded + "0x0\r\n\r\n" + hidden, "400"},
		{"chunk size overflow", coded + "10000000000000000\r\n\r\n" + hidden, "400"},
		{"chunk size with a space before", coded + " 0\r\n\r\n" + hidden, "400"},
		{"chunk size missing", coded + "\r\n\r\n" + hidden, "400"},
		{"chunk size in zeros", coded + strings.Repeat("0", 100) + "\r\n\r\n" + hidden, "400"},
		{"chunk longer than its size", coded + "1\r\nab\r\n0\r\n\r\n" + hidden, "400"},
		{"a length in the trailer", coded + "0\r\nContent-Length: 44\r\n\r\n" + hidden, "200"}, // which does not go on
		{"a length announced for the trailer", post + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, "400"},
		{"method with a line feed", "GET\n/hidden HTTP/1.1\r\nHost: shop.test\r\n\r\n", "400"},
		{"target with a space", "GET /p /hidden HTTP/1.1\r\nHost: shop.test\r\n\r\n", "400"},
		{"target with a tab", "GET /p\t/hidden HTTP/1.1\r\nHost: shop.test\r\n\r\n", "400"},
		{"target with a request", "GET /p%20HTTP/1.1%0d%0aHost:%20shop.test%0d%0a%0d%0aGET%20/hidden HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n", "200"}, // it stays encoded
		{"host that is none", "GET /p HTTP/1.1\r\nHost: sh%6fp.test\r\n\r\n" + hidden, "400"},
		{"target that is none", "GET /p%zz HTTP/1.1\r\nHost: shop.test\r\n\r\n" + hidden, "400"},
		{"scheme of another connection", "GET https://shop.test/p HTTP/1.1\r\nHost: shop.test\r\n\r\n" + hidden, "421"},
		{"line before the first", "\r\n" + hidden, "400"},
		{"version", "GET /p HTTP/3.7\r\nHost: shop.test\r\n\r\n", "505"},
		{"version in lower case", "GET /p http/1.1\r\nHost: shop.test\r\n\r\n", "400"},
		{"no version", "GET /a-path-without-a-version\r\n\r\n", "400"},
		{"HTTP/2 by name", "GET /p HTTP/2.0\r\nHost: shop.test\r\n\r\n", "505"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newWire(t)
			w := o.before(t)
			answer := w.raw(test.request)
			if got := statuses(answer); got != test.status {
				t.Errorf("answers %q, want %s: %q", got, test.status, answer)
			}
			o.wantOne(w, test.status[0] == '2')
		})
	}
}

// wantOne ends the proxy and looks at the bytes that the origin was sent: one
// request, with one framing and without the hidden one, or, if it was not
// answered well, the beginning of one or nothing.
func (o *wire) wantOne(w *world, well bool) {
	w.t.Helper()
	if err := w.proxy.Close(); err != nil { // ends the connections to the origin
		w.t.Fatal(err)
	}
	sent := o.end()
	requests := strings.Count(sent, " HTTP/1.1\r\nHost: ")
	content := strings.Contains(sent, "\r\n\r\n"+hidden) || strings.Contains(sent, hidden+"\r\n0\r\n\r\n") // of the one request, in its framing
	if content {
		requests--
	}
	if requests > 1 || well && requests != 1 || strings.Contains(sent, "GET /hidden") && !content {
		w.t.Errorf("the origin was sent %d requests: %q", requests, sent)
	}
	head, _, _ := strings.Cut(sent, "\r\n\r\n")
	if strings.Contains(head, "Content-Length: ") && strings.Contains(head, "Transfer-Encoding: ") || strings.Contains(strings.ToLower(head), "_length") || strings.Contains(strings.ToLower(head), "_encoding") {
		w.t.Errorf("the origin was sent two framings: %q", sent)
	}
	if s := w.proxy.Cache().Stats(); !well && s.Loads > 0 {
		w.t.Errorf("%d loads of a request that is none", s.Loads)
	}
}

// A connection that would speak HTTP/2 to the origin from then on is a way past
// everything that is looked at here.
func TestAttackSmugglingByUpgradeToHTTP2(t *testing.T) {
	for _, upgrade := range []string{"h2c", "H2C", "websocket, h2c", "h2c, websocket", "websocket\r\nUpgrade: h2c", "h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA"} {
		for _, target := range []string{"/p", "*"} {
			o := newWire(t)
			w := o.before(t)
			w.raw("OPTIONS " + target + " HTTP/1.1\r\nHost: shop.test\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade + "\r\n\r\n")
			if err := w.proxy.Close(); err != nil {
				t.Fatal(err)
			}
			if sent := strings.ToLower(o.end()); strings.Contains(sent, "h2c") || strings.Contains(sent, "http2-settings") {
				t.Errorf("Upgrade: %q: the origin was sent %q", upgrade, sent)
			}
		}
	}
}
