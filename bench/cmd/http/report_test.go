package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func sectionOf(ours, theirs []float64) *section {
	s := &section{columns: []column{{"p99", "p99 ms", "%.1f"}}}
	for name, all := range map[string][]float64{corralName: ours, "varnish": theirs} {
		l := line{Contender: name}
		for _, v := range all {
			l.Samples = append(l.Samples, sample{"p99": v})
		}
		if all != nil {
			s.Lines = append(s.Lines, l)
		}
	}
	return s
}

func TestARatioIsTheMedianOfTheRatiosWithinARound(t *testing.T) {
	s := sectionOf([]float64{10, 20, 90}, []float64{10, 10, 30})
	if got, ran := s.ratio("p99", "varnish"); got != 2 || !ran {
		t.Errorf("ratio of 10, 20, 90 to 10, 10, 30 = %v, %v; want 2", got, ran)
	}
	if _, ran := s.ratio("p99", "squid"); ran {
		t.Error("a contender that did not run has a ratio")
	}
}

func TestABarIsMetAtItsLimitAndNotAboveIt(t *testing.T) {
	for _, test := range []struct {
		ours float64
		want string
	}{{100, "Met."}, {100.5, "NOT met."}, {math.NaN(), "Not judged: not measured."}} {
		s := sectionOf([]float64{test.ours}, nil)
		s.limit("p99", 100)
		if got := s.Bars[0].String(); !strings.HasSuffix(got, test.want) {
			t.Errorf("limit 100 with %v: %s, want %s", test.ours, got, test.want)
		}
	}
	for _, test := range []struct {
		ours            float64
		atMost, atLeast string
	}{{50, "Met.", "NOT met."}, {100, "Met.", "Met."}, {150, "NOT met.", "Met."}} {
		s := sectionOf([]float64{test.ours}, []float64{50})
		s.atMost("p99", 2, "varnish")
		s.atLeast("p99", 2, "varnish")
		if got := s.Bars[0].String(); !strings.HasSuffix(got, test.atMost) {
			t.Errorf("at most 2 × 50 with %v: %s, want %s", test.ours, got, test.atMost)
		}
		if got := s.Bars[1].String(); !strings.HasSuffix(got, test.atLeast) {
			t.Errorf("at least 2 × 50 with %v: %s, want %s", test.ours, got, test.atLeast)
		}
	}
}

func TestABarAgainstARivalThatDidNotRunIsNotJudged(t *testing.T) {
	s := sectionOf([]float64{1}, nil)
	s.atMost("p99", 1, "varnish")
	if got := s.Bars[0].String(); !strings.Contains(got, "Not judged: varnish did not run") {
		t.Errorf("bar = %s", got)
	}
}

func TestOnlyWhatHoldsOnAnyMachineIsAnError(t *testing.T) {
	s := sectionOf([]float64{2}, nil)
	s.limit("p99", 1)
	if err := s.asserted(); err != nil {
		t.Errorf("asserted() after a missed time = %v, want nil", err)
	}
	s.must(false, "%d origin call", 1)
	if err := s.asserted(); err == nil || !strings.Contains(err.Error(), "1 origin call") {
		t.Errorf("asserted() = %v, want an error that says 1 origin call", err)
	}
}

func TestQuantilesAreThoseOfTheTimesThatWere(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1)*time.Millisecond)
	}
	for q, want := range map[float64]float64{0.5: 50, 0.99: 99, 1: 100} {
		if got := quantile(hundred, q); got != want {
			t.Errorf("quantile %v of 1..100 ms = %v, want %v", q, got, want)
		}
	}
	if one, none := quantile(hundred[:1], 0.99), quantile(nil, 0.5); one != 1 || none != 0 {
		t.Errorf("quantiles of one and of none = %v, %v; want 1 and 0", one, none)
	}
}
