package httpsem

import (
	"math"
	"net/http"
	"testing"
	"time"
)

// exchange is a GET that took no time and was answered now.
func exchange(status int, response string) Exchange {
	return Exchange{Method: "GET", Request: http.Header{}, Status: status, Response: header(response), Requested: now, Received: now}
}

func TestSection3WhatIsKept(t *testing.T) {
	for _, c := range []struct {
		name     string
		status   int
		response string
		outcome  Outcome
		reason   Reason
	}{
		{"a lifetime", 200, "Cache-Control: max-age=60", Keep, NoReason},
		{"a lifetime of a second", 200, "Cache-Control: max-age=1", Keep, NoReason},
		{"a lifetime for shared caches", 200, "Cache-Control: s-maxage=60, max-age=0", Keep, NoReason},
		{"Expires", 200, "Expires: " + at(60), Keep, NoReason},
		{"Last-Modified", 200, "Last-Modified: " + at(-60), Keep, NoReason},
		{"nothing", 200, "", Pass, ReasonNoLifetime},
		{"public and nothing else", 200, "Cache-Control: public", Pass, ReasonNoLifetime},
		{"5.2.2.1 max-age=0", 200, "Cache-Control: max-age=0", Pass, ReasonExpired},
		{"5.2.2.1 public, max-age=0", 200, "Cache-Control: public, max-age=0", Pass, ReasonExpired},
		{"5.2.2.1 max-age=0 with an ETag", 200, "Cache-Control: max-age=0\nETag: \"a\"", Validate, ReasonExpired},
		{"5.2.2.1 max-age=0, must-revalidate with an ETag", 200, "Cache-Control: max-age=0, must-revalidate\nETag: \"a\"", Validate, ReasonExpired},
		{"3 an ETag and no lifetime", 200, "ETag: \"a\"", Validate, ReasonNoLifetime},
		{"3 an ETag and no lifetime, of a status that needs one", 302, "ETag: \"a\"", Pass, ReasonStatus},
		{"5.3 Expires: 0", 200, "Expires: 0", Pass, ReasonExpired},
		{"5.3 Expires now", 200, "Expires: " + at(0), Pass, ReasonExpired},
		{"5.3 Expires in a second", 200, "Expires: " + at(1), Keep, NoReason},
		{"5.2.2.4 no-cache", 200, "Cache-Control: no-cache, max-age=60", Pass, ReasonNoCache},
		{"5.2.2.4 no-cache with an ETag", 200, "Cache-Control: no-cache, max-age=60\nETag: \"a\"", Validate, ReasonNoCache},
		{"5.2.2.4 no-cache with an invalid ETag", 200, "Cache-Control: no-cache, max-age=60\nETag: a", Pass, ReasonNoCache},
		{"5.2.2.4 no-cache with Last-Modified", 200, "Cache-Control: no-cache\nLast-Modified: " + at(-60), Validate, ReasonNoCache},
		{"5.2.2.4 no-cache for a field", 200, `Cache-Control: max-age=60, no-cache="x"`, Keep, NoReason},
		{"5.2.2.4 no-cache for a field and for all", 200, `Cache-Control: max-age=60, no-cache="x", no-cache`, Pass, ReasonNoCache},
		{"5.2.2.5 no-store", 200, "Cache-Control: no-store, max-age=60", Pass, ReasonNoStore},
		{"5.2.2.7 private", 200, "Cache-Control: private, max-age=60", Pass, ReasonPrivate},
		{"5.2.2.7 private for a field", 200, `Cache-Control: max-age=60, private="set-cookie"`, Keep, NoReason},
		{"5.2.2.7 private for a field and for all", 200, `Cache-Control: max-age=60, private, private="set-cookie"`, Pass, ReasonPrivate},
		{"5.2.2.7 private for Set-Cookie, and a cookie", 200, "Cache-Control: max-age=60, private=\"set-cookie\"\nSet-Cookie: a=b", Keep, NoReason},
		{"5.2.2.4 no-cache for Set-Cookie, and a cookie", 200, "Cache-Control: max-age=60, no-cache=Set-Cookie\nSet-Cookie: a=b", Keep, NoReason},
		{"5.2.2.7 private for Set-Cookie2, and a cookie", 200, "Cache-Control: max-age=60, private=\"set-cookie2\"\nSet-Cookie: a=b", Pass, ReasonSetCookie},
		{"5.2.2.7 private for what is no list", 200, `Cache-Control: max-age=60, private="a b"`, Pass, ReasonPrivate},
		{"5.2.2.7 private and public", 200, "Cache-Control: public, private, max-age=60", Pass, ReasonPrivate},
		{"5.2.2.7 private and s-maxage", 200, "Cache-Control: s-maxage=60, private", Pass, ReasonPrivate},
		{"5.2 malformed", 200, "Cache-Control: max-age=60, private;", Pass, ReasonMalformed},
		{"7.3 Set-Cookie", 200, "Cache-Control: public, max-age=60\nSet-Cookie: a=b", Pass, ReasonSetCookie},
		{"7.3 Set-Cookie2", 200, "Cache-Control: public, max-age=60\nSet-Cookie2: a=b", Pass, ReasonSetCookie},
		{"4.1 Vary: *", 200, "Cache-Control: max-age=60\nVary: accept, *", Pass, ReasonVary},
		{"4.1 Vary that is no list of names", 200, "Cache-Control: max-age=60\nVary: a b", Pass, ReasonVary},
		{"4.1 Vary: Cookie", 200, "Cache-Control: max-age=60\nVary: Cookie", Keep, NoReason},
		{"4.2 stale when sent", 200, "Cache-Control: max-age=60\nAge: 60", Pass, ReasonExpired},
		{"4.2 a second before", 200, "Cache-Control: max-age=60\nAge: 59", Keep, NoReason},
		{"RFC 5861 stale when sent, in its window", 200, "Cache-Control: max-age=60, stale-while-revalidate=2\nAge: 61", Keep, NoReason},
		{"RFC 5861 stale when sent, after it", 200, "Cache-Control: max-age=60, stale-while-revalidate=2\nAge: 62", Pass, ReasonExpired},
		{"RFC 5861 beside must-revalidate", 200, "Cache-Control: max-age=0, must-revalidate, stale-while-revalidate=60", Pass, ReasonExpired},
		{"RFC 5861 stale-if-error alone", 200, "Cache-Control: max-age=0, stale-if-error=60", Pass, ReasonExpired},
		{"RFC 5861 stale-if-error with an ETag", 200, "Cache-Control: max-age=0, stale-if-error=60\nETag: \"a\"", Validate, ReasonExpired},

		{"15.1 a status with heuristics", 404, "Cache-Control: max-age=60", Keep, NoReason},
		{"15.1 another without lifetime", 302, "Last-Modified: " + at(-60), Pass, ReasonStatus},
		{"15.1 another with a lifetime", 302, "Cache-Control: max-age=60", Keep, NoReason},
		{"15.1 another with Expires", 307, "Expires: " + at(60), Keep, NoReason},
		{"15.1 another that is public", 302, "Cache-Control: public\nLast-Modified: " + at(-60), Keep, NoReason},
		{"15 an unknown one with a lifetime", 299, "Cache-Control: max-age=60", Keep, NoReason},
		{"15 an error with a lifetime", 500, "Cache-Control: max-age=60", Keep, NoReason},
		{"15 an error without", 500, "", Pass, ReasonStatus},
		{"15.2 interim", 103, "Cache-Control: max-age=60", Pass, ReasonStatus},
		{"15.2 switching", 101, "Cache-Control: max-age=60", Pass, ReasonStatus},
		{"15 no such class", 600, "Cache-Control: max-age=60", Pass, ReasonStatus},
		{"3.3 a part", 206, "Cache-Control: max-age=60\nContent-Range: bytes 0-1/2", Pass, ReasonPartial},
		{"3.3 a part by its field", 200, "Cache-Control: max-age=60\nContent-Range: bytes 0-1/2", Pass, ReasonPartial},
		{"4.3.3 a 304 alone", 304, "Cache-Control: max-age=60", Pass, ReasonStatus},
		{"5.2.2.3 must-understand, understood", 200, "Cache-Control: must-understand, no-store, max-age=60", Keep, NoReason},
		{"5.2.2.3 must-understand, not understood", 299, "Cache-Control: must-understand, no-store, max-age=60", Pass, ReasonStatus},
		{"5.2.2.3 must-understand alone, not understood", 451, "Cache-Control: must-understand, max-age=60", Pass, ReasonStatus},
		{"5.2.2.3 must-understand with an argument", 200, "Cache-Control: must-understand=1, no-store, max-age=60", Pass, ReasonNoStore},
	} {
		p := new(Cache).Judge(exchange(c.status, c.response))
		is(t, c.name+": outcome", p.Outcome, c.outcome)
		is(t, c.name+": reason", p.Reason, c.reason)
	}
}

