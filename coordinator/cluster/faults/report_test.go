package faults_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral/coordinator/cluster/faults"
)

// A report is what a test says of its row: what was asked, what it cost, and how
// long things took.
type report struct {
	t       testing.TB
	row     string // of the table, and after a comma what of it
	failed  bool   // known in the end
	machine machine
	tally
}

// A tally is what is counted; that of a void round is not.
type tally struct {
	asked, extra int
	errors       int
	errorTexts   map[string]int
	refused      int // callers of a node without a lease, which says so
	stale        int
	acked        map[string]int // invalidations, by word
	unknown      int            // and those whose outcome nobody knows, which were repeated
	again        int            // computations of values whose owner had changed
	operations   int            // that were judged as a history
	moves        int            // of partitions
	leastMoves   int            // that there had to be
	void         int            // rounds
	notes        []string
	names        []string
	times        map[string][]time.Duration
}

func newTally() tally {
	return tally{errorTexts: map[string]int{}, acked: map[string]int{}, times: map[string][]time.Duration{}}
}

func newReport(t *testing.T, row string) *report {
	r := &report{t: t, row: row, tally: newTally()}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		r.machine.watch(stop)
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		r.print()
	})
	return r
}

// took notes how long something took.
func (r *report) took(name string, d time.Duration) {
	if r.times[name] == nil {
		r.names = append(r.names, name)
	}
	r.times[name] = append(r.times[name], d)
}

// note adds a sentence to what is printed.
func (r *report) note(format string, arguments ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, arguments...))
}

// answered counts what callers were told who all want a key's value of at least
// a version.
func (r *report) answered(key string, version int, a faults.Answer) {
	for text, count := range a.Values {
		r.asked += count
		gotKey, got, _, ok := parseValue(text)
		if !ok || gotKey != key {
			gravely(r.t, "callers of %q were given %q", key, text)
		} else if got < version {
			r.stale += count
			gravely(r.t, "%d callers of %q were given version %d after %d was valid", count, key, got, version)
		}
	}
	for text, count := range a.Errors {
		r.asked += count
		r.errors += count
		r.errorTexts[text] += count
	}
}

// charge counts the calls for a key beyond those that it may cost.
func (r *report) charge(calls []call, allowed int) {
	if len(calls) > allowed {
		r.extra += len(calls) - allowed
		r.t.Errorf("%d calls, want %d:\n%s", len(calls), allowed, transcript(calls))
	}
}

// wantNoErrors fails the test if a caller was told one.
func (r *report) wantNoErrors() {
	r.t.Helper()
	for text, count := range r.errorTexts {
		r.t.Errorf("%d callers were told: %s", count, text)
	}
}

// wantWithin fails the test if something took longer than a generous bound.
func (r *report) wantWithin(name string, bound time.Duration) {
	r.t.Helper()
	late := 0
	for _, d := range r.times[name] {
		if d > bound {
			late++
		}
	}
	if late > 0 {
		r.t.Errorf("%s took longer than %v, %d times of %d, at most %v", name, bound, late, len(r.times[name]), slices.Max(r.times[name]))
	}
}

// print says what was seen, and keeps it for the table.
func (r *report) print() {
	r.failed = r.t.Failed()
	finished.Lock()
	finished.reports = append(finished.reports, r)
	finished.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d answered, %d extra calls, %d errors, %d refused by nodes without a lease, %d stale", r.row, r.asked, r.extra, r.errors, r.refused, r.stale)
	if r.again > 0 {
		fmt.Fprintf(&b, "\n  %d values were asked for once they had landed and their owner had changed", r.again)
	}
	if r.void > 0 {
		fmt.Fprintf(&b, "\n  %d rounds were void, for want of processors or of a disk, and were made again", r.void)
	}
	if late := r.machine.late(); late > lease/4 {
		fmt.Fprintf(&b, "\n  this machine was up to %v late: on one so busy nodes lose their leases", late.Round(time.Millisecond))
	}
	for _, note := range r.notes {
		fmt.Fprintf(&b, "\n  %s", note)
	}
	for _, name := range r.names {
		all := slices.Sorted(slices.Values(r.times[name]))
		fmt.Fprintf(&b, "\n  %s: p50 %v, p99 %v, worst %v of %d", name, quantile(all, 0.5), quantile(all, 0.99), all[len(all)-1].Round(time.Millisecond), len(all))
	}
	r.t.Log(b.String())
}

// quantile is of sorted durations.
func quantile(sorted []time.Duration, q float64) time.Duration {
	at := int(q*float64(len(sorted)) + 0.5)
	return sorted[min(max(at, 1), len(sorted))-1].Round(time.Millisecond)
}
