package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/corralcache/corral/server"
)

var (
	yamlBlock  = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	ownOrigin  = regexp.MustCompile(`(?m)^origins?:`)
	limitRow   = regexp.MustCompile("(?m)^\\| `([a-z.-]+)` \\| `([^`]*)` \\|")
	limitsPart = regexp.MustCompile(`(?s)\n## Limits\n(.*?)\n## `)
)

// Each file of settings in the documentation is one that config check accepts,
// given an origin where it has none.
func TestTheFilesOfTheDocumentationAreRight(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			found++
			// Files that it names are not on this machine.
			block := strings.ReplaceAll(block[1], "tls: {ca: /etc/corral/internal.pem}", "")
			if !ownOrigin.MatchString(block) {
				block += "origin: http://127.0.0.1:9000\norigins: {models: {servers: http://127.0.0.1:9001}}\n"
			}
			if code, _, errs := corral(t, "config", "check", file(t, block)); code != 0 {
				t.Errorf("%s has the file\n%s\n%s", page, block, errs)
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d files in the documentation", found)
	}
}

func TestTheLimitsOfTheGuideHaveTheirDefaults(t *testing.T) {
	text, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	part := limitsPart.FindSubmatch(text)
	if part == nil {
		t.Fatal("the guide has no part on limits")
	}
	config := server.Defaults()
	defaults := map[string]string{}
	for _, setting := range config.Settings() {
		defaults[setting.Name] = setting.Default
	}
	rows := limitRow.FindAllSubmatch(part[1], -1)
	if len(rows) < 10 {
		t.Fatalf("found %d limits", len(rows))
	}
	for _, row := range rows {
		if have, known := defaults[string(row[1])]; !known || have != string(row[2]) {
			t.Errorf("the guide says that %s is %s by default, and it is %q", row[1], row[2], have)
		}
	}
}
