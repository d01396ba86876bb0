package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/corralcache/corral/server"
)

// corral runs the program to its end.
func corral(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

// file writes a configuration file and returns its path.
func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "corral.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExitCodes(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string // part of the output
	}{
		{[]string{"--help"}, 0, "Exit codes: 0 done; 1 the configuration is wrong"},
		{[]string{"serve", "--help"}, 0, "--max-bytes=256MiB"},
		{[]string{"version"}, 0, "corral "},
		{[]string{"config", "check", "--origin", "http://127.0.0.1:9000"}, 0, "OK"},
		{[]string{"config", "check"}, 1, "origin is not set"},
		{[]string{"serve"}, 1, "origin is not set"},
		{[]string{}, 2, "corral --help"},
		{[]string{"server"}, 2, "serve"},
		{[]string{"serve", "--orign", "http://127.0.0.1:9000"}, 2, "--origin"},
		{[]string{"serve", "--origin"}, 2, "--origin"},
		{[]string{"config", "check", "a.yaml", "b.yaml"}, 2, "b.yaml"},
	} {
		code, out, errs := corral(t, test.args...)
		if code != test.code || !strings.Contains(out+errs, test.want) {
			t.Errorf("corral %v: exit code %d, %s%s; want %d, %s", test.args, code, out, errs, test.code, test.want)
		}
	}
}

func TestHelpNamesEverySettingWithItsDefaultAndEnvironment(t *testing.T) {
	_, out, _ := corral(t, "serve", "--help")
	text := strings.Join(strings.Fields(out), " ")
	c := server.Defaults()
	for _, s := range c.Settings() {
		if !strings.Contains(text, "--"+s.Name+"=") || !strings.Contains(text, "($"+s.Env+")") || !strings.Contains(text, s.Default) {
			t.Errorf("help lacks --%s, its default %s or $%s", s.Name, s.Default, s.Env)
		}
	}
}

func TestTheFirstOfFlagEnvironmentFileAndDefaultWins(t *testing.T) {
	path := file(t, "origin: http://file:1\nmax-loads: 1\nmax-bytes: 1MiB\nlog:\n  level: warn\n")
	t.Setenv("CORRAL_MAX_LOADS", "2")
	t.Setenv("CORRAL_MAX_BYTES", "2MiB")
	t.Setenv("CORRAL_SERVICE_HOST", "10.0.0.1") // of Kubernetes, none of ours
	code, out, errs := corral(t, "config", "show", path, "--max-bytes", "3MiB", "--pass-ttl=120s")
	for _, want := range []string{
		"max-bytes: 3MiB # command line\n",
		"max-loads: 2 # environment CORRAL_MAX_LOADS\n",
		"origin: http://file:1 # " + path + ":1\n",
		"log.level: warn # " + path + ":5\n",
		"load-timeout: 30s # default\n",
		"pass-ttl: 2m0s # command line\n", // also when it is the default's value
	} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("config show lacks %q:\n%s%s", want, out, errs)
		}
	}
	again := file(t, out)
	if code, _, errs := corral(t, "config", "check", again); code != 0 {
		t.Errorf("what config show prints is no configuration: %s", errs)
	}
}

func TestTheFileMayBeNamedInTheEnvironment(t *testing.T) {
	t.Setenv("CORRAL_CONFIG", file(t, "origin: http://file:1\n"))
	if _, out, errs := corral(t, "config", "show"); !strings.Contains(out, "origin: http://file:1 #") {
		t.Errorf("config show: %s%s; want the file's origin", out, errs)
	}
}

