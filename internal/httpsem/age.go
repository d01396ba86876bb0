package httpsem

import (
	"net/http"
	"time"
)

// ages is how old a response is when it arrives (RFC 9111, section 4.2.3).
type ages struct {
	initial time.Duration // corrected_initial_age, the most that it can be
	least   time.Duration // the least that Date and Age allow
}

// agesOf works out a response's age when its header has arrived. A clock that
// went back during the fetch counts as no delay. Of the apparent age up to a
// second may come from Date having no fractions.
func agesOf(h http.Header, requested, received time.Time) ages {
	apparent := elapsed(originDate(h, received), received)
	age := ageField(h)
	delay := max(received.Sub(requested), 0)
	return ages{initial: max(apparent, age+delay), least: max(apparent-time.Second, age)}
}

// ageField reads Age (RFC 9111, section 5.1): of a list the first member, and
// nothing of what is not a number.
func ageField(h http.Header) time.Duration {
	for member := range members(h["Age"]) {
		age, _ := parseDelta(member)
		return age
	}
	return 0
}