func TestSection35WhatARequestMakesItsOwn(t *testing.T) {
	for _, c := range []struct {
		name, request, response string
		want                    Reason
	}{
		{"Authorization", "Authorization: x", "Cache-Control: max-age=60", ReasonAuthorization},
		{"Authorization, Expires", "Authorization: x", "Expires: " + at(60), ReasonAuthorization},
		{"Authorization, public", "Authorization: x", "Cache-Control: max-age=60, public", NoReason},
		{"Authorization, s-maxage", "Authorization: x", "Cache-Control: s-maxage=60", NoReason},
		{"Authorization, must-revalidate", "Authorization: x", "Cache-Control: max-age=60, must-revalidate", NoReason},
		{"Authorization, proxy-revalidate", "Authorization: x", "Cache-Control: max-age=60, proxy-revalidate", ReasonAuthorization},
		{"Authorization, Vary", "Authorization: x", "Cache-Control: max-age=60\nVary: Authorization", ReasonAuthorization},
		{"Cookie", "Cookie: x", "Cache-Control: max-age=60", ReasonCookie},
		{"Cookie, must-revalidate", "Cookie: x", "Cache-Control: max-age=60, must-revalidate", ReasonCookie},
		{"Cookie, public", "Cookie: x", "Cache-Control: max-age=60, public", NoReason},
		{"Cookie, s-maxage", "Cookie: x", "Cache-Control: s-maxage=60", NoReason},
		{"Cookie, Vary", "Cookie: x", "Cache-Control: max-age=60\nVary: cookie", NoReason},
		{"Cookie and Authorization, Vary", "Cookie: x\nAuthorization: x", "Cache-Control: max-age=60\nVary: cookie", ReasonAuthorization},
		{"5.2.1.5 no-store", "Cache-Control: no-store", "Cache-Control: max-age=60", ReasonNoStoreAsked},
		{"the response's own reason comes first", "Cookie: x\nAuthorization: x", "Cache-Control: max-age=60, private", ReasonPrivate},
		{"also when it is about time", "Cookie: x", "Cache-Control: max-age=0", ReasonExpired},
		{"also when it could be validated", "Cookie: x", "Cache-Control: max-age=0\nETag: \"a\"", ReasonExpired},
	} {
		x := exchange(200, c.response)
		x.Request = header(c.request)
		p := new(Cache).Judge(x)
		is(t, c.name+": reason", p.Reason, c.want)
		is(t, c.name+": kept", p.Outcome == Keep, c.want == NoReason)
		is(t, c.name+": its own", p.Outcome == Pass, c.want != NoReason)
	}
}

