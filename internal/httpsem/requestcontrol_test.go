package httpsem

import (
	"net/http"
	"testing"
	"time"
)

func TestSection521CacheControlInRequests(t *testing.T) {
	given := func(d time.Duration) Delta { return Delta{true, d} }
	for _, c := range []struct {
		text string
		want RequestControl
	}{
		{"", RequestControl{}},
		{"Cache-Control: no-cache", RequestControl{NoCache: true}},
		{"Cache-Control: no-store, only-if-cached", RequestControl{NoStore: true, OnlyIfCached: true}},
		{`Cache-Control: max-age="5", min-fresh=6, max-stale=7`, RequestControl{MaxAge: given(5 * second), MinFresh: given(6 * second), MaxStale: given(7 * second)}},
		{"Cache-Control: max-age=9, max-age=5, min-fresh=2, min-fresh=6", RequestControl{MaxAge: given(5 * second), MinFresh: given(6 * second)}},
		{"Cache-Control: max-age=x", RequestControl{MaxAge: given(0)}},
		{"Cache-Control: min-fresh=x", RequestControl{MinFresh: given(maxDelta)}},
		{"Cache-Control: max-stale", RequestControl{MaxStale: given(maxDelta)}},
		{"Cache-Control: max-stale=x", RequestControl{MaxStale: given(0)}},
		{"Cache-Control: max-stale, max-stale=3", RequestControl{MaxStale: given(3 * second)}},
		{"Cache-Control: max-stale=3, max-stale", RequestControl{MaxStale: given(3 * second)}},
		{"Cache-Control: max-age =5, no-cache", RequestControl{NoCache: true}},
		{"Cache-Control: NO-CACHE, Max-Age=5", RequestControl{NoCache: true, MaxAge: given(5 * second)}},
		{`Cache-Control: x="no-cache, max-age=5", y=no-store`, RequestControl{}},
		{"Cache-Control: no-cache=x, no-store=1, only-if-cached=1", RequestControl{NoCache: true, NoStore: true, OnlyIfCached: true}},
		{"Cache-Control: max-age, min-fresh", RequestControl{MaxAge: given(0), MinFresh: given(maxDelta)}},
		{"Cache-Control: max-age=99999999999999999999, max-stale=99999999999999999999", RequestControl{MaxAge: given(maxDelta), MaxStale: given(maxDelta)}},
		{"Cache-Control: max-stale=", RequestControl{MaxStale: given(0)}},
		{"Cache-Control: max-age=-1, max-stale=-1, min-fresh=-1", RequestControl{MaxAge: given(0), MaxStale: given(0), MinFresh: given(maxDelta)}},
		{"Cache-Control: no-cache\nCache-Control: no-store", RequestControl{NoCache: true, NoStore: true}},
		{"Cache-Control: no-transform, public, private, s-maxage=5", RequestControl{}},
		{"Cache-Control:\nPragma: no-cache", RequestControl{}},
		{"Pragma: no-cache", RequestControl{NoCache: true}},
		{"Pragma: x=1, No-Cache", RequestControl{NoCache: true}},
		{"Pragma: cache", RequestControl{}},
		{"Pragma: no-cache\nCache-Control: max-age=5", RequestControl{MaxAge: given(5 * second)}},
	} {
		is(t, c.text, ParseRequestControl(header(c.text)), c.want)
	}
}

