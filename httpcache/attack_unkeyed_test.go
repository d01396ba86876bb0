package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// setups are ways to configure a cache under which an attack must fail alike.
var setups = map[string]func(*httpcache.Options){
	"no rules": nil,
	"a rule": func(o *httpcache.Options) {
		o.Rules = []httpcache.Rule{{Path: "/*", TTL: time.Minute, Key: httpcache.KeyParts{Headers: []string{"Accept-Language"}, DropQuery: []string{"utm_*"}}}}
	},
	"cookies ignored": func(o *httpcache.Options) { o.IgnoreCookies = true },
	"cookies in the key": func(o *httpcache.Options) {
		o.Rules = []httpcache.Rule{{Path: "/p", TTL: time.Minute, Key: httpcache.KeyParts{Cookies: []string{"id"}, Authorization: true}}}
	},
}

// underSetups runs a test in virtual time under each of them.
func underSetups(t *testing.T, test func(t *testing.T, setup func(*httpcache.Options))) {
	for name, setup := range setups {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, setup) })
		})
	}
}

// wantClean makes the next visitor's request: it must have nothing of the
// attacker's, who said "evil".
func (w *world) wantClean(attack string) {
	w.t.Helper()
	g := w.get("/p")
	if g.status != 200 || strings.Contains(strings.ToLower(g.body+fmt.Sprint(g.header)), "evil") || !strings.HasPrefix(g.body, "GET shop.test /p ") {
		w.t.Errorf("%q: the next visitor got %d %q, %v", attack, g.status, g.body, g.header)
	}
}

// What a client can say beside the key must not be in anybody else's page.
func TestAttackUnkeyedFieldIsInNobodyElsesPage(t *testing.T) {
	fields := []string{
		"X-Forwarded-Host: evil.test", "X-Forwarded-Scheme: nothttps\r\nX: evil\r\nConnection: X", "X-Forwarded-Proto: evil", "X-Forwarded-Prefix: /evil", "X-Forwarded-For: evil",
		"x_forwarded_host: evil.test", "X-Host: evil.test", "X-Original-URL: /evil", "X-Original-Host: evil.test", "X-Rewrite-URL: /evil", "X-Real-IP: evil",
		"X-HTTP-Method-Override: EVIL", "X-Method-Override: EVIL", "X-HTTP-Method: EVIL", "Forwarded: host=evil.test", "True-Client-IP: evil", "X-Middleware-Subrequest: evil",
		"If-None-Match: evil", "If-Match: evil", "If-Range: evil", "Range: bytes=0-3", "Connection: Cache-Control, X-Evil\r\nX-Evil: 1", "Cache-Control: max-age=evil", "Cache-Control: no-store, evil", "Pragma: evil", "TE: evil", "Trailer: X-Evil",
		"Upgrade: evil", "Proxy-Authorization: evil", "Cookie: evil", "Cookie: x=evil; y=evil", "Authorization: evil",
		"Content-Length: 4\r\n\r\nevil", "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nevil", "Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n",
	}
	underSetups(t, func(t *testing.T, setup func(*httpcache.Options)) {
		for _, field := range fields {
			w := open(t, memory{}, reflecting, setup)
			w.raw("GET /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n" + field + "\r\n\r\n")
			w.wantClean(field)
		}
	})
}

// The same by HTTP/2, whose fields come by another way.
func TestAttackUnkeyedFieldByHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, field := range []string{"x-forwarded-host", "x-original-url", "x_rewrite_url", "x-http-method-override", "forwarded", "host", "cookie", "authorization", "range", "te"} {
			w := open(t, memory{}, reflecting, nil)
			client := w.multiplexed(1 << 20)
			client.request(1, ":path", "/p", field, "evil")
			client.answers(1)
			client.close()
			w.wantClean(field)
		}
	})
}

// A rule may key by a field or a cookie: then it is in the key, and only that.
func TestAttackKeyedFieldIsInPagesOfItsOwnKeyOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, reflecting, func(o *httpcache.Options) {
			o.Rules = []httpcache.Rule{{Path: "/p", Key: httpcache.KeyParts{Headers: []string{"X-Tier"}, Cookies: []string{"id"}}}}
		})
		for _, lines := range [][]string{
			{"X-Tier: evil"}, {"X-Tier: a", "X-Tier: evil"}, {"X-Tier: "}, {"Cookie: id=evil"}, {"Cookie: id=; id=evil"}, {"Cookie: x=evil"}, {"Cookie: id=a", "Cookie: id=evil"},
		} {
			w.ask("GET /p", lines...)
			w.wantClean(strings.Join(lines, "|"))
		}
		for _, field := range []string{"X-Tier: a", "Cookie: id=a"} {
			if answer := w.ask("GET /p", field); strings.Contains(answer, "evil") {
				t.Errorf("%s: got another's page: %q", field, answer)
			}
		}
	})
}

