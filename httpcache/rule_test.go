package httpcache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral/internal/httpsem"
)

// routeOf gives the name of the rule that a request is handled by.
func routeOf(t *testing.T, c *config, method, host, target string) (name string, plain bool) {
	t.Helper()
	key, err := httpsem.NewKey(method, "http", host, target)
	if err != nil {
		t.Fatal(err)
	}
	route, plain := c.route(&key)
	return route.Name, plain
}

func configOf(t *testing.T, rules ...Rule) *config {
	t.Helper()
	o := Options{MaxBytes: 1 << 20, Rules: rules}
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	return newConfig(o)
}

func TestTheMostSpecificRuleCounts(t *testing.T) {
	c := configOf(t,
		Rule{Name: "all"},
		Rule{Name: "post", Methods: []string{"POST"}},
		Rule{Name: "assets", Path: "/assets/*", Methods: []string{"GET", "DELETE"}},
		Rule{Name: "logo", Path: "/assets/logo.svg", Methods: []string{"GET"}},
		Rule{Name: "below", Host: "*.example.com", Path: "/x/*", Methods: []string{"GET"}},
		Rule{Name: "www", Host: "www.example.com", Path: "/x/*", Methods: []string{"GET"}},
		Rule{Name: "www page", Host: "www.example.com", Path: "/x/y", Methods: []string{"GET"}},
		Rule{Name: "six", Host: "[::1]", Path: "/six", Methods: []string{"GET"}},
	)
	for _, test := range []struct{ method, host, target, want string }{
		{"GET", "shop.test", "/", "all"},
		{"PUT", "shop.test", "/assets/a", "all"},
		{"POST", "shop.test", "/assets/a", "post"},
		{"GET", "shop.test", "/assets/a", "assets"},
		{"HEAD", "shop.test", "/assets/a?b", "assets"},
		{"GET", "shop.test", "/assets/", "assets"},
		{"GET", "shop.test", "/assets", "all"},
		{"GET", "shop.test", "/Assets/", "all"},
		{"GET", "shop.test", "/assets/logo.svg?v=1", "logo"},
		{"DELETE", "shop.test", "/assets/logo.svg", "assets"},
		{"GET", "shop.test", "/?/assets/", "all"},
		{"GET", "a.example.com", "/x/", "below"},
		{"GET", "a.b.example.com:8080", "/x/", "below"},
		{"GET", "A.EXAMPLE.com.", "/x/", "below"},
		{"GET", "example.com", "/x/", "all"},
		{"GET", "badexample.com", "/x/", "all"},
		{"GET", "www.example.com", "/x/", "www"},
		{"HEAD", "www.example.com:81", "/x/y", "www page"},
		{"GET", "www.example.com", "/x/y/", "www"},
		{"GET", "[::1]", "/six", "six"},
		{"GET", "[::1]:8080", "/six", "six"},
		{"GET", "[0:0::1]", "/six", "six"},
	} {
		name, plain := routeOf(t, c, test.method, test.host, test.target)
		if name != test.want || !plain {
			t.Errorf("%s %s%s goes by the rule %q, %v; want %q", test.method, test.host, test.target, name, plain, test.want)
		}
	}
}

func TestAPathThatServersReadDifferentlyGoesAlone(t *testing.T) {
	c := configOf(t, Rule{Name: "static", Path: "/static/*"}, Rule{Name: "api", Host: "api.test"}, Rule{Name: "api static", Host: "api.test", Path: "/static/*"})
	for _, path := range []string{
		"//", "/a//b", "/static//", "//static/a", "/.", "/..", "/./", "/static/..", "/static/../account", "/static/./a",
		"/static/..%2faccount", "/static/%2E%2e/account", "/static/%2e", "/static/a;b", "/;", "/static\\a", "/static/%5Ca",
		"/static/%00", "/static/%3b", "/static/%252e%252e", "/static/%2Faccount",
	} {
		for _, query := range []string{"", "?", "?a=b"} {
			if name, plain := routeOf(t, c, "GET", "shop.test", path+query); plain || name != "" {
				t.Errorf("%s goes by the rule %q, %v; want none, alone", path+query, name, plain)
			}
		}
	}
	for _, path := range []string{"/", "/static/", "/static/a.b", "/static/.a", "/static/..a", "/static/a..", "/static/a./b", "/static/%20%41", "/static/a?b=//../;%2f%5c\\"} {
		if _, plain := routeOf(t, c, "GET", "shop.test", path); !plain {
			t.Errorf("%s goes alone, want it by its rule", path)
		}
	}
	// Whatever the path is, the host says whose it is.
	for _, path := range []string{"/a/../b", "/static/../b"} {
		if name, plain := routeOf(t, c, "GET", "api.test", path); name != "api" || plain {
			t.Errorf("%s of a host with a rule goes by %q, %v; want api, alone", path, name, plain)
		}
	}
	if _, plain := routeOf(t, configOf(t), "GET", "shop.test", "/static/..%2faccount"); !plain {
		t.Errorf("without rules there is nothing to be led around: it goes alone")
	}
}

