package httpsem

import (
	"testing"
	"time"
)

func TestSection5227APrivateCacheKeepsWhatIsItsUsersOwn(t *testing.T) {
	const mine = "Cookie: x\nAuthorization: x"
	for _, c := range []struct {
		name, response string
		status         int
		outcome        Outcome
		reason         Reason
	}{
		{"3.5 Authorization, Cookie", "Cache-Control: max-age=60", 200, Keep, NoReason},
		{"private", "Cache-Control: private, max-age=60", 200, Keep, NoReason},
		{"7.3 Set-Cookie", "Cache-Control: max-age=60\nSet-Cookie: a=b", 200, Keep, NoReason},
		{"private makes any status storable", "Cache-Control: private\nETag: \"a\"", 302, Validate, ReasonNoLifetime},
		{"5.2.2.10 s-maxage is for others", "Cache-Control: s-maxage=60", 200, Pass, ReasonNoLifetime},
		{"5.2.2.10 s-maxage makes no status storable", "Cache-Control: s-maxage=60", 302, Pass, ReasonStatus},
		{"5.2.2.10 max-age beside s-maxage", "Cache-Control: s-maxage=0, max-age=60", 200, Keep, NoReason},
		{"5.2.2.4 no-cache", "Cache-Control: private, no-cache\nETag: \"a\"", 200, Validate, ReasonNoCache},
		{"5.2.2.5 no-store", "Cache-Control: private, no-store, max-age=60", 200, Pass, ReasonNoStore},
		{"4.1 Vary: *", "Cache-Control: max-age=60\nVary: *", 200, Pass, ReasonVary},
	} {
		x := exchange(c.status, c.response)
		x.Request = header(mine)
		p := (&Cache{Private: true}).Judge(x)
		is(t, c.name+": outcome", p.Outcome, c.outcome)
		is(t, c.name+": reason", p.Reason, c.reason)
	}
	x := exchange(200, "Cache-Control: max-age=60")
	x.Request = header("Cache-Control: no-store")
	is(t, "5.2.1.5 no-store", (&Cache{Private: true}).Judge(x).Reason, ReasonNoStoreAsked)
}

func TestSection5228APrivateCacheMayBeStaleForProxies(t *testing.T) {
	alone := &Cache{Private: true}
	p := alone.Judge(exchange(200, "Cache-Control: max-age=60, proxy-revalidate, stale-while-revalidate=5"))
	is(t, "StaleFor beside proxy-revalidate", p.StaleFor, 5*second)
	is(t, "MustRevalidate beside proxy-revalidate", p.MustRevalidate, false)
	p = alone.Judge(exchange(200, "Cache-Control: max-age=60, s-maxage=5"))
	is(t, "Lifetime beside s-maxage", p.Lifetime, 60*second)
	is(t, "MustRevalidate beside s-maxage", p.MustRevalidate, false)
	p = alone.Judge(exchange(200, "Cache-Control: max-age=60, must-revalidate, stale-while-revalidate=5"))
	is(t, "StaleFor beside must-revalidate", p.StaleFor, 0)
}

func TestSection5227QualifiedFieldsAreNotKept(t *testing.T) {
	const both = `Cache-Control: max-age=60, private="x-b, x-a", no-cache="x-c, X-A"`
	for _, c := range []struct {
		name, response string
		cache          Cache
		want           []string
	}{
		{"none", "Cache-Control: max-age=60", Cache{}, nil},
		{"both, each name once", both, Cache{}, []string{"X-A", "X-B", "X-C"}},
		{"private means nothing to a private cache", both, Cache{Private: true}, []string{"X-A", "X-C"}},
		{"no-cache for all covers its fields", both + ", no-cache", Cache{}, []string{"X-A", "X-B"}},
	} {
		is(t, c.name, c.cache.Judge(exchange(200, c.response)).Qualified, c.want)
	}
	x := exchange(200, both+", no-cache")
	x.Lifetime = &Override{TTL: second, HasTTL: true}
	is(t, "no-cache that a rule replaces", new(Cache).Judge(x).Qualified, []string{"X-A", "X-B", "X-C"})
}

func TestSection73SetCookieIsSharedByOptionOnly(t *testing.T) {
	shares := &Cache{SetCookie: true}
	for _, c := range []struct {
		response string
		want     Reason
	}{
		{"Cache-Control: max-age=60\nSet-Cookie: a=b", NoReason},
		{"Cache-Control: max-age=60, private\nSet-Cookie: a=b", ReasonPrivate},
		{"Set-Cookie: a=b", ReasonNoLifetime},
	} {
		is(t, c.response, shares.Judge(exchange(200, c.response)).Reason, c.want)
	}
}

