package httpsem

import (
	"net/http"
	"testing"
)

func TestSection32A304FreshensTheStoredHeader(t *testing.T) {
	stored := header("Date: " + at(-60) + "\nETag: \"a\"\nContent-Length: 5\nContent-Encoding: gzip\nContent-Type: text/plain\nCache-Control: max-age=60\nX-A: 1\nX-A: 2\nX-B: 1\nAge: 9")
	update := header("Date: " + at(0) + "\nETag: W/\"a\"\nContent-Length: 0\nContent-Encoding: br\nContent-Range: x\nContent-Type: text/html\nCache-Control: max-age=5\nX-A: 3\nConnection: close, x-c, cache-control\nX-C: 1\nKeep-Alive: 5\nSet-Cookie: a=b")
	before, sent := stored.Clone(), update.Clone()
	got := Freshen(stored, update)
	is(t, "Freshen", got, header("Date: "+at(0)+"\nETag: W/\"a\"\nContent-Length: 5\nContent-Encoding: gzip\nContent-Type: text/html\nCache-Control: max-age=5\nX-A: 3\nX-B: 1\nSet-Cookie: a=b"))
	is(t, "the stored header", stored, before)
	is(t, "the 304", update, sent)

	x := exchange(200, "")
	x.Response = got
	is(t, "judged again", new(Cache).Judge(x).Reason, ReasonSetCookie)

	is(t, "a 304 without Date", Freshen(stored, http.Header{})["Date"], nil)
}

func TestSection435AHeadUpdatesAStoredGet(t *testing.T) {
	for _, c := range []struct {
		name, stored, head string
		want               bool
	}{
		{"nothing to compare", "", "", true},
		{"same ETag", `ETag: "a"`, `ETag: "a"`, true},
		{"another ETag", `ETag: "a"`, `ETag: "b"`, false},
		{"a weak ETag for a strong", `ETag: "a"`, `ETag: W/"a"`, false},
		{"ETag twice", `ETag: "a"`, "ETag: \"a\"\nETag: \"a\"", false},
		{"ETag where none was", "", `ETag: "a"`, false},
		{"no ETag where one was", `ETag: "a"`, "", true},
		{"same Last-Modified", "Last-Modified: " + at(-9), "Last-Modified: " + at(-9), true},
		{"another Last-Modified", "Last-Modified: " + at(-9), "Last-Modified: " + at(-8), false},
		{"both have to match", "ETag: \"a\"\nLast-Modified: " + at(-9), "ETag: \"a\"\nLast-Modified: " + at(-8), false},
		{"same length", "Content-Length: 5", "Content-Length: 5", true},
		{"another length", "ETag: \"a\"\nContent-Length: 5", "ETag: \"a\"\nContent-Length: 6", false},
		{"a length where none was", "", "Content-Length: 5", false},
		{"no length where one was", "Content-Length: 5", "", true},
	} {
		_, ok := FreshenByHead(header(c.stored), header(c.head))
		is(t, c.name, ok, c.want)
	}
	got, _ := FreshenByHead(header("Date: "+at(-60)+"\nETag: \"a\"\nX-A: 1\nContent-Length: 5"), header("Date: "+at(0)+"\nETag: \"a\"\nX-B: 1\nContent-Length: 5\nConnection: close"))
	is(t, "header", got, header("Date: "+at(0)+"\nETag: \"a\"\nX-A: 1\nX-B: 1\nContent-Length: 5"))
}
