package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/corralcache/corral/bench/internal/rounds"
)

// A report is all that was measured.
type report struct {
	Head     []string
	Sections []section
}

// A section is the outcome of a row.
type section struct {
	Row, Title, How string
	Lines           []line
	Bars            []bar
	Took            time.Duration
	columns         []column
}

// A line is what was measured of one contender.
type line struct {
	Contender, Settings string
	Samples             []sample
}

// A bar is what Corral is held to.
type bar struct {
	Wanted, Got string
	Met         bool
	Asserted    bool // on any machine, with any figures
	Unjudged    bool // there is nothing to judge by: a rival that did not run, a smoke run
}

func (b bar) String() string {
	switch {
	case b.Unjudged:
		return fmt.Sprintf("Bar: %s. Not judged: %s.", b.Wanted, b.Got)
	case b.Met:
		return fmt.Sprintf("Bar: %s. Corral: %s. Met.", b.Wanted, b.Got)
	}
	return fmt.Sprintf("Bar: %s. Corral: %s. NOT met.", b.Wanted, b.Got)
}

func describe(now time.Time, b *bench) []string {
	head := []string{fmt.Sprintf("%s, %s %s/%s, %d processors, all on one machine", now.UTC().Format("2006-01-02 15:04 MST"),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		head = append(head, "Load before: "+strings.TrimSpace(string(load))+" (others' work shows in all times: above 1, do not compare)")
	}
	if !b.wrk {
		head = append(head, "A smoke run: these figures mean nothing.")
	}
	for _, c := range b.allowed {
		head = append(head, c.name+": "+c.settings)
	}
	return head
}

func (s *section) of(contender string) []sample {
	i := slices.IndexFunc(s.Lines, func(l line) bool { return l.Contender == contender })
	if i < 0 {
		return nil
	}
	return s.Lines[i].Samples
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

// ratio is the median over the rounds of Corral's figure divided by a rival's.
func (s *section) ratio(key, rival string) (float64, bool) {
	theirs := s.of(rival)
	if theirs == nil {
		return 0, false
	}
	var all []float64
	for i, ours := range s.of(corralName) {
		all = append(all, ours[key]/theirs[i][key])
	}
	return rounds.Median(all), true
}

// worst and least are over all of Corral's rounds.
func (s *section) worst(key string) float64 { return slices.Max(values(s.of(corralName), key)) }
func (s *section) least(key string) float64 { return slices.Min(values(s.of(corralName), key)) }

func (s *section) head(key string) string {
	for _, c := range s.columns {
		if c.key == key {
			return c.head
		}
	}
	return key
}

// must is what holds on any machine.
func (s *section) must(holds bool, wanted string, args ...any) {
	got := "it is so"
	if !holds {
		got = fmt.Sprintf("%v", s.of(corralName))
	}
	s.Bars = append(s.Bars, bar{Wanted: fmt.Sprintf(wanted, args...), Got: got, Met: holds, Asserted: true})
}

// limit holds Corral's median to a number.
func (s *section) limit(key string, most float64) {
	got := rounds.Median(values(s.of(corralName), key))
	b := bar{Wanted: fmt.Sprintf("%s at most %.4g", s.head(key), most), Got: fmt.Sprintf("%.4g", got), Met: got <= most}
	if math.IsNaN(got) {
		b.Got, b.Unjudged = "not measured", true
	}
	s.Bars = append(s.Bars, b)
}

// atMost and atLeast hold Corral to a multiple of a rival.
func (s *section) atMost(key string, times float64, rival string) {
	s.against(key, "at most", times, rival, func(got float64) bool { return got <= times })
}

func (s *section) atLeast(key string, times float64, rival string) {
	s.against(key, "at least", times, rival, func(got float64) bool { return got >= times })
}

func (s *section) against(key, how string, times float64, rival string, met func(float64) bool) {
	b := bar{Wanted: fmt.Sprintf("%s %s %.3g × %s", s.head(key), how, times, rival)}
	if got, ran := s.ratio(key, rival); ran {
		b.Got, b.Met = fmt.Sprintf("%.2f ×", got), met(got)
	} else {
		b.Got, b.Unjudged = rival+" did not run", true
	}
	s.Bars = append(s.Bars, b)
}

// asserted is an error if something does not hold that must on any machine.
func (s *section) asserted() error {
	var errs []error
	for _, b := range s.Bars {
		if b.Asserted && !b.Met {
			errs = append(errs, errors.New(b.String()))
		}
	}
	return errors.Join(errs...)
}

func (s *section) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s (%v)\n  %s\n", s.Row, s.Title, s.Took.Round(100*time.Millisecond), s.How)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	cells := func(first string, rest func(column) string) {
		fmt.Fprintf(w, "    %s\t", first)
		for _, c := range s.columns {
			fmt.Fprintf(w, "%s\t", rest(c))
		}
		fmt.Fprintln(w)
	}
	cells("", func(c column) string { return c.head })
	for _, l := range s.Lines {
		cells(l.Contender, func(c column) string {
			all := values(l.Samples, c.key)
			if len(all) == 0 {
				return "–"
			}
			return fmt.Sprintf(c.format, rounds.Median(all))
		})
	}
	w.Flush()
	for _, bar := range s.Bars {
		fmt.Fprintf(&b, "  %s\n", bar)
	}
	return b.String() + "\n"
}

// verdict is the list of what was not met.
func (r report) verdict() string {
	var b strings.Builder
	met, all := 0, 0
	for _, s := range r.Sections {
		for _, bar := range s.Bars {
			all++
			if bar.Met {
				met++
			} else {
				fmt.Fprintf(&b, "  %s: %s\n", s.Row, bar)
			}
		}
	}
	return fmt.Sprintf("%d of %d bars met.\n%s", met, all, b.String())
}

func (r report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
