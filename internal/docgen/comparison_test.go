package docgen

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var number = regexp.MustCompile(`[0-9][0-9,.]*`)

// A figure of the comparison that is said to be measured stands among the
// benchmarks, so that a new run of them is not forgotten here.
func TestTheFiguresOfTheComparisonAreThoseOfTheBenchmarks(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, measured, _ := strings.Cut(read("benchmarks.md"), "\n## HTTP\n")
	known := map[string]bool{}
	for _, figure := range figures(measured) {
		known[figure] = true
	}
	rows := 0
	for line := range strings.Lines(read("comparison.md")) {
		first, cells, _ := strings.Cut(strings.TrimPrefix(line, "| "), "|")
		if !strings.HasSuffix(first, "(b) ") {
			continue
		}
		rows++
		for _, figure := range figures(cells) {
			if !known[figure] {
				t.Errorf("%q has %s, which is not among the benchmarks", first, figure)
			}
		}
	}
	if rows < 8 {
		t.Errorf("found %d measured rows", rows)
	}
}

func figures(text string) (all []string) {
	for _, figure := range number.FindAllString(text, -1) {
		all = append(all, strings.TrimRight(figure, ",."))
	}
	return all
}