// Content in a GET, and a method beside the method, are not in the key.
func TestAttackFatGetAndMethodOverrideAnswerOnlyTheirSender(t *testing.T) {
	for _, test := range []struct {
		name, request string
		sent          string // method and content, as the origin gets them
	}{
		{"content of a GET", "GET /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nContent-Length: 4\r\n\r\nevil", "GET evil"},
		{"content of a GET in chunks", "GET /p HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n", "GET evil"},
		{"content of a HEAD", "HEAD /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nContent-Length: 4\r\n\r\nevil", "HEAD evil"},
		{"a form in a GET", "GET /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 6\r\n\r\nq=evil", "GET q=evil"},
		{"GET for POST", "GET /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nX-HTTP-Method-Override: POST\r\n\r\n", "GET "},
		{"HEAD for EVIL", "HEAD /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nX-HTTP-Method: EVIL\r\n\r\n", "HEAD "},
		{"POST for GET", "POST /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nX-HTTP-Method-Override: GET\r\nContent-Length: 4\r\n\r\nevil", "POST evil"},
		{"a method of its own", "EVIL /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n", "EVIL "},
		{"get", "get /p HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n", "get "},
	} {
		t.Run(test.name, func(t *testing.T) {
			underSetups(t, func(t *testing.T, setup func(*httpcache.Options)) {
				sent := ""
				w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
					content, _ := io.ReadAll(r.Body)
					sent = r.Method + " " + string(content)
					r.Body = io.NopCloser(strings.NewReader(string(content)))
					reflecting(rw, r)
				}, setup)
				if got := statuses(w.raw(test.request)); got != "200" {
					t.Errorf("answers %q, want 200", got)
				}
				w.wantCalls(1)
				if sent != test.sent {
					t.Errorf("the origin got %q, want %q", sent, test.sent)
				}
				w.wantClean(test.name)
			})
		})
	}
}

// Where a rule puts content into the key, what is not in the content is not in
// the answer either.
func TestAttackContentThatIsKeyedIsTheWholeContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, reflecting, func(o *httpcache.Options) {
			o.Rules = []httpcache.Rule{{Path: "/p", Methods: []string{"GET", "POST"}, MaxContentBytes: 100}}
		})
		post := func(content string, lines ...string) string {
			return w.ask("POST /p", append(lines, fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(content), content))...)
		}
		for _, alone := range []string{"X: evil", "Cookie: evil", "Authorization: evil"} { // each ends what is kept of its address
			post("q=1"+strings.Repeat("evil", 50), alone) // longer than is kept
			post("q=2", alone)
		}
		post("q=1", "X-HTTP-Method-Override: EVIL", "X-Forwarded-Host: evil.test")
		post("q=1&q=evil")
		post("q=1;q=evil")
		post("q=1\x00evil")
		post("q=1\nevil\n", "Content-Type: x")
		post("q=1", "Content-Type: evil")
		post("q=1", "Content-Encoding: evil")
		w.origin.calls()
		if answer := post("q=1"); !strings.Contains(answer, ";hit;") || !strings.Contains(answer, "POST shop.test /p q=1 ") || strings.Contains(answer, "evil") {
			t.Errorf("the next visitor got %q", answer)
		}
		w.wantCalls(0)
		w.wantClean("a POST with the same address")
	})
}

