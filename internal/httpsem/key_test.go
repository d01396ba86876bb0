package httpsem

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestAKeyHasOneSpellingOfTheHost(t *testing.T) {
	for _, c := range []struct{ scheme, host, want string }{
		{"http", "example.com", "example.com"},
		{"http", "EXAMPLE.com", "example.com"},
		{"http", "example.com.", "example.com"},
		{"http", "example.com:80", "example.com"},
		{"http", "example.com.:80", "example.com"},
		{"http", "example.com:", "example.com"},
		{"http", "example.com:080", "example.com"},
		{"https", "example.com:443", "example.com"},
		{"https", "example.com:80", "example.com:80"},
		{"http", "example.com:443", "example.com:443"},
		{"http", "example.com:65535", "example.com:65535"},
		{"http", "127.0.0.1:8080", "127.0.0.1:8080"},
		{"http", "[::1]", "[::1]"},
		{"http", "[0:0:0::1]:80", "[::1]"},
		{"http", "[2001:DB8::A]:8080", "[2001:db8::a]:8080"},
		{"http", "a_b-c.x", "a_b-c.x"},
		{"http", strings.Repeat("a", 253), strings.Repeat("a", 253)},
	} {
		k, err := NewKey("GET", c.scheme, c.host, "/")
		if err != nil {
			t.Errorf("NewKey with Host %q: %v", c.host, err)
		}
		is(t, c.scheme+" "+c.host, k.Host, c.want)
	}
	for _, host := range []string{
		"", ".", ":80", "a..b", ".a", "a:0", "a:65536", "a:99999999999999999999", "a:x", "a:-1", "a:+1", "a:80:80", "a b", "a/b", "a\\b", "a@b", "u:p@a", "a%2eb",
		"a,b", "a?b", "a#b", "é.com", "a\x00", "a\t", "::1", "[::1", "[::1]x", "[::1%25lo]", "[::1%lo]", "[1.2.3.4]", "[]", "[a]", strings.Repeat("a", 254),
	} {
		if k, err := NewKey("GET", "http", host, "/"); !errors.Is(err, ErrHost) || k != (Key{}) {
			t.Errorf("NewKey with Host %q = %v, %v; want ErrHost", host, k, err)
		}
	}
}

func TestAKeyHasPathAndQueryAsTheyAreSent(t *testing.T) {
	for _, target := range []string{
		"/", "/a", "//a", "/a/", "/a/../b", "/./a", "/a//b", "/a%2fb", "/a%2Fb", "/%41", "/a;x=1", "/a;x.css", "/a.css", "/A",
		"/%00", "/a?", "/a?b", "/a?b=1&b=2", "/a?b=2&b=1", "/a?%zz", "/a?x=/../y", "/a??b", "/a?b;c", "/a?\\", "/a?é", "/a[1]", "/a:b", "/a,b!$&'()*+=@~",
	} {
		k, err := NewKey("GET", "http", "h", target)
		if err != nil || k.Target != target {
			t.Errorf("NewKey for %q: target %q, %v; want it as it is", target, k.Target, err)
		}
		is(t, "URL of "+target, k.URL().RequestURI(), target)
	}
	for target, want := range map[string]string{`/a"b`: "/a%22b", `/a\b`: "/a%5Cb", "/a^b?^": "/a%5Eb?^", "/é": "/%C3%A9", "/a|b%2f": "/a%7Cb%2f", "/`?`": "/%60?`"} {
		k, err := NewKey("GET", "http", "h", target)
		if err != nil || k.Target != want || k.URL().RequestURI() != want {
			t.Errorf("NewKey for %q: target %q, %v; want %q", target, k.Target, err, want)
		}
	}
	for _, target := range []string{"", "*", "a", "a:80", "?a", "/a b", "/a\tb", "/a\nb", "/a\x00", "/a\x7f", "/a#b", "/a?b#c", "/%", "/%2", "/%zz", "/a%g0?b"} {
		if k, err := NewKey("GET", "http", "h", target); !errors.Is(err, ErrTarget) || k != (Key{}) {
			t.Errorf("NewKey for %q = %v, %v; want ErrTarget", target, k, err)
		}
	}
}

func TestRFC9112Section322AbsoluteForm(t *testing.T) {
	for _, c := range []struct {
		host, target, want string
		err                error
	}{
		{"a", "http://a/b?c", "GET http://a/b?c", nil},
		{"A:80", "HTTP://a./b", "GET http://a/b", nil},
		{"", "http://a/b", "GET http://a/b", nil},
		{"a", "http://a", "GET http://a/", nil},
		{"a", "http://a?b", "GET http://a/?b", nil},
		{"a", "http://b/", "", ErrMisdirected},
		{"a", "http://a:81/", "", ErrMisdirected},
		{"a", "https://a/", "", ErrMisdirected},
		{"a", "ftp://a/", "", ErrMisdirected},
		{"a", "http://u@a/", "", ErrHost},
		{"a", "http:///b", "", ErrHost},
		{"a", "http://a#b", "", ErrTarget},
	} {
		k, err := NewKey("GET", "http", c.host, c.target)
		if !errors.Is(err, c.err) {
			t.Errorf("NewKey(%q, %q): %v, want %v", c.host, c.target, err, c.err)
		}
		if err == nil {
			is(t, c.target, k.String(), c.want)
		}
	}
	_, err := NewKey("GET", "ws", "a", "/")
	is(t, "another scheme", errors.Is(err, ErrTarget), true)
	is(t, "As", Key{"GET", "http", "a", "/"}.As("HEAD"), Key{"HEAD", "http", "a", "/"})
}

