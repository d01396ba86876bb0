package upstream

import "time"

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