func TestRulesThatConflictAreRefused(t *testing.T) {
	for _, test := range []struct {
		name  string
		rules []Rule
		want  string // of the error; empty: none
	}{
		{"the same", []Rule{{Path: "/a"}, {Path: "/a"}}, "the same requests"},
		{"the same, by other words", []Rule{{}, {Path: "/*"}}, "the same requests"},
		{"the same methods", []Rule{{Methods: []string{"GET", "HEAD"}}, {Methods: []string{"GET"}}}, "the same requests"},
		{"disjoint hosts", []Rule{{Host: "a.test"}, {Host: "b.test"}}, ""},
		{"disjoint paths", []Rule{{Path: "/a/*"}, {Path: "/b/*"}}, ""},
		{"disjoint methods", []Rule{{Methods: []string{"GET"}}, {Methods: []string{"POST"}}}, ""},
		{"nested", []Rule{{Path: "/a/*"}, {Path: "/a/b/*"}, {Path: "/a/b/c"}}, ""},
		{"nested hosts", []Rule{{Host: "*.b.test"}, {Host: "*.test"}, {Host: "a.b.test"}}, ""},
		{"HEAD within GET", []Rule{{Methods: []string{"GET"}}, {Methods: []string{"HEAD"}}}, ""},
		{"host and path", []Rule{{Host: "a.test"}, {Path: "/a/*"}}, "neither is the more specific"},
		{"host and method", []Rule{{Host: "a.test"}, {Methods: []string{"GET"}}}, "neither is the more specific"},
		{"methods that overlap", []Rule{{Methods: []string{"GET", "PUT"}}, {Methods: []string{"PUT", "POST"}}}, "neither is the more specific"},
		{"GET there, HEAD here", []Rule{{Path: "/a/*", Methods: []string{"GET"}}, {Host: "a.test", Methods: []string{"HEAD"}}}, "neither is the more specific"},
		{"HEAD there, GET here", []Rule{{Host: "a.test", Methods: []string{"HEAD"}}, {Path: "/a/*", Methods: []string{"GET"}}}, "neither is the more specific"},
		{"decided by a third", []Rule{{Host: "a.test"}, {Path: "/a/*"}, {Host: "a.test", Path: "/a/*"}}, ""},
		{"decided by a first", []Rule{{Host: "a.test", Path: "/a/*"}, {Host: "a.test"}, {Path: "/a/*"}}, ""},
		{"not quite decided", []Rule{{Host: "a.test"}, {Path: "/a/*"}, {Host: "a.test", Path: "/a/b"}}, "neither is the more specific"},
		{"not decided for HEAD", []Rule{{Host: "a.test"}, {Path: "/a/*", Methods: []string{"GET"}}, {Host: "a.test", Path: "/a/*", Methods: []string{"HEAD"}}}, "neither is the more specific"},
		{"decided for GET", []Rule{{Host: "a.test"}, {Path: "/a/*", Methods: []string{"GET"}}, {Host: "a.test", Path: "/a/*", Methods: []string{"GET"}}}, ""},
	} {
		err := validateRules(test.rules)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// matchesRule is what a rule's fields say, without any order among rules.
func matchesRule(r *Rule, method, host, path string) bool {
	methods := len(r.Methods) == 0 || slices.Contains(r.Methods, method) || method == "HEAD" && slices.Contains(r.Methods, "GET")
	hosts := r.Host == "" || r.Host == host || strings.HasPrefix(r.Host, "*.") && strings.HasSuffix(host, r.Host[1:])
	paths := r.Path == "" || r.Path == path || strings.HasSuffix(r.Path, "/*") && strings.HasPrefix(path, r.Path[:len(r.Path)-1])
	return methods && hosts && paths
}

// Rules stand together exactly when, of those that match a request, there is
// always one within all the others; and that one counts.
func TestOfRandomRulesTheOneThatCountsIsTheMostSpecific(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	accepted, several := 0, 0
	const sets = 1500
	for range sets {
		var rules []Rule
		for i := range 1 + random.IntN(4) {
			r := Rule{
				Name: fmt.Sprint("rule ", i),
				Host: pick("", "", "*.test", "*.b.test", "a.test", "b.test", "c.b.test"),
				Path: pick("", "/*", "/x/*", "/x/y/*", "/x", "/x/", "/x/y", "/y/*"),
			}
			for _, m := range []string{"GET", "HEAD", "POST", "PUT"} {
				if random.IntN(3) == 0 {
					r.Methods = append(r.Methods, m)
				}
			}
			rules = append(rules, r)
		}
		c := newConfig(Options{MaxBytes: 1 << 20, Rules: rules})
		refused, ambiguous := validateRules(rules) != nil, false
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
			for _, host := range []string{"test", "a.test", "b.test", "c.b.test", "d.c.b.test", "other"} {
				for _, path := range []string{"/", "/x", "/x/", "/x/y", "/x/y/", "/x/y/z", "/y/"} {
					want, count := mostSpecific(rules, method, host, path)
					several += min(1, count/2)
					if count > 0 && want == "" {
						ambiguous = true
					} else if name, _ := routeOf(t, c, method, host, path); !refused && name != want {
						t.Fatalf("%s %s%s goes by %q of %+v, want %q", method, host, path, name, rules, want)
					}
				}
			}
		}
		if ambiguous != refused {
			t.Fatalf("%+v: refused: %v; for some request none is the most specific: %v", rules, refused, ambiguous)
		}
		if !refused {
			accepted++
		}
	}
	if accepted < sets/10 || accepted > sets*9/10 || several < sets {
		t.Errorf("%d of %d sets accepted, %d requests with several rules: want many of each", accepted, sets, several)
	}
}

// mostSpecific gives the rule that is within all others of those that match a
// request, and how many match.
func mostSpecific(rules []Rule, method, host, path string) (name string, count int) {
	var matching []*Rule
	for i := range rules {
		if matchesRule(&rules[i], method, host, path) {
			matching = append(matching, &rules[i])
		}
	}
	for _, r := range matching {
		if !slices.ContainsFunc(matching, func(other *Rule) bool { return r != other && (!r.within(other) || other.within(r)) }) {
			name = r.Name
		}
	}
	return name, len(matching)
}

func TestARuleThatCannotWorkIsRefusedByItsField(t *testing.T) {
	for _, test := range []struct {
		rule  Rule
		field string
	}{
		{Rule{Host: "shop.test:80"}, "Host"},
		{Rule{Host: "[::1]:80"}, "Host"},
		{Rule{Host: "::1"}, "Host"},
		{Rule{Host: "[0:0::1]"}, "Host"}, // keys have [::1]
		{Rule{Host: "Shop.test"}, "Host"},
		{Rule{Host: "shop.test."}, "Host"},
		{Rule{Host: "*"}, "Host"},
		{Rule{Host: "*.*.test"}, "Host"},
		{Rule{Host: "a*.test"}, "Host"},
		{Rule{Host: "a..test"}, "Host"},
		{Rule{Host: "*.[::1]"}, "Host"},
		{Rule{Path: "assets"}, "Path"},
		{Rule{Path: "/a*"}, "Path"},
		{Rule{Path: "/*/a"}, "Path"},
		{Rule{Path: "/a?b"}, "Path"},
		{Rule{Path: "/a#b"}, "Path"},
		{Rule{Path: "/a//b"}, "Path"},
		{Rule{Path: "/a/../b"}, "Path"},
		{Rule{Path: "/a;b"}, "Path"},
		{Rule{Path: "/a%2fb"}, "Path"},
		{Rule{Path: "/straße/*"}, "Path"}, // as it is sent: /stra%C3%9Fe/
		{Rule{Path: "/a b"}, "Path"},
		{Rule{Path: "/a%zz"}, "Path"},
		{Rule{Methods: []string{"get"}}, "Methods[0]"},
		{Rule{Methods: []string{"GET", "CONNECT"}}, "Methods[1]"},
		{Rule{Methods: []string{"GET", "GET"}}, "Methods[1]"},
		{Rule{Methods: []string{""}}, "Methods[0]"},
		{Rule{MaxContentBytes: -1}, "MaxContentBytes"},
		{Rule{Methods: []string{"GET"}, MaxContentBytes: 1}, "MaxContentBytes"},
		{Rule{Key: KeyParts{DropQuery: []string{"a"}, KeepQuery: []string{"b"}}}, "Key.KeepQuery"},
		{Rule{Key: KeyParts{Headers: []string{"a b"}}}, "Key.Headers[0]"},
		{Rule{Key: KeyParts{Headers: []string{"X", "cookie"}}}, "Key.Headers[1]"},
		{Rule{Key: KeyParts{Headers: []string{"authorization"}}}, "Key.Headers[0]"},
		{Rule{Key: KeyParts{Headers: []string{"X-Forwarded-Host"}}}, "Key.Headers[0]"}, // which never reaches the origin
		{Rule{Key: KeyParts{Cookies: []string{"a=b"}}}, "Key.Cookies[0]"},
		{Rule{Key: KeyParts{Cookies: []string{"a"}}, IgnoreCookies: true}, "IgnoreCookies"},
		{Rule{TagFields: []string{"Cache Tag"}}, "TagFields[0]"},
		{Rule{LoadTimeout: -1}, "LoadTimeout"},
		{Rule{MaxObjectBytes: -1}, "MaxObjectBytes"},
		{Rule{MaxObjectBytes: 2 << 20}, "MaxObjectBytes"},
		{Rule{MaxLoads: -1}, "MaxLoads"},
		{Rule{Rate: -1}, "Rate"},
		{Rule{Burst: 1}, "Burst"},
		{Rule{Rate: 1, Burst: -1}, "Burst"},
		{Rule{Bypass: true, TTL: time.Second}, "Bypass"},
		{Rule{Bypass: true, Key: KeyParts{Cookies: []string{"a"}}}, "Bypass"},
		{Rule{Origin: &url.URL{Scheme: "ftp", Host: "a"}}, "Origin"},
	} {
		err := Options{MaxBytes: 1 << 20, Rules: []Rule{test.rule}}.Validate()
		if err == nil || !strings.Contains(err.Error(), "Options.Rules[0]."+test.field+" is ") {
			t.Errorf("%+v: %v, want an error about %s", test.rule, err, test.field)
			continue
		}
		if about := new(RuleError); test.field != "Origin" && (!errors.As(err, &about) || about.Field != "Rules[0]."+test.field || about.Remedy == "") {
			t.Errorf("%+v: %#v, want a RuleError with a remedy", test.rule, about)
		}
	}
	for _, rule := range []Rule{
		{}, {Host: "[::1]"}, {Host: "*.test"}, {Host: "a_b.test"}, {Host: "127.0.0.1"}, {Path: "/"}, {Path: "/*"}, {Path: "/a-b_c.d~e/%C3%9F/*"},
		{Bypass: true, Key: KeyParts{DropQuery: []string{"utm_*"}}}, {TTL: -1, StaleFor: -1}, {Rate: 0.5}, {MaxObjectBytes: 1 << 20},
		{Methods: []string{"POST"}, MaxContentBytes: 1}, {MaxContentBytes: 1},
	} {
		if err := (Options{MaxBytes: 1 << 20, Rules: []Rule{rule}}).Validate(); err != nil {
			t.Errorf("%+v: %v", rule, err)
		}
	}
}

func TestParametersThatARuleDropsAreNotInTheTarget(t *testing.T) {
	drop := KeyParts{DropQuery: []string{"utm_*", "fbclid"}}
	keep := KeyParts{KeepQuery: []string{"q", "page_*"}}
	for _, test := range []struct{ target, dropped, kept string }{
		{"/p", "/p", "/p"},
		{"/p?", "/p?", "/p"},
		{"/p?q=1", "/p?q=1", "/p?q=1"},
		{"/p?utm_source=x", "/p", "/p"},
		{"/p?utm_source=x&q=1&fbclid=y", "/p?q=1", "/p?q=1"},
		{"/p?q=2&q=1&&q", "/p?q=2&q=1&&q", "/p?q=2&q=1&q"},
		{"/p?fbclid", "/p", "/p"},
		{"/p?fbclid2=1&xutm_a=1", "/p?fbclid2=1&xutm_a=1", "/p"},
		{"/p?q=utm_source=x", "/p?q=utm_source=x", "/p?q=utm_source=x"},
		{"/p?q=a?utm_b=1", "/p?q=a?utm_b=1", "/p?q=a?utm_b=1"},
		{"/p?page_a=1;q=2", "/p?page_a=1;q=2", "/p?page_a=1;q=2"},
		{"/p?%75tm_source=x", "/p?%75tm_source=x", "/p"}, // who knows who decodes it
		{"/p?UTM_SOURCE=x", "/p?UTM_SOURCE=x", "/p"},
	} {
		if got := drop.filter(test.target); got != test.dropped {
			t.Errorf("%s with some dropped = %s, want %s", test.target, got, test.dropped)
		}
		if got := keep.filter(test.target); got != test.kept {
			t.Errorf("%s with some kept = %s, want %s", test.target, got, test.kept)
		}
	}
}