func TestSection521WhatARequestAccepts(t *testing.T) {
	for _, c := range []struct {
		name    string
		control string
		stored  Stored
		want    bool
	}{
		{"fresh", "", Stored{TTL: 1}, true},
		{"at the end of its lifetime", "", Stored{TTL: 0}, false},
		{"stale", "", Stored{TTL: -1}, false},
		{"4 no-cache", "no-cache", Stored{TTL: 9 * second}, false},

		{"1 max-age reached", "max-age=5", Stored{Age: 5 * second, TTL: 9 * second}, true},
		{"1 max-age passed", "max-age=5", Stored{Age: 5*second + 1, TTL: 9 * second}, false},
		{"1 max-age does not revive", "max-age=5", Stored{Age: 4 * second, TTL: 0}, false},
		{"1 max-age=0 and brand new", "max-age=0", Stored{Age: 0, TTL: 9 * second}, true},

		{"3 min-fresh met", "min-fresh=5", Stored{TTL: 5 * second}, true},
		{"3 min-fresh missed", "min-fresh=5", Stored{TTL: 5*second - 1}, false},

		{"2 max-stale reached", "max-stale=5", Stored{TTL: -5 * second}, true},
		{"2 max-stale passed", "max-stale=5", Stored{TTL: -5*second - 1}, false},
		{"2 max-stale without end", "max-stale", Stored{TTL: -1e6 * second}, true},
		{"2 max-stale against must-revalidate", "max-stale=5", Stored{TTL: -1 * second, MustRevalidate: true}, false},
		{"2 must-revalidate and fresh", "max-stale=5", Stored{TTL: 1, MustRevalidate: true}, true},

		{"2 max-stale passed, in the origin's window", "max-stale=5", Stored{TTL: -5*second - 1, StaleFor: 60 * second}, false},
		{"2 max-stale reached, in the window beside s-maxage", "max-stale=5", Stored{TTL: -5 * second, StaleFor: 60 * second, MustRevalidate: true}, true},
		{"2 max-stale=0 and stale by an instant", "max-stale=0", Stored{TTL: -1}, false},
		{"2 max-stale=0 and at the end", "max-stale=0", Stored{TTL: 0}, true},
		{"2 max-stale of no number", "max-stale=x", Stored{TTL: -1, StaleFor: 60 * second}, false},
		{"3 min-fresh of no number", "min-fresh=x", Stored{TTL: 1e6 * second}, false},
		{"3 min-fresh against max-stale", "min-fresh=1, max-stale=5", Stored{TTL: 0}, false},
		{"1 max-age of no number", "max-age=x", Stored{Age: 1, TTL: 9 * second}, false},
		{"6 no-transform", "no-transform", Stored{TTL: 1}, true},
		{"7 only-if-cached and fresh", "only-if-cached", Stored{TTL: 1}, true},
		{"7 only-if-cached and stale", "only-if-cached", Stored{TTL: 0}, false},
		{"7 only-if-cached with max-stale", "only-if-cached, max-stale", Stored{TTL: 0}, true},
		{"unknown directives", "x, y=1", Stored{TTL: 1}, true},

		{"RFC 5861, 3: in the window", "", Stored{TTL: -5*second + 1, StaleFor: 5 * second}, true},
		{"RFC 5861, 3: at its end", "", Stored{TTL: -5 * second, StaleFor: 5 * second}, false},
		{"RFC 5861, 3: beside s-maxage", "", Stored{TTL: -1, StaleFor: 5 * second, MustRevalidate: true}, true},
		{"5.2.1.1: max-age wants nothing stale", "max-age=60", Stored{TTL: -1, StaleFor: 5 * second}, false},
		{"5.2.1.3: min-fresh wants nothing stale", "min-fresh=0", Stored{TTL: 0, StaleFor: 5 * second}, false},
		{"5.2.1.1: max-age with max-stale", "max-age=60, max-stale=5", Stored{Age: 60 * second, TTL: -5 * second}, true},
	} {
		h := http.Header{"Cache-Control": {c.control}}
		is(t, c.name, ParseRequestControl(h).Accepts(c.stored), c.want)
	}
}

func FuzzRequestControl(f *testing.F) {
	for _, seed := range []string{"", "max-age=60, min-fresh=1, max-stale", "no-cache", `max-stale="x`} {
		f.Add(seed, int64(5), int64(-3))
	}
	f.Fuzz(func(t *testing.T, field string, age, ttl int64) {
		// Directives only ever take away from fresh and only ever add to stale.
		s := Stored{Age: time.Duration(age), TTL: time.Duration(ttl % (1 << 62))}
		c := ParseRequestControl(http.Header{"Cache-Control": {field}})
		if accepts := c.Accepts(s); accepts && s.TTL <= 0 && !c.MaxStale.Given {
			t.Errorf("%q accepts %+v without max-stale", field, s)
		}
		s.MustRevalidate = true
		if c.Accepts(s) && s.TTL <= 0 {
			t.Errorf("%q accepts %+v in spite of must-revalidate", field, s)
		}
	})
}
