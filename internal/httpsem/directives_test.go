package httpsem

import (
	"fmt"
	"math"
	"testing"
)

// verdict is what a shared cache does with a response, in few words: whom it is
// for, why not for more, its lifetime, and what of it outlives that.
func verdict(cache *Cache, status int, response string) string {
	p := cache.Judge(exchange(status, response))
	text := fmt.Sprint(p.Outcome)
	if p.Outcome == Keep {
		text += fmt.Sprintf(" %v", p.Lifetime)
	} else {
		text += " " + p.Reason.String()
	}
	if p.StaleFor > 0 {
		text += fmt.Sprintf(", stale for %v", p.StaleFor)
	}
	if p.StaleOnError > 0 {
		text += fmt.Sprintf(", on error %v", p.StaleOnError)
	}
	if p.StaleOnOutage == math.MaxInt64 {
		text += ", on outage"
	} else if p.StaleOnOutage > 0 {
		text += fmt.Sprintf(", on outage %v", p.StaleOnOutage)
	}
	if p.Qualified != nil {
		text += fmt.Sprintf(", without %v", p.Qualified)
	}
	return text
}

func TestSection522EachResponseDirective(t *testing.T) {
	for _, section := range []struct {
		name string
		rows [][2]string // Cache-Control of a 200 with an ETag, verdict
	}{
		{"5.2.2.1 max-age", [][2]string{
			{"max-age=60", "keep 1m0s, on outage"},
			{`max-age="60"`, "keep 1m0s, on outage"},
			{"MAX-AGE=60", "keep 1m0s, on outage"},
			{"max-age=60, max-age=5", "keep 5s, on outage"},
			{"max-age=60, max-age=x", "validate expired, on outage"},
			{"max-age", "validate expired, on outage"},
			{"max-age=1.5", "validate expired, on outage"},
			{"max-age=+60", "validate expired, on outage"},
			{"max-age=60 ", "keep 1m0s, on outage"},
			{"max-age=60, no-cache", "validate no-cache"},
			{"max-age=60, no-store", "pass no-store, on outage"},
			{"max-age =60", "pass malformed-cache-control, on outage"},
			{"max-age: 60", "pass malformed-cache-control, on outage"},
			{"'max-age=60'", "validate no-lifetime, on outage"},
			{"max-age=99999999999999999999", "keep 596523h14m8s, on outage"},
		}},
		{"5.2.2.2 must-revalidate", [][2]string{
			{"max-age=60, must-revalidate", "keep 1m0s"},
			{"max-age=60, must-revalidate=0", "keep 1m0s"},
			{"max-age=60, Must-Revalidate, must-revalidate", "keep 1m0s"},
			{"max-age=60, must-revalidate, stale-while-revalidate=5, stale-if-error=5", "keep 1m0s"},
			{"must-revalidate", "validate no-lifetime"},
			{`max-age=60, x="must-revalidate"`, "keep 1m0s, on outage"},
		}},
		{"5.2.2.3 must-understand", [][2]string{
			{"must-understand, no-store, max-age=60", "keep 1m0s, on outage"},
			{"no-store, max-age=60, must-understand", "keep 1m0s, on outage"},
			{"must-understand, no-store", "validate no-lifetime, on outage"},
			{"must-understand=x, no-store, max-age=60", "pass no-store, on outage"},
			{"must-understand, private, max-age=60", "pass private, on outage"},
		}},
		{"5.2.2.4 no-cache", [][2]string{
			{"no-cache", "validate no-cache"},
			{"No-Cache", "validate no-cache"},
			{"no-cache=", "validate no-cache"},
			{`no-cache=""`, "validate no-cache"},
			{"public, no-cache, max-age=60, s-maxage=60", "validate no-cache"},
			{"no-cache, stale-while-revalidate=5, stale-if-error=5", "validate no-cache"},
			{`max-age=60, no-cache="x-a, x-b"`, "keep 1m0s, on outage, without [X-A X-B]"},
			{`max-age=60, no-cache="x-a", no-cache`, "validate no-cache"},
			{`max-age=60, no-cache="x-a x-b"`, "validate no-cache"},
			{`max-age=60, no-cache="content-type"`, "validate no-cache"},
			{`max-age=60, no-cache="x-a`, "pass malformed-cache-control"},
		}},
		{"5.2.2.5 no-store", [][2]string{
			{"no-store", "pass no-store, on outage"},
			{"NO-STORE, max-age=60, public", "pass no-store, on outage"},
			{"no-store=x, max-age=60", "pass no-store, on outage"},
			{`max-age=60, x="no-store"`, "keep 1m0s, on outage"},
			{"max-age=60, no-storex", "keep 1m0s, on outage"},
		}},
		{"5.2.2.6 no-transform", [][2]string{
			{"no-transform, max-age=60", "keep 1m0s, on outage"},
		}},
		{"5.2.2.7 private", [][2]string{
			{"private", "pass private, on outage"},
			{"private, public, max-age=60", "pass private, on outage"},
			{"max-age=60, PRIVATE", "pass private, on outage"},
			{`max-age=60, private=""`, "pass private, on outage"},
			{`max-age=60, private="x-a"`, "keep 1m0s, on outage, without [X-A]"},
			{`max-age=60, private=x-a, private="x-b"`, "keep 1m0s, on outage, without [X-A X-B]"},
			{`max-age=60, private="x-a", private`, "pass private, on outage, without [X-A]"},
			{`max-age=60, private="vary"`, "pass private, on outage"},
		}},
		{"5.2.2.8 proxy-revalidate", [][2]string{
			{"max-age=60, proxy-revalidate", "keep 1m0s"},
			{"max-age=60, proxy-revalidate=x, stale-if-error=5", "keep 1m0s"},
		}},
		{"5.2.2.9 public", [][2]string{
			{"public", "validate no-lifetime, on outage"},
			{"public, max-age=60", "keep 1m0s, on outage"},
			{"public, max-age=0", "validate expired, on outage"},
		}},
		{"5.2.2.10 s-maxage", [][2]string{
			{"s-maxage=60", "keep 1m0s"},
			{`s-maxage="60", max-age=5`, "keep 1m0s"},
			{"max-age=60, s-maxage=5", "keep 5s"},
			{"max-age=60, s-maxage=x", "validate expired"},
			{"s-maxage=60, s-maxage=5", "keep 5s"},
			{"s-maxage=60, stale-while-revalidate=5, stale-if-error=6", "keep 1m0s, stale for 5s, on error 6s, on outage 6s"},
		}},
		{"5.2.3 unknown ones", [][2]string{
			{`x, y=1, z="a, b", max-age=60`, "keep 1m0s, on outage"},
			{"only-if-cached, min-fresh=5, max-stale, max-age=60", "keep 1m0s, on outage"},
			{"community=private, max-age=60", "keep 1m0s, on outage"},
		}},
		{"RFC 5861 the two windows", [][2]string{
			{"max-age=60, stale-while-revalidate=5", "keep 1m0s, stale for 5s, on outage"},
			{"max-age=60, stale-while-revalidate", "keep 1m0s, on outage"},
			{"max-age=60, stale-while-revalidate=5, stale-while-revalidate=3", "keep 1m0s, stale for 3s, on outage"},
			{"max-age=0, stale-while-revalidate=5", "keep 0s, stale for 5s, on outage"},
			{"max-age=60, stale-if-error=5", "keep 1m0s, on error 5s, on outage 5s"},
			{`max-age=60, stale-if-error="5", stale-if-error=9`, "keep 1m0s, on error 5s, on outage 5s"},
			{"max-age=60, stale-if-error=x", "keep 1m0s"},
		}},
	} {
		for _, row := range section.rows {
			got := verdict(new(Cache), 200, "ETag: \"a\"\nCache-Control: "+row[0])
			is(t, section.name+": "+row[0], got, row[1])
		}
	}
}

// TestSection3EachStatusCode goes over all codes that three digits can make, and
// some that they cannot.
func TestSection3EachStatusCode(t *testing.T) {
	byDefault := map[int]bool{200: true, 203: true, 204: true, 300: true, 301: true, 308: true, 404: true, 405: true, 410: true, 414: true, 501: true}
	for status := -1; status <= 1000; status++ {
		final := status >= 200 && status <= 599 && status != 206 && status != 304
		for _, c := range []struct {
			response string
			stored   bool
		}{
			{"Cache-Control: max-age=60", final},
			{"Cache-Control: s-maxage=60", final},
			{"Expires: " + at(60), final},
			{"Cache-Control: public\nLast-Modified: " + at(-600), final},
			{"Last-Modified: " + at(-600), final && byDefault[status]},
		} {
			got := new(Cache).Judge(exchange(status, c.response)).Outcome == Keep
			is(t, fmt.Sprintf("%d with %s: kept", status, c.response), got, c.stored)
		}
		private := (&Cache{Private: true}).Judge(exchange(status, "Cache-Control: private\nLast-Modified: "+at(-600)))
		is(t, fmt.Sprintf("%d, private: kept", status), private.Outcome == Keep, final)
	}
}