func TestSection3OnlyGETAndHEADAreKept(t *testing.T) {
	for method, want := range map[string]Reason{"GET": NoReason, "HEAD": NoReason, "POST": ReasonMethod, "get": ReasonMethod, "PURGE": ReasonMethod} {
		x := exchange(200, "Cache-Control: max-age=60")
		x.Method = method
		is(t, method, new(Cache).Judge(x).Reason, want)
	}
}

func TestSection42AFetchThatTakesItsLifetimeIsSharedAndNotKept(t *testing.T) {
	for _, c := range []struct {
		name     string
		response string
		delay    time.Duration
		outcome  Outcome
		reason   Reason
	}{
		{"shorter", "Cache-Control: max-age=1", second - 1, Keep, NoReason},
		{"as long", "Cache-Control: max-age=1", second, Share, ReasonSlow},
		{"longer", "Cache-Control: max-age=1", time.Minute, Share, ReasonSlow},
		{"longer, s-maxage", "Cache-Control: s-maxage=1", time.Minute, Share, ReasonSlow},
		{"no lifetime", "Cache-Control: max-age=0", time.Minute, Pass, ReasonExpired},
		{"exactness asked for", "Cache-Control: max-age=1, must-revalidate", second, Pass, ReasonExpired},
		{"exactness asked of proxies", "Cache-Control: max-age=1, proxy-revalidate", second, Pass, ReasonExpired},
		{"old by its Age as well", "Cache-Control: max-age=1\nAge: 1", second, Pass, ReasonExpired},
		{"perhaps new by its Date", "Cache-Control: max-age=1\nDate: " + at(-1), 0, Share, ReasonSlow},
		{"old by its Date as well", "Cache-Control: max-age=1\nDate: " + at(-2), second, Pass, ReasonExpired},
		{"private", "Cache-Control: max-age=1, private", second, Pass, ReasonPrivate},
	} {
		x := exchange(200, c.response)
		x.Requested = now.Add(-c.delay)
		p := new(Cache).Judge(x)
		is(t, c.name+": outcome", p.Outcome, c.outcome)
		is(t, c.name+": reason", p.Reason, c.reason)
	}
	x := exchange(200, "Cache-Control: max-age=1")
	x.Requested, x.Request = now.Add(-second), header("Cookie: x")
	is(t, "with a Cookie", new(Cache).Judge(x).Outcome, Pass)
}

