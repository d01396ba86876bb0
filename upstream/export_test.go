package upstream

import (
	"net/url"
	"time"
)

// Direct is where a target is at a server.
func Direct(at, target *url.URL) *url.URL { return (&server{url: at}).direct(target) }

// Pause is the time to the next question.
func Pause(h Health, random float64) time.Duration { return h.pause(random) }
