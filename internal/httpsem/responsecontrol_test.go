package httpsem

import (
	"net/http"
	"testing"
	"time"
)

func TestSection52CacheControlInResponses(t *testing.T) {
	given := func(seconds int) Delta { return Delta{true, time.Duration(seconds) * time.Second} }
	for _, c := range []struct {
		name, field string
		want        ResponseControl
	}{
		{"nothing", "", ResponseControl{}},
		{"token", "max-age=60", ResponseControl{MaxAge: given(60)}},
		{"quoted string", `max-age="60"`, ResponseControl{MaxAge: given(60)}},
		{"quoted pair", `max-age="6\0"`, ResponseControl{MaxAge: given(60)}},
		{"any case", "MAX-age=60, NO-Store", ResponseControl{MaxAge: given(60), NoStore: true}},
		{"leading zeros", "max-age=0060", ResponseControl{MaxAge: given(60)}},
		{"all that stand alone", "public,private,no-store,no-cache,must-revalidate,proxy-revalidate,must-understand,immutable",
			ResponseControl{Public: true, Private: true, NoStore: true, NoCache: true, MustRevalidate: true, ProxyRevalidate: true, MustUnderstand: true, Immutable: true}},
		{"all that have seconds", "max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4",
			ResponseControl{MaxAge: given(1), SharedMaxAge: given(2), StaleWhileRevalidate: given(3), StaleIfError: given(4)}},
		{"empty members", ", ,max-age=60,,", ResponseControl{MaxAge: given(60)}},
		{"tabs and spaces around members", "\tmax-age=60 ,\t public ", ResponseControl{MaxAge: given(60), Public: true}},
		{"unknown directives", `x, y=1, z="a, private, b", max-age=60`, ResponseControl{MaxAge: given(60)}},
		{"a comma in quotes hides nothing after it", `x="a,b", no-store`, ResponseControl{NoStore: true}},
		{"an escaped quote does not end the string", `x="a\", public, max-age=5", no-store`, ResponseControl{NoStore: true}},
		{"qualified forms", `private="x-a, x-b", no-cache="set-cookie"`, ResponseControl{PrivateFields: []string{"X-A", "X-B"}, NoCacheFields: []string{"Set-Cookie"}}},
		{"qualified forms as tokens", `private=x-a, no-cache=x-b`, ResponseControl{PrivateFields: []string{"X-A"}, NoCacheFields: []string{"X-B"}}},
		{"qualified forms twice", `private="x-a", private=x-b`, ResponseControl{PrivateFields: []string{"X-A", "X-B"}}},
		{"qualified and not", `private, private="x-a", no-cache=x-b, no-cache`, ResponseControl{Private: true, NoCache: true, PrivateFields: []string{"X-A"}, NoCacheFields: []string{"X-B"}}},
		{"qualified by an empty list", `private="", no-cache=" , "`, ResponseControl{Private: true, NoCache: true}},
		{"qualified by nothing", `private=, no-cache=`, ResponseControl{Private: true, NoCache: true}},
		{"qualified by what is no name", `private="a;b", no-cache="a b"`, ResponseControl{Private: true, NoCache: true}},
		{"qualified by names and what is none", `private="a, é"`, ResponseControl{Private: true}},
		{"qualified by what the content needs", `private="content-encoding", no-cache="x, vary"`, ResponseControl{Private: true, NoCache: true}},
		{"what forbids counts with an argument", "no-store=x, must-revalidate=1", ResponseControl{NoStore: true, MustRevalidate: true}},
		{"what permits does not", "public=x, must-understand=x, immutable=x", ResponseControl{}},

		{"section 1.2.2: 2^31", "max-age=2147483648", ResponseControl{MaxAge: given(1 << 31)}},
		{"section 1.2.2: 2^31 - 1", "max-age=2147483647", ResponseControl{MaxAge: given(1<<31 - 1)}},
		{"section 1.2.2: over 2^31", "max-age=2147483649", ResponseControl{MaxAge: given(1 << 31)}},
		{"section 1.2.2: over 2^64", "max-age=99999999999999999999999", ResponseControl{MaxAge: given(1 << 31)}},

		{"section 4.2.1: the shortest of several", "max-age=60, max-age=1", ResponseControl{MaxAge: given(1)}},
		{"section 4.2.1: the other way", "max-age=1, max-age=60", ResponseControl{MaxAge: given(1)}},
		{"section 4.2.1: an invalid one among them", "max-age=60, max-age=x", ResponseControl{MaxAge: given(0)}},
		{"section 4.2.1: no number", "max-age=a60", ResponseControl{MaxAge: given(0)}},
		{"section 4.2.1: number and more", "max-age=60a", ResponseControl{MaxAge: given(0)}},
		{"section 4.2.1: negative", "max-age=-60", ResponseControl{MaxAge: given(0)}},
		{"section 4.2.1: fraction", "s-maxage=60.0", ResponseControl{SharedMaxAge: given(0)}},
		{"section 4.2.1: single quotes", "max-age='60'", ResponseControl{MaxAge: given(0)}},
		{"section 4.2.1: no argument", "max-age", ResponseControl{MaxAge: given(0)}},
		{"section 4.2.1: empty argument", "max-age=", ResponseControl{MaxAge: given(0)}},
		{"section 4.2.1: empty string", `max-age=""`, ResponseControl{MaxAge: given(0)}},

		{"malformed: space before the argument", "max-age= 60", ResponseControl{MaxAge: given(0), Malformed: true}},
		{"malformed: space before the sign", "max-age =60", ResponseControl{Malformed: true}},
		{"malformed: semicolons", "public; max-age=60", ResponseControl{Malformed: true}},
		{"malformed: a string that does not end", `x="a, private`, ResponseControl{Malformed: true}},
		{"malformed: text after a string", `x="a"b, private`, ResponseControl{Malformed: true, Private: true}},
		{"malformed: a quote in the name", `x", private`, ResponseControl{Malformed: true}},
		{"malformed: no name", "=5, private", ResponseControl{Malformed: true, Private: true}},
		{"malformed: other bytes", "max-age=6\x000, é", ResponseControl{MaxAge: given(0), Malformed: true}},
	} {
		h := http.Header{"Cache-Control": {c.field}}
		is(t, c.name+": "+c.field, ParseResponseControl(h), c.want)
	}
}

