package bench

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/maypok86/otter/v2"

	"github.com/corralcache/corral/internal/table"
)

// fractions are the capacities, in parts of a trace's distinct keys.
var fractions = [3]float64{0.01, 0.10, 0.25}

// ratios are hit ratios in per cent at those capacities.
type ratios [3]float64

// A contender is a cache of so many keys; it reports whether an access hits and
// keeps the key if not.
type contender func(capacity int) func(key int32) bool

func measure(t trace, c contender) (r ratios) {
	for i, fraction := range fractions {
		access := c(max(1, int(fraction*float64(t.distinct))))
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

func ours(capacity int) func(int32) bool {
	t := table.New(table.Config[item]{
		MaxBytes: int64(capacity),
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
		t.Put(e, table.Put{Weight: 1, Unpin: true, Publish: published})
		return false
	}
}

func textbook(capacity int) func(int32) bool { return newS3FIFO(capacity).get }

// theirs is otter, made exact: its maintenance runs at once after every insertion.
func theirs(capacity int) func(int32) bool {
	c := otter.Must(&otter.Options[int32, int32]{
		MaximumSize: capacity,
		Executor:    func(f func()) { f() },
	})
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
	return row{t.name, measure(t, ours), measure(t, textbook), measure(t, theirs)}
}

func (r row) String() string {
	return fmt.Sprintf("%-28s %s   %s   %s", r.trace, r.ours, r.s3fifo, r.otter)
}

func (r ratios) String() string { return fmt.Sprintf("%5.1f %5.1f %5.1f", r[0], r[1], r[2]) }

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

const header = "hit ratio at 1, 10, 25 %%     ours                S3-FIFO             otter\n"

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
	text := fmt.Sprintf(header)
	for _, r := range append(rows, means(rows)) {
		text += r.String() + "\n"
	}
	t.Log("\n" + text)
	return rows
}

// How far otter may be ahead in any one case, in points of hit ratio.
const tolerance = 2

func TestHitRatiosOnRecordedTraces(t *testing.T) {
	var traces []trace
	for _, name := range []string{"oltp", "web12", "orm-busy", "multi2", "gli", "loop"} {
		traces = append(traces, readTrace(t, name))
	}
	rows := report(t, traces)

	var mean, best float64
	for _, r := range rows {
		for i := range fractions {
			mean += r.ours[i] / float64(len(rows)*len(fractions))
			best += max(r.s3fifo[i], r.otter[i]) / float64(len(rows)*len(fractions))
			if r.ours[i] < r.otter[i]-tolerance {
				t.Errorf("%s at %v of the keys: %.1f, otter has %.1f", r.trace, fractions[i], r.ours[i], r.otter[i])
			}
		}
	}
	t.Logf("mean %.2f, of the better of the others %.2f", mean, best)
	if mean < best-1 {
		t.Errorf("mean = %.2f, want at least %.2f", mean, best-1)
	}
	for _, r := range rows[:3] {
		for _, i := range []int{1, 2} {
			if r.ours[i] < r.otter[i]+1 {
				t.Errorf("%s at %v of the keys: %.1f, want otter's %.1f and 1 more", r.trace, fractions[i], r.ours[i], r.otter[i])
			}
		}
	}
}

func TestHitRatiosOnSyntheticTraces(t *testing.T) {
	report(t, synthetic())
}
