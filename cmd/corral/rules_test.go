package main

import (
	"strings"
	"testing"
)

const site = `origins:
  shop:
    servers:
      - http://127.0.0.1:9001 weight=2
      - http://127.0.0.1:9002
    health: {path: /up, interval: 5s}
  search: {servers: "http://127.0.0.1:9003"}
origin: http://127.0.0.1:9000
rules:
  - host: www.example.com
    path: /assets/*
    ttl: 1h
    stale-while-revalidate: 0s
    key:
      drop-query: [utm_*, gclid]
      headers: Accept-Language
  - path: /search
    host: www.example.com
    methods: [GET, POST]
    origin: search
    max-content-bytes: 64KiB
    tag-fields: [Surrogate-Key]
  - host: api.example.com
    origin: https://127.0.0.1:9443/v1
    bypass: on
targeted-fields: [CDN-Cache-Control, Corral-Cache-Control]
trusted-proxies: 10.0.0.0/8, ::1
`

func TestAFileWithRulesAndOriginsIsShownAsItWasRead(t *testing.T) {
	path := file(t, site)
	code, out, errs := corral(t, "config", "show", path)
	for _, want := range []string{
		"origins:\n",
		"    servers: http://127.0.0.1:9001 weight=2, http://127.0.0.1:9002 # " + path + ":4\n",
		"    policy: least-requests # default\n",
		"    health.interval: 5s # " + path + ":6\n",
		"rules:\n",
		"- host: www.example.com # " + path + ":10\n",
		"  ttl: 1h0m0s # " + path + ":12\n",
		"  stale-while-revalidate: 0s # " + path + ":13\n",
		"  key.drop-query: utm_*, gclid # " + path + ":15\n",
		"  origin: https://127.0.0.1:9443/v1 # " + path + ":24\n",
		"targeted-fields: CDN-Cache-Control, Corral-Cache-Control # " + path + ":26\n",
		"trusted-proxies: 10.0.0.0/8, ::1 # " + path + ":27\n",
	} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("config show lacks %q:\n%s%s", want, out, errs)
		}
	}
	_, again, _ := corral(t, "config", "show", file(t, out))
	if strip(again) != strip(out) {
		t.Errorf("config show of what it printed:\n%s\nwant\n%s", again, out)
	}
}

// strip takes comments out.
func strip(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " #")
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

