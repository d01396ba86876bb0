package docgen

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var number = regexp.MustCompile(`[0-9][0-9,.]*`)

// A figure of the comparisons that is said to be measured stands among the
// benchmarks, so that a new run of them is not forgotten there.
func TestTheFiguresOfTheComparisonsAreThoseOfTheBenchmarks(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, c := range []struct {
		page, from string
		least      int // rows that are measured
	}{
		{"comparison.md", "\n## HTTP\n", 8},
		{"comparison-cluster.md", "\n## Cluster\n", 3},
	} {
		_, measured, _ := strings.Cut(read("benchmarks.md"), c.from)
		known := map[string]bool{}
		for _, figure := range figures(measured) {
			known[figure] = true
		}
		rows := 0
		for line := range strings.Lines(read(c.page)) {
			first, cells, _ := strings.Cut(strings.TrimPrefix(line, "| "), "|")
			if !strings.HasSuffix(first, "(b) ") {
				continue
			}
			rows++
			for _, figure := range figures(cells) {
				if !known[figure] {
					t.Errorf("%s: %q has %s, which is not among the benchmarks", c.page, first, figure)
				}
			}
		}
		if rows < c.least {
			t.Errorf("%s: found %d measured rows", c.page, rows)
		}
	}
}

func figures(text string) (all []string) {
	for _, figure := range number.FindAllString(text, -1) {
		all = append(all, strings.TrimRight(figure, ",."))
	}
	return all
}