func TestSection421Lifetimes(t *testing.T) {
	for _, c := range []struct {
		name, response string
		lifetime       time.Duration
		guessed        bool
	}{
		{"s-maxage before all", "Cache-Control: max-age=1, s-maxage=2\nExpires: " + at(3), 2 * second, false},
		{"max-age before Expires", "Cache-Control: max-age=1\nExpires: " + at(3), second, false},
		{"max-age before an invalid Expires", "Cache-Control: max-age=1\nExpires: 0", second, false},
		{"an invalid s-maxage hides max-age", "Cache-Control: max-age=1, s-maxage=x", 0, false},
		{"an invalid max-age hides Expires", "Cache-Control: max-age=x\nExpires: " + at(3), 0, false},
		{"Expires counts from Date", "Date: " + at(-10) + "\nExpires: " + at(3), 13 * second, false},
		{"Expires counts from arrival without Date", "Expires: " + at(3), 3 * second, false},
		{"Expires before Date", "Date: " + at(10) + "\nExpires: " + at(3), 0, false},
		{"the first of two Expires", "Expires: " + at(3) + "\nExpires: " + at(9), 3 * second, false},
		{"one of two Expires invalid", "Expires: " + at(3) + "\nExpires: x", 0, false},
		{"Expires hides Last-Modified", "Expires: x\nLast-Modified: " + at(-1000), 0, false},
		{"Expires in another zone", "Expires: Sat, 14 Mar 2026 16:09:26 CET", 0, false},
		{"Expires in the year 9999", "Expires: Fri, 31 Dec 9999 23:59:59 GMT", maxDelta, false},
		{"4.2.2 a tenth", "Last-Modified: " + at(-1000), 100 * second, true},
		{"4.2.2 a tenth, counted from Date", "Date: " + at(-100) + "\nLast-Modified: " + at(-1100), 100 * second, true},
		{"4.2.2 at most a day", "Last-Modified: " + at(-864000), 86400 * second, true},
		{"4.2.2 at most a day, a second over", "Last-Modified: " + at(-864001), 86400 * second, true},
		{"4.2.2 a second under", "Last-Modified: " + at(-863990), 86399 * second, true},
		{"4.2.2 Last-Modified ahead", "Last-Modified: " + at(10), 0, false},
		{"4.2.2 Last-Modified invalid", "Last-Modified: x", 0, false},
		{"4.2.2 Last-Modified twice", "Last-Modified: " + at(-1000) + "\nLast-Modified: " + at(-1000), 0, false},
		{"5.4 Pragma", "Pragma: no-cache\nLast-Modified: " + at(-1000), 0, false},
		{"5.4 Pragma beside max-age", "Pragma: no-cache\nCache-Control: max-age=5", 5 * second, false},
	} {
		p := new(Cache).Judge(exchange(200, c.response))
		is(t, c.name+": lifetime", p.Lifetime, c.lifetime)
		is(t, c.name+": heuristic", p.Heuristic, c.guessed)
	}
}

