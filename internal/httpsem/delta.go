package httpsem

import "time"

// maxDelta is what delta-seconds too large to represent become: 2^31 seconds
// (RFC 9111, section 1.2.2). Also the limit of every difference of two dates
// here, so that sums of a few of them stay within a time.Duration.
const maxDelta = (1 << 31) * time.Second

// A Delta is the argument of a directive in delta-seconds. The zero value is a
// directive that was not there.
type Delta struct {
	Given bool
	Value time.Duration // whole seconds, 0 to 2^31
}

// restrict takes in one occurrence of a directive for which less is stricter
// (RFC 9111, section 4.2.1: of several values the first, or stale; the smallest
// never outlives the first). What is not a number becomes zero.
func (d *Delta) restrict(argument string) {
	value, _ := parseDelta(argument)
	if !d.Given || value < d.Value {
		*d = Delta{true, value}
	}
}

// parseDelta reads delta-seconds (RFC 9111, section 1.2.2): digits and nothing
// else, clamped to 2^31.
func parseDelta(s string) (value time.Duration, ok bool) {
	seconds := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		seconds = min(seconds*10+int64(s[i]-'0'), int64(maxDelta/time.Second))
	}
	return time.Duration(seconds) * time.Second, s != ""
}

// elapsed is the time from one instant to another in whole seconds of the
// clock, as differences of HTTP dates are, zero to 2^31.
func elapsed(from, to time.Time) time.Duration {
	seconds := min(max(to.Unix()-from.Unix(), 0), int64(maxDelta/time.Second))
	return time.Duration(seconds) * time.Second
}
