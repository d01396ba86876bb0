package docgen

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is generated of the documentation")

const root = "../.."

const (
	settingsText = "Each is a flag (`--max-bytes`), a variable of the environment (`CORRAL_MAX_BYTES`) and a name in the file. What has a * keeps its value until a\n" +
		"restart; the rest changes with a [reload](serve.md#reload). Lists have commas between their elements, or are lists in the file.\n\n"
	rulesText   = "In the file alone. What is not set is left to the origin, or to the setting of the same name. See [Rules](serve.md#rules).\n\n"
	originsText = "In the file alone, below a name. See [Origins](serve.md#origins).\n\n"
)

func TestTheReferenceIsCurrent(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Options\n\nWritten by `go generate ./internal/docgen` from the code; do not edit.\n")
	for _, s := range []struct {
		title, before, dir, name string
		write                    func(dir, name string) (string, error)
	}{
		{"The library: `corral.Options`", "", ".", "Options", Struct},
		{"An item of a loader: `corral.Item`", "", ".", "Item", Struct},
		{"The proxy: `httpcache.Options`", "", "httpcache", "Options", Struct},
		{"A rule of the proxy: `httpcache.Rule`", "", "httpcache", "Rule", Struct},
		{"Settings of `corral serve`", settingsText, "server", "Config", Settings},
		{"An entry of `rules`", rulesText, "server", "Rule", Settings},
		{"An entry of `origins`", originsText, "server", "Pool", Settings},
	} {
		text, err := s.write(filepath.Join(root, s.dir), s.name)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("\n## " + s.title + "\n\n" + s.before + text)
	}
	isCurrent(t, "docs/options.md", b.String())
}

var (
	link = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code = regexp.MustCompile("(?s)```.*?```")
)

// Every link of the documentation to a file of the project leads somewhere.
func TestLinksOfTheDocumentationLeadSomewhere(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d files of documentation: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(string(text), ""), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			path := file
			if target != "" {
				path = filepath.Join(filepath.Dir(file), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", file, match[1])
				continue
			}
			if anchor != "" && !hasHeading(path, anchor) {
				t.Errorf("%s: %s has no heading for #%s", file, path, anchor)
			}
		}
	}
}

var notInAnchor = regexp.MustCompile("[^a-z0-9 _-]")

func hasHeading(path, anchor string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if heading := strings.TrimLeft(line, "#"); heading != line && slug(heading) == anchor {
			return true
		}
	}
	return false
}

// slug is the anchor of a heading.
func slug(heading string) string {
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-")
}

func TestAStructThatIsNotThereIsAnError(t *testing.T) {
	for _, write := range []func(dir, name string) (string, error){Struct, Settings} {
		if _, err := write(".", "Nothing"); err == nil {
			t.Error("no error")
		}
	}
}

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

// The Go of the HTTP guide is that of the examples, which run.
func TestTheGoOfTheGuideIsThatOfTheExamples(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join(root, "docs/http.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples, err := os.ReadFile(filepath.Join(root, "httpcache/example_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := goBlock.FindAllStringSubmatch(string(guide), -1)
	if len(blocks) != 3 {
		t.Fatalf("found %d blocks, want one for each door", len(blocks))
	}
	for _, block := range blocks {
		indented := "\t" + strings.ReplaceAll(strings.TrimSuffix(block[1], "\n"), "\n", "\n\t") + "\n"
		if !strings.Contains(string(examples), indented) {
			t.Errorf("no example has\n%s", block[1])
		}
	}
}