func TestARuleSetsLifetimesFromTheArrival(t *testing.T) {
	ttl := &Override{TTL: 10 * second, HasTTL: true}
	for _, c := range []struct {
		name     string
		rule     *Override
		status   int
		response string
		outcome  Outcome
		reason   Reason
		left     time.Duration
	}{
		{"no rule", nil, 200, "Cache-Control: max-age=60", Keep, NoReason, 60 * second},
		{"a rule without TTL", &Override{TTL: second}, 200, "Cache-Control: max-age=60", Keep, NoReason, 60 * second},
		{"for max-age", ttl, 200, "Cache-Control: max-age=60", Keep, NoReason, 10 * second},
		{"for s-maxage", ttl, 200, "Cache-Control: s-maxage=0", Keep, NoReason, 10 * second},
		{"for Expires", ttl, 200, "Expires: 0", Keep, NoReason, 10 * second},
		{"for the heuristic", ttl, 200, "Last-Modified: " + at(-1000), Keep, NoReason, 10 * second},
		{"for nothing", ttl, 200, "", Keep, NoReason, 10 * second},
		{"for no-cache", ttl, 200, "Cache-Control: no-cache", Keep, NoReason, 10 * second},
		{"whatever Age says", ttl, 200, "Cache-Control: max-age=60\nAge: 3600", Keep, NoReason, 10 * second},
		{"whatever Date says", ttl, 200, "Cache-Control: max-age=60\nDate: " + at(-3600), Keep, NoReason, 10 * second},
		{"a status with heuristics", ttl, 404, "", Keep, NoReason, 10 * second},
		{"a status with a lifetime", ttl, 302, "Cache-Control: max-age=0", Keep, NoReason, 10 * second},
		{"a status without", ttl, 302, "", Pass, ReasonStatus, 10 * second},
		{"an error", ttl, 500, "Cache-Control: no-cache", Pass, ReasonStatus, 10 * second},
		{"not for no-store", ttl, 200, "Cache-Control: no-store", Pass, ReasonNoStore, 10 * second},
		{"not for private", ttl, 200, "Cache-Control: private", Pass, ReasonPrivate, 10 * second},
		{"not for Set-Cookie", ttl, 200, "Set-Cookie: a=b", Pass, ReasonSetCookie, 10 * second},
		{"not for Vary: *", ttl, 200, "Vary: *", Pass, ReasonVary, 10 * second},
		{"not for a malformed field", ttl, 200, "Cache-Control: max-age=60;", Pass, ReasonMalformed, 10 * second},
		{"none", &Override{HasTTL: true}, 200, "Cache-Control: max-age=60", Pass, ReasonExpired, 0},
		{"none, with an ETag", &Override{HasTTL: true}, 200, "Cache-Control: max-age=60\nETag: \"a\"", Validate, ReasonExpired, 0},
		{"less than none", &Override{TTL: -second, HasTTL: true}, 200, "Cache-Control: max-age=60", Pass, ReasonExpired, 0},
		{"without end", &Override{TTL: 1<<63 - 1, HasTTL: true}, 200, "Age: 99999999999", Keep, NoReason, maxDelta},
	} {
		x := exchange(c.status, c.response)
		x.Lifetime = c.rule
		p := new(Cache).Judge(x)
		is(t, c.name+": outcome", p.Outcome, c.outcome)
		is(t, c.name+": reason", p.Reason, c.reason)
		is(t, c.name+": TTL", p.TTL(), c.left)
	}
	x := exchange(200, "Age: 7")
	x.Lifetime, x.Requested = ttl, now.Add(-time.Minute)
	p := new(Cache).Judge(x)
	is(t, "TTL after a slow fetch", p.TTL(), 10*second)
	is(t, "Age after a slow fetch", p.Age, 67*second)
	x.Lifetime = &Override{HasTTL: true}
	is(t, "no lifetime after a slow fetch", new(Cache).Judge(x).Outcome, Pass)
}

func TestARuleOpensWindowsThatTheOriginDoesNotClose(t *testing.T) {
	windows := Override{StaleFor: 7 * second, StaleOnError: 9 * second, HasStaleFor: true, HasStaleOnError: true}
	lasting := windows
	lasting.TTL, lasting.HasTTL = 60*second, true
	for _, c := range []struct {
		name, control           string
		rule                    Override
		staleFor, error, outage time.Duration
	}{
		{"none was", "max-age=60", windows, 7 * second, 9 * second, 9 * second},
		{"others were", "max-age=60, stale-while-revalidate=99, stale-if-error=99", windows, 7 * second, 9 * second, 9 * second},
		{"one of two", "max-age=60, stale-if-error=99", Override{StaleFor: second, HasStaleFor: true}, second, 99 * second, 99 * second},
		{"zero closes", "max-age=60, stale-while-revalidate=99, stale-if-error=99", Override{HasStaleFor: true, HasStaleOnError: true}, 0, 0, 0},
		{"less than zero", "max-age=60", Override{StaleFor: -1, HasStaleFor: true, StaleOnError: -1, HasStaleOnError: true}, 0, 0, 0},
		{"s-maxage", "s-maxage=60", windows, 7 * second, 9 * second, 9 * second},
		{"must-revalidate", "max-age=60, must-revalidate", lasting, 0, 0, 0},
		{"proxy-revalidate", "max-age=60, proxy-revalidate", lasting, 0, 0, 0},
		{"no-cache", "no-cache", windows, 0, 0, 0},
		{"no-cache that the rule replaces", "no-cache", lasting, 7 * second, 9 * second, 9 * second},
	} {
		x := exchange(200, "Cache-Control: "+c.control)
		x.Lifetime = &c.rule
		p := new(Cache).Judge(x)
		is(t, c.name+": StaleFor", p.StaleFor, c.staleFor)
		is(t, c.name+": StaleOnError", p.StaleOnError, c.error)
		is(t, c.name+": StaleOnOutage", p.StaleOnOutage, c.outage)
	}
}
