package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A section is the outcome of a row.
type section struct {
	row   row
	how   string
	lines []line
	bars  []bar
	took  time.Duration
	load  string // of the machine, before
}

// A line is what was measured of one contender. The first is Corral's.
type line struct {
	name    string
	samples []sample
}

// A bar is what Corral is held to.
type bar struct {
	wanted, got string
	met         bool
	asserted    bool // on any machine, with any figures
}

func (b bar) String() string {
	verdict := "missed"
	if b.met {
		verdict = "met"
	}
	return fmt.Sprintf("bar: %s; seen: %s: %s", b.wanted, b.got, verdict)
}

func describe(now time.Time, b *bench) string {
	text := fmt.Sprintf("%s, %s %s/%s, %d processors for all processes, medians of %d rounds. Load: %s (above 1, others' work shows in all times)\n",
		now.UTC().Format("2006-01-02 15:04 MST"), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), b.rounds, loadNow())
	if b.quick {
		text += "A smoke run: these figures mean nothing.\n"
	}
	return text
}

// loadNow is the load of the machine in the last minute.
func loadNow() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

func (s *section) of(name string) []sample {
	i := slices.IndexFunc(s.lines, func(l line) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return s.lines[i].samples
}

// median is of one figure of a contender.
func (s *section) median(name, key string) float64 { return median(values(s.of(name), key)) }

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func values(samples []sample, key string) []float64 {
	var all []float64
	for _, s := range samples {
		if v, ok := s[key]; ok {
			all = append(all, v)
		}
	}
	return all
}

// ratio is the median over the rounds of one contender's figure divided by
// another's.
func (s *section) ratio(key, one, other string) float64 {
	var all []float64
	theirs := s.of(other)
	for i, ours := range s.of(one) {
		if i < len(theirs) {
			all = append(all, ours[key]/theirs[i][key])
		}
	}
	return median(all)
}

func (s *section) column(key string) column {
	i := slices.IndexFunc(s.row.columns, func(c column) bool { return c.key == key })
	return s.row.columns[i]
}

// most and least hold a contender's median to a number.
func (s *section) most(name, key string, limit float64) {
	got := s.median(name, key)
	s.hold(name, key, fmt.Sprintf("≤ %.4g", limit), got, got <= limit)
}

func (s *section) least(name, key string, limit float64) {
	got := s.median(name, key)
	s.hold(name, key, fmt.Sprintf("≥ %.4g", limit), got, got >= limit)
}

func (s *section) hold(name, key, limit string, got float64, met bool) {
	c := s.column(key)
	s.bars = append(s.bars, bar{wanted: fmt.Sprintf("%s, %s %s", name, c.head, limit), got: fmt.Sprintf(c.format, got), met: met})
}

// worst holds the worst of a contender's rounds to a number.
func (s *section) worst(name, key string, limit float64) {
	got := slices.Max(values(s.of(name), key))
	s.hold(name, key, fmt.Sprintf("≤ %.4g in each round", limit), got, got <= limit)
}

// exactly is what holds in each round on any machine.
func (s *section) exactly(name, key string, want float64) {
	all := values(s.of(name), key)
	met := !slices.ContainsFunc(all, func(got float64) bool { return got != want })
	s.bars = append(s.bars, bar{wanted: fmt.Sprintf("%s, %s exactly %g", name, s.column(key).head, want), got: fmt.Sprint(all), met: met, asserted: true})
}

// times holds the ratio of two contenders to a limit.
func (s *section) times(key, one, other, limit string, met func(ratio float64) bool) {
	got := s.ratio(key, one, other)
	if math.IsNaN(got) {
		return // one of them did not run
	}
	s.bars = append(s.bars, bar{wanted: fmt.Sprintf("%s, %s %s × that of %s", one, s.column(key).head, limit, other), got: fmt.Sprintf("%.2f ×", got), met: met(got)})
}

// asserted is an error if something does not hold that must on any machine.
func (s *section) asserted() error {
	var errs []error
	for _, b := range s.bars {
		if b.asserted && !b.met {
			errs = append(errs, errors.New(b.String()))
		}
	}
	return errors.Join(errs...)
}

func (s *section) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%v, load before %s)\n  %s\n", s.row.name, s.row.title, s.took.Round(100*time.Millisecond), s.load, s.how)
	if len(s.lines) == 0 {
		return b.String()
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	cells := func(first string, rest func(column) []string) {
		fmt.Fprintf(w, "    %s\t", first)
		for _, c := range s.row.columns {
			for _, cell := range rest(c) {
				fmt.Fprintf(w, "%s\t", cell)
			}
		}
		fmt.Fprintln(w)
	}
	cells("", func(c column) []string {
		if c.ratio {
			return []string{c.head, s.lines[0].name + " ×"}
		}
		return []string{c.head}
	})
	for _, l := range s.lines {
		cells(l.name, func(c column) []string {
			all := values(l.samples, c.key)
			cell := []string{"–"}
			if len(all) > 0 {
				cell[0] = fmt.Sprintf(c.format, median(all))
			}
			if c.ratio {
				cell = append(cell, fmt.Sprintf("%.2f", s.ratio(c.key, s.lines[0].name, l.name)))
			}
			return cell
		})
	}
	w.Flush()
	for _, bar := range s.bars {
		fmt.Fprintf(&b, "  %s\n", bar)
	}
	return b.String() + "\n"
}

// verdict is how much was met, and what was not.
func verdict(sections []*section) string {
	var b strings.Builder
	met, all := 0, 0
	for _, s := range sections {
		for _, bar := range s.bars {
			all++
			if bar.met {
				met++
			} else {
				fmt.Fprintf(&b, "  %s: %s\n", s.row.name, bar)
			}
		}
	}
	return fmt.Sprintf("%d of %d bars met.\n%s", met, all, b.String())
}
