package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// A result is what came of one scene.
type result struct {
	queries   int   // that PostgreSQL began
	commands  int64 // that Redis was given
	latencies []time.Duration

	mu     sync.Mutex     // guards what follows
	errors map[string]int // how often each
	oldest time.Duration  // the greatest age of a list when it was handed out
}

func newResult(callers int) *result {
	return &result{latencies: make([]time.Duration, callers), errors: map[string]int{}}
}

// add says what caller i got, after how long, and how old that was.
func (r *result) add(i int, latency, age time.Duration, err error) {
	r.latencies[i] = latency
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.errors[err.Error()]++
		return
	}
	r.oldest = max(r.oldest, age)
}

func (r *result) failed() (n int) {
	for _, count := range r.errors {
		n += count
	}
	return n
}

// percentile is the smallest latency that a part of all callers, those who gave
// up included, did not exceed (nearest rank).
func (r *result) percentile(percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(r.latencies))
	return sorted[max(1, (len(sorted)*percent+99)/100)-1]
}

// check is the claim: with Corral one query, and an answer for everybody.
func (r *result) check(strategy string, callers int) error {
	if !strings.HasPrefix(strategy, "corral") || r.queries == 1 && r.failed() == 0 {
		return nil
	}
	return fmt.Errorf("%s: %d queries and %d errors (%v) for %d callers; want 1 and none", strategy, r.queries, r.failed(), r.errors, callers)
}

const columns = "  %-24s %8v %9v %9v %7v %9v %9v\n"

func printHead(out io.Writer) {
	fmt.Fprintf(out, columns, "", "queries", "p50", "p99", "errors", "oldest", "commands")
}

func (r *result) print(out io.Writer, strategy string) {
	oldest := "none"
	if r.failed() < len(r.latencies) {
		oldest = round(r.oldest).String()
	}
	fmt.Fprintf(out, columns, strategy, r.queries, round(r.percentile(50)), round(r.percentile(99)), r.failed(), oldest, r.commands)
}

// round keeps three digits.
func round(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}
