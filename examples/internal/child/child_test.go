package child

import (
	"context"
	"os"
	"strings"
	"testing"
)

func TestAChildIsReadyWhenItSaysWhereItListensAndEndsWhenStopped(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ says, url, admin string }{
		{`shop: listening on http://127.0.0.1:1`, "http://127.0.0.1:1", ""},
		{`{"msg":"ready","url":"http://127.0.0.1:1","admin":"http://127.0.0.1:2"}`, "http://127.0.0.1:1", "http://127.0.0.1:2"},
	} {
		c, err := Start(t.Context(), dir, "child", "/bin/sh", "-c", "echo first; echo '"+test.says+"'; exec sleep 1000")
		if err != nil {
			t.Fatal(err)
		}
		if c.URL != test.url || c.Admin != test.admin {
			t.Errorf("after %s: %s and %s", test.says, c.URL, c.Admin)
		}
		c.Stop()
		if text, err := os.ReadFile(c.Log); err != nil || string(text) != "first\n"+test.says+"\n" {
			t.Errorf("log = %q, %v", text, err)
		}
	}
}

func TestAChildThatDoesNotStartIsAnErrorWithItsLastWords(t *testing.T) {
	if _, err := Start(t.Context(), t.TempDir(), "child", "/nonexistent"); err == nil || !strings.Contains(err.Error(), "start child") {
		t.Errorf("start of a program that is not there: %v", err)
	}
	_, err := Start(t.Context(), t.TempDir(), "child", "/bin/sh", "-c", "echo no database >&2; exit 3")
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no database") {
		t.Errorf("start of a program that fails: %v, want its status and output", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, t.TempDir(), "child", "/bin/sh", "-c", "exec sleep 1000"); err != context.Canceled {
		t.Errorf("start under an ended context: %v", err)
	}
}
