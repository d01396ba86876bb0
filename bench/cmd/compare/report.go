package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"
)

// A section is the outcome of a row.
type section struct {
	title   string
	how     []string // paragraphs: what was done, and what a reader must know to judge it
	columns []string
	lines   [][]string
	bars    []bar
	took    time.Duration
}

// A bar is what Corral is held to.
type bar struct {
	wanted string
	got    string
	met    bool
}

func (s *section) line(cells ...string) { s.lines = append(s.lines, cells) }

func (s *section) bar(met bool, wanted, got string) {
	s.bars = append(s.bars, bar{wanted, got, met})
}

func (b bar) String() string {
	if b.met {
		return fmt.Sprintf("Bar: %s. Corral: %s. Met.", b.wanted, b.got)
	}
	return fmt.Sprintf("Bar: %s. Corral: %s. NOT met.", b.wanted, b.got)
}

type report struct {
	head     []string
	quick    bool
	sections []section
}

func describeMachine(now time.Time) []string {
	head := []string{
		now.UTC().Format("2006-01-02 15:04 MST"),
		fmt.Sprintf("%s %s/%s, %s, %d processors, GOMAXPROCS %d", runtime.Version(), runtime.GOOS, runtime.GOARCH, processor(), runtime.NumCPU(), procs),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return head
	}
	var modules []string
	for _, m := range info.Deps {
		for _, c := range []string{"otter", "theine", "sturdyc", "ristretto", "xsync", "golang.org/x/sync"} {
			if strings.Contains(m.Path, c) {
				modules = append(modules, m.Path+" "+m.Version)
			}
		}
	}
	return append(head, strings.Join(modules, ", "))
}

func processor() string {
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range bytes.Lines(cpuinfo) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return "unknown processor"
}

const quickWarning = "A smoke run: these figures mean nothing."

func (r report) textHead() string {
	s := strings.Join(r.head, "\n") + "\n"
	if r.quick {
		s += quickWarning + "\n"
	}
	return s + "\n"
}

func (s section) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%v)\n", s.title, s.took.Round(100*time.Millisecond))
	for _, paragraph := range s.how {
		fmt.Fprintf(&b, "  %s\n", paragraph)
	}
	widths := make([]int, len(s.columns))
	all := append([][]string{s.columns}, s.lines...)
	for _, cells := range all {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, cells := range all {
		b.WriteString("    ")
		for i, cell := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				b.WriteString(cell + pad)
			} else {
				b.WriteString("  " + pad + cell)
			}
		}
		b.WriteString("\n")
	}
	for _, bar := range s.bars {
		fmt.Fprintf(&b, "  %s\n", bar)
	}
	b.WriteString("\n")
	return b.String()
}

func (r report) markdown() string {
	var b strings.Builder
	b.WriteString("<!-- Written by bench/cmd/compare --markdown. -->\n\n")
	for _, line := range r.head {
		fmt.Fprintf(&b, "%s  \n", line)
	}
	if r.quick {
		b.WriteString(quickWarning + "\n")
	}
	for _, s := range r.sections {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", s.title, strings.Join(s.how, "\n"))
		fmt.Fprintf(&b, "| %s |\n|---|%s\n", strings.Join(s.columns, " | "), strings.Repeat("---:|", len(s.columns)-1))
		for _, cells := range s.lines {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
		}
		for _, bar := range s.bars {
			fmt.Fprintf(&b, "\n%s\n", bar)
		}
	}
	return b.String()
}