// A parameter that is dropped from the key does not reach the origin, however
// it is written; what the origin might read in another way stays, and is keyed.
func TestAttackParameterCloaking(t *testing.T) {
	drop := httpcache.KeyParts{DropQuery: []string{"utm_*", "gclid"}}
	keep := httpcache.KeyParts{KeepQuery: []string{"a", "page_*"}}
	for _, test := range []struct {
		key          httpcache.KeyParts
		target, sent string
	}{
		{drop, "/p?a=1&utm_source=evil", "/p?a=1"},
		{drop, "/p?utm_source=evil;a=2&a=1", "/p?a=1"},
		{drop, "/p?a=1&utm_source=evil;a=2", "/p?a=1"},
		{drop, "/p?a=1&utm_source=evil%26a=2", "/p?a=1"},
		{drop, "/p?a=1&utm_source", "/p?a=1"},
		{drop, "/p?a=1&utm_=", "/p?a=1"},
		{drop, "/p?gclid=evil", "/p"},
		{drop, "/p?gclid=evil&gclid=evil", "/p"},
		{drop, "/p?a=1&gclid[]=2", "/p?a=1&gclid[]=2"},
		{drop, "/p?a=1;utm_source=2", "/p?a=1;utm_source=2"},
		{drop, "/p?a=1?utm_source=2", "/p?a=1?utm_source=2"},
		{drop, "/p?a=1&%75tm_source=2", "/p?a=1&%75tm_source=2"},
		{drop, "/p?a=1&UTM_source=2", "/p?a=1&UTM_source=2"},
		{drop, "/p?a=1&+utm_source=2", "/p?a=1&+utm_source=2"},
		{drop, "/p?a=1%26utm_source=2", "/p?a=1%26utm_source=2"},
		{drop, "/p?a=1&a=2&a=1", "/p?a=1&a=2&a=1"},
		{drop, "/p?&&", "/p?&&"},
		{drop, "/p?", "/p?"},
		{drop, "/p;utm_source=2?a=1", "/p;utm_source=2?a=1"},
		{keep, "/p?a=1&b=evil", "/p?a=1"},
		{keep, "/p?b=evil;a=3", "/p"},
		{keep, "/p?a=1;b=2", "/p?a=1;b=2"},
		{keep, "/p?%61=evil", "/p"},
		{keep, "/p?A=evil&a[]=evil&a%00=evil", "/p"},
		{keep, "/p?page_1=x&page=evil&a=2&a=1", "/p?page_1=x&a=2&a=1"},
		{keep, "/p?evil", "/p"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, reflecting, func(o *httpcache.Options) { o.Rules = []httpcache.Rule{{Path: "/p", Key: test.key}} })
			if answer := w.ask("GET " + test.target); statuses(answer) != "200" || strings.Contains(answer, "evil") {
				t.Errorf("GET %s = %q", test.target, answer)
			}
			if sent := w.origin.seen().RequestURI; sent != test.sent {
				t.Errorf("GET %s: the origin was asked for %s, want %s", test.target, sent, test.sent)
			}
			w.wantCalls(1)
			// Whoever asks for what was sent is asking for the same.
			if answer := w.ask("GET " + test.sent); strings.Contains(test.sent, ";utm_source=2?") != !strings.Contains(answer, ";hit;") {
				t.Errorf("GET %s after GET %s = %q", test.sent, test.target, answer)
			}
		})
	}
}

// Each spelling of a target is its own key and is sent on byte for byte: two
// values of a parameter in two orders are two keys.
func TestAttackDuplicateQueryKeysAreKeyedAsTheyAreSent(t *testing.T) {
	targets := []string{
		"/account", "/account/x.css", "/account;x.css", "/account%2fx.css", "/account%2Fx.css", "/account%00x.css", "/account%3bx.css", "/account%23x.css", "/account%3fx.css",
		"//account", "/./account", "/x/../account", "/%2e/account", "/Account", "/account/", "/account?", "/account?a=1&b=2", "/account?b=2&a=1",
		"/account?a=1&a=2", "/account?a=2&a=1", "/account?a=1&A=2", "/account?a=1&a[]=2", "/account?a=1;a=2", "/account?a=1&utm_source=x;a=2", "/account?a=%zz", "/account?%61=1", "/account?a=1%26a=2", `/account?x=\`,
		"/account?a=1&&a=2", "/account?a=1&a", "/account?a=1&a=", "/account?a=1+2", "/account?a=1%202", "/account?\xff", "/account?%ff", "/%ff", "/%FF%FE",
	}
	synctest.Test(t, func(t *testing.T) {
		w := open(t, memory{}, reflecting, nil)
		for round := range 2 {
			for _, target := range targets {
				answer := w.ask("GET " + target)
				if !strings.Contains(answer, "GET shop.test "+target+" ") || strings.Contains(answer, ";hit;") != (round == 1) {
					t.Errorf("round %d: GET %s = %q", round, target, answer)
				}
			}
			w.wantCalls(len(targets) * (1 - round))
		}
	})
}