func FuzzKey(f *testing.F) {
	for _, seed := range [][2]string{{"a", "/"}, {"A.:80", "/a%2f?b"}, {"[::1]", "http://[::1]/"}, {"a", `/a"b`}, {"a", "//b/../c;d?e#f"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, host, target string) {
		k, err := NewKey("GET", "http", host, target)
		if err != nil {
			if k != (Key{}) || !errors.Is(err, ErrHost) && !errors.Is(err, ErrTarget) && !errors.Is(err, ErrMisdirected) {
				t.Errorf("NewKey(%q, %q) = %v, %v", host, target, k, err)
			}
			return
		}
		if again, err := NewKey("GET", "http", k.Host, k.Target); err != nil || again != k {
			t.Errorf("NewKey of %v = %v, %v: not its own key", k, again, err)
		}
		if got := k.URL().RequestURI(); got != k.Target {
			t.Errorf("%v is sent on as %q", k, got)
		}
		if strings.HasPrefix(target, "/") {
			u, err := url.ParseRequestURI(target)
			if err != nil || u.Path != k.URL().Path || u.RawQuery != k.URL().RawQuery {
				t.Errorf("%q means %+v (%v), its key %+v", target, u, err, k.URL())
			}
		}
		if got := string(k.Append([]byte("x"))); got != "x"+k.String() {
			t.Errorf("Append of %q = %q", k, got)
		}
		if strings.ContainsAny(k.String(), "\n\r\x00") {
			t.Errorf("%q is not one line", k)
		}
	})
}

func TestSection44WhatAnUnsafeRequestInvalidates(t *testing.T) {
	for _, c := range []struct {
		name, method string
		status       int
		response     string
		want         []string
	}{
		{"POST", "POST", 200, "", []string{"/a?b"}},
		{"POST, 3xx", "POST", 303, "", []string{"/a?b"}},
		{"PUT, 204", "PUT", 204, "", []string{"/a?b"}},
		{"an unknown method", "BREW", 200, "", []string{"/a?b"}},
		{"POST, 399", "POST", 399, "", []string{"/a?b"}},
		{"POST, 400", "POST", 400, "Location: /c", nil},
		{"POST, 500", "POST", 500, "", nil},
		{"POST, 199", "POST", 199, "", nil},
		{"GET", "GET", 200, "Location: /c", nil},
		{"HEAD", "HEAD", 200, "", nil},
		{"OPTIONS", "OPTIONS", 200, "", nil},
		{"TRACE", "TRACE", 200, "", nil},
		{"Location", "POST", 201, "Location: /c#d", []string{"/a?b", "/c"}},
		{"both, relative", "POST", 201, "Location: c\nContent-Location: ?d", []string{"/a?b", "/c", "/a?d"}},
		{"the same origin, in full", "POST", 201, "Location: HTTP://H:80/c", []string{"/a?b", "/c"}},
		{"the same origin with a user", "POST", 201, "Location: http://u@h/c", []string{"/a?b", "/c"}},
		{"the target itself", "POST", 201, "Content-Location: /a?b", []string{"/a?b"}},
		{"another host", "POST", 201, "Location: http://other/c", []string{"/a?b"}},
		{"another port", "POST", 201, "Location: http://h:81/c", []string{"/a?b"}},
		{"another scheme", "POST", 201, "Location: https://h/c", []string{"/a?b"}},
		{"a host without scheme", "POST", 201, "Location: //other/c", []string{"/a?b"}},
		{"no URL", "POST", 201, "Location: http://h:x/\nContent-Location: mailto:a@h", []string{"/a?b"}},
	} {
		k, err := NewKey(c.method, "http", "h", "/a?b")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, key := range Invalidated(k, c.status, header(c.response)) {
			is(t, c.name+": method", key.Method, http.MethodGet)
			is(t, c.name+": host", key.Host, "h")
			got = append(got, key.Target)
		}
		is(t, c.name, got, c.want)
	}
}

func FuzzInvalidated(f *testing.F) {
	f.Add("/a", "//b/c")
	f.Add("/a?b", "http://h:80/\x00")
	f.Fuzz(func(t *testing.T, target, location string) {
		k, err := NewKey("POST", "http", "h", target)
		if err != nil {
			return
		}
		for _, key := range Invalidated(k, 201, http.Header{"Location": {location}}) {
			if key.Scheme != k.Scheme || key.Host != k.Host {
				t.Errorf("POST %v with Location %q invalidates %v", k, location, key)
			}
		}
	})
}
