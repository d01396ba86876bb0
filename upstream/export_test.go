package upstream

import (
	"net/url"
	"time"
)

// Direct is where a target is at a server.
func Direct(at, target *url.URL) *url.URL { return (&server{url: at}).direct(target) }

// Pause is the time to the next question.
func Pause(h Health, random float64) time.Duration { return h.pause(random) }

// Choice makes choices among n servers.
func Choice(policy Policy, n int) func() {
	r := newRoster(policy, make([]int, n)...)
	for _, m := range r.members {
		m.weight = 1
	}
	key := uint64(0)
	return func() {
		key++
		r.choose(start, mix(key), nil)
	}
}
