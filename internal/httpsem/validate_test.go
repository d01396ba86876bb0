package httpsem

import "testing"

func TestSection431TheRequestThatValidates(t *testing.T) {
	for _, c := range []struct {
		name, stored, want string
		validator          bool
	}{
		{"none", "Date: " + at(0), "", false},
		{"ETag", `ETag: "a"`, `If-None-Match: "a"`, true},
		{"weak ETag", `ETag: W/"a"`, `If-None-Match: W/"a"`, true},
		{"Last-Modified", "Last-Modified: " + at(-9), "If-Modified-Since: " + at(-9), true},
		{"both", "ETag: \"a\"\nLast-Modified: " + at(-9), "If-None-Match: \"a\"\nIf-Modified-Since: " + at(-9), true},
		{"ETag without quotes", "ETag: a", "", false},
		{"ETag with a space", `ETag: "a b"`, "", false},
		{"ETag twice", "ETag: \"a\"\nETag: \"b\"", "", false},
		{"two ETags in a line", `ETag: "a", "b"`, "", false},
		{"Last-Modified invalid", "Last-Modified: x", "", false},
		{"Last-Modified twice", "Last-Modified: " + at(-9) + "\nLast-Modified: " + at(-9), "", false},
	} {
		request := header("If-None-Match: \"x\"\nIf-Modified-Since: x\nIf-Match: x\nIf-Unmodified-Since: x\nIf-Range: x\nRange: x\nAccept: y")
		want := header(c.want + "\nAccept: y")
		is(t, c.name, AddValidators(request, header(c.stored)), c.validator)
		is(t, c.name+": request", request, want)
	}
}

func TestSection434Which304ConfirmsWhat(t *testing.T) {
	for _, c := range []struct {
		name, stored, update string
		want                 bool
	}{
		{"same ETag", `ETag: "a"`, `ETag: "a"`, true},
		{"another ETag", `ETag: "a"`, `ETag: "b"`, false},
		{"strong for weak", `ETag: W/"a"`, `ETag: "a"`, false},
		{"weak for strong", `ETag: "a"`, `ETag: W/"a"`, true},
		{"no ETag in the 304", `ETag: "a"`, "", true},
		{"ETag where none was", "Last-Modified: " + at(-9), `ETag: "a"`, false},
		{"an invalid ETag", `ETag: "a"`, `ETag: a`, false},
		{"same Last-Modified", "Last-Modified: " + at(-9), "Last-Modified: " + at(-9), true},
		{"another Last-Modified", "Last-Modified: " + at(-9), "Last-Modified: " + at(-8), false},
		{"ETag decides", "ETag: \"a\"\nLast-Modified: " + at(-9), "ETag: \"a\"\nLast-Modified: " + at(-8), true},
	} {
		is(t, c.name, Confirms(header(c.stored), header(c.update)), c.want)
	}
}

func TestSection31WhatIsStoredOfAHeader(t *testing.T) {
	const keep = "Content-Type: text/plain\nCache-Control: max-age=60\nX-A: 1\nX-A: 2"
	drop := "\nConnection: x-b\nX-B: 1\nKeep-Alive: 1\nProxy-Connection: 1\nTE: trailers\nTrailer: x\nTransfer-Encoding: chunked\nUpgrade: x" +
		"\nProxy-Authenticate: x\nProxy-Authentication-Info: x\nProxy-Authorization: x\nAge: 5\nWarning: 110 - x"
	for _, c := range []struct{ name, date, want string }{
		{"Date", at(-5), at(-5)},
		{"Date in an old form", "Saturday, 14-Mar-26 15:09:21 GMT", at(-5)},
		{"Date invalid", "x", at(0)},
	} {
		got := StoredHeader(header(keep+drop+"\nDate: "+c.date), now)
		is(t, c.name, got, header(keep+"\nDate: "+c.want))
	}
	is(t, "no header at all", StoredHeader(nil, now), header("Date: "+at(0)))
}