func TestEveryMistakeOfRulesAndOriginsIsNamedWithItsLine(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"rules:\n- hots: a\n", `:2: unknown field of a rule "hots": did you mean host?`},
		{"rules:\n- key: {heders: a}\n", `:2: unknown field of a rule "key.heders": did you mean key.headers?`},
		{"rules:\n- completely-different: a\n", `:2: unknown field of a rule "completely-different": docs/options.md lists all`},
		{"rules:\n- ttl: 3\n", `:2: rules[0].ttl is "3": write a number and a unit`},
		{"rules:\n- ttl: -1s\n", `:2: rules[0].ttl is "-1s": write a number and a unit`},
		{"rules:\n- max-loads: 0\n", `:2: rules[0].max-loads is "0": set it above 0, or leave the line out`},
		{"rules:\n- rate: -1\n", `:2: rules[0].rate is "-1": set it above 0, or leave the line out`},
		{"rules:\n- host: [a, b]\n", `:2: host has more than one value`},
		{"rules:\n- methods: {a: b}\n", `:2: unknown field of a rule "methods.a"`},
		{"rules:\n- methods:\n  - GET\n  - [POST]\n", `:4: methods has an element that is no single value`},
		{"rules:\n- methods: ['GET,POST']\n", `:2: methods has the element "GET,POST": write each on a line of its own`},
		{"rules:\n- methods: []\n", `:2: methods is an empty list`},
		{"rules:\n- methods: GET,,POST\n", `:2: rules[0].methods is "GET,,POST": an element of the list is empty`},
		{"rules:\n- path: /a\n- path: /b\n  methods:\n  - GET\n  - get\n", `:6: rules[1].methods[1] is "get": write a method in upper case`},
		{"rules:\n- path: a\n", `:2: rules[0].path is "a": it matches no request`},
		{"rules:\n- path: /a?b\n", `:2: rules[0].path is "/a?b": it matches no request`},
		{"rules:\n- host: WWW.example.com\n", `:2: rules[0].host is "WWW.example.com": it matches no request`},
		{"rules:\n- path: /a\n  key: {drop-query: a}\n- path: /a\n", `:4: rules[1] is "/a": it matches the same requests as the rule "/a in `},
		{"rules:\n- path: /a/*\n- host: a\n  path: /a/b/*\n- path: /x\n  host: '*.b'\n- {host: c.b, path: /x, methods: GET}\n", ""},
		{"rules:\n- host: a\n- path: /b\n", `:3: rules[1] is "/b": some requests match both it and the rule "a/* in `},
		{"rules:\n- key:\n    drop-query: a\n    keep-query: b\n", `:4: rules[0].key.keep-query is "[b]": key.drop-query is set as well; choose one`},
		{"rules:\n- methods: GET\n  max-content-bytes: 1KiB\n", `:3: rules[0].max-content-bytes is "1024": it is for POST, which methods leave out: add POST`},
		{"rules:\n- burst: 3\n", `:2: rules[0].burst is "3": set rate as well`},
		{"rules:\n- bypass: on\n  ttl: 1s\n", `:2: rules[0].bypass is "true": nothing of what it matches is cached`},
		{"rules:\n- origin: shop\n", `:2: rules[0].origin is "shop": there is no such name under origins`},
		{"rules:\n- origin: ftp://a\n", `:2: rules[0].origin is "ftp://a": write a name of origins, or a URL: use the scheme http or https`},
		{"rules:\n- load-timeout: 1s\n", `:2: rules[0].load-timeout is "1s": it must not be below origin.connect-timeout, which is 5s`},
		{"rules:\n- max-object-bytes: 1GiB\n", `:2: rules[0].max-object-bytes is "1GiB": it must not be above the setting max-bytes, which is 256MiB`},
		{"max-object-bytes: 1MiB\nrules:\n- max-object-bytes: 2MiB\n", `:3: rules[0].max-object-bytes is "2MiB": it must not be above the setting max-object-bytes, which is 1MiB`},
		{"rules: {host: a}\n", `:1: rules is no list: begin each rule with a dash`},
		{"rules:\n- just words\n", `:2: rules[0] is not a rule: write names and values`},
		{"rules:\n", `:1: rules has no value`},
		{"rules: [{path: /a}]\nrules: []\n", `:2: rules is set twice, first in `},
		{"ruels: []\n", `:1: unknown setting "ruels": did you mean rules?`},

		{"origins: [a]\n", `:1: origins has no names`},
		{"origins:\n  a.b: {servers: http://a}\n", `:2: origins has the name "a.b"`},
		{"origins:\n  a: {servers: http://a}\n  a: {servers: http://b}\n", `:3: origins.a is there twice, first in `},
		{"origins:\n  a: http://a\n", `:2: origins.a is not an origin`},
		{"origins:\n  a: {retries: 2}\n", `:2: origins.a.servers is "empty": name one server at least`},
		{"origins:\n  a:\n    servers:\n    - http://a\n    - http://b weight=0\n", `:4: origins.a.servers is "http://a,http://b weight=0": after http://b write nothing, or a weight`},
		{"origins:\n  a:\n    servers:\n    - http://a\n    - http://a\n", `:5: origins.a.servers[1] is "http://a": servers[0] has it too`},
		{"origins:\n  a: {servers: 'http://joe:secret@a'}\n", `:2: origins.a.servers is "http://…@a": leave out the user and password`},
		{"origins:\n  a: {servers: http://a, polcy: hash}\n", `:2: unknown field of an origin "polcy": did you mean policy?`},
		{"origins:\n  a: {servers: http://a, policy: best}\n", `:2: origins.a.policy is "best": write least-requests, round-robin or hash`},
		{"origins:\n  a: {servers: http://a, hash-bound: 1.25}\n", `:2: origins.a.hash-bound is "1.25": it needs policy Hash`},
		{"origins:\n  a: {servers: http://a, queue-timeout: 0s}\n", `:2: origins.a.queue-timeout is "0s": set it above 0, or leave the line out`},
		{"origins:\n  a: {servers: http://a, max-conns: -1}\n", `:2: origins.a.max-conns is "-1": set it above 0, or 0: no limit`},
		{"origins:\n  a: {servers: http://a, health: {interval: 1s}}\n", `:2: origins.a.health.interval is "1s": health.path is not set`},
		{"origins:\n  a: {servers: http://a, health: {path: up}}\n", `:2: origins.a.health.path is "\"up\"": it must begin with a slash`},
		{"origins:\n  a: {servers: https://a, tls: {ca: /nonexistent}}\n", `:2: origins.a.tls.ca is "/nonexistent": open /nonexistent: no such file`},
		{"origins:\n  a: {servers: https://a, tls: {cert: /nonexistent}}\n", `:2: origins.a.tls.cert is "/nonexistent": set both cert and key`},
		{"origins:\n  default: {servers: http://a}\n", `:2: origins.default is "http://a": origin is set as well`},
	} {
		path := file(t, test.text)
		code, _, errs := corral(t, "config", "check", path, "--origin=http://h:1")
		if test.want == "" && code != 0 || test.want != "" && (code != 1 || !strings.HasPrefix(errs, path+test.want)) {
			t.Errorf("%q: %d\n%swant %s", test.text, code, errs, test.want)
		}
	}
}

func TestTheOnlyOriginOrTheOneNamedDefaultIsTheDefaultOne(t *testing.T) {
	for text, want := range map[string]string{
		"origins: {a: {servers: http://a}}\n":                                         "",
		"origins: {a: {servers: http://a}, default: {servers: http://b}}\n":           "",
		"origins: {a: {servers: http://a}, b: {servers: http://b}}\n":                 "origin is not set: set the URL of the default one, or name one of origins default\n",
		"origins: {a: {servers: http://a}, b: {servers: http://b}}\norigin: http://c": "",
	} {
		if _, _, errs := corral(t, "config", "check", file(t, text)); errs != want {
			t.Errorf("%q: %q, want %q", text, errs, want)
		}
	}
}

func TestWhatCannotBeReadIsNotJudged(t *testing.T) {
	path := file(t, "rules:\n- path: [a]\n- path: /a\n- host: a\n  ttl: 1s\n")
	if _, _, errs := corral(t, "config", "check", path, "--origin=http://h:1"); strings.Count(errs, "\n") != 1 {
		t.Errorf("config check: %s, want the one that cannot be read", errs)
	}
}
