package httpsem

import (
	"net/http"
	"testing"
	"time"
)

// edge is a cache with two targeted fields of which the second is the standard's.
var edge = &Cache{Targets: []string{"Edge-Cache-Control", "CDN-Cache-Control"}}

func TestRFC9213Section22WhichFieldCounts(t *testing.T) {
	for _, c := range []struct {
		name, response string
		outcome        Outcome
		lifetime       time.Duration
	}{
		{"none", "Cache-Control: max-age=60", Keep, 60 * second},
		{"before Cache-Control", "Cache-Control: max-age=60\nCDN-Cache-Control: max-age=5", Keep, 5 * second},
		{"the first of the list", "CDN-Cache-Control: max-age=5\nEdge-Cache-Control: max-age=7", Keep, 7 * second},
		{"one that is not listed", "Cache-Control: max-age=60\nOther-Cache-Control: no-store", Keep, 60 * second},
		{"against no-store", "Cache-Control: no-store\nCDN-Cache-Control: max-age=5", Keep, 5 * second},
		{"against private", "Cache-Control: private, no-cache\nCDN-Cache-Control: max-age=5", Keep, 5 * second},
		{"against a malformed field", "Cache-Control: max-age=60;\nCDN-Cache-Control: max-age=5", Keep, 5 * second},
		{"against a longer s-maxage", "Cache-Control: s-maxage=60\nCDN-Cache-Control: max-age=5", Keep, 5 * second},
		{"its no-store", "Cache-Control: max-age=60\nCDN-Cache-Control: no-store", Pass, 0},
		{"its no-cache", "Cache-Control: max-age=60\nETag: \"a\"\nCDN-Cache-Control: no-cache, max-age=60", Validate, 60 * second},
		{"its private", "Cache-Control: max-age=60\nCDN-Cache-Control: private, max-age=60", Pass, 60 * second},
		{"its s-maxage", "CDN-Cache-Control: s-maxage=7, max-age=5", Keep, 7 * second},
		{"against Expires", "Expires: " + at(60) + "\nCDN-Cache-Control: max-age=5", Keep, 5 * second},
		{"no lifetime in spite of Expires", "Expires: " + at(60) + "\nCDN-Cache-Control: must-revalidate", Pass, 0},
		{"the heuristic in spite of Expires and Pragma", "Pragma: no-cache\nExpires: " + at(60) + "\nLast-Modified: " + at(-100) + "\nCDN-Cache-Control: none", Keep, 10 * second},
		{"unknown directives alone", "Cache-Control: max-age=60\nCDN-Cache-Control: none", Pass, 0},
		{"several lines", "CDN-Cache-Control: max-age=5\nCDN-Cache-Control: no-store", Pass, 5 * second},
		{"empty", "Cache-Control: max-age=60\nCDN-Cache-Control:", Keep, 60 * second},
		{"empty, then the next", "CDN-Cache-Control: max-age=5\nEdge-Cache-Control: ", Keep, 5 * second},
		{"broken", "Cache-Control: max-age=60\nCDN-Cache-Control: no-store;;", Keep, 60 * second},
		{"broken by a trailing comma", "Cache-Control: max-age=60\nCDN-Cache-Control: max-age=5,", Keep, 60 * second},
		{"broken by upper case", "Cache-Control: max-age=60\nCDN-Cache-Control: Max-Age=5", Keep, 60 * second},
		{"broken by a space", "Cache-Control: max-age=60\nCDN-Cache-Control: max-age= 5", Keep, 60 * second},
		{"broken, then the next", "CDN-Cache-Control: max-age=5\nEdge-Cache-Control: max-age=", Keep, 5 * second},
		{"broken in the second line", "Cache-Control: max-age=60\nCDN-Cache-Control: max-age=5\nCDN-Cache-Control: &", Keep, 60 * second},
	} {
		p := edge.Judge(exchange(200, c.response))
		is(t, c.name+": outcome", p.Outcome, c.outcome)
		is(t, c.name+": lifetime", p.Lifetime, c.lifetime)
	}
	p := edge.Judge(exchange(302, "Expires: "+at(60)+"\nCDN-Cache-Control: none"))
	is(t, "Expires makes no status storable", p.Reason, ReasonStatus)
	is(t, "a cache without targets", new(Cache).Judge(exchange(200, "CDN-Cache-Control: max-age=5")).Reason, ReasonNoLifetime)
}