func TestSection424WindowsAndWhatForbidsStale(t *testing.T) {
	const windows = ", stale-while-revalidate=2, stale-if-error=3"
	const forever = math.MaxInt64
	for _, c := range []struct {
		control string
		want    Policy
	}{
		{"max-age=60", Policy{Lifetime: 60 * second, StaleOnOutage: forever}},
		{"max-age=60" + windows, Policy{Lifetime: 60 * second, StaleFor: 2 * second, StaleOnError: 3 * second, StaleOnOutage: 3 * second}},
		{"max-age=60, must-revalidate" + windows, Policy{Lifetime: 60 * second, MustRevalidate: true}},
		{"max-age=60, proxy-revalidate" + windows, Policy{Lifetime: 60 * second, MustRevalidate: true}},
		{"s-maxage=60", Policy{Lifetime: 60 * second, MustRevalidate: true}},
		{"s-maxage=60" + windows, Policy{Lifetime: 60 * second, StaleFor: 2 * second, StaleOnError: 3 * second, StaleOnOutage: 3 * second, MustRevalidate: true}},
		{"max-age=60, immutable", Policy{Lifetime: 60 * second, Immutable: true, StaleOnOutage: forever}},
		{"max-age=60, stale-while-revalidate=x", Policy{Lifetime: 60 * second, StaleOnOutage: forever}},
		{"max-age=60, stale-if-error=0", Policy{Lifetime: 60 * second}},
	} {
		c.want.Outcome = Keep
		is(t, c.control, new(Cache).Judge(exchange(200, "Cache-Control: "+c.control)), c.want)
	}
	guessed := Policy{Outcome: Keep, Lifetime: 100 * second, Heuristic: true, StaleOnOutage: forever}
	is(t, "a heuristic lifetime", new(Cache).Judge(exchange(200, "Last-Modified: "+at(-1000))), guessed)
	noCache := Policy{Reason: ReasonNoCache, Lifetime: 60 * second, MustRevalidate: true}
	is(t, "no-cache", new(Cache).Judge(exchange(200, "Cache-Control: no-cache, max-age=60"+windows)), noCache)
}

func TestAPolicySaysHowLongTheResponseStaysFresh(t *testing.T) {
	x := exchange(200, "Cache-Control: max-age=60\nAge: 10")
	x.Requested = now.Add(-500 * time.Millisecond)
	p := new(Cache).Judge(x)
	is(t, "TTL", p.TTL(), 49500*time.Millisecond)
}

func TestReasonsHaveOneTextEach(t *testing.T) {
	seen := map[string]Reason{}
	for r := NoReason; int(r) < len(reasonTexts); r++ {
		if other, twice := seen[r.String()]; twice || r != NoReason && !isToken(r.String()) {
			t.Errorf("reason %d: %q, want a token of its own (reason %d has it)", r, r, other)
		}
		seen[r.String()] = r
	}
	is(t, "OfRequest of a response's reason", ReasonPrivate.OfRequest(), false)
	is(t, "OfRequest of a Cookie", ReasonCookie.OfRequest(), true)
	is(t, "OfRequest of a method", ReasonMethod.OfRequest(), true)
	is(t, "OfRequest of none", NoReason.OfRequest(), false)
	is(t, "Fwd of a method", ReasonMethod.Fwd(), FwdMethod)
	is(t, "Fwd of a range", ReasonRange.Fwd(), FwdBypass)
}

func TestRFC5861Section4WhatIsAnError(t *testing.T) {
	for status, want := range map[int]bool{200: false, 404: false, 429: false, 500: true, 501: false, 502: true, 503: true, 504: true, 505: false} {
		is(t, http.StatusText(status), OriginFailure(status), want)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(200, "max-age=60", "a", at(0), "5", at(60))
	f.Add(200, "public, s-maxage=1, stale-while-revalidate=9", "*", "x", "x", "0")
	f.Add(500, "must-understand, no-store", "", "", "", "")
	f.Fuzz(func(t *testing.T, status int, control, vary, date, age, expires string) {
		x := exchange(status, "")
		x.Response = http.Header{"Cache-Control": {control}, "Vary": {vary}, "Date": {date}, "Age": {age}, "Expires": {expires}}
		x.Requested = now.Add(-second)
		p := new(Cache).Judge(x)
		c := ParseResponseControl(x.Response)
		switch {
		case p.Outcome == Keep && (p.TTL() <= -p.StaleFor || p.Reason != NoReason):
			t.Errorf("kept without use: %+v", p)
		case p.Outcome != Keep && p.Reason == NoReason:
			t.Errorf("%v without reason: %+v", p.Outcome, p)
		case p.Outcome != Pass && (c.Private || c.NoCache || c.Malformed || p.Vary.Any || c.NoStore && !c.MustUnderstand):
			t.Errorf("%v in spite of Cache-Control %q, Vary %q", p.Outcome, control, vary)
		case p.MustRevalidate && !c.SharedMaxAge.Given && p.StaleFor+p.StaleOnError > 0:
			t.Errorf("stale allowed where it is forbidden: %+v", p)
		}
		x.Response.Set("Set-Cookie", "a=b")
		if p := new(Cache).Judge(x); p.Outcome != Pass {
			t.Errorf("Set-Cookie is for others: %+v", p)
		}
	})
}