func TestEveryMistakeIsNamedWithItsPlaceAtOnce(t *testing.T) {
	path := file(t, `max-bytes: 12XB
orgin: http://127.0.0.1:9000
load-timeout: 30
access-log: maybe
log: {format: xml}
max-loads: [1, 2]
name:
max-waiters: 100000
max-waiters: 20
`)
	t.Setenv("CORRAL_IDLE_TIMEOUT", "soon")
	t.Setenv("CORRAL_LISTEN", "8080") // overridden, and a mistake all the same
	code, _, errs := corral(t, "config", "check", path, "--origin=ftp://x", "--listen=:0", "--max-conns=-1", "--header-timeout=0s")
	want := []string{
		path + `:2: unknown setting "orgin": did you mean origin?`,
		path + `:6: max-loads has more than one value`,
		path + `:7: name has no value`,
		path + `:9: max-waiters is set twice, first in ` + path + `:8`,
		path + `:1: max-bytes is "12XB": write a whole number and a unit`,
		path + `:3: load-timeout is "30": write a number and a unit`,
		path + `:4: access-log is "maybe": write on or off`,
		path + `:5: log.format is "xml": write json or text`,
		`environment CORRAL_IDLE_TIMEOUT: idle-timeout is "soon"`,
		`environment CORRAL_LISTEN: listen is "8080": write host:port`,
		`command line: origin is "ftp://x": use the scheme http or https`,
		`command line: max-conns is "-1": set a number above 0`,
		`command line: header-timeout is "0s": set a time above 0`,
	}
	for _, w := range want {
		if !strings.Contains(errs, w) {
			t.Errorf("config check does not say: %s", w)
		}
	}
	if code != 1 || t.Failed() {
		t.Errorf("exit code %d, said:\n%s", code, errs)
	}
}

func TestAContradictionStandsAtThePlaceOfItsSetting(t *testing.T) {
	path := file(t, "origin: http://127.0.0.1:9000\nmax-object-bytes: 1GiB\n")
	_, _, errs := corral(t, "config", "check", path)
	if want := path + `:2: max-object-bytes is "1GiB": it must not be above max-bytes, which is 256MiB` + "\n"; errs != want {
		t.Errorf("config check: %q, want %q", errs, want)
	}
	// When the other setting cannot be read, only that is a mistake.
	_, _, errs = corral(t, "config", "check", path, "--max-bytes=big")
	if strings.Contains(errs, "max-object-bytes") || !strings.Contains(errs, "max-bytes is") {
		t.Errorf("config check: %q, want max-bytes alone", errs)
	}
}

func TestFilesThatAreNoConfiguration(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"a: b: c\n", ":1: not YAML: "},
		{"name: x\n\t- y\n", ":2: not YAML: "},
		{"- name\n", ":1: write a name and a value on each line"},
		{"just words\n", ":1: write a name and a value on each line"},
		{"name: x\n---\nname: y\n", "a second document begins here"},
		{"[a, b]: x\n", ":1: write a single word as a name"},
		{"admin: {listen: {port: 1}}\n", `:1: unknown setting "admin.listen.port"`},
		{"completely-different: 1\n", "corral serve --help lists all"},
		{"name: &n x\nlog.level: *n\n", ":2: log.level has more than one value"},
		{strings.Repeat("#", maxFile+1), "larger than 1MiB"},
	} {
		path := file(t, test.text)
		code, _, errs := corral(t, "config", "check", path, "--origin=http://h:1")
		if code != 1 || !strings.Contains(errs, test.want) || !strings.Contains(errs, path) {
			t.Errorf("%.40q: %d, %s; want 1 and %s", test.text, code, errs, test.want)
		}
	}
	if code, _, errs := corral(t, "config", "check", "/nonexistent.yaml", "--origin=http://h:1"); code != 1 || !strings.Contains(errs, "/nonexistent.yaml") {
		t.Errorf("a file that is not there: %d, %s", code, errs)
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "null\n"} {
		if code, out, errs := corral(t, "config", "check", file(t, text), "--origin=http://h:1"); code != 0 {
			t.Errorf("%q: %d, %s%s; want OK, for it sets nothing", text, code, out, errs)
		}
	}
}

