package upstream

import (
	"math"
	"time"
)

// A rate is a token bucket, kept as the instant at which it would be full (the
// generic cell rate algorithm, ITU-T I.371). The zero value does not limit. It
// has no clock and no lock: its pool has.
type rate struct {
	interval time.Duration // between requests; 0 is no limit
	burst    time.Duration // how far full may lie ahead
	full     time.Time
}

// longestSpan keeps sums of a rate's spans from overflow: 73 years.
const longestSpan = float64(math.MaxInt64 / 4)

func newRate(perSecond float64, burst int) rate {
	if perSecond == 0 {
		return rate{}
	}
	interval := math.Trunc(min(max(float64(time.Second)/perSecond, 1), longestSpan))
	return rate{
		interval: time.Duration(interval),
		burst:    time.Duration(min(interval*float64(burst), longestSpan)),
	}
}

// wait is how long it takes until a request may be sent; 0 is now.
func (r *rate) wait(now time.Time) time.Duration {
	if r.interval == 0 {
		return 0
	}
	return max(0, r.filled(now).Add(r.interval).Sub(now)-r.burst)
}

// take counts a request that is sent.
func (r *rate) take(now time.Time) { r.full = r.filled(now).Add(r.interval) }

func (r *rate) filled(now time.Time) time.Time {
	if r.full.Before(now) {
		return now
	}
	return r.full
}

// A budget bounds retries to a part of the requests in any budgetSeconds, or to
// freeRetries if that is more. The second that runs counts as a whole one. It
// has no clock and no lock: its pool has.
type budget struct {
	part    float64
	seconds [budgetSeconds]budgetSecond
}

type budgetSecond struct {
	second            int64 // since 1970
	requests, retries int
}

const (
	budgetSeconds = 10
	freeRetries   = 10
)

func (b *budget) request(now time.Time) { b.of(now).requests++ }

// retry allows one, and counts it, or does not.
func (b *budget) retry(now time.Time) bool {
	requests, retries := 0, 0
	for _, s := range b.seconds {
		if now.Unix()-s.second < budgetSeconds {
			requests += s.requests
			retries += s.retries
		}
	}
	if float64(retries+1) > max(freeRetries, b.part*float64(requests)) {
		return false
	}
	b.of(now).retries++
	return true
}

func (b *budget) of(now time.Time) *budgetSecond {
	s := &b.seconds[now.Unix()%budgetSeconds]
	if s.second != now.Unix() {
		*s = budgetSecond{second: now.Unix()}
	}
	return s
}