func TestRFC9213Section21TypesOfMembers(t *testing.T) {
	given := func(seconds int) Delta { return Delta{true, time.Duration(seconds) * time.Second} }
	for _, c := range []struct {
		name, field string
		want        ResponseControl
	}{
		{"an integer", "max-age=60", ResponseControl{MaxAge: given(60)}},
		{"all that have seconds", "max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4",
			ResponseControl{MaxAge: given(1), SharedMaxAge: given(2), StaleWhileRevalidate: given(3), StaleIfError: given(4)}},
		{"all that stand alone", "public, private, no-store, no-cache, must-revalidate, proxy-revalidate, must-understand, immutable",
			ResponseControl{Public: true, Private: true, NoStore: true, NoCache: true, MustRevalidate: true, ProxyRevalidate: true, MustUnderstand: true, Immutable: true}},
		{"2^31", "max-age=2147483648", ResponseControl{MaxAge: given(1 << 31)}},
		{"over 2^31", "max-age=999999999999999", ResponseControl{MaxAge: given(1 << 31)}},
		{"negative", "max-age=-1", ResponseControl{MaxAge: given(0)}},
		{"the last of two, as dictionaries have it", "max-age=1, max-age=60", ResponseControl{MaxAge: given(60)}},
		{"a decimal", "max-age=60.0", ResponseControl{}},
		{"a string", `max-age="60"`, ResponseControl{}},
		{"a token", "max-age=x", ResponseControl{}},
		{"true", "max-age", ResponseControl{}},
		{"a list", "max-age=(60)", ResponseControl{}},
		{"false", "no-store=?0", ResponseControl{}},
		{"a number for a flag", "no-store=1, private=1", ResponseControl{}},
		{"a string for a flag", `no-store="x", public=x`, ResponseControl{}},
		{"fields", `private="x-a, x-b", no-cache=x-c`, ResponseControl{PrivateFields: []string{"X-A", "X-B"}, NoCacheFields: []string{"X-C"}}},
		{"fields that are none", `private="", no-cache="a b"`, ResponseControl{Private: true, NoCache: true}},
		{"parameters", "max-age=60;x=1, no-store;y", ResponseControl{MaxAge: given(60), NoStore: true}},
		{"unknown directives", `x, y=1, z="a, private, b", max-age=60`, ResponseControl{MaxAge: given(60)}},
	} {
		c.want.Targeted = true
		got, found := parseTargeted(edge.Targets, http.Header{"Cdn-Cache-Control": {c.field}})
		is(t, c.name+": found", found, true)
		is(t, c.name+": "+c.field, got, c.want)
	}
}

func FuzzTargeted(f *testing.F) {
	for _, seed := range []string{"", "max-age=60", `private="a,b", x="\"", no-store`, "a=(1 2);x, no-cache=?0", "max-age=-999999999999999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		h := http.Header{"Cdn-Cache-Control": {field}, "Cache-Control": {"no-store"}, "Expires": {"0"}}
		c, found := parseTargeted(edge.Targets, h)
		for _, d := range []Delta{c.MaxAge, c.SharedMaxAge, c.StaleWhileRevalidate, c.StaleIfError} {
			if d.Value < 0 || d.Value > maxDelta || d.Value%time.Second != 0 || !d.Given && d.Value != 0 {
				t.Errorf("%q: delta %v, want whole seconds from 0 to 2^31", field, d)
			}
		}
		if p := edge.Judge(Exchange{Method: "GET", Status: 200, Response: h, Requested: now, Received: now}); p.Outcome != Pass && !found {
			t.Errorf("%q does not count and hides no-store: %+v", field, p)
		}
	})
}