func TestEdits(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"orgin", "origin", 1}, {"listne", "listen", 2}, {"abc", "xyz", 3}} {
		if got := edits(test.a, test.b); got != test.want {
			t.Errorf("edits(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestServeNamesThePlaceOfAPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	path := file(t, fmt.Sprintf("origin: http://127.0.0.1:9000\nadmin.listen: %s\n", taken.Addr()))
	code, _, errs := corral(t, "serve", "-c", path, "--listen=127.0.0.1:0", "--log.level=error")
	if want := fmt.Sprintf("%s:2: admin.listen is %q: the port is in use", path, taken.Addr()); code != 1 || !strings.Contains(errs, want) {
		t.Errorf("serve: %d, %q; want 1, %q", code, errs, want)
	}
}

// A daemon is "corral serve" that runs in this process.
type daemon struct {
	url, admin string
	code       chan int
	cancel     context.CancelFunc
}

func serveInBackground(t *testing.T, args ...string) *daemon {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log, logs := io.Pipe()
	d := &daemon{code: make(chan int, 1), cancel: cancel}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.code <- run(ctx, append([]string{"serve", "--listen=127.0.0.1:0", "--admin.listen=127.0.0.1:0"}, args...), io.Discard, logs)
		logs.Close()
	}()
	t.Cleanup(func() { cancel(); <-ended })
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct{ Msg, URL, Admin string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("log line %s: %v", lines.Text(), err)
		}
		if line.Msg == "ready" {
			d.url, d.admin = line.URL, line.Admin
			break
		}
	}
	go io.Copy(io.Discard, log)
	return d
}

func TestServeAnswersFromItsOriginUntilItsContextEnds(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "mug") }))
	defer origin.Close()
	d := serveInBackground(t, "--origin", origin.URL)
	response, err := http.Get(d.url + "/mug")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); string(body) != "mug" || err != nil {
		t.Errorf("GET /mug = %q, %v; want mug", body, err)
	}
	metrics, err := http.Get(d.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	if text, err := io.ReadAll(metrics.Body); err != nil || !strings.Contains(string(text), `corral_loads_total{cache="corral"} 1`) {
		t.Errorf("/metrics = %s, %v; want the cache's one load", text, err)
	}
	http.DefaultClient.CloseIdleConnections()
	d.cancel()
	if code := <-d.code; code != exitOK {
		t.Errorf("exit code = %d, want %d", code, exitOK)
	}
}

func TestTheFirstSignalLetsRequestsFinishAndTheSecondCutsThemOff(t *testing.T) {
	for signals, want := range map[int]int{1: exitOK, 2: exitCutOff} {
		asked, finish := make(chan struct{}), make(chan struct{})
		origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(asked)
			select {
			case <-finish:
			case <-r.Context().Done():
			}
		}))
		d := serveInBackground(t, "--origin", origin.URL, "--shutdown-timeout=1h")
		answered := make(chan error, 1)
		go func() {
			response, err := http.Get(d.url + "/mug")
			if err == nil {
				response.Body.Close()
			}
			answered <- err
		}()
		<-asked
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for { // until it is draining
			response, err := http.Get(d.admin + "/readyz")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode == 503 {
				break
			}
		}
		if signals == 2 {
			if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		} else {
			close(finish)
		}
		if code := <-d.code; code != want {
			t.Errorf("%d signals: exit code %d, want %d", signals, code, want)
		}
		if err := <-answered; (err == nil) != (signals == 1) {
			t.Errorf("%d signals: the request that ran ended with %v", signals, err)
		}
		origin.Close()
	}
}

func FuzzFilesAreReadOrRefusedWithALine(f *testing.F) {
	f.Add([]byte("max-bytes: 1MiB\nlog: {level: warn}\n"))
	f.Add([]byte("a: &a [*a]\n? {b: c}\n: d\n"))
	f.Add([]byte("origins: {shop: {servers: [http://a:1, http://b:2 weight=3], health.path: /up}}\nrules:\n- {host: a, key: {headers: [A]}}\n- ttl: 1h\n  origin: shop\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c := server.Defaults()
		c.From = map[string]string{}
		read := readFile(path, &c)
		for _, err := range read.errs {
			if !strings.Contains(err.Error(), path+":") {
				t.Errorf("%q: %v has no line", text, err)
			}
		}
		c.Validate()
		for name, value := range read.values {
			if value.place == "" {
				t.Errorf("%q: %s has no place", text, name)
			}
		}
	})
}