func TestSection52LinesOfCacheControlAreOneList(t *testing.T) {
	h := header("Cache-Control: max-age=60, x=\"a\nCache-Control: no-store")
	got := ParseResponseControl(h)
	is(t, "NoStore after a line whose string does not end", got.NoStore, true)
	is(t, "Malformed", got.Malformed, true)
}

func FuzzResponseControl(f *testing.F) {
	for _, seed := range []string{"", "max-age=60", `private="a,b", x="\"", no-store`, `x="`, ",,=,\t", `a=b"c,d"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		one := ParseResponseControl(http.Header{"Cache-Control": {field}})
		for _, d := range []Delta{one.MaxAge, one.SharedMaxAge, one.StaleWhileRevalidate, one.StaleIfError} {
			if d.Value < 0 || d.Value > maxDelta || d.Value%time.Second != 0 || !d.Given && d.Value != 0 {
				t.Errorf("%q: delta %v, want whole seconds from 0 to 2^31", field, d)
			}
		}
		// Whatever stands before it, what forbids is found in a line of its own.
		two := ParseResponseControl(http.Header{"Cache-Control": {field, "no-store, private, max-age=0"}})
		if !two.NoStore || !two.Private || two.MaxAge.Value != 0 {
			t.Errorf("%q hides no-store, private or max-age=0 on the next line: %+v", field, two)
		}
		// And in the same line, unless the field counts as malformed.
		same := ParseResponseControl(http.Header{"Cache-Control": {field + ", private"}})
		if !same.Private && !same.Malformed {
			t.Errorf("%q hides private and is not malformed", field)
		}
	})
}
