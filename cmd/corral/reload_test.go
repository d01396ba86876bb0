package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
)

func fetch(t *testing.T, method, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestAFileIsReadAgainForASignalAndForTheOperator(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	names := map[string]string{}
	for _, name := range []string{"a", "b"} {
		origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name) }))
		defer origin.Close()
		names[name] = origin.URL
	}
	text := func(rule string) string {
		return fmt.Sprintf("origins:\n  a: {servers: %s}\n  b: {servers: %s}\n  default: {servers: %s}\nrules:\n- path: /shop\n  origin: %s\n", names["a"], names["b"], names["a"], rule)
	}
	path := file(t, text("a"))
	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := serveInBackground(t, "-c", path)
	answered := func() string { _, body := fetch(t, "GET", d.url+"/shop"); return body }
	if got := answered(); got != "a" {
		t.Fatalf("answer of %q, want a", got)
	}

	rewrite(text("b"))
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for answered() != "b" {
	}

	rewrite(text("c"))
	status, body := fetch(t, "POST", d.admin+"/reload")
	if want := path + `:7: rules[0].origin is \"c\": there is no such name under origins`; status != 422 || !strings.Contains(body, want) {
		t.Errorf("POST /reload of a bad file = %d %s, want 422 %s", status, body, want)
	}
	rewrite("max-loads: 3\n" + text("a"))
	status, body = fetch(t, "POST", d.admin+"/reload")
	if want := path + `:1: max-loads is \"3\": it is \"256\" since the start`; status != 422 || !strings.Contains(body, want) {
		t.Errorf("POST /reload of what needs a restart = %d %s, want 422 %s", status, body, want)
	}
	if got := answered(); got != "b" {
		t.Errorf("answer of %q after bad files, want b", got)
	}

	rewrite(text("a"))
	if status, body := fetch(t, "POST", d.admin+"/reload"); status != 200 {
		t.Errorf("POST /reload = %d %s", status, body)
	}
	if got := answered(); got != "a" {
		t.Errorf("answer of %q after a reload, want a", got)
	}
	_, metrics := fetch(t, "GET", d.admin+"/metrics")
	if want := fmt.Sprintf(`corral_upstream_requests_total{pool="b",server=%q}`, names["b"]); !strings.Contains(metrics, want) {
		t.Errorf("/metrics lacks %s", want)
	}
}
