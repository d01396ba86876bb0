package rounds

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

// seen is a section of a row with one figure, of two contenders.
func seen(ours, theirs []float64) *Section {
	s := &Section{Name: "r", Title: "t", Columns: []Column{{"n", "figure", "%.1f", true}}}
	for i, figures := range [][]float64{ours, theirs} {
		l := line{name: []string{"corral", "nats"}[i]}
		for _, f := range figures {
			l.samples = append(l.samples, Sample{"n": f})
		}
		s.lines = append(s.lines, l)
	}
	return s
}

func TestARatioIsTheMedianOfTheRatiosWithinARound(t *testing.T) {
	for _, row := range []struct {
		ours, theirs []float64
		want         float64
	}{
		{[]float64{2}, []float64{4}, 0.5},
		{[]float64{10, 20, 900}, []float64{10, 10, 300}, 2},
		{[]float64{1, 3}, []float64{1, 1}, 2},
	} {
		if got := seen(row.ours, row.theirs).Ratio("n", "corral", "nats"); got != row.want {
			t.Errorf("the ratio of %v to %v is %v, want %v", row.ours, row.theirs, got, row.want)
		}
	}
}

func TestABarIsMetUpToItsLimit(t *testing.T) {
	for _, row := range []struct {
		got       float64
		most, min bool
	}{{4.9, true, false}, {5, true, true}, {5.1, false, true}} {
		s := seen([]float64{row.got}, nil)
		s.Most("corral", "n", 5)
		s.Least("corral", "n", 5)
		s.Worst("corral", "n", 5)
		if s.bars[0].met != row.most || s.bars[1].met != row.min || s.bars[2].met != row.most {
			t.Errorf("with %v the bars are %v, want at most 5: %v, at least 5: %v", row.got, s.bars, row.most, row.min)
		}
	}
}

func TestTheWorstRoundCountsWhereEachIsHeldToABar(t *testing.T) {
	s := seen([]float64{1, 1, 9}, nil)
	s.Worst("corral", "n", 5)
	if s.bars[0].met {
		t.Errorf("%v, want it missed for the third round", s.bars[0])
	}
}

func TestOneRoundInWhichAnAssertionDoesNotHoldIsAnErrorAndAMissedTimeIsNot(t *testing.T) {
	s := seen([]float64{1, 2, 1}, nil)
	s.Most("corral", "n", 0.5)
	if err := s.asserted(); err != nil {
		t.Errorf("a time that is missed: %v, want nil", err)
	}
	s.Exactly("corral", "n", 1)
	if err := s.asserted(); err == nil || !strings.Contains(err.Error(), "[1 2 1]") {
		t.Errorf("1, 2, 1 where 1 must be: %v, want an error with all three", err)
	}
}

func TestAReportHasARowForEachContenderAndSaysWhatWasMissed(t *testing.T) {
	s := seen([]float64{10}, []float64{5})
	s.Most("corral", "n", 9)
	for _, want := range []string{"r: t", "corral", "nats", "10.0", "2.00", "≤ 9", "missed"} {
		if !strings.Contains(s.text(), want) {
			t.Errorf("the report has no %q:\n%s", want, s.text())
		}
	}
	if got := verdict([]*Section{s}); !strings.HasPrefix(got, "0 of 1 bars met.\n  r: ") {
		t.Errorf("the verdict is %q", got)
	}
}

func TestAnArgumentThatMakesNoSenseIsRefusedWithWhatDoes(t *testing.T) {
	rows := []Row[int]{{Name: "one"}, {Name: "two"}}
	for _, row := range []struct {
		args, want string
		chosen     int
		runs       int
	}{
		{"", "", 2, 7},
		{"-rows two -runs 3", "", 1, 3},
		{"-quick -runs 3", "", 2, 1},
		{"-rows two,three", "choose from one, two", 0, 7},
		{"-runs 0", "one round or more", 0, 0},
	} {
		flags := flag.NewFlagSet("r", flag.ContinueOnError)
		chosen, o, err := Parse(flags, rows, strings.Fields(row.args))
		if got := fmt.Sprint(err); (err != nil) != (row.want != "") || !strings.Contains(got, row.want) || len(chosen) != row.chosen || o.Runs != row.runs {
			t.Errorf("arguments %q: %d rows, %d rounds, %v; want %d, %d, %q", row.args, len(chosen), o.Runs, err, row.chosen, row.runs, row.want)
		}
	}
}
