// Package rounds measures contenders in turn and prints what it has seen: a
// table for each row, with medians over the rounds, ratios that are medians of
// the ratios within a round, and the bars that Corral is held to, met or missed.
//
// What must hold on any machine is asserted, and a run in which it does not hold
// ends with an error. A time that is missed is only said.
package rounds

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

// A Section is the outcome of a row.
type Section struct {
	Name, Title, How string
	Columns          []Column
	lines            []line
	notes            map[string]string // by contender
	bars             []bar
	took             time.Duration
	load             string // of the machine, before
}

// A line is what was measured of one contender. The first is Corral's.
type line struct {
	name    string
	samples []Sample
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

// Describe says what was measured where, in how many rounds.
func Describe(now time.Time, rounds int, smoke bool) string {
	text := fmt.Sprintf("%s, %s %s/%s, %d processors for all processes, medians of %d rounds. Load: %s (above 1, others' work shows in all times)\n",
		now.UTC().Format("2006-01-02 15:04 MST"), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), rounds, LoadNow())
	if smoke {
		text += "A smoke run: these figures mean nothing.\n"
	}
	return text
}

// LoadNow is the load of the machine in the last minute.
func LoadNow() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// Add adds a sample of a contender, in rows that do not alternate.
func (s *Section) Add(contender string, seen Sample) {
	i := slices.IndexFunc(s.lines, func(l line) bool { return l.name == contender })
	if i < 0 {
		i = len(s.lines)
		s.lines = append(s.lines, line{name: contender})
	}
	s.lines[i].samples = append(s.lines[i].samples, seen)
}

func (s *Section) of(name string) []Sample {
	i := slices.IndexFunc(s.lines, func(l line) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return s.lines[i].samples
}

// Median is of one figure of a contender.
func (s *Section) Median(name, key string) float64 { return Median(values(s.of(name), key)) }

// Median is of values in any order; NaN of none.
func Median(values []float64) float64 {
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

func values(samples []Sample, key string) []float64 {
	var all []float64
	for _, s := range samples {
		if v, ok := s[key]; ok {
			all = append(all, v)
		}
	}
	return all
}

// Ratio is the median over the rounds of one contender's figure divided by
// another's.
func (s *Section) Ratio(key, one, other string) float64 {
	var all []float64
	theirs := s.of(other)
	for i, ours := range s.of(one) {
		if i < len(theirs) {
			all = append(all, ours[key]/theirs[i][key])
		}
	}
	return Median(all)
}

func (s *Section) column(key string) Column {
	i := slices.IndexFunc(s.Columns, func(c Column) bool { return c.Key == key })
	if i < 0 {
		return Column{Key: key, Head: key, Format: "%g"} // asserted, and not worth a column
	}
	return s.Columns[i]
}

// Note says something of a contender's last sample below the table.
func (s *Section) Note(contender, text string) {
	if s.notes == nil {
		s.notes = make(map[string]string)
	}
	s.notes[contender] = text
}

// Most holds a contender's median to a number that it is not to exceed.
func (s *Section) Most(name, key string, limit float64) {
	got := s.Median(name, key)
	s.hold(name, key, fmt.Sprintf("≤ %.4g", limit), got, got <= limit)
}

// Least holds a contender's median to a number that it is to reach.
func (s *Section) Least(name, key string, limit float64) {
	got := s.Median(name, key)
	s.hold(name, key, fmt.Sprintf("≥ %.4g", limit), got, got >= limit)
}

func (s *Section) hold(name, key, limit string, got float64, met bool) {
	c := s.column(key)
	s.bars = append(s.bars, bar{wanted: fmt.Sprintf("%s, %s %s", name, c.Head, limit), got: fmt.Sprintf(c.Format, got), met: met})
}

// Worst holds the worst of a contender's rounds to a number.
func (s *Section) Worst(name, key string, limit float64) {
	got := math.NaN()
	if all := values(s.of(name), key); len(all) > 0 {
		got = slices.Max(all)
	}
	s.hold(name, key, fmt.Sprintf("≤ %.4g in each round", limit), got, got <= limit)
}

// Exactly is what holds in each round on any machine.
func (s *Section) Exactly(name, key string, want float64) {
	all := values(s.of(name), key)
	met := len(all) > 0 && !slices.ContainsFunc(all, func(got float64) bool { return got != want })
	s.bars = append(s.bars, bar{wanted: fmt.Sprintf("%s, %s exactly %g", name, s.column(key).Head, want), got: fmt.Sprint(all), met: met, asserted: true})
}

// Times holds the ratio of two contenders to a limit.
func (s *Section) Times(key, one, other, limit string, met func(ratio float64) bool) {
	got := s.Ratio(key, one, other)
	if math.IsNaN(got) {
		return // one of them did not run
	}
	s.bars = append(s.bars, bar{wanted: fmt.Sprintf("%s, %s %s × that of %s", one, s.column(key).Head, limit, other), got: fmt.Sprintf("%.2f ×", got), met: met(got)})
}

// Bar holds Corral to something that is no single figure.
func (s *Section) Bar(met bool, wanted, got string) {
	s.bars = append(s.bars, bar{wanted: wanted, got: got, met: met})
}

// asserted is an error if something does not hold that must on any machine.
func (s *Section) asserted() error {
	var errs []error
	for _, b := range s.bars {
		if b.asserted && !b.met {
			errs = append(errs, errors.New(b.String()))
		}
	}
	return errors.Join(errs...)
}

func (s *Section) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%v, load before %s)\n  %s\n", s.Name, s.Title, s.took.Round(100*time.Millisecond), s.load, s.How)
	if len(s.lines) == 0 {
		return b.String()
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	cells := func(first string, rest func(Column) []string) {
		fmt.Fprintf(w, "    %s\t", first)
		for _, c := range s.Columns {
			for _, cell := range rest(c) {
				fmt.Fprintf(w, "%s\t", cell)
			}
		}
		fmt.Fprintln(w)
	}
	cells("", func(c Column) []string {
		if c.Ratio {
			return []string{c.Head, s.lines[0].name + " ×"}
		}
		return []string{c.Head}
	})
	for _, l := range s.lines {
		cells(l.name, func(c Column) []string {
			all := values(l.samples, c.Key)
			cell := []string{"–"}
			if len(all) > 0 {
				cell[0] = fmt.Sprintf(c.Format, Median(all))
			}
			if c.Ratio {
				cell = append(cell, fmt.Sprintf("%.2f", s.Ratio(c.Key, s.lines[0].name, l.name)))
			}
			return cell
		})
	}
	w.Flush()
	for _, l := range s.lines {
		if note := s.notes[l.name]; note != "" {
			fmt.Fprintf(&b, "  %s: %s\n", l.name, note)
		}
	}
	for _, bar := range s.bars {
		fmt.Fprintf(&b, "  %s\n", bar)
	}
	return b.String() + "\n"
}

// verdict is how much was met, and what was not.
func verdict(sections []*Section) string {
	var b strings.Builder
	met, all := 0, 0
	for _, s := range sections {
		for _, bar := range s.bars {
			all++
			if bar.met {
				met++
			} else {
				fmt.Fprintf(&b, "  %s: %s\n", s.Name, bar)
			}
		}
	}
	return fmt.Sprintf("%d of %d bars met.\n%s", met, all, b.String())
}
