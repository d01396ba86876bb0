package main

import (
	"slices"
	"time"
)

// A tally is what the answers to a burst come to.
type tally struct {
	count    map[verdict]int
	times    []time.Duration // to the last byte, in order
	firsts   []time.Duration // to the first byte, in order, of those who got one
	distinct int             // good bodies that differ in their first bytes
}

func tallied(answers []answer) tally {
	t := tally{count: map[verdict]int{}}
	bodies := map[string]bool{}
	for _, a := range answers {
		v := a.verdict()
		t.count[v]++
		t.times = append(t.times, a.took)
		if a.length > 0 {
			t.firsts = append(t.firsts, a.first)
		}
		if v == good {
			bodies[string(a.lead)] = true
		}
	}
	t.distinct = len(bodies)
	slices.Sort(t.times)
	slices.Sort(t.firsts)
	return t
}

// quantile is the smallest of sorted times that q of them are not above, in
// milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted)) + 0.9999)
	return milliseconds(sorted[min(max(i-1, 0), len(sorted)-1)])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// counts writes verdicts and calls into a sample.
func (t tally) counts(s sample, calls int) {
	s["calls"] = float64(calls)
	for _, v := range []verdict{good, failed, broken, truncated, unheard} {
		s[string(v)] = float64(t.count[v])
	}
}
