package faults_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// rows are the table of faults that this package makes.
var rows = []struct{ name, fault, bar string }{
	{"F0", "none; 10,000 callers at a cold key, on all nodes", "1 call, 0 errors"},
	{"F1", "kill -9 of an owner while others compute", "0 extra calls, owned again p50 2.1 s, p99 2.5 s"},
	{"F2", "kill -9 of a computing node", "1 call more for each key that it computed"},
	{"F3", "kill -9 of the leader of etcd", "owned again p99 3.5 s, no lapse elsewhere"},
	{"F4", "no quorum of etcd, then again", "nothing granted after L, whole 5 s after"},
	{"F5", "an owner stands still, and goes on", "0 stale"},
	{"F6", "a node is cut off, six ways", "no call without a lease, never two at a time"},
	{"F7", "packets late, out of order and lost", "nobody is taken for dead, 0 extra calls"},
	{"F8", "all nodes restart under load", "0 errors, 0 extra calls, 1 s added"},
	{"F9", "a node more, a node less, one drained", "0 errors, 0 extra calls, 1.1 × the least moves, 300 ms added"},
	{"F11", "the first caller leaves in flight", "1 call"},
	{"F12", "invalidations by key, tag and all, with F1, F5, F6", "0 stale: a register a key"},
	{"F12b", "a node is down while its keys are invalidated", "0 stale, from its disk neither"},
	{"F18", "this version and the one before, while rolling", "0 errors, 0 extra calls"},
	{"F19", "F1 to F12 by chance", "0 stale, no slope of goroutines, descriptors, memory"},
}

// finished are the reports of all tests.
var finished struct {
	sync.Mutex
	reports []*report
}

// printTable writes what has been seen of each row.
func printTable(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "row\tok\tfault\tbar\tseen")
	for _, row := range rows {
		ok, seen := "not run", ""
		if sum := sumOf(row.name); sum != nil {
			if ok, seen = "ok", sum.seen(); sum.failed {
				ok = "FAILED"
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", row.name, ok, row.fault, row.bar, seen)
	}
	table.Flush()
}

// sumOf adds up the reports of a row, or gives nil if there is none.
func sumOf(row string) *report {
	finished.Lock()
	defer finished.Unlock()
	var sum *report
	for _, r := range finished.reports {
		name, _, _ := strings.Cut(r.row, ",")
		if name != row {
			continue
		}
		if sum == nil {
			sum = &report{row: row, tally: newTally()}
		}
		sum.failed = sum.failed || r.failed
		sum.asked, sum.extra, sum.errors = sum.asked+r.asked, sum.extra+r.extra, sum.errors+r.errors
		sum.refused, sum.stale = sum.refused+r.refused, sum.stale+r.stale
		sum.void += r.void
		sum.machine.worst = max(sum.machine.worst, r.machine.worst)
		sum.notes = append(sum.notes, r.notes...)
		for _, name := range r.names {
			if sum.times[name] == nil {
				sum.names = append(sum.names, name)
			}
			sum.times[name] = append(sum.times[name], r.times[name]...)
		}
	}
	return sum
}

// seen is a report in one line.
func (r *report) seen() string {
	said := []string{fmt.Sprintf("%d answered, %d extra calls, %d errors, %d stale", r.asked, r.extra, r.errors, r.stale)}
	if r.refused > 0 {
		said = append(said, fmt.Sprintf("%d refused without a lease", r.refused))
	}
	if r.void > 0 {
		said = append(said, fmt.Sprintf("%d rounds void for want of processors", r.void))
	}
	if late := r.machine.late(); late > lease/4 {
		said = append(said, fmt.Sprintf("this machine was up to %v late", late.Round(time.Millisecond)))
	}
	said = append(said, r.notes...)
	for _, name := range r.names {
		all := slices.Sorted(slices.Values(r.times[name]))
		said = append(said, fmt.Sprintf("%s p50 %v, p99 %v, worst %v", name, quantile(all, 0.5), quantile(all, 0.99), all[len(all)-1].Round(time.Millisecond)))
	}
	return strings.Join(said, "; ")
}
