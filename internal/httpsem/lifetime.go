package httpsem

import (
	"net/http"
	"time"
)

// maxHeuristic bounds a lifetime that the origin did not state.
const maxHeuristic = 24 * time.Hour

// A lifetime is how long a response is fresh, from the moment at which its
// origin made it, and whether the origin said so.
type lifetime struct {
	length   time.Duration
	explicit bool
}

// lifetimeOf is freshness_lifetime of RFC 9111, section 4.2.1: s-maxage, max-age, Expires, in this order, and without any of these
// the heuristic. Zero when nothing gives the response a lifetime.
func lifetimeOf(status int, h http.Header, c *ResponseControl, received time.Time) lifetime {
	switch {
	case c.SharedMaxAge.Given:
		return lifetime{c.SharedMaxAge.Value, true}
	case c.MaxAge.Given:
		return lifetime{c.MaxAge.Value, true}
	case !c.Targeted && len(h["Expires"]) > 0:
		return lifetime{untilExpires(h, received), true}
	case c.Public || heuristicallyCacheable(status):
		return lifetime{heuristic(h, c, received), false}
	}
	return lifetime{}
}

// untilExpires is the time from Date to Expires (RFC 9111, section 5.3), the
// shortest of several, zero when one is not a date, as the "0" that many send.
func untilExpires(h http.Header, received time.Time) time.Duration {
	made, shortest := originDate(h, received), maxDelta
	for _, line := range h["Expires"] {
		expires, ok := parseDate(trim(line), received)
		if !ok {
			return 0
		}
		shortest = min(shortest, elapsed(made, expires))
	}
	return shortest
}

// heuristic is a tenth of the time that had passed since the last change when
// the response was made, at most a day (RFC 9111, section 4.2.2). There is none
// without exactly one Last-Modified, nor where the origin sent Pragma:
// no-cache, which means nothing in a response (section 5.4) and yet says that
// somebody did not want it cached.
func heuristic(h http.Header, c *ResponseControl, received time.Time) time.Duration {
	if len(h["Last-Modified"]) != 1 || !c.Targeted && pragmaNoCache(h) {
		return 0
	}
	modified, ok := parseDate(h["Last-Modified"][0], received)
	if !ok {
		return 0
	}
	return min(elapsed(modified, originDate(h, received))/10, maxHeuristic)
}

// heuristicallyCacheable reports whether RFC 9110, section 15.1, defines a
// status code so. 206 is left out: partial content is not kept.
func heuristicallyCacheable(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}
