package main

import (
	"io"
	"testing"
	"time"
)

// read has an answer arrive in pieces of some size, and the connection end
// after that.
func read(wire, want string, size int) answer {
	r := reading{want: []byte(want), since: func() time.Duration { return time.Second }}
	for at := 0; at < len(wire); at += size {
		if r.feed([]byte(wire[at:min(at+size, len(wire))])) {
			return r.answer
		}
	}
	r.end(io.EOF)
	return r.answer
}

func TestAnAnswerIsJudgedByItsFramingAndItsBytes(t *testing.T) {
	const want = "hello"
	for _, test := range []struct {
		wire    string
		verdict verdict
		closes  bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", good, false},
		{"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", good, false},
		{"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", good, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", good, true},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", good, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", good, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n", good, false},
		{"HTTP/1.1 200 OK\r\n\r\nhello", good, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", broken, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", broken, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhell", broken, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", broken, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", broken, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n", broken, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfive\r\n", broken, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell", truncated, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", truncated, false},
		{"HTTP/1.1 200 OK\r\n\r\nhell", truncated, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n0\r\n\r\n", truncated, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!", truncated, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhallo", truncated, false},
		{"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops", failed, false},
		{"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noo", failed, true},
		{"", unheard, true},
		{"HTTP/1.1 200 OK\r\nContent-Len", unheard, true},
		{"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", unheard, true},
		{"HTTP/2 200\r\n\r\n", unheard, true},
		{"HTTP/1.1 two hundred\r\n\r\n", unheard, true},
	} {
		for _, size := range []int{1, 2, 1000} {
			a := read(test.wire, want, size)
			if a.verdict() != test.verdict || a.closes != test.closes || (a.err == nil) != (a.whole && a.status != 0) {
				t.Errorf("%q by %d: %s, closes %v, error %v; want %s, closes %v", test.wire, size, a.verdict(), a.closes, a.err, test.verdict, test.closes)
			}
			if a.took != time.Second {
				t.Errorf("%q: took %v, want what the watch says, 1 s", test.wire, a.took)
			}
		}
	}
}

func FuzzAnAnswerIsGoodOnlyWithTheBodyThatIsWanted(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, wire string) {
		a := read(wire, "hello", 1+len(wire)/3)
		if a.verdict() == good && (a.length != 5 || string(a.lead) != "hello" || a.err != nil) {
			t.Errorf("%q: good with %q, %v", wire, a.lead, a.err)
		}
		if a.length > int64(len(wire)) {
			t.Errorf("%q: %d bytes of body out of %d", wire, a.length, len(wire))
		}
	})
}
