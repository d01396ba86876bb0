package bench

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/maypok86/otter/v2"

	"github.com/corralcache/corral/internal/table"
)

// fractions are the capacities, in parts of what all keys of a trace weigh.
var fractions = [3]float64{0.01, 0.10, 0.25}

// ratios are hit ratios in per cent at those capacities.
type ratios [3]float64

// A contender is a cache of so much weight for the keys of a trace; it reports
// whether an access hits, and keeps the key if not.
type contender func(t trace, capacity int64) func(key int32) bool

func measure(t trace, c contender) (r ratios) {
	var total int64
	for _, w := range t.weights {
		total += w
	}
	for i, fraction := range fractions {
		access := c(t, max(1, int64(fraction*float64(total))))
		hits := 0
		for _, key := range t.accesses {
			if access(key) {
				hits++
			}
		}
		r[i] = 100 * float64(hits) / float64(len(t.accesses))
	}
	return r
}

type item struct {
	node table.Node[item]
}

func ours(tr trace, capacity int64) func(int32) bool {
	t := table.New(table.Config[item]{
		MaxBytes: capacity,
		Node:     func(e *item) *table.Node[item] { return &e.node },
		Evict:    func(*item) {},
	})
	published := func() {}
	return func(key int32) bool {
		k := strconv.Itoa(int(key))
		if e := t.Get(k); e != nil {
			e.node.Touch()
			return true
		}
		e, _ := t.GetOrAdd(k, func() *item { return new(item) })
		t.Put(e, table.Put{Weight: tr.weights[key], Unpin: true, Publish: published})
		return false
	}
}

// textbook knows no weights.
func textbook(_ trace, capacity int64) func(int32) bool { return newS3FIFO(int(capacity)).get }

// theirs is otter, made exact: its maintenance runs at once after every insertion.
func theirs(t trace, capacity int64) func(int32) bool {
	o := otter.Options[int32, int32]{Executor: func(f func()) { f() }}
	if t.unweighted {
		o.MaximumSize = int(capacity)
	} else {
		o.MaximumWeight = uint64(capacity)
		o.Weigher = func(key, _ int32) uint32 { return uint32(t.weights[key]) }
	}
	c := otter.Must(&o)
	return func(key int32) bool {
		if _, ok := c.GetIfPresent(key); ok {
			return true
		}
		c.Set(key, key)
		c.CleanUp()
		return false
	}
}

type row struct {
	trace               string
	ours, s3fifo, otter ratios
}

func compare(t trace) row {
	r := row{trace: t.name, ours: measure(t, ours), otter: measure(t, theirs)}
	if t.unweighted {
		r.s3fifo = measure(t, textbook)
	}
	return r
}

func (r row) String() string {
	s := fmt.Sprintf("%-28s %s   %s", r.trace, r.ours, r.otter)
	if r.s3fifo != (ratios{}) {
		s += "   " + r.s3fifo.String()
	}
	return s
}

func (r ratios) String() string { return fmt.Sprintf("%5.1f %5.1f %5.1f", r[0], r[1], r[2]) }

// means returns the mean of each column.
func means(rows []row) (m row) {
	n := float64(len(rows))
	m.trace = "mean"
	for _, r := range rows {
		for i := range fractions {
			m.ours[i] += r.ours[i] / n
			m.s3fifo[i] += r.s3fifo[i] / n
			m.otter[i] += r.otter[i] / n
		}
	}
	return m
}

// mean returns the mean over all rows and capacities of ours, of otter's, and
// of the better of the others.
func mean(rows []row) (ours, otter, best float64) {
	n := float64(len(rows) * len(fractions))
	for _, r := range rows {
		for i := range fractions {
			ours += r.ours[i] / n
			otter += r.otter[i] / n
			best += max(r.s3fifo[i], r.otter[i]) / n
		}
	}
	return ours, otter, best
}

const header = "hit ratio at 1, 10, 25 %     ours                otter               S3-FIFO\n"

func report(t *testing.T, traces []trace) []row {
	t.Helper()
	rows := make([]row, len(traces))
	t.Run("traces", func(t *testing.T) {
		for i, trace := range traces {
			t.Run(trace.name, func(t *testing.T) {
				t.Parallel()
				rows[i] = compare(trace)
			})
		}
	})
	text := header
	for _, r := range append(slices.Clone(rows), means(rows)) {
		text += r.String() + "\n"
	}
	t.Log("\n" + text)
	return rows
}

// The mean over all cases may be this many points of hit ratio below the mean of
// the better of the others in each.
const meanTolerance = 1

func checkMean(t *testing.T, rows []row) {
	t.Helper()
	ours, _, best := mean(rows)
	t.Logf("mean %.2f, of the better of the others %.2f", ours, best)
	if ours < best-meanTolerance {
		t.Errorf("mean = %.2f, want at least %.2f", ours, best-meanTolerance)
	}
}

func TestHitRatiosOnRecordedTraces(t *testing.T) {
	var traces []trace
	for _, name := range []string{"oltp", "web12", "orm-busy", "multi2", "gli", "loop"} {
		traces = append(traces, readTrace(t, name))
	}
	rows := report(t, traces)
	checkMean(t, rows)
	for _, r := range rows {
		for i := range fractions {
			if want := r.otter[i] - 2; r.ours[i] < want {
				t.Errorf("%s at %v of the keys: %.1f, want otter's less 2, %.1f", r.trace, fractions[i], r.ours[i], want)
			}
		}
	}
	for _, r := range rows[:3] {
		for i := 1; i < len(fractions); i++ {
			if want := r.otter[i] + 1; r.ours[i] < want {
				t.Errorf("%s at %v of the keys: %.1f, want otter's and 1 more, %.1f", r.trace, fractions[i], r.ours[i], want)
			}
		}
	}
}

func TestHitRatiosOnSyntheticTraces(t *testing.T) {
	if testing.Short() {
		t.Skip("some ten seconds; -short runs the recorded traces only")
	}
	checkMean(t, report(t, synthetic()))
}

// Sizes are log-normal with a heavy tail: the largest are some hundred times
// the mean. Only otter weighs values, too.
func TestHitRatiosOfValuesOfUnequalSizes(t *testing.T) {
	if testing.Short() {
		t.Skip("some ten seconds; -short runs the recorded traces only")
	}
	traces := append(synthetic(), readTrace(t, "oltp"), readTrace(t, "web12"), readTrace(t, "multi2"))
	for i := range traces {
		traces[i].weigh()
	}
	ours, otter, _ := mean(report(t, traces))
	if ours < otter {
		t.Errorf("mean = %.2f, want otter's %.2f", ours, otter)
	}
}
