package docgen

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/corralcache/corral/internal/httpsem"
)

const answersIntroduction = `# What an answer says: Cache-Status

Written by ` + "`go generate ./internal/docgen`" + ` from what the proxy of ` + "`corral serve`" + ` answers in a test; do not edit. The daemon itself adds an ` + "`X-Request-Id`" + `.

Every answer says in ` + "`Cache-Status`" + ` ([RFC 9211](https://www.rfc-editor.org/rfc/rfc9211)) what was done for it, and why. The access log has the same text.

| parameter | says |
|---|---|
| ` + "`hit`" + ` | it came from the cache |
| ` + "`fwd`" + ` | why the cache by itself had no answer: ` + "`uri-miss`" + ` nothing was stored, ` + "`vary-miss`" + ` only other variants were, ` + "`stale`" + ` it had expired, ` + "`request`" + ` the client did not take what is fresh, ` + "`bypass`" + ` and ` + "`method`" + ` the request does not concern the cache |
| ` + "`fwd-status`" + ` | what the origin answered, where the client was told something else |
| ` + "`ttl`" + ` | what is left of the lifetime, in seconds; negative: how long ago it expired |
| ` + "`stored`" + ` | the answer is in the cache now |
| ` + "`collapsed`" + ` | it is the answer to another request, for which this one waited |
| ` + "`detail`" + ` | why it could not be stored, shared or given: [all of them](#details) |

`

// The page of answers shows what the code says today.
func TestThePageOfAnswersIsCurrent(t *testing.T) {
	var table, transcripts strings.Builder
	for _, chapter := range chapters {
		fmt.Fprintf(&transcripts, "\n## %s\n\n%s\n", chapter.title, chapter.text)
		for _, sc := range chapter.scenes {
			terminal, last := play(t, sc)
			fmt.Fprintf(&table, "| %d | `%s` | [%s](#%s) |\n", last.code, last.cache, sc.title, slug(sc.title))
			fmt.Fprintf(&transcripts, "\n### %s\n\n%s\n\n```\n%s```\n", sc.title, sc.text, strings.TrimSuffix(terminal, "\n"))
		}
	}
	var b strings.Builder
	b.WriteString(answersIntroduction + "| status | `Cache-Status` | what happened |\n|---|---|---|\n" + table.String() + transcripts.String())
	b.WriteString("\n## Details\n\n| `detail` | says |\n|---|---|\n")
	for _, detail := range details {
		fmt.Fprintf(&b, "| `%s` | %s |\n", detail[0], detail[1])
	}
	isCurrent(t, "docs/cache-status.md", b.String())
}

// isCurrent compares a file of the documentation with what is written from the
// code, or writes it.
func isCurrent(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run go generate ./internal/docgen", err)
	}
	lines, wanted := strings.Split(string(have), "\n"), strings.Split(text, "\n")
	for i := range min(len(lines), len(wanted)) {
		if lines[i] != wanted[i] {
			t.Fatalf("%s:%d is\n%s\nand the code says\n%s\nrun go generate ./internal/docgen", name, i+1, lines[i], wanted[i])
		}
	}
	if len(lines) != len(wanted) {
		t.Fatalf("%s has %d lines and the code says %d: run go generate ./internal/docgen", name, len(lines), len(wanted))
	}
}

var detailShown = regexp.MustCompile(`;detail=([a-z-]+)`)

func TestEveryDetailIsExplained(t *testing.T) {
	known := map[string]bool{}
	for _, detail := range details {
		known[detail[0]] = true
	}
	for reason := httpsem.NoReason + 1; reason <= httpsem.ReasonTooLarge; reason++ {
		if !known[reason.String()] {
			t.Errorf("no detail explains the reason %s", reason)
		}
	}
	page, err := os.ReadFile(filepath.Join(root, "docs/cache-status.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range detailShown.FindAllStringSubmatch(string(page), -1) {
		if !known[shown[1]] {
			t.Errorf("the page shows detail=%s and does not explain it", shown[1])
		}
	}
}
