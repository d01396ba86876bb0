package httpcache_test

import (
	"net/http"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/httpcache"
)

// generous is an origin with a router that reads a path in every way that some
// server reads paths. Whose account it shows it learns from a field that no
// cache has heard of; how long a page lives, it says only of what is static.
func generous(w http.ResponseWriter, r *http.Request) {
	target, _, _ := strings.Cut(r.RequestURI, "?")
	switch page := routed(target); {
	case strings.HasPrefix(page, "/account"):
		w.Write([]byte("the account of " + r.Header.Get("X-Session")))
	default:
		w.Write([]byte("the file " + page))
	}
}

var decoded = strings.NewReplacer(
	"%25", "%", "%2f", "/", "%5c", "/", `\`, "/", "%2e", ".", "%3b", ";", "%00", "\x00", "%23", "#", "%3f", "?", "%0a", "\n", "%20", " ", "%09", "\t",
	"%c0%ae", ".", "%c0%af", "/", "%c1%9c", "/", "%e0%80%ae", ".", "%e0%80%af", "/", "%f0%80%80%ae", ".", "%f0%80%80%af", "/",
	"%c0%2e", ".", "%c0%2f", "/",
)

// routed is the page that such a router finds under a path.
func routed(target string) string {
	target = strings.ToLower(target)
	for before := ""; before != target; {
		before, target = target, decoded.Replace(target)
	}
	if end := strings.IndexAny(target, "\x00#?\n"); end >= 0 {
		target = target[:end]
	}
	segments := strings.Split(target, "/")
	for i, segment := range segments {
		segment, _, _ = strings.Cut(segment, ";")
		segments[i] = strings.TrimSpace(segment)
	}
	return path.Clean("/" + strings.Join(segments, "/"))
}

// deceptive are paths under which such a router shows an account.
var deceptive = []string{
	"/account", "/account/x.css", "/account;x.css", "/account;/static/x.css", "/account%2fx.css", "/account%2Fstatic%2Fx.css", "/account%00.js", "/account%00/static/x.css", "/account%0a.css", "/account%09x.css", "/account%23/static/x.css", "/account%3fx.css", "/account%20x.css", "/account/.css", "/ACCOUNT/x.css", "/Account;x.css",
	"//account/x.png", "/./account/x.png", "/x/../account/x.png", `/account\x.css`, `\account`, "/account.png", "/account?/static/x.css", "/account?x=.css",
	"/static/../account", "/static/../account/x.css", "/static/..%2faccount", "/static/..%2Faccount", "/static%2f..%2faccount", "/static/%2e%2e/account", "/static/%2E%2E/account", "/static/.%2e/account", "/static/%2e./account",
	`/static/..\account`, "/static/..%5caccount", "/static/..%5Caccount", "/static/..;/account", "/static/..;x=1/account", "/static/..%3b/account", "/static/%252e%252e/account", "/static/..%252faccount", "/static/%25252e%25252e%25252faccount",
	"/static//../account", "/static//..//account", "/static/x/../../account", "/static/./../account", "/static/%2e/%2e%2e/account", "/static/..", "/static/%2e%2e", "/static/..%00/account", "/static/..%20/account", "/static/%20../account", "/static/..%09/account", "/static/.../account", "/static/x/..%2f..%2faccount",
	"/static/..%c0%afaccount", "/static/%c0%ae%c0%ae/account", "/static/..%c1%9caccount", "/static/..%e0%80%afaccount", "/static/%E0%80%AE%E0%80%AE/account", "/static/..%f0%80%80%afaccount", "/static/..%C0%2faccount", "/static/..\xc0\xafaccount", "/static/\xc0\xae\xc0\xae/account",
	"/STATIC/../account", "/Static/..%2faccount", "/static;/../account", "/static%2f../account",
}

// What is private is so under every name, whatever a rule says of names that
// look like it. The origin says nothing of any: only a rule makes it cacheable.
func TestAttackCacheDeception(t *testing.T) {
	static := func(o *httpcache.Options) {
		o.Rules = []httpcache.Rule{{Path: "/static/*", TTL: time.Hour}, {Path: "/static/fonts/*", TTL: time.Hour, IgnoreCookies: true}, {Path: "/robots.txt", TTL: time.Hour}}
	}
	for name, setup := range map[string]func(*httpcache.Options){"no rules": nil, "a rule for static files": static} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := open(t, memory{}, generous, setup)
				for _, target := range deceptive {
					for _, victim := range []string{"X-Session: victim", "X-Session: victim\r\nCookie: id=victim", "X-Session: victim\r\nAuthorization: victim"} {
						w.ask("GET "+target, victim)
					}
					if answer := w.ask("GET "+target, "X-Session: me"); strings.Contains(answer, "victim") {
						t.Errorf("GET %s gave another's account: %q", target, answer)
					}
				}
				if s := w.proxy.Cache().Stats(); s.Shares > 0 || s.Hits > 0 {
					t.Errorf("%d answers were shared, %d hits", s.Shares, s.Hits)
				}
				if setup == nil {
					return
				}
				w.origin.calls()
				for _, target := range []string{"/static/x.css", "/static/x.css", "/static/x%20y.css", "/static/x%20y.css", "/static/%c3%a9.css", "/static/%c3%a9.css", "/robots.txt", "/robots.txt"} {
					w.ask("GET " + target)
				}
				w.wantCalls(4) // the rules do match
			})
		})
	}
}

// The origin's word counts, under every name and with every rule.
func TestAttackPrivateUnderAPublicName(t *testing.T) {
	for _, control := range []string{"private", "no-store", "private, max-age=3600", "Private=", `no-cache="x", private`} {
		synctest.Test(t, func(t *testing.T) {
			w := open(t, memory{}, func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Cache-Control", control)
				generous(rw, r)
			}, func(o *httpcache.Options) {
				o.Rules = []httpcache.Rule{{Path: "/*", TTL: time.Hour, StaleFor: time.Hour, StaleOnError: time.Hour, IgnoreCookies: true}}
			})
			for _, target := range deceptive {
				for _, victim := range []string{"X-Session: victim", "X-Session: victim\r\nCookie: id=victim", "X-Session: victim\r\nAuthorization: victim"} {
					w.ask("GET "+target, victim)
				}
				if answer := w.ask("GET "+target, "X-Session: me"); strings.Contains(answer, "victim") {
					t.Errorf("%s: GET %s gave another's account: %q", control, target, answer)
				}
			}
		})
	}
}
